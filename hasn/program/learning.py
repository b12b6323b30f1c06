"""What a connection does to its own weights: traces, and an update that is a sum of products (docs/plasticity.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.maps import Convolution, Dense, Sparse, floating
from hasn.room import require

Array: TypeAlias = NDArray[Any]
#: Who has a value of its own: nobody, every source, every target, or every synapse.
Extent: TypeAlias = Literal["all", "pre", "post", "synapse"]
#: Names that every rule may use, and who has them: spikes of this step, v after it, the weight before the update.
OWN: dict[str, Extent] = {"pre": "pre", "post": "post", "v": "post", "w": "synapse"}


@dataclass(frozen=True)
class Product:
    """``factor * names[0] * names[1] * ...``; a name that stands twice is squared.

    Attributes:
        factor: a number.
        names: in alphabetical order.
    """

    factor: float
    names: tuple[str, ...]

    def __str__(self) -> str:
        names = [*self.names] if self.factor == 1.0 and self.names else [f"{self.factor:g}", *self.names]
        return " ".join(names)


Products: TypeAlias = tuple[Product, ...]


@dataclass(frozen=True)
class Trace:
    """``x <- decay * x`` at every step; then, once all updates have been made, the sum of ``feed`` is added to it.

    Attributes:
        name: its name in products.
        extent: who has one of its own.
        decay: what is left of it after a step.
        feed: what enters it; read before anything of this step has entered any trace.
        sets: where what enters is not 0 it replaces the trace, instead of being added.
        from_weight: it starts as the weight that its synapse has then, in place of 0.
    """

    name: str
    extent: Extent
    decay: float
    feed: Products
    sets: bool = False
    from_weight: bool = False


@dataclass(frozen=True)
class Rectified:
    """What is above 0 of a sum: a name for products of what comes after it.

    Attributes:
        name: its name in products.
        extent: who has one of its own.
        sum: the products of the sum.
    """

    name: str
    extent: Extent
    sum: Products


#: What a synapse sends, where nothing else is said.
PLAIN: Products = (Product(1.0, ("pre", "w")),)


@dataclass(frozen=True)
class Learning:
    """How a Connection learns. Each step: traces decay; the synapse sends ``transmits``; then, after all nodes, ``dw``
    is the sum of ``update``, of these traces and of this step's spikes; ``w <- min(max(w + dw, low), high)``; then
    traces are fed.

    Attributes:
        target: the population that the connection feeds: whose spikes and membrane are ``post`` and ``v``.
        traces: in the order in which the rule names them.
        update: the products.
        low, high: bounds of a weight.
        modulators: name in products -> the node whose value it is, one number a sample.
        every: K: weights change at the last of every K steps only; ``dw`` is that step's.
        shared: all samples of a batch have one weight, moved by the mean of their updates.
        rectified: what products read beside traces and spikes, in the order in which each can be known.
        transmits: what a synapse sends, of its weight, ``pre`` and traces; each product has ``pre``.
        normal: what the sizes of a target's weights sum to after the bounds, by a factor; then the bounds hold again.
            None: they are not normalised.
        normal_every: at the last of every so many steps.
    """

    target: str
    traces: tuple[Trace, ...]
    update: Products
    low: float = -math.inf
    high: float = math.inf
    modulators: tuple[tuple[str, str], ...] = ()
    every: int = 1
    shared: bool = False
    rectified: tuple[Rectified, ...] = ()
    transmits: Products = PLAIN
    normal: float | None = None
    normal_every: int = 1

    def normalises(self, step: int) -> bool:
        """Whether weights are normalised at the end of a step."""
        return self.normal is not None and (step + 1) % self.normal_every == 0

    @property
    def extents(self) -> dict[str, Extent]:
        """Who has a value of each name that products read."""
        found: dict[str, Extent] = {**OWN}
        found |= {name: "all" for name, _ in self.modulators}
        found |= {trace.name: trace.extent for trace in self.traces}
        return found | {part.name: part.extent for part in self.rectified}

    @property
    def reads(self) -> Iterator[tuple[str, str]]:
        """(node that is read, what for): they have no edge."""
        yield self.target, "post"
        for name, node in self.modulators:
            yield node, name

    def trigger(self, product: Product) -> str | None:
        """A factor that is 0 unless something happens in the step: the target spikes, something arrives, or a modulator
        is given. None: the product acts whatever happens."""
        happening = ("post", "pre", *(name for name, _ in self.modulators))
        return next((name for name in happening if name in product.names), None)

    def of_synapses(self, late: bool = False) -> tuple[Trace, ...]:
        """Traces of which every synapse has its own; ``late``: synapses have delays, and know their source each at
        another time."""
        return tuple(t for t in self.traces if t.extent == "synapse" or (late and t.extent == "pre"))

    def steady(self, late: bool = False) -> tuple[Product, ...]:
        """What acts on synapses at every step, whatever happens. Where there is nothing, the rule goes by events: a
        step changes the synapses at which something happens, and those alone (but that their traces decay)."""
        formulas = (self.update, *(trace.feed for trace in self.of_synapses(late)))
        return tuple(product for formula in formulas for product in formula if self.trigger(product) is None)


def extent_of(names: Iterable[str], known: dict[str, Extent]) -> Extent:
    """Who has a product of these."""
    found = {known[name] for name in names} - {"all"}
    if "synapse" in found or {"pre", "post"} <= found:
        return "synapse"
    return next(iter(found), "all")


def sizes(of: Any) -> dict[Extent, tuple[int, ...]]:
    """How many there are of each extent, for the map of a connection that learns.

    A synapse with a delay of its own knows its source at another time than its neighbours: then what belongs to the
    sources belongs to each synapse. Of a convolution every position of a weight is a synapse.
    """
    if isinstance(of, Dense):
        outputs, inputs = (int(n) for n in of.weight.shape)
        return {"all": (1,), "pre": (inputs,), "post": (outputs,), "synapse": (outputs, inputs)}
    if isinstance(of, Convolution):
        found = listed(of)
        return {"all": (1,), "pre": (found.inputs,), "post": (found.outputs,), "synapse": (len(found.pre),)}
    if not isinstance(of, Sparse):
        raise TypeError(f"a {type(of).__name__} does not learn")
    many = (len(of.indices),)
    pre = many if of_synapses(of, "pre") else (of.inputs,)
    return {"all": (1,), "pre": pre, "post": (of.outputs,), "synapse": many}


def of_synapses(of: Any, extent: Extent) -> bool:
    """Whether each synapse has its own of what this extent has."""
    late = isinstance(of, Sparse) and of.delay is not None and bool(of.delay.any())
    return extent == "synapse" or (extent == "pre" and late)


def weights_of(connection: Any) -> Any:
    """The weights that a connection starts with: (outputs, inputs), one for each stored synapse, or a kernel."""
    return connection.map.values if isinstance(connection.map, Sparse) else connection.map.weight


def pattern(of: Any) -> tuple[int, ...]:
    """The shape of the weights of a map of a connection that learns."""
    return tuple(int(n) for n in np.shape(of.weight))


def arriving(of: Any) -> tuple[int]:
    """How many elements arrive at the map of a connection that learns."""
    if isinstance(of, Convolution):
        return (listed(of).inputs,)
    return (int(of.inputs if isinstance(of, Sparse) else of.weight.shape[1]),)


@dataclass(frozen=True)
class Listed:
    """The synapses of a map, one after the other, in the order of its weights.

    Attributes:
        pre, post: source and target of each.
        late: steps of delay.
        weight: the weights at the start, flat: one for each synapse, or those that they share.
        tie: number of each synapse's weight; None: each has its own.
        channels: of the result, where weights are shared.
        inputs, outputs: how many sources and targets there are.
    """

    pre: Array
    post: Array
    late: Array
    weight: Array
    inputs: int
    outputs: int
    tie: Array | None = None
    channels: int = 0

    @property
    def rows(self) -> Array:
        """Whose sum each weight counts in: its target, or its output channel."""
        return self.post if self.tie is None else np.arange(len(self.weight)) // (len(self.weight) // self.channels)

    def spread(self, weights: Array) -> Array:
        """What each synapse has of weights (..., weights): (..., synapses)."""
        return weights if self.tie is None else weights[..., self.tie]

    def summed(self, values: Array) -> Array:
        """Over the synapses of each weight: (cases, synapses) to (cases, weights)."""
        if self.tie is None:
            return values
        many = len(self.weight)
        found = [np.bincount(self.tie, weights=case, minlength=many) for case in values]
        return np.stack(found).astype(values.dtype)

    @property
    def numbers(self) -> Array:
        """Of each synapse, the number of its weight."""
        return np.arange(len(self.pre)) if self.tie is None else self.tie

    def of_weight(self, weight: int) -> Array:
        """The synapses of a weight."""
        return np.array([weight]) if self.tie is None else np.flatnonzero(self.tie == weight)


def listed(of: Any) -> Listed:
    """All synapses of the map of a connection that learns, those of weight 0 too."""
    if isinstance(of, Convolution):
        return _unrolled(of)
    if isinstance(of, Sparse):
        post = np.repeat(np.arange(of.outputs), np.diff(of.indptr))
        late = np.zeros(len(post), dtype=np.int64) if of.delay is None else of.delay.astype(np.int64)
        return Listed(of.indices.astype(np.int64), post, late, of.values, of.inputs, of.outputs)
    weight = floating(of.weight)
    post, pre = (index.reshape(-1) for index in np.indices(weight.shape))
    outputs, inputs = weight.shape
    return Listed(pre, post, np.zeros(len(pre), dtype=np.int64), weight.reshape(-1), inputs, outputs)


def _unrolled(of: Convolution) -> Listed:
    """Every position of every weight; made once, and kept beside the map's fields."""
    kept: dict[str, Any] = vars(of)
    if "_unrolled" not in kept:
        if of.given is None:
            raise TypeError("a convolution that learns knows what it is applied to")
        way_out = "Make the convolution smaller."
        require(of.unrolled_bytes(of.given), "a convolution that learns, position by position,", way_out=way_out)
        places = of.places(of.given)
        outputs, inputs = places.shape
        post = np.repeat(np.arange(outputs), np.diff(places.indptr))
        tie = places.data.astype(np.int64) - 1
        late, weight = np.zeros(len(post), dtype=np.int64), floating(of.weight).reshape(-1)
        kept["_unrolled"] = Listed(
            places.indices.astype(np.int64), post, late, weight, inputs, outputs, tie, len(of.weight)
        )
    found: Listed = kept["_unrolled"]
    return found


