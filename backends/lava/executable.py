"""A Program on Lava, in the worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.bundle import write_bundle
from hasn.backends.lava.environment import lava_python
from hasn.backends.lava.exchange import Exchange
from hasn.backends.lava.mapping import Mapping, map_network
from hasn.backends.lava.stream import Stream
from hasn.backends.lava.worker_process import Progress, WorkerProcess, take_worker
from hasn.errors import HasnError, WorkerError
from hasn.executable import Executable, Raw
from hasn.program.model import Program
from hasn.signals import Signals

Array = NDArray[Any]


@dataclass(frozen=True)
class Deployable:
    """Whether the chip could run a node as it is mapped (weights are real numbers still: quantising comes later).

    Attributes:
        node: population, or ``source -> target`` of a connection.
        on_chip: whether it could.
        why: why it could not, or on what condition it could.
    """

    node: str
    on_chip: bool
    why: str


class LavaExecutable(Executable):
    """A network of Lava processes.

    A batch is one continuous run: each sample takes T steps, the longest shift and one step of padding, in which every
    state is set back.

    Args:
        program: what to run.
        precision: "float64".
        time_limit: seconds without a sign of life from the worker.
        delivery: see :func:`hasn.backends.lava.mapping.map_network`.

    Attributes:
        mapping: the processes that ``run`` uses.
        deployable: for every population and connection, whether the chip could run it.
        progress: called with (steps done, steps in all) during a run, or None.
    """

    backend = "lava"

    def __init__(self, program: Program, precision: str, time_limit: float, delivery: str) -> None:
        super().__init__(program, precision)
        self.time_limit = time_limit
        self.mapping: Mapping = map_network(self.network, delivery)
        self.progress: Progress | None = None
        self._worker: WorkerProcess | None = None
        self._owns_worker = True
        self._stream: Stream | None = None

    @property
    def delivery(self) -> str:
        """ "retimed" or "in-step"."""
        return self.mapping.delivery

    @cached_property
    def deployable(self) -> list[Deployable]:
        """For every population and connection, whether the chip could run it."""
        inputs = [Deployable(name, True, "as long as its data is spikes (0 or 1)") for name in self.mapping.inputs]
        return inputs + [Deployable(cell.node, not cell.why_not, cell.why_not) for cell in self.mapping.cells]

    # --- whole sequences

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        program = self.program
        spikes = program.recorded_spikes if "spikes" in record else ()
        voltages = program.recorded_voltages if "voltages" in record else ()
        shown = set(self.network.outputs.values()) - set(given.values)
        values: dict[str, Array] = {}
        potentials: dict[str, Array] = {}
        if self.mapping.cells:
            worker = self._ready()
            period = given.steps + self.mapping.longest + 1
            with Exchange(worker.folder, self.network, given) as exchange, _disk():
                request = exchange.request({*spikes, *shown}, voltages)
                request |= {"op": "run", "bundle": str(self._bundle), "period": period, "steps": period * given.batch}
                worker.ask(request, self.progress)
                values, potentials = exchange.recorded()
        values |= given.values
        lead = (given.steps, given.batch)
        outputs = {
            # An Output may show a population in another shape (Flatten).
            name: np.asarray(values[of], dtype=np.float64).reshape(*lead, *program.step(name).shape)
            for name, of in self.network.outputs.items()
        }
        shifts = {name: self.mapping.shifts[name] for name in self.network.by_name}
        return Raw(outputs, {name: values[name] for name in spikes}, potentials, shifts)

    def _ready(self) -> WorkerProcess:
        """The worker, started when it is first needed and after it failed."""
        if self._worker is None or not self._worker.alive:
            self._worker, self._owns_worker = take_worker(lava_python(), self.time_limit)
            write_bundle(self.mapping, self._bundle)
        return self._worker

    @property
    def _bundle(self) -> Path:
        if self._worker is None:
            raise RuntimeError("the worker has not been started")
        return self._worker.folder / f"bundle-{id(self)}"

    # --- streams

    @cached_property
    def _stream_mapping(self) -> Mapping:
        # Outputs of step t are wanted at step t, for a whole batch at once: no shifts, and processes of ours alone.
        return map_network(self.network, "in-step", stock=False)

    def _start_stream(self, batch: int) -> None:
        with _disk():
            self._stream = Stream(self._ready(), self._stream_mapping, self.network, batch)

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        return self._running_stream().step(inputs)

    def _end_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()

    def _state(self) -> Any:
        return self._running_stream().state()

    def _load_state(self, content: Any) -> None:
        self._running_stream().load(content)

    def _running_stream(self) -> Stream:
        if self._stream is None:
            raise RuntimeError("the stream has not been started")
        return self._stream

    def close(self) -> None:
        """End the worker and all its processes. The executable cannot be used afterwards."""
        super().close()
        if self._worker is not None and self._owns_worker:
            self._worker.close()
        elif self._worker is not None:
            rmtree(self._bundle, ignore_errors=True)
        self._worker = None


@contextmanager
def _disk() -> Iterator[None]:
    """Name what cannot be written for the worker, a full disk above all."""
    try:
        yield
    except OSError as error:
        if isinstance(error, HasnError):
            raise
        raise WorkerError(
            f"the files that Lava reads and writes cannot be made: {error}",
            parameter="TMPDIR",
            way_out="Free space there, or set TMPDIR to another folder.",
        ) from None
