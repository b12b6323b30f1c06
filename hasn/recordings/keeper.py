"""What is kept of a run while it goes on, piece by piece."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.counts import Counts, counts_of, tallied
from hasn.errors import OptionError
from hasn.ir.whole import refuse_existing
from hasn.program.learning import same_pattern, weights_of
from hasn.program.operations import Tally
from hasn.recording import Array, Recording
from hasn.recordings.asked import Asked, synapses
from hasn.recordings.events import Collected, SpikeTrains
from hasn.recordings.histograms import Histograms, due
from hasn.recordings.spool import Spool
from hasn.sent import Sent

if TYPE_CHECKING:
    from hasn.executable import Raw
    from hasn.program.model import Program
    from hasn.signals import Signals

_STATES = ("outputs", "voltages", "currents", "weights")
_EVENT = ("event steps", "event samples", "event neurons")


class Keeper:
    """Keeps what was asked for of a run, and nothing else; a context, at whose end it lets go of its files.

    Args:
        program: what runs.
        asked: what to keep.
        to: the file to keep it in, or None: memory.
        force: whether to replace a file.
    """

    def __init__(self, program: Program, asked: Asked, to: str | Path | None = None, force: bool = False) -> None:
        self.program, self.asked, self.force = program, asked, force
        self._spool = None if to is None else Spool(refuse_existing(to, force=force))
        self.steps, self.batch, self.batched = 0, 1, False
        self._shifts: dict[str, int] = {}
        self._dense: dict[tuple[str, str], list[Array]] = {}
        self._trains = {
            name: Collected(program.node(name).shape, neurons, asked.last)
            for name, neurons in asked.chosen.get("spikes", {}).items()
        }
        self._rates = {name: Rate(program.dt, asked.tau) for name in asked.chosen.get("rates", {})}
        self._histograms: dict[str, Histograms] = {}
        self._tally: Tally | None = None
        self._earlier: Counts | None = None  # of networks that ran before
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
            self._tally = self._tally or Tally(self.program, given.batch, self.asked.active, given.first)
            self._tally.add({**given.values, **spikes}, given.steps)
        for name, train in self._trains.items():
            train.add(spikes[name])
            if self._spool is not None and self.asked.last is None:
                for what, values in zip(_EVENT, train.taken(), strict=True):
                    self._spool.append(f"{what}/{name}", values)
        for group in _STATES:
            for name, neurons in self.asked.chosen.get(group, {}).items():
                array = getattr(raw, group)[name]
                self._keep(group, name, array if group == "outputs" else array[self._thinned], neurons)
        for name, rate in self._rates.items():
            self._keep("rates", name, rate.next(spikes[name])[self._thinned], self.asked.chosen["rates"][name])
        for name, some in self.asked.chosen.get("histograms", {}).items():
            self._add_histogram(name, some, given, raw)

    def _add_histogram(self, name: str, some: NDArray[np.int64] | None, given: Signals, raw: Raw) -> None:
        """Of the weights that a piece has left, as often as has been said."""

        def chosen(weights: Array) -> Array:
            return weights if some is None else weights.reshape(-1, synapses(self.program, name))[:, some]

        if name not in self._histograms:
            rule = self.program.learning[name]
            weights = np.asarray(weights_of(self.program.node(name)))
            weights = np.broadcast_to(weights, (given.batch, *weights.shape))
            if given.start is not None:
                weights = given.start.learned[name]["w"]
            self._histograms[name] = Histograms(rule.low, rule.high, given.first, chosen(weights))
        if due(self.steps, self.steps + given.steps, given.total):
            self._histograms[name].add(given.first + given.steps, chosen(raw.learned[name]))

    def change(self, program: Program) -> None:
        """The next steps are another network's, with the same populations, Inputs and Outputs.

        Raises:
            OptionError: the weights of one connection are recorded, and it has other synapses now.
        """
        for name in self.asked.chosen.get("weights", {}):
            if not same_pattern(self.program.node(name), program.node(name)):
                way = "Record no weights of it; what a controller does with it stands in the graph that it gives back."
                what = "its synapses have changed, so that weights of before and after are no one course"
                raise OptionError(what, node=name, parameter="record", got="weights", way_out=way)
        if self._tally is not None:
            self._earlier, self._tally = self._counts(), self._tally.going_on(program)
        self.program = program

    @property
    def _thinned(self) -> slice:
        """Which steps of the next piece are recorded."""
        return slice(-self.steps % self.asked.every, None, self.asked.every)

    def _keep(self, group: str, name: str, array: Array, neurons: NDArray[np.int64] | None) -> None:
        part = array if neurons is None else array.reshape(*array.shape[:2], -1)[..., neurons]
        if self._spool is not None:
            self._spool.append(f"{group}/{name}", part if self.batched else part[:, 0])
        else:
            self._dense.setdefault((group, name), []).append(part.copy() if part.base is not None else part)

    def recording(self, backend: str, precision: str, seconds: float) -> Recording:
        """All of it."""
        groups, counts = self._handed_over() if self._whole is not None else self._pieced()
        more = {group: groups.pop(group) for group in ("rates", "weights", "histograms") if group in groups}
        found = Recording(
            **groups,
            dt=self.program.dt,
            shifts=self._shifts,
            counts=counts,
            backend=backend,
            precision=precision,
            seconds=seconds,
            batched=self.batched,
            more={group: nodes for group, nodes in more.items() if group in self.asked.chosen},
            every=self.asked.every,
            length=0 if self.asked.plain else self.steps,
            neurons={
                group: some
                for group, nodes in self.asked.chosen.items()
                if (some := {name: neurons for name, neurons in nodes.items() if neurons is not None})
            },
        )
        return found if self._spool is None else self._written(found, self._spool)

    def _handed_over(self) -> tuple[dict[str, Any], Counts]:
        """The groups as the backend gave them, and counts for later."""
        if self._whole is None:
            raise RuntimeError("nothing has been run")
        given, raw, spikes = self._whole
        groups = {"outputs": raw.outputs, "spikes": spikes, "voltages": raw.voltages, "currents": raw.currents}
        groups["weights"] = raw.weights
        run = (self.program, given.values, spikes, given.steps, given.batch, given.first)
        counts = Counts.later(partial(counts_of, *run), Sent(*run))
        return {group: self._cut(arrays) for group, arrays in groups.items()}, counts

    def _pieced(self) -> tuple[dict[str, Any], Counts]:
        """The groups put together from their pieces, and what was counted on the way."""
        groups: dict[str, Any] = {group: {} for group in (*_STATES, *{"rates"} & set(self.asked.chosen))}
        for (group, name), parts in self._dense.items():
            groups[group][name] = np.concatenate(parts)
        groups = {group: self._cut(arrays) for group, arrays in groups.items()}
        trains = {name: train.events(self.batch, self.batched) for name, train in self._trains.items()}
        groups["spikes"] = SpikeTrains(trains) if trains else {}
        groups["histograms"] = {name: found.table for name, found in self._histograms.items()}
        if self._spool is not None:
            for name, table in groups["histograms"].items():
                self._spool.append(f"histograms/{name}", table)
        return groups, self._counts()

    def _written(self, found: Recording, spool: Spool) -> Recording:
        """The same, from the file."""
        from hasn.recordings.npz import load_npz, meta_of

        trains = found.spikes.events if isinstance(found.spikes, SpikeTrains) else {}
        arrays, stacked = {"meta": meta_of(found, trains)}, {}
        for name, events in trains.items():
            if self.asked.last is None:
                stacked[f"events/{name}"] = tuple(f"{what}/{name}" for what in _EVENT)
            else:
                arrays[f"events/{name}"] = np.stack([events.step, events.sample, events.neuron])
        spool.write(arrays, stacked, self.force)
        return Recording(**load_npz(spool.target, mapped=True, verify=False))

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._spool is not None:
            self._spool.close()

    def _cut(self, group: dict[str, Array]) -> dict[str, Array]:
        """Without the axis of samples, if none came in."""
        return group if self.batched else {name: array[:, 0] for name, array in group.items()}

    def _counts(self) -> Counts:
        if self._tally is not None:
            if self._earlier is None:
                return tallied(self._tally)
            return self._earlier + tallied(self._tally) if self._tally.steps else self._earlier
        whole = {name: train.total for name, train in self._trains.items() if train.chosen is None}
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