def normalised(weights: Array, rows: Array, learning: Learning) -> Array:
    """Weights (cases, weights), those of each row scaled so that their sizes sum to what the rule says."""
    many = int(rows.max(initial=-1)) + 1
    sums = np.stack([np.bincount(rows, weights=np.abs(case), minlength=many) for case in weights])
    factors = np.divide(learning.normal or 0.0, sums, out=np.ones(sums.shape), where=sums > 0)
    made = np.clip(weights * factors[:, rows], learning.low, learning.high)
    return np.asarray(made.astype(weights.dtype))


def same_pattern(one: Any, two: Any) -> bool:
    """Whether two connections have the same synapses, in the same order, with the same delays."""
    if isinstance(one.map, Convolution) and isinstance(two.map, Convolution):
        unrolled = ((of.pre, of.post, of.tie) for of in (listed(one.map), listed(two.map)))
        same = all(np.array_equal(a, b) for a, b in zip(*unrolled, strict=True))
        return same and weights_of(one).shape == weights_of(two).shape
    if not (isinstance(one.map, Sparse) and isinstance(two.map, Sparse)):
        return bool(type(one.map) is type(two.map) and weights_of(one).shape == weights_of(two).shape)
    parts = ((of.map.indices, of.map.indptr, listed(of.map).late) for of in (one, two))
    return all(np.array_equal(a, b) for a, b in zip(*parts, strict=True))


def gathered(of: Any, extent: Extent, values: Array) -> Array:
    """What each synapse has, (samples, synapses), as its owners have it: (samples, *size); 0 of those without any."""
    size = sizes(of)[extent]
    if of_synapses(of, extent):
        return values.reshape(len(values), *size)
    found = np.zeros((len(values), *size), dtype=values.dtype)
    if values.shape[1]:
        found[:, _owners(of, extent)] = values
    return found


def spread(of: Any, extent: Extent, values: Array) -> Array:
    """The way back: (samples, synapses)."""
    flat = values.reshape(len(values), -1)
    if of_synapses(of, extent):
        return flat
    return flat[:, _owners(of, extent)]


def _owners(of: Any, extent: Extent) -> Array:
    """For each synapse the source, the target, or the one that there is."""
    synapses = listed(of)
    if extent == "all":
        return np.zeros_like(synapses.pre)
    return synapses.pre if extent == "pre" else synapses.post
