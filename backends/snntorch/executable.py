"""The snnTorch executable: runs without gradients, and the way back to NIR."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from hasn.backends.snntorch.connections import hold
from hasn.backends.snntorch.copies import copied, is_recomputed, settled
from hasn.backends.snntorch.devices import usable_device
from hasn.backends.snntorch.engine import Pass, given_shape
from hasn.backends.snntorch.module import SpikingNetwork, StreamState
from hasn.backends.snntorch.neurons import Population
from hasn.backends.snntorch.overflow import require_finite
from hasn.backends.snntorch.plain import altered, is_plain
from hasn.backends.snntorch.plastic import Plastic
from hasn.backends.snntorch.state import resumed, snapshot
from hasn.backends.snntorch.stream import Stream
from hasn.backends.snntorch.surrogates import spike_gradient
from hasn.errors import UnsupportedError
from hasn.executable import PIECE, Array, Executable, Raw
from hasn.ir.structure import flatten
from hasn.nodes.lookup import kind_of
from hasn.nonfinite import all_finite, first_step, graded_outputs, not_finite, refuse_out_of_range
from hasn.program.model import Connection, Neurons, Program, Sink, Source, Threshold
from hasn.program.past import History, latest
from hasn.signals import Signals
from hasn.state import Snapshot

#: Numbers held at most while steps run at once: 128 MiB in float32.
_HELD = 1 << 25


class SnnTorchExecutable(Executable):
    """A Program as a torch module.

    Attributes:
        module: the :class:`torch.nn.Module`; train it, save its ``state_dict``, then :meth:`to_nir`.
    """

    backend = "snntorch"
    _piece = PIECE

    def __init__(
        self,
        program: Program,
        graph: nir.NIRGraph | None,
        precision: str,
        device: Any,
        surrogate: Any,
        engine: Any,
        recompute: int | None = None,
        matmul: Any = "float32",
        detach_reset: Any = False,
    ) -> None:
        super().__init__(program, precision)
        refuse_out_of_range(program, precision)
        self.graph = graph
        if program.learning:
            self.recordable = (*self.recordable, "weights")
        gradient, dtype = spike_gradient(surrogate), getattr(torch, precision)
        self.module = SpikingNetwork(program, gradient, engine=engine, recompute=recompute, dtype=dtype)
        nodes = {} if graph is None else flatten(graph).nodes
        for step in program.of(Connection) if nodes else ():
            if step.name in nodes:  # else the mean that a modulator is
                hold(self.module.node(step.name), kind_of(nodes[step.name]).trained)
        self.module.to(device=usable_device(device), dtype=dtype)
        self.module.matmul = matmul
        self.module.detach_reset = detach_reset
        self._sinks = [step.name for step in program.of(Sink)]
        self._graded = graded_outputs(program)
        self._stream: Stream | None = None
        self._past = History({}, {}, 0)

    def _tensor(self, array: Array) -> torch.Tensor:
        like = self.module.like
        return torch.as_tensor(array).to(device=like.device, dtype=getattr(torch, self.precision))

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        ((_, raw),) = self._run_pieces([given], record)
        return raw

    def _run_pieces(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        state: StreamState | None = None
        past: dict[str, Array] = {}
        for given in pieces:
            if state is None:
                state = self._begun_at(given)
                past = self._history(given.batch, given.start).past() if given.keep else {}
            raw, past = self._go_on(given, state, record, past)
            yield given, raw
        self.module.let_go()

    @torch.no_grad()
    def _begun_at(self, given: Signals) -> StreamState:
        if given.start is None:
            return self.module.start(given.batch)
        return resumed(self.module, given.start, given.batch)

    @torch.no_grad()
    def _go_on(
        self, given: Signals, state: StreamState, record: frozenset[str], past: dict[str, Array]
    ) -> tuple[Raw, dict[str, Array]]:
        """Run the next steps; the state goes on with them, and so does the past that it will need."""
        inputs = {name: self._tensor(value) for name, value in given.values.items()}
        fused, before = self.module.engine == "fused", state.copied()
        part = max(1, _HELD // (given.batch * self._width)) if fused else 1
        kept: dict[tuple[str, str], list[torch.Tensor]] = {}
        for t in range(0, given.steps, part):
            now = {name: value[t : t + part] for name, value in inputs.items()}
            found = (
                self._fused(now, state, min(part, given.steps - t), given.batch, record, tuple(past)) if fused else None
            )
            for key, value in (found or self._stepped(now, state, record, tuple(past))).items():
                kept.setdefault(key, []).append(value)
        groups: dict[str, dict[str, Array]] = {"outputs": {}, "spikes": {}, "voltages": {}, "weights": {}, "past": {}}
        for (group, name), tensors in kept.items():
            groups[group][name] = torch.cat(tensors).cpu().numpy()
        self._require_finite(before, state, inputs, groups["outputs"], given)
        sent = groups.pop("past")
        shifts = {node.name: 0 for node in self.program.of(Source, Neurons, Threshold)}
        learned = {
            name: kept.weight.expand(given.batch, *kept.weight.shape[1:]).cpu().numpy().copy()
            for name, kept in state.learned.items()
        }
        courses = groups["weights"]
        raw = Raw(groups["outputs"], groups["spikes"], groups["voltages"], shifts, weights=courses, learned=learned)
        if not given.keep:
            return raw, past
        past = latest(past, sent)
        return replace(raw, end=snapshot(self.module, state, given.first + given.steps, past)), past

    def _require_finite(
        self,
        before: StreamState,
        end: StreamState,
        inputs: dict[str, torch.Tensor],
        outputs: Mapping[str, Array],
        given: Signals,
    ) -> None:
        """Refuse what is not finite, once for all these steps."""
        require_finite(self.module, before, end, inputs, given.first)
        for name in self._graded:
            if not all_finite(outputs[name]):
                raise not_finite(name, given.first + (first_step(outputs[name]) or 0), self.precision)

    def _history(self, batch: int, start: Snapshot | None = None) -> History:
        """What the sources of anything that comes late have sent."""
        shapes = {name: self.program.node(name).shape for name in self.memory}
        return History(self.memory, shapes, batch, None if start is None else start.past)

    def _fused(
        self,
        inputs: dict[str, torch.Tensor],
        state: StreamState,
        steps: int,
        batch: int,
        record: frozenset[str],
        past: tuple[str, ...],
    ) -> dict[tuple[str, str], torch.Tensor]:
        """{(group, name): (steps, batch, *shape)} of the next steps, all at once."""
        spiking = self.program.recorded_spikes if "spikes" in record else ()
        membranes = self.program.recorded_voltages if "voltages" in record else ()
        courses = tuple(self.program.learning) if "weights" in record else ()
        wanted = {*self._sinks, *spiking, *past}
        done = Pass(self.module, state, steps, batch, wanted, membranes, courses).run(inputs)
        return {
            **{("weights", name): _of_all(done.weights[name], 1, batch) for name in courses},
            **{("outputs", name): done.values[name] for name in self._sinks},
            **{("spikes", name): done.values[name] > 0 for name in spiking},
            **{("voltages", name): done.voltages[name] for name in membranes},
            **{("past", name): done.values[name][-self.memory[name] :].clone() for name in past},
        }

    def _stepped(
        self, inputs: dict[str, torch.Tensor], state: StreamState, record: frozenset[str], past: tuple[str, ...]
    ) -> dict[tuple[str, str], torch.Tensor]:
        """The same of one step, by the step loop."""
        values = self.module.advance({name: value[0] for name, value in inputs.items()}, state)
        found = {("outputs", name): values[name] for name in self._sinks}
        found |= {("past", name): values[name] for name in past}
        if "spikes" in record:
            found |= {("spikes", name): values[name] > 0 for name in self.program.recorded_spikes}
        if "voltages" in record:
            found |= {
                ("voltages", name): self.module.population(name).voltage(state.states[name])
                for name in self.program.recorded_voltages
            }
        if "weights" in record:
            batch = len(next(iter(values.values())))
            found |= {("weights", name): _of_all(kept.standing(), 0, batch) for name, kept in state.learned.items()}
        return {key: value.unsqueeze(0) for key, value in found.items()}

    @property
    def _width(self) -> int:
        """Numbers that a step of one sample holds, at most."""
        return max(1, sum(math.prod(step.shape) for step in self.program.nodes))

    # --- streams

    def _start_stream(self, batch: int) -> None:
        if self._stream is None or self._stream.batch != batch:
            self._stream = Stream(self.module, batch, [*self._sinks, *self.memory], self._graded)
        else:
            self._stream.restart()
        self._past = self._history(batch)

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        values = self._live().step(inputs)
        wrong = self._live().not_finite()
        if wrong is not None:
            raise not_finite(wrong, self._now, self.precision)
        self._past.push(values)
        return {name: values[name] for name in self._sinks}

    def _live(self) -> Stream:
        if self._stream is None:
            raise RuntimeError("the stream has not been started")
        return self._stream

    def _end_stream(self) -> None:
        self.module.let_go()  # what the stream has made ready serves the next one

    def close(self) -> None:
        """Let go of the stream's memory. The executable cannot be used afterwards."""
        super().close()
        self._stream = None

    def _at_rest(self) -> dict[str, Any]:
        return {"_stream": None, "_past": History({}, {}, 0)}

    def _state(self) -> Snapshot:
        return snapshot(self.module, self._live().state, self._now, self._past.past())

    def _load_state(self, state: Snapshot) -> None:
        live = self._live()
        live.state = resumed(self.module, state, live.batch)
        self._past = self._history(live.batch, state)

    # --- back to NIR

    def _put_back(self, nodes: dict[str, nir.NIRNode]) -> None:
        """Weights that a forward pass computes anew (pruning masks, norms ...) are those of the next one."""
        self._refuse_altered()
        for step in self.program.of(Connection):
            plain = step.learning is None and step.name in nodes
            names = kind_of(nodes[step.name]).trained if plain else ()
            module = self.module.node(step.name) if names else None
            if module is not None and is_recomputed(module):
                module = settled(copied(module))
            for parameter in names:
                trained = getattr(module, parameter)
                setattr(nodes[step.name], parameter, trained.detach().cpu().numpy().copy())

    def _refuse_altered(self) -> None:
        """Raise UnsupportedError where more than weights makes a node's values: a graph cannot say it."""
        if is_plain(*self.module.modules()):
            return
        like, generator = self.module.like, torch.Generator().manual_seed(0)

        def draw(*shape: int) -> torch.Tensor:
            """(samples, *shape): each sample larger than the last one, so that something spikes."""
            sizes = torch.logspace(0, 3, 4).view(4, *(1,) * len(shape))
            return (sizes * (1.5 * torch.rand(4, *shape, generator=generator) - 0.5)).to(like)

        for step, _, module in self.module.layers.nodes.values():
            if module is not None and not isinstance(module, Plastic):  # whose steps are no calls
                x = draw(*given_shape(step))
                states = (module.initial(4),) if isinstance(module, Population) else ()
                _refuse(step.name, altered(module, x, *states))
        _refuse(
            "(the module)",
            altered(
                self.module, {n.name: torch.stack([draw(*n.shape) for _ in range(8)]) for n in self.program.inputs}
            ),
        )


def _of_all(weights: torch.Tensor, axis: int, batch: int) -> torch.Tensor:
    """Weights of every sample, where they may be shared."""
    return weights.expand(*weights.shape[:axis], batch, *weights.shape[axis + 1 :])


def _refuse(name: str, what: str | None) -> None:
    if what is not None:
        raise UnsupportedError(
            "a hook, or a forward of its own, changes what the module gives, which no graph says",
            node=name,
            parameter="to_nir",
            got=f"it is on {what}",
            wanted="weights alone, and hooks that only look",
            way_out="Remove it (handle.remove(); del module.forward), or make its effect a part of the weights.",
        )
