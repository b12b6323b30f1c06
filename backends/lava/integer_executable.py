"""A network in the chip's integers on Lava's bit-accurate models (``fixed_pt``), in the worker."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.client import WorkerClient, reshaped
from hasn.backends.lava.integers import IntegerMapping, map_integers
from hasn.errors import UnsupportedError
from hasn.executable import Raw
from hasn.integer_executable import IntegerExecutable
from hasn.program.integers.lower import check_current, current_bound
from hasn.program.model import Program
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
    _input_condition = "spikes (0 or 1); integers within 24 bits on Loihi 2 alone"

    def __init__(self, program: Program, time_limit: float) -> None:
        super().__init__(program)
        self.time_limit = time_limit
        self.mapping = map_integers(self.integers)

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        if given.start is not None or given.keep:
            raise UnsupportedError(
                "Lava's integer models start at their initial state alone",
                parameter="state" if given.start is not None else "keep_state",
                way_out="Run it on snnTorch or Brian2: precision='loihi' is the same bit for bit there.",
            )
        inputs = self._integer_inputs(given)
        largest = {name: int(np.abs(value).max(initial=0)) for name, value in inputs.items()}
        self.mapping.check_wrap(self.integers, largest)
        for name, most in self.integers.largest_activation(largest).items():
            # Lava adds in 32 bits and says nothing when they overflow: what could is refused before it runs.
            check_current(name, current_bound(self.integers.populations[name], most))
        program, populations = self.program, self.integers.populations
        spikes = program.recorded_spikes if "spikes" in record else ()
        shown = {of for of in self.integers.outputs.values() if of in populations}
        wanted = {
            "v": {*(program.recorded_voltages if "voltages" in record else ())}
            | {name for name in shown if not populations[name].spiking},
            "u": set(program.recorded_voltages if "currents" in record else ()),
        }
        values = {*spikes, *(name for name in shown if populations[name].spiking)}
        played, states = self._play(given, np.int32, values, wanted)
        shows = {**states["v"], **played, **given.values}
        outputs = {
            name: np.asarray(reshaped(shows[of], program.node(name).shape, given), dtype=np.float64)
            if of in shows
            else np.zeros((given.steps, given.batch, *program.node(name).shape))
            for name, of in self.integers.outputs.items()
        }
        voltages = {name: states["v"][name] for name in program.recorded_voltages if "voltages" in record}
        return Raw(outputs, {name: played[name] for name in spikes}, voltages, self._shifts(), states["u"])

    # --- streams

    def _start_stream(self, batch: int) -> NoReturn:
        raise UnsupportedError(
            "Lava shows a step's outputs steps later, as the chip does: it runs whole sequences",
            parameter="step",
            way_out="Use run(), or step on snnTorch: precision='loihi' is the same bit for bit there.",
        )

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
        return self._start_stream(0)

    def _end_stream(self) -> None:
        """No stream was ever started."""

    def _state(self) -> Snapshot:
        return self._start_stream(0)

    def _load_state(self, state: Snapshot) -> None:
        self._start_stream(0)
