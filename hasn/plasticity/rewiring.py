"""Structural plasticity: weak synapses go and others grow elsewhere, as a controller (docs/control.md)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import OptionError
from hasn.ir.structure import flatten
from hasn.nodes.sparse import SparseLinear
from hasn.program.maps import decoded

Array = NDArray[Any]
#: Weights that differ by less than this share of the largest are equally weak: backends agree to 1e-9, and are to
#: prune alike.
_TIE = 1e-8


@dataclass(frozen=True)
class Rewiring:
    """The weakest synapses are pruned, and as many grow at places that have none: their number stays.

    Sparse evolutionary training (Mocanu et al., Nature Communications 9, 2018): a share of the synapses, those of the
    smallest ``|w|``, goes; each of the places without a synapse (those just pruned are not among them) is as likely to
    get one. With ``below`` all of ``|w| < below`` go instead, as the dormant ones of deep rewiring do (Bellec et al.,
    ICLR 2018). Among equal weights chance decides. Other synapses keep weights, delays and traces. A new one's
    eligibility begins at 0; what belongs to its source or target it finds as it is.

    What is drawn depends on ``seed``, the node's name and the step alone: backends rewire alike.

    Attributes:
        node: name of a SparseLinear, which may learn.
        fraction: share of the synapses that goes at a call, > 0 and <= 1.
        below: or the ``|w|`` below which they go.
        every: steps between two calls.
        weight: of a new synapse, or (low, high) between which it is drawn.
        delay: of a new synapse in steps, or (least, most), each as likely.
        autapses: whether a neuron may get a synapse onto the one of its own number; False where the connection leads
            from a population to itself.
        seed: >= 0.

    Raises:
        OptionError: not one of ``fraction`` and ``below``, or a number that makes no sense. When it is called: the
            node is no SparseLinear or holds integers, or there are fewer free places than synapses to grow.
    """

    node: str
    fraction: float | None = None
    below: float | None = None
    every: int = 1000
    weight: float | tuple[float, float] = 0.0
    delay: int | tuple[int, int] = 0
    autapses: bool = True
    seed: int = 0

    #: It looks at weights alone.
    record = {"outputs": ()}  # noqa: RUF012 - no field: nobody changes it

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.below is None):
            got = f"fraction={self.fraction}, below={self.below}"
            raise OptionError("what goes is not settled", parameter="Rewiring", got=got, wanted="one of the two")
        share, least = self.fraction, self.below
        _require(share is None or (_is_number(share) and 0 < share <= 1), "fraction", share, "> 0 and <= 1")
        _require(least is None or (_is_number(least) and 0 < least < np.inf), "below", least, "> 0")
        _require(_is_whole(self.every) and self.every >= 1, "every", self.every, "an integer >= 1")
        _require(_is_whole(self.seed) and self.seed >= 0, "seed", self.seed, "an integer >= 0")
        low, high = _ends(self.weight)
        numbers = _is_number(low) and _is_number(high)
        _require(numbers and -np.inf < low <= high < np.inf, "weight", self.weight, "a number, or (low, high)")
        low, high = _ends(self.delay)
        _require(
            _is_whole(low) and _is_whole(high) and 0 <= low <= high, "delay", self.delay, "steps, or (least, most)"
        )

    def __call__(self, graph: nir.NIRGraph, recording: Any, step: int) -> nir.NIRGraph | None:
        """The graph with other synapses; None where none goes."""
        node = self._found(graph)
        rng = np.random.default_rng([self.seed, zlib.crc32(self.node.encode()), step])
        post = np.repeat(np.arange(node.shape[0]), np.diff(node.indptr))
        pre = np.asarray(node.indices, dtype=np.int64)
        gone = self._pruned(np.abs(decoded(node.data, None, node.indptr).astype(np.float64)), rng)
        count = int(gone.sum())
        if not count:
            return None
        new_post, new_pre = self._grown(node.shape, post * node.shape[1] + pre, count, rng)
        low, high = _ends(self.weight)
        least, most = _ends(self.delay)
        weight = rng.uniform(low, high, count) if low < high else np.full(count, float(low))
        late = rng.integers(least, most, count, endpoint=True)
        old_late = np.zeros(len(pre), dtype=np.int64) if node.delay is None else np.asarray(node.delay)
        post, pre = np.append(post[~gone], new_post), np.append(pre[~gone], new_pre)
        order = np.lexsort((pre, post))
        node.indices, node.indptr = pre[order], np.searchsorted(post[order], np.arange(node.shape[0] + 1))
        node.data = np.append(node.data[~gone], weight.astype(node.data.dtype))[order]
        delay = np.append(old_late[~gone], late)[order]
        node.delay = None if node.delay is None and not delay.any() else delay
        return graph

    def _found(self, graph: nir.NIRGraph) -> Any:
        node = flatten(graph).nodes.get(self.node)
        if not isinstance(node, SparseLinear) or node.data.dtype.kind != "f":
            got = "nothing of that name" if node is None else type(node).__name__
            got = f"{node.data.dtype} weights" if isinstance(node, SparseLinear) else got
            wanted = "a SparseLinear of floating numbers"
            raise OptionError("cannot be rewired", node=self.node, parameter="Rewiring", got=got, wanted=wanted)
        return node

    def _pruned(self, weight: Array, rng: np.random.Generator) -> Array:
        """Which synapses go."""
        if self.below is not None:
            gone: Array = weight < self.below
            return gone
        gone = np.zeros(len(weight), dtype=bool)
        rough = np.rint(weight / (_TIE * max(weight.max(initial=0.0), np.finfo(float).tiny)))
        gone[np.lexsort((rng.random(len(weight)), rough))[: round((self.fraction or 0.0) * len(weight))]] = True
        return gone

    def _grown(self, shape: Any, taken: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Targets and sources of new synapses, each free place as likely: the r-th free one, for distinct r."""
        outputs, inputs = shape
        if not self.autapses:
            own = np.arange(min(outputs, inputs))
            taken = np.append(taken, own * inputs + own)
        taken = np.unique(taken)
        free = outputs * inputs - len(taken)
        if count > free:
            raise OptionError(
                "more synapses are to grow than there are places without one",
                node=self.node,
                parameter="Rewiring",
                got=f"{count:,} synapses",
                wanted=f"at most {free:,}",
                way_out="Prune fewer at a time, or begin with a sparser connection.",
            )
        rank = rng.choice(free, count, replace=False)
        place = rank + np.searchsorted(taken - np.arange(len(taken)), rank, side="right")
        return place // inputs, place % inputs


def _ends(value: Any) -> tuple[Any, Any]:
    """(low, high) of one number or two."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    return value, value


def _require(sound: bool, name: str, got: object, wanted: str) -> None:
    if not sound:
        raise OptionError("no such value", parameter=f"Rewiring: {name}", got=repr(got), wanted=wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
