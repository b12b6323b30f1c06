"""What is recorded, and from Brian2's monitors to arrays (T, samples, *shape)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.build import Parts
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.plan import Plan
from hasn.program.fuse import Network, has_spikes
from hasn.program.model import Neurons, Source


@dataclass(frozen=True)
class Wanted:
    """Which populations to record.

    Attributes:
        spikes: spiking populations.
        values: graded populations (what they send) and neurons (their voltage).
    """

    spikes: tuple[str, ...]
    values: tuple[str, ...]


def wanted(network: Network, record: frozenset[str]) -> Wanted:
    """What must be recorded for ``record`` and the Outputs. Sources are known already."""
    shown = set(network.outputs.values())
    spikes, values = [], []
    for population in network.populations:
        spiking, name = has_spikes(population), population.name
        if spiking and ("spikes" in record or name in shown):
            spikes.append(name)
        voltage = isinstance(population, Neurons) and "voltages" in record
        if voltage or (name in shown and not spiking and not isinstance(population, Source)):
            values.append(name)
    return Wanted(tuple(spikes), tuple(values))


@dataclass(frozen=True)
class Monitors:
    """Brian2's monitors of one network."""

    spikes: dict[str, Any]
    values: dict[str, Any]

    @property
    def all(self) -> list[Any]:
        """Every monitor."""
        return [*self.spikes.values(), *self.values.values()]

    def clear(self) -> None:
        """Forget what was recorded."""
        for monitor in self.all:
            monitor.resize(0)
            monitor.variables["N"].set_value(0)
        for monitor in self.spikes.values():
            monitor.variables["count"].set_value(0)


def make_monitors(parts: Parts, wanted: Wanted, compiled: bool = False) -> Monitors:
    """Monitors in Brian2's slot "end", after all resets.

    Args:
        parts: the groups.
        wanted: which of them.
        compiled: whether the device compiles them itself; else they run as NumPy, which costs nothing to compile.
    """
    kind = {} if compiled else {"codeobj_class": brian2.codegen.runtime.numpy_rt.NumpyCodeObject}
    spikes = {
        name: brian2.SpikeMonitor(parts.groups[name], when="end", name=f"{parts.groups[name].name}_spikes", **kind)
        for name in wanted.spikes
    }
    values = {
        name: brian2.StateMonitor(
            parts.groups[name],
            variable(parts, name),
            record=True,
            when="end",
            clock=parts.clock,
            name=f"{parts.groups[name].name}_values",
            **kind,
        )
        for name in wanted.values
    }
    return Monitors(spikes, values)


def variable(parts: Parts, name: str) -> str:
    """The variable whose value is recorded."""
    return parts.codes[name].value or "v"


@dataclass(frozen=True)
class Recorded:
    """Arrays (T, samples, *shape)."""

    spikes: dict[str, NDArray[np.bool_]]
    values: dict[str, NDArray[Any]]


def recorded(plan: Plan, parts: Parts, monitors: Monitors, steps: int, copies: int) -> Recorded:
    """Take the monitors' records, as copies."""
    shapes = {name: population.shape for name, population in plan.network.by_name.items()}
    spikes = {}
    for name, monitor in monitors.spikes.items():
        dense = np.zeros((steps, len(parts.groups[name])), dtype=bool)
        step = np.rint(np.asarray(monitor.t_) / plan.network.program.dt).astype(np.int64)
        dense[step, np.asarray(monitor.i)] = True
        spikes[name] = dense.reshape(steps, copies, *shapes[name])
    values = {}
    for name, monitor in monitors.values.items():
        record = np.array(getattr(monitor, f"{variable(parts, name)}_").T)
        values[name] = record.reshape(steps, copies, *shapes[name])
    return Recorded(spikes, values)
