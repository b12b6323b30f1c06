"""The network as a torch module: the Program's steps, evaluated in order, at every time step."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hasn.backends.snntorch.chunks import by_chunks
from hasn.backends.snntorch.connections import connection_module
from hasn.backends.snntorch.engine import ENGINES, Engine, Layers, Node, Pass, given_shape
from hasn.backends.snntorch.learned import Learned
from hasn.backends.snntorch.lines import DelayLine, Line
from hasn.backends.snntorch.neurons import Comparator, Population, States, Surrogate
from hasn.backends.snntorch.overflow import mark, require_finite
from hasn.backends.snntorch.plain import is_plain
from hasn.backends.snntorch.plastic import Plastic
from hasn.backends.snntorch.products import Matmul, check_dtype, dense, parts_of
from hasn.backends.snntorch.synapses import Synapses
from hasn.errors import InputError, OptionError
from hasn.program.model import Connection, Neurons, Program, Sink, Source, Threshold

_Given = TypeVar("_Given")


@dataclass
class StreamState:
    """What the network remembers from one step to the next.

    Attributes:
        states: population -> its states, each (batch, *shape).
        previous: source of a delayed edge -> its value of the last step.
        lines: node with delays -> values under way.
        learned: connection that learns -> its weights and traces.
        largest: Threshold -> largest number that it was given, by size: its spikes do not show whether all were finite.
    """

    states: dict[str, States]
    previous: dict[str, Tensor]
    lines: dict[str, Line]
    learned: dict[str, Learned]
    largest: dict[str, Tensor] = field(default_factory=dict)

    def copied(self) -> StreamState:
        """A state that can move on without this one: tensors are shared, nothing writes into them from now on."""
        self.learned = {name: kept.shared() for name, kept in self.learned.items()}
        lines = {name: line.with_past(line.past) for name, line in self.lines.items()}
        return StreamState(dict(self.states), dict(self.previous), lines, dict(self.learned), dict(self.largest))

    def given(self, name: str, total: Tensor) -> None:
        """What a Threshold is given."""
        if total.numel():
            most = torch.stack(torch.aminmax(total.detach())).abs().amax()
            self.largest[name] = torch.maximum(self.largest[name], most) if name in self.largest else most


class SpikingNetwork(nn.Module):
    """A graph as a torch module that trains.

    ``module(x)`` takes (T, batch, *shape), or {Input: such a tensor} where the graph has several Inputs, and gives the
    Output's values (T, batch, *shape), or {Output: values} where there are several. Spikes are 0 and 1, and pass
    gradients by the surrogate. Every call starts at the initial state.

    Attributes:
        nodes: the steps with parameters or equations, by node name ("." becomes "__").
        delays: Delay node -> its steps as a floating tensor, where they are learned
            (:class:`hasn.backends.snntorch.lines.DelayLine`).
        careful: whether a call refuses states that are not finite. hasn.train sets it to False, and adds the mark to
            the loss.
        mark: 0 if all states were finite at the end of the last call, else NaN.

    Args:
        program: the network.
        spike_grad: the surrogate.
        population: what makes a population's module; default: :class:`Population`.
        engine: see :attr:`engine`.
        recompute: see :attr:`recompute`.
        dtype: of the connections' weights as they are made; ``.to(dtype)`` is still needed for the rest.
    """

    def __init__(
        self,
        program: Program,
        spike_grad: Surrogate,
        population: Callable[[Neurons, Surrogate], Population] = Population,
        engine: Engine = "steps",
        recompute: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.program = program
        self.engine = engine
        self.recompute = recompute
        self.matmul = "float32"
        self._detach_reset = False
        self.careful, self.mark = True, torch.zeros(())
        # A network without parameters has a device and a dtype all the same.
        self.register_buffer("_some", torch.zeros((), dtype=torch.float64), persistent=False)
        self.nodes = nn.ModuleDict()
        self.delays: dict[str, Tensor] = {}
        self._order: list[Node] = []
        for step in program.nodes:
            module = _module_of(step, spike_grad, population, dtype)
            if module is not None:
                self.nodes[self._key(step.name)] = module
            self._order.append(Node(step, [(e.source, e.delay) for e in program.edges_into(step.name)], module))
        # Looked up once: torch.compile follows none of the Program's cached properties.
        self._inputs = {step.name: step.shape for step in program.inputs}
        self._sinks = [step.name for step in program.of(Sink)]
        self._delayed = {edge.source: program.by_name[edge.source].shape for edge in program.edges if edge.delay}
        self._late = {step.name: step.delay for step in program.of(Connection) if step.delay is not None}
        self._draws = any(step.drawn is not None for step in program.of(Source))
        self.layers = Layers(program, self._order)

    @property
    def engine(self) -> Engine:
        """ "steps": the step loop, snnTorch's own neurons called step by step. "fused": node by node over all steps,
        with the same spikes and gradients, faster; see :mod:`hasn.backends.snntorch.engine`. May be set. torch.compile
        follows the step loop where it can (snnTorch's own neurons branch on tensors) and leaves the other alone.
        """
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        if engine not in ENGINES:
            raise OptionError("no such engine", parameter="engine", got=repr(engine), wanted=" or ".join(ENGINES))
        self._engine: Engine = engine

    @property
    def recompute(self) -> int | None:
        """K: with gradients, keep the states at every K-th step only and compute the insides again on the way back;
        None: keep everything. See :mod:`hasn.backends.snntorch.chunks`. May be set.
        """
        return self._recompute

    @recompute.setter
    def recompute(self, every: int | None) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            raise OptionError("no such number", parameter="recompute", got=repr(every), wanted="an integer >= 1")
        self._recompute = every

    @property
    def matmul(self) -> Matmul:
        """How dense connections multiply: "float32": torch's product. "split-bf16": in two bfloat16 parts, accurate to
        some 2^-16 of the sum of the terms' sizes. "bf16": in one, which changes spikes. Float32 modules only; see
        :mod:`hasn.backends.snntorch.products`. May be set. Convolutions stay in float32.
        """
        return self._matmul

    @matmul.setter
    def matmul(self, matmul: Matmul) -> None:
        self._parts = parts_of(matmul)
        if self._parts:
            check_dtype(self.like.dtype, matmul)
        self._matmul: Matmul = matmul

    @property
    def detach_reset(self) -> bool:
        """Whether the spikes that reset a neuron pass no gradient: ``v <- v - jump z`` with z a constant there. Spikes
        are the same either way. It is snnTorch's and SpikingJelly's default. May be set.
        """
        return self._detach_reset

    @detach_reset.setter
    def detach_reset(self, detach: bool) -> None:
        if not isinstance(detach, bool):
            raise OptionError("no such value", parameter="detach_reset", got=repr(detach), wanted="True or False")
        for _, _, module in self._order:
            if isinstance(module, Population) and module.spec.spiking and (detach or self._detach_reset):
                module.generalise().detach_reset = detach
        self._detach_reset = detach

    def _key(self, name: str) -> str:
        """A name that ModuleDict takes, unique here."""
        key = name.replace(".", "__") or "_"
        while key in self.nodes or hasattr(nn.ModuleDict, key):
            key += "_"
        return key

    def node(self, name: str) -> nn.Module:
        """The module of a node, by its NIR name."""
        module = self.layers.nodes[name].module
        if module is None:
            raise KeyError(name)
        return module

    def population(self, name: str) -> Population:
        """The module of a population, by its NIR name."""
        module = self.node(name)
        if not isinstance(module, Population):
            raise KeyError(name)
        return module

    @property
    def like(self) -> Tensor:
        """Some floating tensor of the module: it says device and dtype."""
        return next(t for t in [*self.parameters(), *self.buffers()] if t.is_floating_point() and t.numel())

    def start(self, batch: int) -> StreamState:
        """The state before the first step, for a batch."""
        states = {s.name: m.initial(batch) for s, _, m in self._order if isinstance(m, Population)}
        like = self.like
        previous = {
            name: torch.zeros(batch, *shape, dtype=like.dtype, device=like.device)
            for name, shape in self._delayed.items()
        }
        lines: dict[str, Line] = {n: DelayLine(steps, learned=self.delays.get(n)) for n, steps in self._late.items()}
        lines |= {s.name: Line(m.longest) for s, _, m in self._order if isinstance(m, Synapses | Plastic) and m.longest}
        learned = {s.name: m.start(batch) for s, _, m in self._order if isinstance(m, Plastic)}
        return StreamState(states, previous, lines, learned)

    def advance(self, inputs: Mapping[str, Tensor], state: StreamState) -> dict[str, Tensor]:
        """One time step: every step's value; ``state`` moves on."""
        values: dict[str, Tensor] = {}
        batch = next((x.shape[0] for x in inputs.values()), None)
        for step, sources, module in self._order:
            if isinstance(step, Source):
                values[step.name] = inputs[step.name]
                continue
            total = self.arriving(step, sources, values, state, batch)
            values[step.name] = self.mapped(step, module, total, state)
        self.learn(self.program.learning, values, state)
        for name in self._delayed:
            state.previous[name] = values[name]
        return values

    def learn(self, names: Iterable[str], values: Mapping[str, Tensor], state: StreamState) -> None:
        """Let some connections learn from a step's values."""
        for name in names:
            module: Any = self.node(name)
            target = module.rule.target
            v = self.population(target).voltage(state.states[target])
            sent = {modulator: values[node] for modulator, node in module.rule.modulators}
            state.learned[name] = module.learn(state.learned[name], values[target], v, sent)

    def arriving(
        self,
        step: Any,
        sources: list[tuple[str, int]],
        values: Mapping[str, Tensor],
        state: StreamState,
        batch: int | None,
    ) -> Tensor:
        """The sum of what arrives at a node."""
        total: Tensor | None = None
        for source, delay in sources:
            value = state.previous[source] if delay else values[source]
            total = value if total is None else total + value
        return self._silence(step, batch, state) if total is None else total

    def _silence(self, step: Any, batch: int | None, state: StreamState) -> Tensor:
        """The input of a step into which no edge leads."""
        like = self.like
        if batch is None:
            batch = next((s[0].shape[0] for s in state.states.values()), 1)
        return torch.zeros(batch, *given_shape(step), dtype=like.dtype, device=like.device)

    def mapped(self, step: Any, module: nn.Module | None, total: Tensor, state: StreamState) -> Tensor:
        """A step's value from the sum of what arrives."""
        if isinstance(module, Population):
            output, state.states[step.name] = module(total, state.states[step.name])
            return output  # type: ignore[no-any-return]
        if isinstance(module, Comparator):
            state.given(step.name, total)
        line = state.lines.get(step.name)
        if isinstance(module, Plastic):
            made, state.learned[step.name] = module.arrive(total, state.learned[step.name], line)
            return made
        if isinstance(module, Synapses) and line is not None:
            return module.step(total, line)
        mapped = total if module is None else self.multiplied(module, total)
        return line.push(mapped) if isinstance(line, DelayLine) else mapped

    def multiplied(self, module: nn.Module, x: Tensor) -> Tensor:
        """A connection's map of x (batch, *shape), by the product that was chosen."""
        if self._parts and type(module) is nn.Linear and is_plain(module):
            check_dtype(module.weight.dtype, self.matmul)
            return dense(module, x, self._parts)
        made: Tensor = module(x)
        return made

    def forward(self, x: Tensor | Mapping[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """Run whole sequences: (T, batch, *shape) to the Outputs' values (T, batch, *shape).

        NumPy arrays are taken as tensors are.

        Raises:
            InputError: an Input without data, of the wrong shape, or without a step or a sample.
            NotFiniteError: a state is not finite; names the node and the step.
        """
        inputs = self.inputs_of(x)
        steps, batch = next(iter(inputs.values())).shape[:2]
        state = self.start(batch)
        sinks = self._sinks
        if self.recompute is not None and torch.is_grad_enabled():
            values, _, state = by_chunks(self, inputs, self.recompute, sinks)
        elif self.engine == "fused" and not torch.compiler.is_compiling():
            values = undisturbed(lambda: Pass(self, state, steps, batch, sinks).run(inputs).values)
        else:
            every: list[list[Tensor]] = [[] for _ in sinks]
            for t in range(steps):
                now = self.advance({name: x[t] for name, x in inputs.items()}, state)
                for kept, name in zip(every, sinks, strict=True):
                    kept.append(now[name])
            values = {name: torch.stack(kept) for name, kept in zip(sinks, every, strict=True)}
        self.let_go()
        self.mark = mark(state)
        if self.careful and not torch.compiler.is_compiling():  # which cannot look at a number to go on
            require_finite(self, self.start(batch), state, inputs)
        return values[sinks[0]] if len(sinks) == 1 else {name: values[name] for name in sinks}

    def inputs_of(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What is given and what is drawn, from step 0 on, as the module's own tensors: (T, batch, *shape)."""
        shapes = self._inputs
        values = dict(x) if isinstance(x, Mapping) else dict.fromkeys(list(shapes)[:1], x)
        if set(values) != set(shapes) or not shapes:
            raise InputError(
                "the module wants one tensor for each Input",
                got=", ".join(map(str, values)) or "none",
                wanted=", ".join(shapes) or "executable.run(steps=...): the graph has no Input",
            )
        given = {name: _tensor(value, name, shapes[name]) for name, value in values.items()}
        like = self.like
        if self._draws:
            drawn = self.program.drawn_values(0, *next(iter(given.values())).shape[:2])
            given |= {name: torch.as_tensor(value) for name, value in drawn.items()}
        return {name: value.to(device=like.device, dtype=like.dtype) for name, value in given.items()}

    def let_go(self) -> None:
        """Drop what snnTorch's neurons keep of the last run."""
        for _, _, module in self._order:
            if isinstance(module, Population):
                module.let_go()


def undisturbed(act: Callable[[], _Given]) -> _Given:
    """What ``act`` gives, with torch.compile kept out of it: the kernels work on addresses, which it cannot follow."""
    dynamo = sys.modules.get("torch._dynamo")
    made: _Given = act() if dynamo is None else dynamo.disable(act)()
    return made


def _tensor(value: Any, name: str, shape: tuple[int, ...]) -> Tensor:
    """An Input's data as a real tensor (T, batch, *shape)."""
    wanted = f"(T, batch, {', '.join(map(str, shape))})"
    try:
        x = value if isinstance(value, Tensor) else torch.as_tensor(np.ascontiguousarray(value))
    except (TypeError, ValueError) as error:
        got = type(value).__name__
        raise InputError(f"is no array: {error}", node=name, parameter="x", got=got, wanted=wanted) from error
    if x.ndim != 2 + len(shape) or tuple(x.shape[2:]) != shape:
        raise InputError("the input has the wrong shape", node=name, parameter="x", got=tuple(x.shape), wanted=wanted)
    if not x.shape[0] or not x.shape[1]:
        what = "the input has no step or no sample"
        raise InputError(what, node=name, parameter="x", got=tuple(x.shape), wanted="at least one")
    if x.is_complex():
        raise InputError("the input is complex", node=name, parameter="x", got=str(x.dtype), wanted="real numbers")
    return x


def _module_of(
    step: Any, spike_grad: Surrogate, population: Callable[[Neurons, Surrogate], Population], dtype: torch.dtype
) -> nn.Module | None:
    if isinstance(step, Neurons):
        return population(step, spike_grad)
    if isinstance(step, Threshold):
        return Comparator(step.threshold, spike_grad)
    if isinstance(step, Connection) and step.learning is not None:
        return Plastic(step, dtype)
    return connection_module(step, dtype) if isinstance(step, Connection) else None
