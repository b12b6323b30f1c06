"""What Lava's executables of both precisions share: a worker, a bundle in its folder, and runs of whole sequences."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from hasn.backends.lava.bundle import write_bundle
from hasn.backends.lava.environment import lava_python
from hasn.backends.lava.exchange import ALARMS, Arrays, Exchange, Leads
from hasn.backends.lava.mapping import Mapping as Processes
from hasn.backends.lava.worker_process import Progress, WorkerProcess, take_worker
from hasn.errors import HasnError, WorkerError
from hasn.executable import Executable
from hasn.program.rings import require_rings
from hasn.signals import Signals


@dataclass(frozen=True)
class Deployable:
    """Whether the chip could run a node as it is mapped (in precision "float64" its weights are real numbers still).

    Attributes:
        node: population, or ``source -> target`` of a connection.
        on_chip: whether it could.
        why: why it could not, or on what condition it could.
    """

    node: str
    on_chip: bool
    why: str


class WorkerClient(Executable, ABC):
    """A network of Lava processes in the worker.

    A batch is one continuous run: each sample takes T steps, the longest shift and one step of padding, in which every
    state is set back.

    Attributes:
        mapping: the processes that ``run`` uses.
        time_limit: seconds without a sign of life from the worker.
        progress: called with (steps done, steps in all) during a run, or None.
    """

    backend = "lava"
    mapping: Processes
    time_limit: float
    progress: Progress | None = None
    _worker: WorkerProcess | None = None
    _owns_worker = True
    _input_condition = "as long as its data is spikes (0 or 1)"

    @property
    def delivery(self) -> str:
        """ "retimed" or "in-step"."""
        return self.mapping.delivery

    @cached_property
    def deployable(self) -> list[Deployable]:
        """For every population and connection, whether the chip could run it."""
        inputs = [Deployable(name, True, self._input_condition) for name in self.mapping.inputs]
        return inputs + [Deployable(cell.node, not cell.why_not, cell.why_not) for cell in self.mapping.cells]

    def _play(
        self,
        given: Signals,
        number: Any,
        values: Mapping[str, int],
        states: Mapping[str, Mapping[str, int]],
        leads: Leads | None = None,
    ) -> tuple[Arrays, dict[str, Arrays]]:
        """Run; see :class:`Exchange` for the arguments and what comes back.

        With ``leads`` all begins a step later: at that step's end the first of them are in place.
        """
        if not self.mapping.cells:
            return {}, {var: {} for var in states}
        require_rings(self.network, 1, 8)
        worker = self._ready()
        late = int(leads is not None)
        period = self.mapping.stride * given.steps + self.mapping.longest + 1 + late
        period += -period % self.mapping.stride  # an epoch of learning ends with the sample
        with Exchange(worker.folder, self.network, given, number) as exchange, on_disk():
            request = exchange.request(values, states, leads or {})
            request |= {
                "late": late,
                "op": "run",
                "bundle": str(self._bundle),
                "period": period,
                "stride": self.mapping.stride,
                "steps": period * given.batch,
            }
            alarms = exchange.alarms(len(self.mapping.cells)) if number is np.float64 else None
            if alarms is not None:
                request["alarms"] = str(exchange.folder / ALARMS)
            worker.ask(request, self.progress)
            if alarms is not None and alarms.any():
                self._alarmed(given, alarms)
            return exchange.recorded()

    def _alarmed(self, given: Signals, alarms: Any) -> None:
        """Some population had a number that was not finite; at which step a stock process does not say.

        Raises:
            NotFiniteError: names the population and the step.
        """

    def _shifts(self) -> dict[str, int]:
        return {name: self.mapping.shifts[name] for name in self.network.by_name}

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

    def close(self) -> None:
        """End the worker and all its processes. The executable cannot be used afterwards."""
        super().close()
        if self._worker is not None and self._owns_worker:
            self._worker.close()
        elif self._worker is not None:
            rmtree(self._bundle, ignore_errors=True)
        self._worker = None


def reshaped(value: Any, shape: tuple[int, ...], given: Signals) -> Any:
    """(T, batch, *shape): an Output may show a population in another shape (Flatten)."""
    return np.asarray(value).reshape(given.steps, given.batch, *shape)


@contextmanager
def on_disk() -> Iterator[None]:
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
