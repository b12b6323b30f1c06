"""A Brian2 network in memory that can be run, stepped, set back and copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.build import build
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.monitors import Recorded, Wanted, make_monitors, not_finite, peaks, reader, recorded
from hasn.backends.brian2.plan import Plan
from hasn.backends.brian2.plastic import by_events, is_shared, share
from hasn.backends.brian2.resume import Kept, fired, line, snapshot, variables
from hasn.program.fuse import Plastic, has_spikes
from hasn.program.learning import gathered, listed, normalised, pattern, spread
from hasn.program.model import Source
from hasn.program.past import History
from hasn.state import Snapshot

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
        self._synapses = {link.name: listed(link.map) for link in plan.plastic}
        #: Convolution that learns -> its kernels, (samples, weights): each weight is that of many synapses.
        self._kernels = {
            name: np.tile(found.weight.astype(plan.dtype), (copies, 1))
            for name, found in self._synapses.items()
            if found.tie is not None
        }
        self._fresh = self._everything()
        self._history: History | None = None
        self._end: Snapshot | None = None
        self._now = 0
        self._courses: dict[str, list[NDArray[Any]]] = {}

    # --- whole sequences

    def run(self, feed: Feed, steps: int, start: Snapshot | None = None, kept: Kept | None = None) -> Recorded:
        """Run ``steps`` steps.

        Args:
            feed: the inputs.
            steps: how many.
            start: where from; None: the initial state. The end of the last run, itself: the network goes on as it is.
            kept: what is wanted of the state at the end, if it is.
        """
        if start is None or start is not self._end:
            self.resume(start, kept)
        self._monitors.clear()
        self._courses.clear()
        first = self._now
        for t in range(steps):
            self.step({name: values[t] for name, values in feed.items()})
        found = recorded(self.plan, self.parts, self._monitors, steps, self.copies, first)
        self._end = None if kept is None else self.snapshot(kept)
        patterns = {link.name: pattern(link.map) for link in self.plan.plastic}
        weights = {
            name: np.stack(course).reshape(steps, self.copies, *patterns[name])
            for name, course in self._courses.items()
        }
        learned = {name: kept["w"] for name, kept in self.learned().items()}
        return replace(found, end=self._end, weights=weights, learned=learned)

    # --- streams

    def step(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """One step, as the loop of Brian2's Network.run takes it.

        Network.run itself makes the code anew at every call, and collects garbage over all that lives.
        """
        for name, values in inputs.items():
            self._sources[name][:] = values.reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for where the run or the step ends
            for obj in self._objects:
                obj.run()
            self._learn()
        variables = self.parts.clock.variables
        timestep = variables["timestep"].get_value()
        timestep[0] += 1
        variables["t"].get_value()[0] = timestep[0] * self.parts.clock.dt_
        self._now += 1
        if self._history is not None:
            self._history.push({name: self._sent(name, inputs) for name in self._history.names})

    def _learn(self) -> None:
        """What Brian2's code cannot do: weights of several synapses, and a record of weights."""
        for link in self.plan.plastic:
            weight = self._weights(link)
            if is_shared(link) and (self._now + 1) % link.learning.every == 0:
                change = self.parts.plastic[link.name].variables["change"].get_value().reshape(self.copies, -1)
                share(weight, change, link.learning, self._synapses[link.name])
            if link.learning.normalises(self._now):
                weight[:] = normalised(weight, self._synapses[link.name].rows, link.learning)
            self._hand_out(link)
            if self.wanted.weights:
                self._courses.setdefault(link.name, []).append(np.array(weight))

    def _weights(self, link: Plastic) -> NDArray[Any]:
        """Of a connection that learns, as they are kept: (samples, weights)."""
        if link.name in self._kernels:
            return self._kernels[link.name]
        weights: NDArray[Any] = self.parts.plastic[link.name].variables["w"].get_value().reshape(self.copies, -1)
        return weights

    def _hand_out(self, link: Plastic) -> None:
        """A kernel's weights to its synapses."""
        if link.name in self._kernels:
            found = self._synapses[link.name].spread(self._kernels[link.name])
            self.parts.plastic[link.name].variables["w"].set_value(found.reshape(-1))

    def learned(self) -> dict[str, dict[str, NDArray[Any]]]:
        """Connection that learns -> "w" and its traces -> (samples, ...), copies."""
        found = {}
        for link in self.plan.plastic:
            values = self.parts.plastic[link.name].variables
            kept = found[link.name] = {"w": np.array(self._weights(link)).reshape(self.copies, *pattern(link.map))}
            for i, trace in enumerate(link.learning.traces):
                value = np.array(values[f"trace_{i}"].get_value()).reshape(self.copies, -1)
                if by_events(link):  # not at every step: what it would be after the last one
                    since = self._now - 1 - values["last"].get_value().reshape(self.copies, -1)
                    value = value * np.asarray(trace.decay, dtype=value.dtype) ** since
                kept[trace.name] = gathered(link.map, trace.extent, value)
        return found

    def _sent(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """What a population sent in the last step: (samples, *shape)."""
        population = self.plan.network.by_name[name]
        if isinstance(population, Source):
            return np.reshape(inputs[name], (self.copies, *population.shape))
        return self.spikes(name) if has_spikes(population) else self.values(name)

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

    def not_finite(self) -> str | None:
        """The first population, in the order of evaluation, of which a number is not finite."""
        return not_finite(self.plan, reader(self.parts))

    def first_not_finite(self, feed: Feed, steps: int, start: Snapshot | None = None) -> tuple[str, int] | None:
        """The same of a run that is taken again step by step, and the number of the step."""
        self.resume(start, None)
        for t in range(steps):
            self.step({name: values[t] for name, values in feed.items()})
            name = self.not_finite()
            if name is not None:
                return name, self._now - 1
        return None

    def peaks(self) -> dict[str, float]:
        """Population -> peak since the initial state, where its code keeps one."""
        return peaks(self.plan, self.parts)

    # --- state

    def snapshot(self, kept: Kept) -> Snapshot:
        """A copy of the state, where :meth:`resume` was told to keep it."""
        past = {} if self._history is None else self._history.past()
        found = snapshot(self.plan, reader(self.parts), kept, self._now, past, self.copies)
        return replace(found, learned=self.learned())

    def resume(self, at: Snapshot | None, kept: Kept | None) -> None:
        """Stand at ``at``, or where nothing has happened yet, and from there on remember what ``kept`` asks for."""
        self._restore(self._fresh)
        self._end = None
        self._now = 0 if at is None else at.step
        shapes = {name: self.plan.network.by_name[name].shape for name in (kept or Kept()).memory}
        past = None if at is None else at.past
        self._history = None if kept is None else History(kept.memory, shapes, self.copies, past)
        if at is None:
            return
        for name, variable, value in variables(self.plan, at, self.copies):
            self.parts.groups[name].variables[variable].set_value(value)
        for name, group in self.parts.lines.items():
            group.variables["sent"].set_value(line(self.plan, name, at))
        for learner in self.plan.plastic:
            values, kept_ = self.parts.plastic[learner.name].variables, at.learned[learner.name]
            self._weights(learner)[:] = kept_["w"].reshape(self.copies, -1)
            self._hand_out(learner)
            if by_events(learner):
                values["last"].set_value(at.step - 1)
            for i, trace in enumerate(learner.learning.traces):
                values[f"trace_{i}"].set_value(spread(learner.map, trace.extent, kept_[trace.name]).reshape(-1))
        for link, synapses in zip(self.plan.links, self.parts.synapses, strict=True):
            for events in fired(self.plan, link, at):
                if events.size:
                    synapses.pre.queue.push(events.astype(np.int32))
                synapses.pre.queue.advance()
        self._at_step(at.step)

    def _at_step(self, step: int) -> None:
        clock = self.parts.clock
        clock.variables["timestep"].set_value(step)
        clock.variables["t"].set_value(step * clock.dt_)

    def _everything(self) -> dict[str, Any]:
        """A copy of all that changes: variables, spikes under way."""
        arrays = {
            group.name: {name: np.array(group.variables[name].get_value()) for name in names}
            for group, names in self._changing()
        }
        queues = {synapses.name: synapses.pre.queue._full_state() for synapses in self.parts.synapses}
        kernels = {name: np.array(kernel) for name, kernel in self._kernels.items()}
        return {"arrays": arrays, "queues": queues, "kernels": kernels}

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`_everything` gave, before step 0."""
        for group, names in self._changing():
            for name in names:
                group.variables[name].set_value(state["arrays"][group.name][name])
        for name, kernel in state["kernels"].items():
            self._kernels[name][:] = kernel
        for synapses in self.parts.synapses:
            synapses.pre.queue._restore_from_full_state(state["queues"][synapses.name])
        self._at_step(0)

    def _changing(self) -> list[tuple[Any, list[str]]]:
        """Groups and the variables that change in them."""
        groups = [(self.parts.groups[name], list(code.variables)) for name, code in self.plan.codes.items()]
        lines = [(group, ["sent", "copied"]) for group in self.parts.lines.values()]
        learners = [
            (
                self.parts.plastic[p.name],
                ["w", *(f"trace_{i}" for i, _ in enumerate(p.learning.traces)), *(["last"] if by_events(p) else [])],
            )
            for p in self.plan.plastic
        ]
        return groups + lines + learners
