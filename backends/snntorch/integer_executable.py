"""The snnTorch backend's precision "loihi": the chip's integers on torch, batched, on any device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hasn.backends.snntorch.devices import usable_device
from hasn.backends.snntorch.integer_network import IntegerState, TorchIntegers
from hasn.backends.snntorch.integer_neurons import Running
from hasn.executable import PIECE, Array, Raw
from hasn.integer_executable import IntegerExecutable
from hasn.program.model import Program
from hasn.signals import Signals
from hasn.state import Snapshot

#: Numbers held at a time, at some 4 bytes each: longer runs are cut in time.
_HELD = 1 << 25


class SnnTorchIntegers(IntegerExecutable):
    """A Program in the chip's integers as torch tensors. It does not train: see the float precisions for that."""

    backend = "snntorch"
    _piece = PIECE

    def __init__(self, program: Program, device: Any) -> None:
        super().__init__(program)
        self._network = TorchIntegers(self.integers, usable_device(device))
        self._stream: IntegerState | None = None

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        ((_, raw),) = self._run_pieces([given], record)
        return raw

    def _run_pieces(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        state: IntegerState | None = None
        for given in pieces:
            if state is None:
                state = self._network.start(given.batch) if given.start is None else self._resumed(given.start)
            yield given, self._go_on(given, state, record)

    @torch.inference_mode()
    def _go_on(self, given: Signals, state: IntegerState, record: frozenset[str]) -> Raw:
        """Run the next steps; the state goes on with them."""
        inputs, largest = self._integers_and_largest(given, np.float32)
        state.largest = {name: max(most, state.largest.get(name, 0)) for name, most in largest.items()}
        steps = max(1, _HELD // (given.batch * max(1, self._network.width)))
        parts = [
            self._part(state, {name: value[t : t + steps] for name, value in inputs.items()}, record, given.batch, n)
            for t in range(0, given.steps, steps)
            for n in [min(steps, given.steps - t)]
        ]
        whole = {key: np.concatenate([part[key] for part in parts]) if len(parts) > 1 else parts[0][key]
                 for key in parts[0]}  # fmt: skip
        groups: dict[str, dict[str, Array]] = {"outputs": {}, "spikes": {}, "voltages": {}, "currents": {}}
        for (group, name), array in whole.items():
            groups[group][name] = array
        end = self._snapshot(state) if given.keep else None
        return Raw(**groups, shifts=dict.fromkeys(self.network.by_name, 0), end=end)

    def _part(
        self, state: IntegerState, inputs: dict[str, Array], record: frozenset[str], batch: int, steps: int
    ) -> dict[tuple[str, str], Array]:
        """{(group, name): (steps, batch, *shape)} of the next steps."""
        shown = set(self.integers.outputs.values())
        membranes = set(self.program.recorded_voltages)
        keep_v = {
            name
            for name, p in self.integers.populations.items()
            if ("voltages" in record and name in membranes) or (name in shown and not p.spiking)
        }
        tensors = {name: torch.from_numpy(value).to(self._network.device) for name, value in inputs.items()}
        running = self._network.advance(state, tensors, steps, batch, keep_v)
        found = {("outputs", name): self._shown(name, running, inputs, steps, batch) for name in self.integers.outputs}
        if "spikes" in record:
            for name in self.program.recorded_spikes:
                found["spikes", name] = self._shaped(name, running[name].spikes())
        for name in self.program.recorded_voltages:
            if "voltages" in record:
                found["voltages", name] = self._shaped(name, running[name].voltages)
            if "currents" in record:
                found["currents", name] = self._shaped(name, running[name].currents)
        return found

    def _shown(
        self, output: str, running: dict[str, Running], inputs: dict[str, Array], steps: int, batch: int
    ) -> Array:
        """What an Output shows: spikes, voltages, an Input's values, or nothing."""
        source = self.integers.outputs[output]
        if source in running:
            run = running[source]
            values = run.spikes().to(torch.int32) if self.integers.populations[source].spiking else run.voltages
            return self._shaped(source, values)
        shape = (steps, batch, *self.network.program.by_name[output].shape)
        return inputs[source].reshape(shape).astype(np.int32) if source in inputs else np.zeros(shape, dtype=np.int32)

    def _shaped(self, name: str, values: torch.Tensor | None) -> Array:
        if values is None:
            raise RuntimeError(f"the voltages of {name} were not kept")
        array: Array = values.cpu().numpy()
        return array.reshape(*array.shape[:2], *self.integers.populations[name].shape)

    # --- streams

    def _start_stream(self, batch: int) -> None:
        self._stream = self._network.start(batch)

    @torch.inference_mode()
    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        live = self._live()
        batch = next(iter(live.v.values())).shape[0] if live.v else next((len(x) for x in inputs.values()), 1)
        given = Signals({name: value[np.newaxis] for name, value in inputs.items()}, 1, batch, True)
        whole, largest = self._integers_and_largest(given, np.float32)
        live.largest = {name: max(most, live.largest.get(name, 1)) for name, most in largest.items()}
        found = self._part(live, whole, frozenset(), batch, 1)
        return {name: array[0] for (_, name), array in found.items()}

    def _live(self) -> IntegerState:
        if self._stream is None:
            raise RuntimeError("the stream has not been started")
        return self._stream

    def _end_stream(self) -> None:
        self._stream = None

    def _state(self) -> Snapshot:
        return self._snapshot(self._live())

    def _load_state(self, state: Snapshot) -> None:
        self._stream = self._resumed(state)

    def _snapshot(self, state: IntegerState) -> Snapshot:
        def array(name: str, value: torch.Tensor) -> Array:
            whole = value.cpu().numpy().copy()
            return whole.reshape(*whole.shape[:-1], *self.integers.network.by_name[name].shape)

        kept = {"u": state.u, "v": state.v}
        registers = {name: {key: array(name, kept[key][name]) for key in kept} for name in self.integers.populations}
        return Snapshot(state.step, registers, {}, {name: array(name, state.past[name]) for name in self.memory})

    def _resumed(self, at: Snapshot) -> IntegerState:
        def tensors(arrays: dict[str, Array], lead: int, kind: torch.dtype) -> dict[str, torch.Tensor]:
            flat = {name: np.array(x).reshape(*x.shape[:lead], -1) for name, x in arrays.items()}
            return {name: torch.from_numpy(x).to(self._network.device, kind) for name, x in flat.items()}

        u, v = ({name: kept[key] for name, kept in at.states.items()} for key in ("u", "v"))
        batch = next((len(x) for x in v.values()), 1)
        fresh = self._network.start(batch)
        fresh.past |= tensors(at.past, 2, torch.float32)
        largest = {name: int(np.abs(at.past[name]).max(initial=1)) for name in self.integers.inputs if name in at.past}
        return IntegerState(at.step, tensors(u, 1, torch.int32), tensors(v, 1, torch.int32), fresh.past, largest, True)
