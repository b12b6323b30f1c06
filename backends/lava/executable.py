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

    def __init__(
        self, program: Program, precision: str, time_limit: float, delivery: str, network: Network | None = None
    ) -> None:
        super().__init__(program, precision)
        if network is not None:
            self.network = network
        self.time_limit, self._chosen = time_limit, delivery
        self._short: LavaExecutable | None = None
        self.mapping = map_network(self.network, delivery)
        self._stream: Stream | None = None

    # --- whole sequences

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        if given.start is not None or given.keep:
            return self._run_in_step(given, record)
        if longest(self.network) >= given.steps:
            return self._short_for(given.steps)._run(given, record)
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
            self._run_in_step(given, frozenset())
            return
        found = [(cell.node, int(at) - 1) for cell, at in zip(self.mapping.cells, alarms, strict=True) if at]
        within = [(node, step) for node, step in found if step < given.steps]
        if within:
            node, step = earliest(within, self.program)
            raise not_finite(node, given.first + step, self.precision)

    def _run_in_step(self, given: Signals, record: frozenset[str]) -> Raw:
        """A run from a state, or to one, step by step: stock processes start where they start, and end unread."""
        program = self.program
        spikes = program.recorded_spikes if "spikes" in record else ()
        voltages = program.recorded_voltages if "voltages" in record else ()
        kept: dict[str, dict[str, list[Array]]] = {"outputs": {}, "spikes": {}, "voltages": {}}
        require_rings(self.network, given.batch, _IN_FILES)
        with on_disk():
            mapping = self._stream_mapping
            stream = Stream(self._ready(), mapping, self.network, given.batch, self.memory, spikes)
        try:
            if given.start is not None:
                stream.load(given.start)
            for t in range(given.steps):
                outputs = stream.step({name: x[t] for name, x in given.values.items()})
                self._require_finite(stream, given.first + t)
                seen = {name: stream.value(name).copy() for name in spikes}
                membranes = {name: stream.voltage(name).copy() for name in voltages}
                for group, values in (("outputs", outputs), ("spikes", seen), ("voltages", membranes)):
                    for name, value in values.items():
                        kept[group].setdefault(name, []).append(value)
            end = stream.snapshot()
        finally:
            stream.close()
        groups = {group: {name: np.stack(x) for name, x in values.items()} for group, values in kept.items()}
        return Raw(**groups, shifts=dict.fromkeys(self.network.by_name, 0), end=end)

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
