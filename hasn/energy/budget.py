"""A budget that a run is held to: a controller that raises thresholds, or lowers what Inputs weigh, while over it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.energy.estimating import estimate, is_number
from hasn.energy.profile import profile
from hasn.errors import OptionError
from hasn.ir.structure import flatten
from hasn.nodes import SparseLinear
from hasn.recording import Recording

Array = NDArray[Any]


@dataclass(frozen=True)
class Decision:
    """What a budget did at one call.

    Attributes:
        step: number of the step to come.
        watts: of the steps since the last call.
        running: the running estimate.
        scale: thresholds are so many times as far above rest as they were, or Inputs weigh so many times less.
        at_limit: whether it is still over and can do no more.
    """

    step: int
    watts: float
    running: float
    scale: float
    at_limit: bool


@dataclass
class Budget:
    """Holds a run to so many joules a second of model time, a sample, by homeostasis.

    After ``every`` steps the running estimate is ``m <- m + smoothing (P - m)``, P that of the steps since the last
    call, and ``log scale <- log scale + gain log(m / per_second)``, kept within 1 and ``most``: while the run is over
    its budget the scale grows; while it is under, it falls back to 1, where the network is as it was. It cannot save
    what does not hang on spikes: updates of neurons, and events of Inputs. A run that begins anew is held from scale 1.

    Attributes:
        per_second: watts.
        profile: what operations cost.
        every: steps between two calls.
        by: "threshold": thresholds of all spiking populations, measured from rest; "gain": weights behind the Inputs.
        gain: how much of an excess is taken at once.
        smoothing: of the running estimate; 1: none.
        most: the largest scale.
        log: what it did.
    """

    per_second: float
    profile: str = "loihi1"
    every: int = 100
    by: Literal["threshold", "gain"] = "threshold"
    gain: float = 0.3
    smoothing: float = 0.5
    most: float = 100.0
    log: list[Decision] = field(default_factory=list)

    #: What a run records for it.
    record = {"counts": "active"}  # noqa: RUF012  # a constant of the class, as controllers have it

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("per_second", self.per_second, 0.0, math.inf), ("gain", self.gain, 0.0, 1.0),
            ("smoothing", self.smoothing, 0.0, 1.0), ("most", self.most, 1.0, math.inf),
        ):  # fmt: skip
            if not is_number(value) or not low < value <= high or value == math.inf:
                wanted = f"a number > {low:g}" + (f" and <= {high:g}" if high < math.inf else "")
                raise OptionError("makes no sense", parameter=name, got=repr(value), wanted=wanted)
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise OptionError("no number of steps", parameter="every", got=repr(self.every), wanted="an integer >= 1")
        if self.by not in ("threshold", "gain"):
            raise OptionError("nothing to turn", parameter="by", got=repr(self.by), wanted="'threshold' or 'gain'")
        if all(constant.value is None for constant in profile(self.profile).constants):
            raise OptionError("its constants are unknown, so no budget can be held", parameter="profile",
                              got=repr(self.profile))  # fmt: skip
        self.scale, self._running = 1.0, math.nan
        self._set: dict[str, tuple[Array, Array]] = {}

    def __call__(self, graph: nir.NIRGraph, recording: Recording, step: int) -> nir.NIRGraph | None:
        """Look at the last steps; the graph to go on with, or None where nothing is to change."""
        if self.log and step <= self.log[-1].step:  # another run: its graph is as it should be
            self.scale, self._running, self._set = 1.0, math.nan, {}
        watts = estimate(recording, self.profile).per_second or 0.0
        before, started = self.scale, not math.isnan(self._running)
        self._running = self._running + self.smoothing * (watts - self._running) if started else watts
        excess = math.log(self._running / self.per_second) if self._running > 0 else -math.inf
        wanted = before * math.exp(self.gain * excess) if excess > -math.inf else 1.0
        self.scale = min(max(wanted, 1.0), self.most)
        self.log.append(Decision(step, watts, self._running, self.scale, wanted > self.most))
        if self.scale == before:
            return None
        for name, (array, rest) in self._turned(graph).items():
            self._turn(name, array, rest, before)
        return graph

    def _turned(self, graph: nir.NIRGraph) -> dict[str, tuple[Array, Array]]:
        """Node -> the array to turn, and what it is measured from."""
        flat = flatten(graph)
        if self.by == "threshold":
            return {
                name: (node.v_threshold, np.asarray(getattr(node, "v_leak", 0.0)))
                for name, node in flat.nodes.items()
                if hasattr(node, "v_threshold")
            }
        inputs = {name for name, node in flat.nodes.items() if isinstance(node, nir.Input)}
        behind = {target: flat.nodes[target] for source, target in flat.edges if source in inputs}
        found = {name: (_weights(node), np.zeros(())) for name, node in behind.items() if hasattr(node, "weight")}
        if not found:
            raise OptionError("no weights stand behind an Input", parameter="by", got="'gain'", wanted="'threshold'")
        return found

    def _turn(self, name: str, array: Array, rest: Array, before: float) -> None:
        """Give an array its new scale, in place. What others have made of it since is kept."""

        def factor(scale: float) -> float:
            return scale if self.by == "threshold" else 1 / scale

        base, put = self._set.get(name, (array - rest, array))
        if not np.array_equal(array, put):
            base = (array - rest) / factor(before)
        put = rest + base * factor(self.scale)
        array[...] = put
        self._set[name] = base, put


def _weights(node: Any) -> Array:
    """What scales a node's weights, to be changed in place: of integers their scale."""
    array: Array = node.weight
    if isinstance(node, SparseLinear):
        array = node.data if node.scale is None else node.scale
    return array
