"""What a connection does to its own weights: traces, and an update that is a sum of products (docs/plasticity.md)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.maps import Dense, Sparse, floating

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
    sources belongs to each synapse.
    """
    if isinstance(of, Dense):
        outputs, inputs = (int(n) for n in of.weight.shape)
        return {"all": (1,), "pre": (inputs,), "post": (outputs,), "synapse": (outputs, inputs)}
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
    """The weights that a connection starts with: (outputs, inputs), or one for each stored synapse."""
    return connection.map.values if isinstance(connection.map, Sparse) else connection.map.weight


def arriving(of: Any) -> tuple[int]:
    """The shape that arrives at the map of a connection that learns."""
    return (int(of.inputs if isinstance(of, Sparse) else of.weight.shape[1]),)


@dataclass(frozen=True)
class Listed:
    """The synapses of a map, one after the other, in the order of its weights.

    Attributes:
        pre, post: source and target of each.
        late: steps of delay.
        weight: at the start.
    """

    pre: Array
    post: Array
    late: Array
    weight: Array


def listed(of: Any) -> Listed:
    """All synapses of the map of a connection that learns, those of weight 0 too."""
    if isinstance(of, Sparse):
        post = np.repeat(np.arange(of.outputs), np.diff(of.indptr))
        late = np.zeros(len(post), dtype=np.int64) if of.delay is None else of.delay.astype(np.int64)
        return Listed(of.indices.astype(np.int64), post, late, of.values)
    weight = floating(of.weight)
    post, pre = (index.reshape(-1) for index in np.indices(weight.shape))
    return Listed(pre, post, np.zeros(len(pre), dtype=np.int64), weight.reshape(-1))


def same_pattern(one: Any, two: Any) -> bool:
    """Whether two connections have the same synapses, in the same order, with the same delays."""
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
