"""What a run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Counts:
    """How much work the run was.

    Attributes:
        spikes: node -> spikes over all steps and samples.
        synaptic_operations: population -> events times the synapses that each reaches
            (see :func:`hasn.program.operations.synaptic_operations`).
    """

    spikes: dict[str, int] = field(default_factory=dict)
    synaptic_operations: dict[str, int] = field(default_factory=dict)

    @property
    def total_spikes(self) -> int:
        """Spikes of all nodes."""
        return sum(self.spikes.values())

    @property
    def total_synaptic_operations(self) -> int:
        """Synaptic operations of all populations, Inputs included."""
        return sum(self.synaptic_operations.values())


@dataclass(frozen=True)
class Recording:
    """Spikes, voltages and outputs of a run: time first, then the batch if the input had one, then the node's shape.

    All arrays are in canonical time: index t is what SEMANTICS calls step t, whatever the backend's own latency.

    Attributes:
        outputs: Output node -> values (T[, batch], *shape).
        spikes: spiking node -> bool (T[, batch], *shape); empty unless "spikes" was recorded.
        voltages: neuron node -> membrane potential after the reset, in volts; empty unless "voltages" was recorded.
        dt: seconds a step.
        shifts: node -> steps that the backend ran it late; already taken out of the arrays.
        counts: spikes and synaptic operations.
        backend: who ran it.
        precision: in which arithmetic.
        seconds: wall time of the run, without compilation.
    """

    outputs: dict[str, Array]
    spikes: dict[str, NDArray[np.bool_]]
    voltages: dict[str, Array]
    dt: float
    shifts: dict[str, int]
    counts: Counts
    backend: str = ""
    precision: str = ""
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Number of steps T."""
        for group in (self.outputs, self.spikes, self.voltages):
            for array in group.values():
                return int(array.shape[0])
        return 0

    @property
    def times(self) -> NDArray[np.float64]:
        """Start of each step, in seconds."""
        return np.arange(self.steps, dtype=np.float64) * np.float64(self.dt)

    @property
    def output(self) -> Array:
        """The values of the only Output.

        Raises:
            KeyError: the graph has none, or several.
        """
        if len(self.outputs) != 1:
            raise KeyError(f"the graph has {len(self.outputs)} Outputs: {', '.join(self.outputs)}")
        return next(iter(self.outputs.values()))
