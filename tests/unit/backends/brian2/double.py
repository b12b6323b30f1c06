"""A double of Brian2's network (:class:`hasn.backends.brian2.live.Live`): a Plan in plain NumPy.

It reads a population's code as Brian2's documentation says (abstract code, condition, reset), delivers by the levels
and delays of the Plan, and knows no units: in milliseconds it shows what a Plan and its codes mean. The same tests run
on it and on Brian2 (``conftest.py``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from hasn.backends.brian2.code import PEAK
from hasn.backends.brian2.monitors import Recorded, not_finite
from hasn.backends.brian2.plan import size
from hasn.backends.brian2.resume import Kept, fired, line, snapshot, variables
from hasn.program.fuse import has_spikes
from hasn.program.model import Source
from hasn.program.past import History
from hasn.state import Snapshot

#: What abstract code may use.
WORDS = {
    "sign": np.sign, "floor": np.floor, "abs": np.abs, "clip": np.clip, "volt": 1, "amp": 1, "ohm": 1, "siemens": 1,
    "int": lambda x: np.asarray(x).astype(np.int64), "__builtins__": {},
}  # fmt: skip


class Live:
    """``copies`` samples of a Plan, sample after sample in one axis."""

    def __init__(self, plan: Any, copies: int, wanted: Any) -> None:
        self.plan, self.copies, self.wanted = plan, copies, wanted
        self.populations = plan.network.by_name
        self.lengths = {name: size(p) for name, p in self.populations.items()}
        self.constants = {
            name: {key: self._tiled(value) for key, (_, value) in code.constants.items()}
            for name, code in plan.codes.items()
        }
        self.fired = {name: np.zeros(n * copies, bool) for name, n in self.lengths.items()}
        self.t = 0
        self.values_of: dict[str, dict[str, Any]] = {}
        for name, code in plan.codes.items():
            kept = {key: np.zeros(self.lengths[name] * copies, plan.dtype) for key in code.variables}
            for key, value in code.initial.items():
                kept[key] = self._tiled(value)
            self.values_of[name] = kept
        # Line: age first, then (sample, neuron).
        self.lines = {n: np.zeros((old + 1, copies, self.lengths[n]), plan.dtype) for n, old in plan.lines.items()}
        self.due: dict[tuple[int, int], list[Any]] = defaultdict(list)
        self.fresh = {name: {k: v.copy() for k, v in values.items()} for name, values in self.values_of.items()}
        self.history = History({}, {}, copies)

    def _tiled(self, value: Any) -> Any:
        return np.tile(np.asarray(value, self.plan.dtype), self.copies)

    # --- a step

    def _move(self, feed: dict[str, Any]) -> None:
        for level in range(self.plan.depth):
            here = [name for name, of in self.plan.levels.items() if of == level]
            for name in here:
                self._update(name, feed)
            for i, link in enumerate(self.plan.links):
                if self.plan.levels[link.source] == level:
                    self._deliver(i, link)
            for name in here:
                self._reset(name)
        self.t += 1
        self.history.push({name: self._sent(name, feed) for name in self.history.names})

    def _sent(self, name: str, feed: Any) -> Any:
        if isinstance(self.populations[name], Source):
            return np.reshape(feed[name], (self.copies, *self.populations[name].shape))
        return self.spikes(name) if has_spikes(self.populations[name]) else self.values(name)

    def _update(self, name: str, feed: dict[str, Any]) -> None:
        code, kept = self.plan.codes[name], self.values_of[name]
        if isinstance(self.populations[name], Source) and name in feed:
            kept["sent"] = np.asarray(feed[name], self.plan.dtype).reshape(-1)
        space = {**WORDS, **self.constants[name], **kept, "t_in_timesteps": self.t}
        exec(code.update, space)
        for key in kept:
            kept[key] = np.broadcast_to(np.asarray(space[key], self.plan.dtype), kept[key].shape).copy()
        if name in self.lines:
            line = self.lines[name]
            line[1:] = line[:-1].copy()
            line[0] = kept[code.value].reshape(self.copies, -1)
        condition = "False" if code.condition is None else code.condition
        self.fired[name] = np.broadcast_to(
            eval(condition, {**WORDS, **self.constants[name], **kept}), self.fired[name].shape
        )

    def _deliver(self, i: int, link: Any) -> None:
        source, code = link.source, self.plan.codes[link.source]
        if link.from_line:
            sent = self.lines[source].transpose(1, 0, 2).reshape(self.copies, -1)
        else:
            sent = self.fired[source].reshape(self.copies, -1)
            sent = sent * self.values_of[source][code.value].reshape(sent.shape) if code.value else sent * 1.0
        self._send(i, link, sent, self.t, self.t)
        summed = self.values_of[link.target]["summed"].reshape(self.copies, -1)
        for post, amounts in self.due.pop((i, self.t), []):
            summed[:, post] += amounts.astype(self.plan.dtype)

    def _send(self, i: int, link: Any, sent: Any, now: int, first: int) -> None:
        """Note what is to be delivered, from step ``first`` on."""
        for pre, post, w, steps in zip(link.pre, link.post, link.weights, link.steps, strict=True):
            if np.any(sent[:, pre]) and now + steps >= first:
                self.due[i, now + int(steps)].append((post, np.asarray(w, self.plan.dtype) * sent[:, pre]))

    def _reset(self, name: str) -> None:
        code, where, kept = self.plan.codes[name], self.fired[name], self.values_of[name]
        if code.reset:
            space = {**WORDS, **{k: v[where] for k, v in {**self.constants[name], **kept}.items()}}
            exec(code.reset, space)
            for key in kept:
                kept[key][where] = space[key]

    # --- what Live gives

    def run(self, feed: Any, steps: int, start: Any = None, kept: Any = None) -> Recorded:
        """All steps."""
        self.resume(start, kept)
        wanted = self.wanted
        spikes: dict[str, Any] = {name: [] for name in wanted.spikes}
        states: dict[tuple[str, str], Any] = {key: [] for key in wanted.states}
        for t in range(steps):
            self._move({name: values[t] for name, values in feed.items()})
            for name, rows in spikes.items():
                rows.append(self.spikes(name))
            for (name, variable), rows in states.items():
                rows.append(self._shaped(name, self.values_of[name][variable]))
        return Recorded(
            {name: np.array(rows) for name, rows in spikes.items()},
            {key: np.array(rows) for key, rows in states.items()},
            self.peaks(),
            None if kept is None else self.snapshot(kept),
            wrong=self.not_finite(),
        )

    def step(self, inputs: Any) -> None:
        """One step."""
        self._move(inputs)

    def not_finite(self) -> str | None:
        """The first population that is not finite."""
        return not_finite(self.plan, lambda name, v: self.values_of[name][v])

    def first_not_finite(self, feed: Any, steps: int, start: Any = None) -> tuple[str, int] | None:
        """The same of a run that is taken again, and the step."""
        self.resume(start, None)
        for t in range(steps):
            self.step({name: values[t] for name, values in feed.items()})
            if self.not_finite() is not None:
                return str(self.not_finite()), self.t - 1
        return None

    def _shaped(self, name: str, value: Any) -> Any:
        return np.array(value).reshape(self.copies, *self.populations[name].shape)

    def spikes(self, name: str) -> Any:
        """Of the last step."""
        return self._shaped(name, self.fired[name])

    def values(self, name: str) -> Any:
        """What is shown, since the last step."""
        return self._shaped(name, self.values_of[name][self.plan.codes[name].shown])

    def peaks(self) -> dict[str, float]:
        """The largest, where there is one."""
        return {name: float(np.max(kept[PEAK])) for name, kept in self.values_of.items() if PEAK in kept}

    def snapshot(self, kept: Kept) -> Snapshot:
        """The state in every backend's form."""
        return snapshot(
            self.plan, lambda name, v: self.values_of[name][v], kept, self.t, self.history.past(), self.copies
        )

    def resume(self, at: Snapshot | None, kept: Kept | None) -> None:
        """Stand there."""
        self.t = 0 if at is None else at.step
        self.values_of = {name: {k: v.copy() for k, v in values.items()} for name, values in self.fresh.items()}
        for array in self.lines.values():
            array[...] = 0
        self.due.clear()
        shapes = {name: self.populations[name].shape for name in (kept or Kept()).memory}
        self.history = History((kept or Kept()).memory, shapes, self.copies, None if at is None else at.past)
        if at is None:
            return
        for name, variable, value in variables(self.plan, at, self.copies):
            self.values_of[name][variable] = value.astype(self.plan.dtype)
        for name, array in self.lines.items():
            shape = (self.copies, len(array), self.lengths[name])
            array[...] = line(self.plan, name, at).reshape(shape).transpose(1, 0, 2)
        for i, link in enumerate(self.plan.links):
            steps = list(fired(self.plan, link, at))
            for ago, events in zip(range(len(steps), 0, -1), steps, strict=True):
                sent = np.zeros(self.copies * self.lengths[link.source])
                sent[events] = 1.0
                self._send(i, link, sent.reshape(self.copies, -1), at.step - ago, at.step)
