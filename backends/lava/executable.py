"""A Program on Lava's floating-point models, in the worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.client import WorkerClient, on_disk, reshaped
from hasn.backends.lava.exchange import Arrays
from hasn.backends.lava.mapping import Mapping, map_network
from hasn.backends.lava.stream import Stream
from hasn.executable import PIECE, Raw
from hasn.nonfinite import earliest, not_finite
from hasn.program.fuse import Network
from hasn.program.model import Program
from hasn.program.rings import longest, require_rings, within
from hasn.signals import Signals
from hasn.state import Snapshot

Array = NDArray[Any]
#: Bytes of a value under way in a stream: it lies in a file that both sides map, and is copied for a state.
_IN_FILES = 32


class LavaExecutable(WorkerClient):
    """A network of Lava processes in floating point.

    Args:
        program: what to run.
        precision: "float64".
        time_limit: seconds without a sign of life from the worker.
        delivery: see :func:`hasn.backends.lava.mapping.map_network`.
        network: a part of the Program's that is enough for some runs.
    """

    _piece = PIECE

    def __init__(
        self, program: Program, precision: str, time_limit: float, delivery: str, network: Network | None = None
    ) -> None:
        super().__init__(program, precision)
        if network is not None:
            self.network = network
        if program.learning:
            self.recordable = (*self.recordable, "weights")
        self.time_limit, self._chosen = time_limit, delivery
        self._short: LavaExecutable | None = None
        self.mapping = map_network(self.network, delivery)
        self._stream: Stream | None = None

    # --- whole sequences

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        ((_, raw),) = self._run_pieces([given], record)
        return raw

    def _run_pieces(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        """In one piece from the initial state, and without a state at the end, as it is mapped; all else in step:
        stock processes start where they start, and end unread."""
        stream: Stream | None = None
        try:
            for given in pieces:
                plain = given.start is None and not given.keep and not given.more and not self.network.plastic
                if stream is None and plain:
                    short = longest(self.network) >= given.steps
                    yield given, (self._short_for(given.steps) if short else self)._run_whole(given, record)
                else:
                    stream = stream or self._opened(given, record)
                    yield given, self._run_in_step(stream, given, record)
        finally:
            if stream is not None:
                stream.close()

    def _run_whole(self, given: Signals, record: frozenset[str]) -> Raw:
        spikes, voltages = self._asked(record)
        shown = set(self.network.outputs.values()) - set(given.values)
        values, membranes = (dict.fromkeys(names, given.steps) for names in ({*spikes, *shown}, voltages))
        played, states = self._play(given, np.float64, values, {"v": membranes})
        shows: Arrays = {**played, **given.values}
        outputs = {
            name: np.asarray(reshaped(shows[of], self.program.node(name).shape, given), dtype=np.float64)
            for name, of in self.network.outputs.items()
        }
        return Raw(outputs, {name: shows[name] for name in spikes}, states["v"], self._shifts())

    def _short_for(self, steps: int) -> LavaExecutable:
        """The same without what would arrive after so many steps: rings of a length that never comes round."""
        part = within(self.network, steps)
        if self._short is None or longest(self._short.network) != longest(part):
            if self._short is not None:
                self._short.close()
            self._short = LavaExecutable(self.program, self.precision, self.time_limit, self._chosen, part)
        self._short.progress = self.progress
        return self._short

    def close(self) -> None:
        """End the worker and all its processes. The executable cannot be used afterwards."""
        super().close()
        if self._short is not None:
            self._short.close()

    def _alarmed(self, given: Signals, alarms: Array) -> None:
        if np.any(alarms < 0):
            # Processes of ours say the step. What a stock process did after the last step is nobody's business.
            stream = self._opened(given, frozenset())
            try:
                self._run_in_step(stream, given, frozenset())
            finally:
                stream.close()
            return
        found = [(cell.node, int(at) - 1) for cell, at in zip(self.mapping.cells, alarms, strict=True) if at]
        within_run = [(node, step) for node, step in found if step < given.steps]
        if within_run:
            node, step = earliest(within_run, self.program)
            raise not_finite(node, given.first + step, self.precision)

    def _asked(self, record: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(populations whose spikes, populations whose voltages are recorded)."""
        program = self.program
        spikes = program.recorded_spikes if "spikes" in record else ()
        return spikes, program.recorded_voltages if "voltages" in record else ()

    def _opened(self, given: Signals, record: frozenset[str]) -> Stream:
        """A stream that stands where a run starts."""
        require_rings(self.network, given.batch, _IN_FILES)
        with on_disk():
            mapping, spikes = self._stream_mapping, self._asked(record)[0]
            stream = Stream(self._ready(), mapping, self.network, given.batch, self.memory, spikes)
        if given.start is not None:
            stream.load(given.start)
        return stream

    def _run_in_step(self, stream: Stream, given: Signals, record: frozenset[str]) -> Raw:
        """The next steps of a run, one by one."""
        spikes, voltages = self._asked(record)
        groups: dict[str, dict[str, Array]] = {"outputs": {}, "spikes": {}, "voltages": {}, "weights": {}}
        courses = self.network.plastic if "weights" in record else ()
        for t in range(given.steps):
            outputs = stream.step({name: x[t] for name, x in given.values.items()})
            self._require_finite(stream, given.first + t)
            seen = {name: stream.value(name) for name in spikes}
            membranes = {name: stream.voltage(name) for name in voltages}
            weights = {plastic.name: stream.weights(plastic) for plastic in courses}
            for group, values in (
                ("outputs", outputs),
                ("spikes", seen),
                ("voltages", membranes),
                ("weights", weights),
            ):
                for name, value in values.items():
                    if t == 0:
                        groups[group][name] = np.empty((given.steps, *value.shape), value.dtype)
                    groups[group][name][t] = value
        end = stream.snapshot() if given.keep else None
        learned = {plastic.name: stream.weights(plastic).copy() for plastic in self.network.plastic}
        return Raw(**groups, shifts=dict.fromkeys(self.network.by_name, 0), end=end, learned=learned)

    # --- streams

    @cached_property
    def _stream_mapping(self) -> Mapping:
        # Outputs of step t are wanted at step t, for a whole batch at once: no shifts, and processes of ours alone.
        return map_network(self.network, "in-step", stock=False)

    def _start_stream(self, batch: int) -> None:
        require_rings(self.network, batch, _IN_FILES)
        with on_disk():
            self._stream = Stream(self._ready(), self._stream_mapping, self.network, batch, self.memory)

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        stream = self._running_stream()
        made = stream.step(inputs)
        self._require_finite(stream, self._now)
        return made

    def _require_finite(self, stream: Stream, step: int) -> None:
        wrong = stream.not_finite()
        if wrong:
            raise not_finite(earliest([(node, step) for node in wrong], self.program)[0], step, self.precision)

    def _end_stream(self) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.close()

    def _state(self) -> Snapshot:
        return self._running_stream().snapshot()

    def _load_state(self, state: Snapshot) -> None:
        self._running_stream().load(state)

    def _running_stream(self) -> Stream:
        if self._stream is None:
            raise RuntimeError("the stream has not been started")
        return self._stream
