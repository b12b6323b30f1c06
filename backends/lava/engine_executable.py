"""A Program whose connections learn on Lava's learning engine: whole sequences, from the initial state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hasn.backends.lava.client import WorkerClient, reshaped
from hasn.backends.lava.engine import OWN_RULE
from hasn.backends.lava.mapping import map_network
from hasn.errors import InputError, UnsupportedError
from hasn.executable import Array, Raw
from hasn.nonfinite import all_finite, not_finite
from hasn.program.model import Program
from hasn.signals import Signals
from hasn.state import Snapshot

_WAY_OUT = "Run the whole sequence at once, or take learning='process'."


class LavaEngineExecutable(WorkerClient):
    """A network of Lava processes, its learning connections among them.

    ``weights`` of a step are those with which the next step's spikes are sent.

    Args:
        program: what to run.
        precision: "float64".
        time_limit: seconds without a sign of life from the worker.
        stride: steps of Lava for one of the network: 1, by the engine's order; 2, by SEMANTICS.

    Raises:
        UnsupportedError: the engine has no place for a rule or its connection.
    """

    def __init__(self, program: Program, precision: str, time_limit: float, stride: int) -> None:
        super().__init__(program, precision)
        self.recordable = (*self.recordable, "weights")
        self.time_limit = time_limit
        self.mapping = map_network(self.network, "retimed", engine=stride)
        self.own_rule = OWN_RULE if stride == 1 else ""
        self._learning = {cell.node: cell for cell in self.mapping.cells if cell.kind == "learning_dense"}

    def _run_pieces(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        for given in pieces:
            if given.start is not None or given.keep:
                raise self._no_state("state" if given.start is not None else "keep_state")
            yield given, self._run(given, record)

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        self._require_spikes(given)
        program = self.program
        spikes = program.recorded_spikes if "spikes" in record else ()
        shown = set(self.network.outputs.values()) - set(given.values)
        values = dict.fromkeys({*spikes, *shown} - set(given.values), given.steps)
        states = {
            "v": dict.fromkeys(program.recorded_voltages if "voltages" in record else (), given.steps),
            "weights": dict.fromkeys(self._learning, given.steps if "weights" in record else 1),
        }
        played, found = self._play(given, np.float64, values, states)
        shows = {**played, **given.values}
        outputs = {
            name: np.asarray(reshaped(shows[of], program.node(name).shape, given), dtype=np.float64)
            for name, of in self.network.outputs.items()
        }
        weights = {name: w / self._learning[name].settings["scale"] for name, w in found["weights"].items()}
        learned = {name: w[-1] for name, w in weights.items()}
        for name, w in learned.items():
            if not all_finite(w):
                raise not_finite(name, f"{given.steps - 1} or before", self.precision)
        courses = weights if "weights" in record else {}
        shifts = {name: self.mapping.shifts.get(name, 0) for name in self.network.by_name}
        seen = {name: shows[name] for name in spikes}
        return Raw(outputs, seen, found["v"], shifts, weights=courses, learned=learned)

    def _require_spikes(self, given: Signals) -> None:
        """Its engine takes every other number than 0 for a spike."""
        for name, cell in self._learning.items():
            values = given.values.get(cell.settings["source"])
            if values is not None and not np.all((values == 0.0) | (values == 1.0)):
                raise InputError(
                    f"'{name}' learns on Lava's engine, which takes spikes",
                    node=cell.settings["source"],
                    got=f"{values[(values != 0.0) & (values != 1.0)].flat[0]:g}",
                    wanted="0 or 1",
                    way_out="Take learning='process'.",
                )

    def _alarmed(self, given: Signals, alarms: Array) -> None:
        wrong = [cell.node for cell, at in zip(self.mapping.cells, alarms, strict=True) if at]
        first = next(name for name in self.program.by_name if name in wrong)
        raise not_finite(first, f"{given.steps - 1} or before", self.precision)

    # --- what stands in no state of hasn's form

    def _no_state(self, parameter: str) -> UnsupportedError:
        return UnsupportedError(
            "Lava's learning engine has traces and tags of its own, which no state holds",
            parameter=parameter,
            wanted="a run from the initial state",
            way_out=_WAY_OUT,
        )

    def _start_stream(self, batch: int) -> None:
        raise self._no_state("step, load_state")

    def _step(self, inputs: dict[str, Array]) -> dict[str, Array]:
        raise self._no_state("step")

    def _end_stream(self) -> None:
        """There is none."""

    def _state(self) -> Snapshot:
        raise self._no_state("state")

    def _load_state(self, state: Any) -> None:
        raise self._no_state("load_state")
