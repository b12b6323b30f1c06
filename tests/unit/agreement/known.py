"""Runs whose truth is known: the conformance reference's, which shares no lowering with what is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import mock

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.agreement import Comparison, judge
from hasn.counts import Counts
from hasn.ir.lower import lower
from hasn.program.fuse import Network, fuse
from hasn.program.model import Program
from hasn.recording import Recording
from hasn.testing import reference
from hasn.testing.readable import readable
from hasn.testing.structure import inline

Array = NDArray[Any]
#: dt and the meaning of a call that says nothing else.
PLAIN = {"dt": 1e-3, "method": "euler", "reset": "zero", "timing": "synchronous"}


@dataclass(frozen=True)
class Spot:
    """One neuron (flat) of a node in one step of one sample."""

    node: str
    step: int
    sample: int
    neuron: int


class Known:
    """A graph, inputs (T, batch, *shape) and what comes out."""

    def __init__(self, graph: nir.NIRGraph, inputs: dict[str, Array], **options: Any) -> None:
        self.graph, self.inputs = graph, inputs
        self.options = {**PLAIN, **options}
        self.nodes = inline(graph)[0]

    def __repr__(self) -> str:
        return f"Known {self.shape} {self.options}\n{readable(self.graph)}"

    @cached_property
    def program(self) -> Program:
        """What the judge is told that ran."""
        return lower(self.graph, **self.options)

    @cached_property
    def network(self) -> Network:
        """The same, fused."""
        return fuse(self.program)

    @cached_property
    def _run(self) -> tuple[reference.Reference, dict[str, Array]]:
        return self._run_with(lambda node, step, x, threshold: x > threshold)

    @property
    def wanted(self) -> reference.Reference:
        """The reference's run."""
        return self._run[0]

    @property
    def seen(self) -> dict[str, Array]:
        """Spiking node -> what its threshold saw, (T, batch, *shape): the voltage before the reset, or the sum."""
        return self._run[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(T, batch)."""
        array = next(iter(self.wanted.outputs.values()))
        return array.shape[0], array.shape[1]

    def threshold(self, node: str) -> Array:
        """Thresholds (*shape) of a spiking node."""
        found = self.nodes[node]
        return np.asarray(found.threshold if isinstance(found, nir.Threshold) else found.v_threshold)

    def recording(self, precision: str = "float64") -> Recording:
        """The run as a backend would hand it back."""
        return as_recording(self.wanted, self.options["dt"], precision)

    def felt(self, spot: Spot) -> dict[str, Array]:
        """Spiking node -> bool (T, elements): where it matters whether there is a spike at ``spot``.

        The spike is NaN. Every sum and every state that it enters is NaN from then on, and a threshold passes it on.
        """

        def fire(node: str, step: int, x: Array, threshold: Array) -> Array:
            if (node, step) == (spot.node, spot.step) and len(x) > spot.sample:  # else it asks for shapes
                x[(spot.sample, *np.unravel_index(spot.neuron, x.shape[1:]))] = np.nan
            return np.where(np.isnan(x), np.nan, x > threshold)

        spikes = self._run_with(fire)[0].spikes
        return {node: np.isnan(array[:, spot.sample].reshape(array.shape[0], -1)) for node, array in spikes.items()}

    def _run_with(
        self, fire: Callable[[str, int, Array, Array], Array]
    ) -> tuple[reference.Reference, dict[str, Array]]:
        """The reference's run with another threshold function, and what thresholds saw."""
        names = {id(self._own_threshold(name)): name for name in self.nodes}
        logs: dict[str, dict[str, list[Array]]] = {}

        def logging(x: Array, threshold: Array, log: dict[str, list[Array]], free: Any = True) -> Array:
            assert np.all(free)  # PLAIN neurons are never held
            name = names[id(threshold)]
            logs[name] = log
            log["seen"].append(x.copy())
            log["margin"].append(np.abs(x - threshold))
            log["spikes"].append(fire(name, len(log["spikes"]), x, threshold))
            return log["spikes"][-1].astype(float)

        with mock.patch.object(reference, "fire", logging):
            wanted = reference.run(self.graph, self.inputs, **self.options)
        return wanted, {name: np.stack(log["seen"]) for name, log in logs.items()}

    def _own_threshold(self, name: str) -> Any:
        node = self.nodes[name]
        return getattr(node, "threshold", getattr(node, "v_threshold", None))


def as_recording(wanted: reference.Reference, dt: float, precision: str = "float64") -> Recording:
    """Copies of the reference's arrays, as a backend would hand them back."""
    spikes = {name: array.astype(bool) for name, array in wanted.spikes.items()}
    outputs, voltages = ({n: a.copy() for n, a in group.items()} for group in (wanted.outputs, wanted.voltages))
    counts = Counts({name: int(array.sum()) for name, array in spikes.items()})
    return Recording(outputs, spikes, voltages, dt, {}, counts, "", precision, batched=True)


def held(known: Known, one: Recording, other: Recording, **more: Any) -> Comparison:
    """``other`` ("b") against ``one`` ("a"), for the network that ``known`` ran."""
    return judge(known.program, known.network, known.inputs, {"a": one, "b": other}, "a", **more)
