"""A network in the chip's integers on Lava's bit-accurate models (``fixed_pt``), in the worker."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.client import WorkerClient, reshaped
from hasn.backends.lava.exchange import Arrays
from hasn.backends.lava.integers import IntegerMapping, map_integers
from hasn.backends.lava.starting import leads
from hasn.errors import UnsupportedError
from hasn.executable import PIECE, Raw
from hasn.integer_executable import IntegerExecutable
from hasn.program.integers.lower import check_current, current_bound
from hasn.program.model import Program
from hasn.program.past import History, latest
from hasn.signals import Signals
from hasn.state import Snapshot


class LavaIntegerExecutable(WorkerClient, IntegerExecutable):
    """Stock LIF, Dense and DelayDense; everything is as it would be on the chip, simulated.

    Args:
        program: what to run.
        time_limit: seconds without a sign of life from the worker.

    Raises:
        RetimingError: a cycle has fewer steps of delay than its connections take.
        UnsupportedError: a coefficient or a population is none that the chip has.
    """

    mapping: IntegerMapping
    _piece = 4 * PIECE  # each piece is a network of its own, which takes a second to start
    _input_condition = "spikes (0 or 1); integers within 24 bits on Loihi 2 alone"

    def __init__(self, program: Program, time_limit: float) -> None:
        super().__init__(program)
        self.time_limit = time_limit
        self.mapping = map_integers(self.integers)

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        self._check(given)
        program, populations = self.program, self.integers.populations
        spikes = program.recorded_spikes if "spikes" in record else ()
        shown = {of for of in self.integers.outputs.values() if of in populations}
        wanted = {
            "v": {*(program.recorded_voltages if "voltages" in record else ())}
            | {name for name in shown if not populations[name].spiking},
            "u": set(program.recorded_voltages if "currents" in record else ()),
        }
        values = {*spikes, *(name for name in shown if populations[name].spiking)}
        played, states, end = self._played(given, values, wanted)
        shows = {**states["v"], **played, **given.values}
        outputs = {
            name: np.asarray(reshaped(shows[of], program.node(name).shape, given), dtype=np.float64)
            if of in shows
            else np.zeros((given.steps, given.batch, *program.node(name).shape))
            for name, of in self.integers.outputs.items()
        }
        voltages = {name: states["v"][name] for name in program.recorded_voltages if "voltages" in record}
        currents = {name: states["u"][name] for name in program.recorded_voltages if "currents" in record}
        return Raw(outputs, {name: played[name] for name in spikes}, voltages, self._shifts(), currents, end)

    def _check(self, given: Signals) -> None:
        """Refuse inputs that Lava's 32 bits would not hold, those under way too."""
        inputs = self._integer_inputs(given)
        past = {} if given.start is None else given.start.past
        largest = {
            name: max(int(np.abs(value).max(initial=0)), int(np.abs(past.get(name, 0)).max(initial=0)))
            for name, value in inputs.items()
        }
        self.mapping.check_wrap(self.integers, largest)
        for name, most in self.integers.largest_activation(largest).items():
            # Lava adds in 32 bits and says nothing when they overflow: what could is refused before it runs.
            check_current(name, current_bound(self.integers.populations[name], most))

    def _played(
        self, given: Signals, values: set[str], states: dict[str, set[str]]
    ) -> tuple[Arrays, dict[str, Arrays], Snapshot | None]:
        """Values and states of all steps, and the state at the end if it is wanted: last steps are read for it."""
        steps, populations = given.steps, self.integers.populations
        kept = {name: min(self.memory[name], steps) for name in self.memory if given.keep and name in populations}
        last = dict.fromkeys(populations if given.keep else (), 1)
        whole = {var: {**last, **dict.fromkeys(names, steps)} for var, names in states.items()}
        start = None if given.start is None else leads(self.mapping, given.start, given.batch)
        played, found = self._play(given, np.int32, {**kept, **dict.fromkeys(values, steps)}, whole, start)
        if not given.keep:
            return played, found, None
        shapes = {name: self.network.by_name[name].shape for name in self.memory}
        before = History(self.memory, shapes, given.batch, None if given.start is None else given.start.past).past()
        registers = {name: {var: found[var][name][-1].copy() for var in ("u", "v")} for name in populations}
        end = Snapshot(given.first + steps, registers, {}, latest(before, {**played, **given.values}))
        return played, found, end

    # --- streams

    def _start_stream(self, batch: int) -> NoReturn:
        raise UnsupportedError(
            "Lava shows a step's outputs steps later, as the chip does: it runs whole sequences",
            parameter="step",
            way_out="Use run(), from a state if need be, or step on snnTorch: precision='loihi' is the same there.",
        )

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        return self._start_stream(0)

    def _end_stream(self) -> None:
        """No stream was ever started."""

    def _state(self) -> Snapshot:
        return self._start_stream(0)

    def _load_state(self, state: Snapshot) -> None:
        self._start_stream(0)
