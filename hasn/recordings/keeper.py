"""What is kept of a run while it goes on, piece by piece."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.counts import Counts, counts_of, tallied
from hasn.program.operations import Tally
from hasn.recording import Array, Recording
from hasn.recordings.asked import Asked
from hasn.recordings.events import Collected, Events, SpikeTrains

if TYPE_CHECKING:
    from hasn.executable import Raw
    from hasn.program.model import Program
    from hasn.signals import Signals

_STATES = ("outputs", "voltages", "currents")


class Keeper:
    """Keeps what was asked for of a run, and nothing else.

    Args:
        program: what runs.
        asked: what to keep.
    """

    def __init__(self, program: Program, asked: Asked) -> None:
        self.program, self.asked = program, asked
        self.steps, self.batch, self.batched = 0, 1, False
        self._shifts: dict[str, int] = {}
        self._dense: dict[tuple[str, str], list[Array]] = {}
        self._trains = {
            name: Collected(program.node(name).shape, neurons, asked.last)
            for name, neurons in asked.chosen.get("spikes", {}).items()
        }
        self._rates = {name: Rate(program.dt, asked.tau) for name in asked.chosen.get("rates", {})}
        self._tally: Tally | None = None
        self._whole: tuple[Signals, Raw, dict[str, NDArray[np.bool_]]] | None = None

    def add(self, given: Signals, raw: Raw) -> None:
        """The next steps of the run."""
        self.batch, self.batched = given.batch, given.batched
        self._shifts = dict(raw.shifts)
        spikes = {name: np.asarray(array) > 0.5 for name, array in raw.spikes.items()}
        if self.asked.plain:
            self._whole = (given, raw, spikes)
        else:
            self._add(given, raw, spikes)
        self.steps += given.steps

    def _add(self, given: Signals, raw: Raw, spikes: dict[str, NDArray[np.bool_]]) -> None:
        if self.asked.counts:
            self._tally = self._tally or Tally(self.program, given.batch)
            self._tally.add({**given.values, **spikes}, given.steps)
        for name, train in self._trains.items():
            train.add(spikes[name])
        for group in _STATES:
            for name, neurons in self.asked.chosen.get(group, {}).items():
                array = getattr(raw, group)[name]
                self._keep(group, name, array if group == "outputs" else array[self._thinned], neurons)
        for name, rate in self._rates.items():
            self._keep("rates", name, rate.next(spikes[name])[self._thinned], self.asked.chosen["rates"][name])

    @property
    def _thinned(self) -> slice:
        """Which steps of the next piece are recorded."""
        return slice(-self.steps % self.asked.every, None, self.asked.every)

    def _keep(self, group: str, name: str, array: Array, neurons: NDArray[np.int64] | None) -> None:
        part = array if neurons is None else array.reshape(*array.shape[:2], -1)[..., neurons]
        self._dense.setdefault((group, name), []).append(part.copy() if part.base is not None else part)

    def recording(self, backend: str, precision: str, seconds: float) -> Recording:
        """All of it."""
        if self._whole is not None:
            given, raw, spikes = self._whole
            groups = {"outputs": raw.outputs, "spikes": spikes, "voltages": raw.voltages, "currents": raw.currents}
            work = partial(counts_of, self.program, given.values, spikes, given.steps, given.batch)
            cut: dict[str, Any] = {group: self._cut(arrays) for group, arrays in groups.items()}
            counts = Counts.later(work)
        else:
            cut = {group: {} for group in (*_STATES, "rates")}
            for (group, name), parts in self._dense.items():
                cut[group][name] = np.concatenate(parts)
            cut = {group: self._cut(arrays) for group, arrays in cut.items()}
            trains = {name: train.events(self.batch, self.batched) for name, train in self._trains.items()}
            cut["spikes"] = SpikeTrains(trains) if trains else {}
            counts = self._counts(trains)
        rates = cut.pop("rates", {})
        return Recording(
            **cut,
            dt=self.program.dt,
            shifts=self._shifts,
            counts=counts,
            backend=backend,
            precision=precision,
            seconds=seconds,
            batched=self.batched,
            more={"rates": rates} if rates else {},
            every=self.asked.every,
            length=0 if self.asked.plain else self.steps,
            neurons={
                group: found
                for group, nodes in self.asked.chosen.items()
                if (found := {name: neurons for name, neurons in nodes.items() if neurons is not None})
            },
        )

    def _cut(self, group: dict[str, Array]) -> dict[str, Array]:
        """Without the axis of samples, if none came in."""
        return group if self.batched else {name: array[:, 0] for name, array in group.items()}

    def _counts(self, trains: dict[str, Events]) -> Counts:
        if self._tally is not None:
            return tallied(self._tally)
        whole = {name: len(e) for name, e in trains.items() if e.chosen is None and self.asked.last is None}
        unknown = tuple(name for name in self.program.recorded_spikes if name not in whole)
        return Counts(whole, steps=self.steps, samples=self.batch, unknown=unknown, counted=False)


class Rate:
    """A running mean of spikes a second: ``r <- d r + (1 - d) z / dt`` with ``d = exp(-dt / tau)``, from 0."""

    def __init__(self, dt: float, tau: float) -> None:
        self.decay, self.dt = math.exp(-dt / tau), dt
        self._now: Array | None = None

    def next(self, spikes: NDArray[np.bool_]) -> Array:
        """Of the next steps, (steps, batch, *shape), in Hz."""
        from scipy.signal import lfilter

        before = np.zeros((1, *spikes.shape[1:])) if self._now is None else self._now
        gain = (1 - self.decay) / self.dt
        rates, _ = lfilter([gain], [1.0, -self.decay], spikes.astype(float), axis=0, zi=self.decay * before)
        self._now = rates[-1:]
        found: Array = rates
        return found
