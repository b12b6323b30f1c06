"""What a network on Brian2 remembers, from the state that every backend has and back. Pure: imports no simulator.

Brian2 keeps values under way in three places: a spike that comes late in a queue, a graded value in a delay line, and
what is delivered after its target's update of the same step in the target's ``summed``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.code import GroupCode
from hasn.backends.brian2.neurons import HELD
from hasn.backends.brian2.plan import Link, Plan, size
from hasn.program.fuse import has_spikes
from hasn.program.past import arrived
from hasn.state import Snapshot

Array = NDArray[Any]


@dataclass(frozen=True)
class Kept:
    """What a state holds.

    Attributes:
        memory: source -> steps of its past.
        states: population -> names of its states.
    """

    memory: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def variable_of(code: GroupCode, state: str) -> str:
    """Name of a state's variable."""
    return state if state in code.variables else f"state_{state}"


def variables(plan: Plan, at: Snapshot, copies: int) -> Iterator[tuple[str, str, Array]]:
    """(population, variable, value for each neuron of all samples) of all that is not made anew in a step."""
    for name, code in plan.codes.items():
        for state, value in at.states.get(name, {}).items():
            yield name, variable_of(code, state), np.reshape(value, -1)
        if HELD in code.variables:
            yield name, HELD, np.reshape(at.held[name], -1) + 1.0  # counted down before it is looked at
        if "drive" in code.variables:
            yield name, "drive", np.tile(_drive(code, at.step), copies)
        if "summed" in code.variables:
            yield name, "summed", _summed(plan, name, at, copies).reshape(-1)


def _drive(code: GroupCode, step: int) -> Array:
    """The constant that has begun before this step."""
    begun = [value for name, (_, value) in code.constants.items() if _onset(name, step)]
    first = next(iter(code.constants.values()))[1] if "drive" not in code.initial else code.initial["drive"]
    return sum(begun, np.asarray(code.initial.get("drive", np.zeros_like(first)), dtype=np.float64))


def _onset(name: str, step: int) -> bool:
    onset = name.removeprefix("drive_")
    return onset != name and onset.isdigit() and int(onset) < step


def _summed(plan: Plan, name: str, at: Snapshot, copies: int) -> Array:
    """What was delivered to a population after its last update: (samples, neurons)."""
    total = np.zeros((copies, size(plan.network.by_name[name])))
    for link in plan.links:
        if link.target == name and plan.levels[name] <= plan.levels[link.source]:
            for sample, arrived in enumerate(_sent(plan, link, at)):
                np.add.at(total[sample], link.post, link.weights * arrived)
    return total


def _sent(plan: Plan, link: Link, at: Snapshot) -> Array:
    """What each synapse of a link carries in the last step: (samples, synapses)."""
    past = at.past[link.source].reshape(*at.past[link.source].shape[:2], -1)
    late, pre = np.divmod(link.pre, past.shape[2])
    age = late + link.steps
    sent: Array = past[len(past) - 1 - age, :, pre].T
    return sent


def line(plan: Plan, name: str, at: Snapshot) -> Array:
    """What a delay line holds: elements (sample, age, neuron), flat."""
    ages = plan.lines[name] + 1
    past = at.past[name] if name in at.past else _arrived(plan, name, at, min(ages, at.step))
    past = past.reshape(*past.shape[:2], -1)
    recent = past[::-1][:ages]
    missing = np.zeros((ages - len(recent), *past.shape[1:]))
    return np.asarray(np.concatenate([recent, missing]).transpose(1, 0, 2).reshape(-1))


def _arrived(plan: Plan, name: str, at: Snapshot, steps: int) -> Array:
    """What a Relay before a connection that learns has summed, oldest first."""
    found = [arrived(plan.network, name, at, age) for age in range(steps, 0, -1)]
    return np.stack(found) if found else np.zeros((0, 1, size(plan.network.by_name[name])))


def fired(plan: Plan, link: Link, at: Snapshot) -> Iterator[NDArray[np.int64]]:
    """Who spiked in each step of the past, oldest first: places in the group of all samples."""
    if not has_spikes(plan.network.by_name[link.source]):
        return
    for step in at.past.get(link.source, ()):
        yield np.flatnonzero(np.reshape(step, -1))


def snapshot(plan: Plan, read: Any, kept: Kept, step: int, past: dict[str, Array], copies: int) -> Snapshot:
    """The state before ``step``; ``read``: (population, variable) -> its value for each neuron of all samples."""

    def shaped(name: str, value: Any) -> Array:
        return np.array(value).reshape(copies, *plan.network.by_name[name].shape)

    states = {
        name: {state: shaped(name, read(name, variable_of(plan.codes[name], state))) for state in names}
        for name, names in kept.states.items()
    }
    held = {
        name: np.maximum(shaped(name, read(name, HELD)) - 1, 0).astype(np.int64)
        for name in kept.states
        if HELD in plan.codes[name].variables
    }
    return Snapshot(step, states, held, past)
