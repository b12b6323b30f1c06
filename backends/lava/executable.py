"""A Program on Lava's floating-point models, in the worker."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.client import WorkerClient, on_disk, reshaped
from hasn.backends.lava.exchange import Arrays
from hasn.backends.lava.mapping import Mapping, map_network
from hasn.backends.lava.stream import Stream
from hasn.executable import Raw
from hasn.program.model import Program
from hasn.signals import Signals

Array = NDArray[Any]


class LavaExecutable(WorkerClient):
    """A network of Lava processes in floating point.

    Args:
        program: what to run.
        precision: "float64".
        time_limit: seconds without a sign of life from the worker.
        delivery: see :func:`hasn.backends.lava.mapping.map_network`.
    """

    def __init__(self, program: Program, precision: str, time_limit: float, delivery: str) -> None:
        super().__init__(program, precision)
        self.time_limit = time_limit
        self.mapping = map_network(self.network, delivery)
        self._stream: Stream | None = None

    # --- whole sequences

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        program = self.program
        spikes = program.recorded_spikes if "spikes" in record else ()
        voltages = program.recorded_voltages if "voltages" in record else ()
        shown = set(self.network.outputs.values()) - set(given.values)
        played, states = self._play(given, np.float64, {*spikes, *shown}, {"v": voltages})
        values: Arrays = {**played, **given.values}
        outputs = {
            name: np.asarray(reshaped(values[of], program.node(name).shape, given), dtype=np.float64)
            for name, of in self.network.outputs.items()
        }
        return Raw(outputs, {name: values[name] for name in spikes}, states["v"], self._shifts())

    # --- streams

    @cached_property
    def _stream_mapping(self) -> Mapping:
        # Outputs of step t are wanted at step t, for a whole batch at once: no shifts, and processes of ours alone.
        return map_network(self.network, "in-step", stock=False)

    def _start_stream(self, batch: int) -> None:
        with on_disk():
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
