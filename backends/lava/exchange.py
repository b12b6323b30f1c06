"""Inputs and recordings of one run, as .npy files in the folder that the worker shares."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.worker.memory import new_file
from hasn.program.fuse import Network, has_spikes
from hasn.program.learning import sizes
from hasn.signals import Signals

Arrays = dict[str, NDArray[Any]]
#: The file in which populations say that a number is not finite.
ALARMS = "alarms.npy"
#: Cell -> Var -> what it is set to at the end of a sample's first k steps, (k, samples, *shape).
Leads = Mapping[str, Mapping[str, NDArray[Any]]]


class Exchange:
    """The files of one run; a context that removes them at its end.

    Args:
        folder: shared with the worker.
        network: for the populations' shapes.
        given: the inputs.
        number: what real numbers and states are stored as: float64, or int32 in the chip's integers.
    """

    def __init__(self, folder: Path, network: Network, given: Signals, number: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
        self.network = network
        self.given = given
        self.number = number
        self._tapes: dict[str, Path] = {}
        self._states: dict[str, dict[str, Path]] = {}

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(
        self, values: Mapping[str, int], states: Mapping[str, Mapping[str, int]], leads: Leads
    ) -> dict[str, Any]:
        """The part of the worker's request that names inputs, recordings and where Vars start.

        Args:
            values: population whose value is wanted -> of how many of the last steps.
            states: "v" or "u" -> population of which it is wanted -> of how many of the last steps; "weights" ->
                connection that learns.
            leads: Vars that do not start at their initial values.
        """
        inputs: dict[str, str] = {}
        graded: list[str] = []
        for i, (name, array) in enumerate(self.given.values.items()):
            flat = array.reshape(self.given.steps, self.given.batch, -1)
            binary = bool(np.all((flat == 0.0) | (flat == 1.0)))
            path = self.folder / f"input{i}.npy"
            np.save(path, flat.astype(np.uint8 if binary else self.number))
            inputs[name] = str(path)
            if not binary:
                graded.append(name)
        by_name = self.network.by_name
        self._tapes = {
            name: self._tape(
                f"value{i}", self._shape("", name), values[name], np.uint8 if has_spikes(by_name[name]) else self.number
            )
            for i, name in enumerate(sorted(values))
        }
        self._states = {
            var: {
                name: self._tape(f"{var}{i}", self._shape(var, name), steps, self.number)
                for i, (name, steps) in enumerate(of.items())
            }
            for var, of in states.items()
        }
        return {
            "samples": self.given.batch,
            "length": self.given.steps,
            "leads": {
                cell: {var: self._lead(f"{cell}.{var}", x) for var, x in of.items()} for cell, of in leads.items()
            },
            "inputs": inputs,
            "graded": graded,
            "tapes": {name: str(path) for name, path in self._tapes.items()},
            "states": {var: {name: str(path) for name, path in of.items()} for var, of in self._states.items()},
        }

    def alarms(self, cells: int) -> NDArray[np.int64]:
        """The file of alarms, with a place for each cell (see :class:`hasn.backends.lava.worker.memory.Alarm`)."""
        made: NDArray[np.int64] = new_file(self.folder / ALARMS, (cells,), np.int64)
        return made

    def recorded(self) -> tuple[Arrays, dict[str, Arrays]]:
        """(values of the populations, {"v", "u" or "weights": states}), (steps that were wanted, batch, *shape)."""
        return self._read("", self._tapes), {var: self._read(var, of) for var, of in self._states.items()}

    def _read(self, var: str, tapes: dict[str, Path]) -> Arrays:
        shapes = {name: (-1, self.given.batch, *self._shape(var, name)) for name in tapes}
        return {name: np.load(path).reshape(shapes[name]) for name, path in tapes.items()}

    def _shape(self, var: str, name: str) -> tuple[int, ...]:
        """Of a population's values and states, or of a connection's weights."""
        if var == "weights":
            (plastic,) = (plastic for plastic in self.network.plastic if plastic.name == name)
            return sizes(plastic.map)["synapse"]
        return self.network.by_name[name].shape

    def _lead(self, file: str, values: NDArray[Any]) -> str:
        path = self.folder / f"lead.{file}.npy"
        np.save(path, values.astype(self.number))
        return str(path)

    def _tape(self, file: str, shape: tuple[int, ...], steps: int, dtype: Any) -> Path:
        path = self.folder / f"{file}.npy"
        new_file(path, (steps, self.given.batch, int(np.prod(shape))), dtype)
        return path
