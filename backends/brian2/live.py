"""A Brian2 network in memory that can be run, stepped, set back and copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.build import build
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.monitors import Recorded, Wanted, make_monitors, peaks, recorded
from hasn.backends.brian2.plan import Plan
from hasn.program.model import Source

Feed = Mapping[str, NDArray[np.floating[Any]]]
"""Input -> (T, elements of all samples)."""


class Live:
    """A network of ``copies`` samples on Brian2's runtime; made and run with Brian2's preferences set.

    Attributes:
        copies: samples side by side.
        wanted: what it records.
    """

    def __init__(self, plan: Plan, copies: int, wanted: Wanted) -> None:
        self.plan = plan
        self.copies = copies
        self.wanted = wanted
        self.parts = build(plan, copies)
        self._monitors = make_monitors(self.parts, wanted)
        network = self.parts.network(plan.depth, *self._monitors.all)
        self._sources = {
            p.name: self.parts.groups[p.name].variables["sent"].get_value()
            for p in plan.network.populations
            if isinstance(p, Source)
        }
        network.run(0 * brian2.second, namespace={})  # makes the code
        self._objects = [obj for obj in network.sorted_objects if obj.active]
        self._fresh = self.state()

    # --- whole sequences

    def run(self, feed: Feed, steps: int) -> Recorded:
        """Run ``steps`` steps from the initial state."""
        self.load(self._fresh)
        self._monitors.clear()
        for t in range(steps):
            self.step({name: values[t] for name, values in feed.items()})
        return recorded(self.plan, self.parts, self._monitors, steps, self.copies)

    # --- streams

    def step(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """One step, as the loop of Brian2's Network.run takes it.

        Network.run itself makes the code anew at every call, and collects garbage over all that lives.
        """
        for name, values in inputs.items():
            self._sources[name][:] = values.reshape(-1)
        for obj in self._objects:
            obj.run()
        variables = self.parts.clock.variables
        timestep = variables["timestep"].get_value()
        timestep[0] += 1
        variables["t"].get_value()[0] = timestep[0] * self.parts.clock.dt_

    def spikes(self, name: str) -> NDArray[np.bool_]:
        """Who spiked at the last step: (samples, *shape)."""
        group = self.parts.groups[name]
        fired = np.zeros(len(group), dtype=bool)
        fired[np.asarray(group.spikes)] = True
        return fired.reshape(self.copies, *self.plan.network.by_name[name].shape)

    def values(self, name: str) -> NDArray[Any]:
        """What :attr:`GroupCode.shown` holds since the last step: (samples, *shape), a copy."""
        value = self.parts.groups[name].variables[self.plan.codes[name].shown].get_value()
        return np.array(value).reshape(self.copies, *self.plan.network.by_name[name].shape)

    def peaks(self) -> dict[str, float]:
        """Population -> peak since the initial state, where its code keeps one."""
        return peaks(self.plan, self.parts)

    # --- state

    def state(self) -> dict[str, Any]:
        """A copy of everything that changes: variables, spikes under way, the step."""
        arrays = {
            group.name: {name: np.array(group.variables[name].get_value()) for name in names}
            for group, names in self._changing()
        }
        queues = {synapses.name: synapses.pre.queue._full_state() for synapses in self.parts.synapses}
        step = int(self.parts.clock.variables["timestep"].get_value()[0])
        return {"step": step, "arrays": arrays, "queues": queues}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave; it stays the caller's."""
        for group, names in self._changing():
            for name in names:
                group.variables[name].set_value(state["arrays"][group.name][name])
        for synapses in self.parts.synapses:
            synapses.pre.queue._restore_from_full_state(state["queues"][synapses.name])
        clock = self.parts.clock
        clock.variables["timestep"].set_value(state["step"])
        clock.variables["t"].set_value(state["step"] * clock.dt_)

    def _changing(self) -> list[tuple[Any, list[str]]]:
        """Groups and the variables that change in them."""
        groups = [(self.parts.groups[name], list(code.variables)) for name, code in self.plan.codes.items()]
        return groups + [(line, ["sent", "copied"]) for line in self.parts.lines.values()]
