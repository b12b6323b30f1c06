"""A live Lava network that is advanced step by step, its inputs, outputs and states in files that both sides map."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.bundle import write_bundle
from hasn.backends.lava.exchange import ALARMS
from hasn.backends.lava.mapping import Mapping
from hasn.backends.lava.worker.memory import new_file
from hasn.backends.lava.worker_process import WorkerProcess
from hasn.program.fuse import Network, Plastic
from hasn.program.learning import gathered, pattern, spread
from hasn.program.model import Neurons
from hasn.program.past import History, arrived
from hasn.state import Snapshot

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
        memory: source -> steps of its past that a state holds.
        seen: further populations whose values are wanted (:meth:`value`).

    Raises:
        WorkerError: the worker failed.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        mapping: Mapping,
        network: Network,
        batch: int,
        memory: dict[str, int],
        seen: Iterable[str] = (),
    ) -> None:
        self.worker = worker
        self.mapping = mapping
        self.memory = memory
        self.network = network
        self.batch = batch
        self.folder = Path(tempfile.mkdtemp(prefix="stream-", dir=worker.folder))
        write_bundle(mapping, self.folder / "bundle")
        self._control = self._new("control", (1,), np.int64)
        self._alarms = self._new("alarms", (max(1, len(mapping.cells)),), np.int64)
        self._clock = 0
        self._history = History(memory, self._shapes, batch)
        shown = sorted({*network.outputs.values(), *memory, *seen} - set(mapping.inputs))
        sizes = {name: entry.size for name, entry in mapping.inputs.items()}
        sizes |= {name: mapping.populations[name].size for name in shown}
        self._files = {name: self._new(f"port{i}", (1, 1, batch, size)) for i, (name, size) in enumerate(sizes.items())}
        paths = {name: str(self.folder / f"port{i}.npy") for i, name in enumerate(sizes)}
        self._live = bool(mapping.cells)
        if self._live:
            request: dict[str, Any] = {"op": "start", "bundle": str(self.folder / "bundle"), "period": 0, "samples": 1}
            request["stride"] = 1
            request |= {"length": 1, "late": 0, "leads": {}}
            request |= {"folder": str(self.folder), "batch": batch, "graded": [], "states": {}}
            request["alarms"] = str(self.folder / ALARMS)
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
            self.worker.ask({"op": "step", "folder": str(self.folder)})
        self._clock += 1
        self._history.push({name: self.value(name) for name in self.memory})
        node = self.network.program.node
        return {
            name: self._files[of][0, 0].reshape(self.batch, *node(name).shape).copy()
            for name, of in self.network.outputs.items()
        }

    def not_finite(self) -> list[str]:
        """Populations of which a number is not finite."""
        return [cell.node for cell, at in zip(self.mapping.cells, self._alarms, strict=False) if at]

    def value(self, name: str) -> Array:
        """What a population that is shown, seen or remembered sent in the last step: (batch, *shape)."""
        return np.asarray(self._files[name][0, 0].reshape(self.batch, *self._shapes[name]))

    def voltage(self, name: str) -> Array:
        """A population's v after the last step: (batch, *shape)."""
        return self._kept(name, "v")

    def snapshot(self) -> Snapshot:
        """A copy of the state."""
        neurons = [p for p in self.network.populations if isinstance(p, Neurons)]
        states = {p.name: {state: self._kept(p.name, state).copy() for state in p.states} for p in neurons}
        held = {p.name: self._kept(p.name, "held").astype(np.int64) for p in neurons if p.held is not None}
        return Snapshot(self._clock, states, held, self._history.past(), learned=self.learned())

    def weights(self, plastic: Plastic) -> Array:
        """Of a connection that learns, after the last step: (batch, *pattern)."""
        return self._of_learner(plastic, "weight").reshape(self.batch, *pattern(plastic.map))

    def learned(self) -> dict[str, dict[str, Array]]:
        """Connection that learns -> "w" and its traces -> (batch, ...), copies."""
        return {
            plastic.name: {
                "w": self.weights(plastic).copy(),
                **{
                    trace.name: gathered(plastic.map, trace.extent, self._of_learner(plastic, "trace", i)).copy()
                    for i, trace in enumerate(plastic.learning.traces)
                },
            }
            for plastic in self.network.plastic
        }

    def _of_learner(self, plastic: Plastic, what: str, trace: int | None = None) -> Array:
        """An array of a connection's learner, in the population that it feeds: (batch, synapses)."""
        number = [p for p in self.network.plastic if p.target == plastic.target].index(plastic)
        (cell,) = self.mapping.populations[plastic.target].cells
        return self._states[f"{cell}.{what}{number}" + ("" if trace is None else f"_{trace}")]

    def _load_learned(self, at: Snapshot) -> None:
        for plastic in self.network.plastic:
            kept = at.learned[plastic.name]
            self._of_learner(plastic, "weight")[...] = kept["w"].reshape(self.batch, -1)
            for i, trace in enumerate(plastic.learning.traces):
                values = spread(plastic.map, trace.extent, kept[trace.name])
                self._of_learner(plastic, "trace", i)[...] = values
            ring = self._of_learner(plastic, "arrived")
            for age in range(1, min(len(ring), at.step + 1)):
                ring[(at.step - age) % len(ring)] = arrived(self.network, plastic.name, at, age)

    def load(self, at: Snapshot) -> None:
        """Go on from a state."""
        self._clock = at.step
        self._history = History(self.memory, self._shapes, self.batch, at.past)
        for name, states in at.states.items():
            for state, value in states.items():
                self._kept(name, state)[...] = value
        for name, left in at.held.items():
            self._kept(name, "held")[...] = left
        self._load_learned(at)
        for cell in self.mapping.cells:
            if cell.kind == "delayed":
                self._fill(self._states[f"{cell.name}.ring"], at.past[cell.settings["source"]], at.step)

    def _fill(self, ring: Array, past: Array, step: int) -> None:
        """A ring holds the value of step t in its place t modulo its length."""
        for age in range(1, min(len(ring), len(past)) + 1):
            ring[(step - age) % len(ring)] = past[-age].reshape(self.batch, -1)

    def _kept(self, name: str, state: str) -> Array:
        (cell,) = self.mapping.populations[name].cells
        return self._states[f"{cell}.{state}"].reshape(self.batch, *self._shapes[name])

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: population.shape for name, population in self.network.by_name.items()}

    def close(self) -> None:
        """Stop the network."""
        if self._live and self.worker.alive:
            self.worker.ask({"op": "end", "folder": str(self.folder)})
        self._live = False
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        array: Array = new_file(self.folder / f"{name}.npy", shape, dtype)
        return array
