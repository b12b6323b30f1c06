"""What is recorded, and from Brian2's monitors to arrays (T, samples, *shape)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.build import Parts
from hasn.backends.brian2.code import PEAK
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.plan import Plan
from hasn.nonfinite import all_finite
from hasn.program.fuse import has_spikes
from hasn.program.model import Neurons, Source
from hasn.state import Snapshot

CURRENT = "u"
"""The synaptic current's variable, where it can be recorded (precision "loihi")."""


@dataclass(frozen=True)
class Wanted:
    """What to record.

    Attributes:
        spikes: spiking populations.
        states: (population, variable).
        weights: whether those of connections that learn, after every step.
    """

    spikes: tuple[str, ...]
    states: tuple[tuple[str, str], ...]
    weights: bool = False


def wanted(plan: Plan, record: frozenset[str]) -> Wanted:
    """What must be recorded for ``record`` and the Outputs. Sources are known already."""
    shown = set(plan.network.outputs.values())
    spikes, states = [], []
    for population in plan.network.populations:
        spiking, name = has_spikes(population), population.name
        if spiking and ("spikes" in record or name in shown):
            spikes.append(name)
        voltage = isinstance(population, Neurons) and "voltages" in record
        if voltage or (name in shown and not spiking and not isinstance(population, Source)):
            states.append((name, plan.codes[name].shown))
        if isinstance(population, Neurons) and "currents" in record:
            states.append((name, CURRENT))
    return Wanted(tuple(spikes), tuple(states), "weights" in record)


@dataclass(frozen=True)
class Monitors:
    """Brian2's monitors of one network."""

    spikes: dict[str, Any]
    states: dict[tuple[str, str], Any]

    @property
    def all(self) -> list[Any]:
        """Every monitor."""
        return [*self.spikes.values(), *self.states.values()]

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
    states = {
        (name, variable): brian2.StateMonitor(
            parts.groups[name],
            variable,
            record=True,
            when="end",
            clock=parts.clock,
            name=f"{parts.groups[name].name}_{variable}_values",
            **kind,
        )
        for name, variable in wanted.states
    }
    return Monitors(spikes, states)


@dataclass(frozen=True)
class Recorded:
    """Arrays (T, samples, *shape), the populations' peaks where their code keeps one, the state at the end if it was
    wanted, and a population of which a number is not finite; of connections that learn the weights at every step, if
    they were wanted, and at the end."""

    spikes: dict[str, NDArray[np.bool_]]
    states: dict[tuple[str, str], NDArray[Any]]
    peaks: dict[str, float]
    end: Snapshot | None = None
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    learned: dict[str, NDArray[Any]] = field(default_factory=dict)
    wrong: str | None = None


def recorded(plan: Plan, parts: Parts, monitors: Monitors, steps: int, copies: int, first: int = 0) -> Recorded:
    """Take the monitors' records of ``steps`` steps from step ``first`` on, as copies."""
    shapes = {name: population.shape for name, population in plan.network.by_name.items()}
    spikes = {}
    for name, monitor in monitors.spikes.items():
        dense = np.zeros((steps, len(parts.groups[name])), dtype=bool)
        step = np.rint(np.asarray(monitor.t_) / plan.network.program.dt).astype(np.int64) - first
        dense[step, np.asarray(monitor.i)] = True
        spikes[name] = dense.reshape(steps, copies, *shapes[name])
    states = {}
    for (name, variable), monitor in monitors.states.items():
        record = np.array(getattr(monitor, f"{variable}_").T)
        states[name, variable] = record.reshape(steps, copies, *shapes[name])
    return Recorded(spikes, states, peaks(plan, parts), wrong=not_finite(plan, reader(parts)))


def peaks(plan: Plan, parts: Parts) -> dict[str, float]:
    """Population -> largest PEAK of its neurons, where its code has one."""
    return {
        name: float(np.max(getattr(parts.groups[name], f"{PEAK}_")[:], initial=0.0))
        for name, code in plan.codes.items()
        if PEAK in code.variables
    }


def reader(parts: Parts) -> Callable[[str, str], Any]:
    """What gives a population's variable as it is now."""
    return lambda name, variable: parts.groups[name].variables[variable].get_value()


def not_finite(plan: Plan, read: Callable[[str, str], Any]) -> str | None:
    """The first population, in the order of evaluation, of which a number is not finite: each stays so once it is.

    Args:
        plan: of the network.
        read: population, variable -> what it is now.
    """
    for population in plan.network.populations:
        if isinstance(population, Source):
            continue
        # What is summed is of the step to come: in this one it has not been given to anybody.
        names = [name for name in plan.codes[population.name].variables if name not in ("summed", "drive")]
        if not all(all_finite(read(population.name, name)) for name in names):
            return population.name
    return None
