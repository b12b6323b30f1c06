"""A live Lava network that is advanced step by step, its inputs, outputs and states in files that both sides map."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.bundle import write_bundle
from hasn.backends.lava.mapping import Mapping
from hasn.backends.lava.worker.memory import new_file
from hasn.backends.lava.worker_process import WorkerProcess
from hasn.errors import InputError
from hasn.program.fuse import Network

Array = NDArray[Any]


class Stream:
    """A running stream.

    Every process keeps its state (membrane potentials, currents, values under way) in a file: reading or writing these
    between two steps is all that a state's copy takes.

    Args:
        worker: where it runs.
        mapping: processes of ours alone, delivered within the step.
        network: for shapes and outputs.
        batch: samples, the leading axis of every port.

    Raises:
        WorkerError: the worker failed.
    """

    def __init__(self, worker: WorkerProcess, mapping: Mapping, network: Network, batch: int) -> None:
        self.worker = worker
        self.network = network
        self.batch = batch
        self.folder = Path(tempfile.mkdtemp(prefix="stream-", dir=worker.folder))
        write_bundle(mapping, self.folder / "bundle")
        self._control = self._new("control", (1,), np.int64)
        self._clock = 0
        shown = sorted(set(network.outputs.values()) - set(mapping.inputs))
        sizes = {name: entry.size for name, entry in mapping.inputs.items()}
        sizes |= {name: mapping.populations[name].size for name in shown}
        self._files = {name: self._new(f"port{i}", (1, 1, batch, size)) for i, (name, size) in enumerate(sizes.items())}
        paths = {name: str(self.folder / f"port{i}.npy") for i, name in enumerate(sizes)}
        self._live = bool(mapping.cells)
        if self._live:
            request: dict[str, Any] = {"op": "start", "bundle": str(self.folder / "bundle"), "period": 0, "samples": 1}
            request |= {"folder": str(self.folder), "batch": batch, "graded": [], "states": {}}
            request["inputs"] = {name: paths[name] for name in mapping.inputs}
            request["tapes"] = {name: paths[name] for name in shown}
            worker.ask(request)
        self._states = {
            f"{cell.name}.{path.name.split('.')[1]}": np.asarray(np.load(path, mmap_mode="r+"))
            for cell in mapping.cells
            for path in sorted(self.folder.glob(f"{cell.name}.*.npy"))
        }

    def step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        """{Input: (batch, *shape)} to {Output: (batch, *shape)}."""
        for name, value in inputs.items():
            self._files[name][0, 0] = value.reshape(self.batch, -1)
        if self._live:
            self._control[0] = self._clock
            self.worker.ask({"op": "step"})
        self._clock += 1
        node = self.network.program.node
        return {
            name: self._files[of][0, 0].reshape(self.batch, *node(name).shape).copy()
            for name, of in self.network.outputs.items()
        }

    def state(self) -> dict[str, Array]:
        """A copy of every state, and the number of the next step."""
        return {"clock": np.array(self._clock), **{name: array.copy() for name, array in self._states.items()}}

    def load(self, content: dict[str, Array]) -> None:
        """Put a copy back.

        Raises:
            InputError: it is of another network.
        """
        if set(content) != {"clock", *self._states}:
            raise InputError("the state is of another network", parameter="state")
        self._clock = int(content["clock"])
        for name, array in self._states.items():
            array[...] = content[name]

    def close(self) -> None:
        """Stop the network."""
        if self._live and self.worker.alive:
            self.worker.ask({"op": "end"})
        self._live = False
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        array: Array = new_file(self.folder / f"{name}.npy", shape, dtype)
        return array
