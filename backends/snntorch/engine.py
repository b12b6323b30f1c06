"""The fused engine: a Program node by node, each over all steps at once, where no cycle passes through it.

A Connection then is one product for all steps and samples, a population one scan
(:mod:`hasn.backends.snntorch.scan`). Nodes in a cycle step together. Both engines keep to one StreamState, so that a
run may be done in parts, by either. Values are those of the step loop, but that a product of another size may take its
sums in another order (docs/semantics.md, "Arithmetic"). Gradients of gradients are the step loop's alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from hasn.backends.snntorch.connections import BlockLinear, Pool, Reshape, Scale
from hasn.backends.snntorch.lines import DelayLine, delayed, shifted
from hasn.backends.snntorch.neurons import Comparator, Population
from hasn.backends.snntorch.plain import is_plain
from hasn.backends.snntorch.scan import Scanner
from hasn.backends.snntorch.synapses import Synapses
from hasn.program.cycles import Group, cycles
from hasn.program.model import Program, Source

if TYPE_CHECKING:
    from hasn.backends.snntorch.module import SpikingNetwork, StreamState

Engine: TypeAlias = Literal["steps", "fused"]
ENGINES: tuple[str, ...] = get_args(Engine)

#: Modules whose result is a new tensor that they do not keep for the way back: the scan after them may overwrite it.
_FRESH = (nn.Linear, nn.Conv1d, nn.Conv2d, BlockLinear, Scale, Pool, Synapses)


class Node(NamedTuple):
    """A step of the Program, (source, delay) of the edges into it, and its module."""

    step: Any
    sources: list[tuple[str, int]]
    module: nn.Module | None


def given_shape(step: Any) -> tuple[int, ...]:
    """Shape of what arrives at a step: a matrix may take another shape than it gives."""
    shape: tuple[int, ...] = getattr(step, "given", None) or step.shape
    return shape


class Layers:
    """How the fused engine goes through a network.

    Attributes:
        nodes: by name.
        order: nodes that are in a cycle together, or one alone; sources before targets.
        last: for each of these, the nodes that nobody reads afterwards.
        readers: node -> how many edges leave it.
        looping: nodes that feed themselves.
    """

    def __init__(self, program: Program, nodes: Iterable[Node]) -> None:
        self.nodes = {node.step.name: node for node in nodes}
        self.order = groups(program)
        self.last = last_reads(program, self.order)
        self.readers = Counter(e.source for e in program.edges)
        self.looping = {e.source for e in program.edges if e.source == e.target}


class Pass:
    """A run over some steps.

    Attributes:
        values: node -> its value, (T, batch, *shape); once all is done, those that were wanted.
        voltages: population -> v after the reset, for those that were wanted.
        weights: connection that learns -> its weights, (T, batch, ...), for those that were wanted.

    Args:
        network: whose nodes these are.
        state: before the first step; it moves on.
        steps, batch: T and the samples.
        wanted: nodes whose values to keep.
        voltages: populations whose v to keep; without gradients only.
        weights: connections that learn whose weights after every step to keep.
    """

    def __init__(
        self,
        network: SpikingNetwork,
        state: StreamState,
        steps: int,
        batch: int,
        wanted: Collection[str],
        voltages: Collection[str] = (),
        weights: Collection[str] = (),
    ) -> None:
        self.values: dict[str, Tensor] = {}
        self.voltages: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self._network, self._layers, self._state = network, network.layers, state
        self._before = dict(state.previous)
        self._steps, self._batch = steps, batch
        self._wanted, self._membranes, self._courses = frozenset(wanted), frozenset(voltages), frozenset(weights)
        self._owned: set[str] = set()  # their value is read once more, by a node that may overwrite it

    def run(self, inputs: Mapping[str, Tensor]) -> Pass:
        """All steps; {Input: (T, batch, *shape)}."""
        for group, done in zip(self._layers.order, self._layers.last, strict=True):
            if len(group) > 1 or group[0] in self._layers.looping:
                self._together(group, done)
            elif isinstance(self._layers.nodes[group[0]].step, Source):
                self.values[group[0]] = inputs[group[0]]
            else:
                self._alone(self._layers.nodes[group[0]])
            for name in self._state.previous.keys() & set(group):
                self._state.previous[name] = self.values[name][-1].clone()
            for name in done:
                if name not in self._wanted:
                    self.values.pop(name, None)
        self._separate(inputs)
        return self

    def _separate(self, inputs: Mapping[str, Tensor]) -> None:
        """Give every wanted value a memory of its own: an Output may merely show an Input, as another one does."""
        seen = {x.untyped_storage().data_ptr() for x in inputs.values()}
        for name, value in self.values.items():
            memory = value.untyped_storage().data_ptr()
            self.values[name] = value.clone() if memory in seen else value
            seen.add(memory)

    # --- nodes in no cycle

    def _alone(self, node: Node) -> None:
        name, module = node.step.name, node.module
        total, owned = self._total(node)
        if isinstance(module, Population):
            found = Scanner(module)(total, self._state.states[name], name in self._membranes, owned)
            self.values[name], self._state.states[name] = found.output, found.states
            if found.voltages is not None:
                self.voltages[name] = found.voltages
            return
        if isinstance(module, Comparator):
            self._state.given(name, total)
        value, line = total, self._state.lines.get(name)
        if isinstance(module, Synapses) and line is not None:
            value = module.run(total, line)
        elif module is not None:
            flat = self._network.multiplied(module, total.flatten(0, 1))
            value = flat.reshape(self._steps, self._batch, *flat.shape[1:])
        if isinstance(line, DelayLine):
            value, owned = delayed(value, line), True
        elif module is not None and not isinstance(module, Reshape):
            owned = type(module) in _FRESH and is_plain(module)
        self.values[name] = value
        if owned and self._layers.readers[name] == 1 and name not in self._wanted | self._state.previous.keys():
            self._owned.add(name)

    def _total(self, node: Node) -> tuple[Tensor, bool]:
        """The sum of what arrives, and whether it may be overwritten."""
        if not node.sources:
            like, shape = self._network.like, (self._steps, self._batch, *given_shape(node.step))
            return torch.zeros(shape, dtype=like.dtype, device=like.device), True
        total: Tensor | None = None
        for edge in node.sources:
            value = self._arriving(edge)
            total = value if total is None else total + value
        ((source, delay), *more) = node.sources
        return total, bool(more) or delay > 0 or source in self._owned  # type: ignore[return-value]

    def _arriving(self, edge: tuple[str, int]) -> Tensor:
        source, delay = edge
        return shifted(self._before[source], self.values[source]) if delay else self.values[source]

    # --- nodes in a cycle

    def _learn(self, group: Group, now: dict[str, Tensor], t: int) -> None:
        """Let the group's connections learn from step ``t``; modulators come from outside."""
        learning = self._network.program.learning
        names = [name for name in group if name in learning]
        outside = {node for name in names for _, node in learning[name].modulators} - now.keys()
        self._network.learn(names, {**now, **{node: self.values[node][t] for node in outside}}, self._state)

    def _together(self, group: Group, done: Group) -> None:
        """A cycle's nodes step by step; what reaches it from outside is known for all steps.

        Nobody reads what is done afterwards: it is not kept.
        """
        nodes = [self._layers.nodes[name] for name in group]
        state, scanners = self._state, {}
        read = (set(group) - set(done)) | self._wanted | self._before.keys()
        for node in nodes:
            if isinstance(node.module, Population):
                scanners[node.step.name] = Scanner(node.module)
        # Unbound at once: the gradient of x[t] would be all of x, at every step.
        outside = {e: self._arriving(e).unbind() for node in nodes for e in node.sources if e[0] not in group}
        kept: dict[str, list[Tensor]] = {name: [] for name in group if name in read}
        after: dict[str, list[Tensor]] = {name: [] for name in self._membranes & set(group)}
        weights: dict[str, list[Tensor]] = {name: [] for name in self._courses & set(group)}
        previous = {name: self._before[name] for name in self._before.keys() & set(group)}
        now: dict[str, Tensor] = {}
        for t in range(self._steps):
            for step, sources, module in nodes:
                name = step.name
                total: Any = None
                for edge in sources:
                    source, delay = edge
                    value = outside[edge][t] if edge in outside else previous[source] if delay else now[source]
                    total = value if total is None else total + value
                if name in scanners:
                    now[name], state.states[name] = scanners[name].step(total, state.states[name])
                else:
                    now[name] = self._network.mapped(step, module, total, state)
            self._learn(group, now, t)
            previous = {name: now[name] for name in previous}
            for name, values in kept.items():
                values.append(now[name])
            for name, voltages in after.items():
                voltages.append(scanners[name].population.voltage(state.states[name]))
            for name, course in weights.items():
                course.append(state.learned[name].standing())
        self.values |= {name: torch.stack(values) for name, values in kept.items()}
        self.weights |= {name: torch.stack(values) for name, values in weights.items()}
        self.voltages |= {name: torch.stack(values) for name, values in after.items()}


def groups(program: Program) -> list[Group]:
    """Nodes that are in a cycle together (edges with a delay count), or one alone; in a group, the order of a step."""
    return cycles([step.name for step in program.nodes], list(_reads(program)))


def _reads(program: Program) -> Iterator[tuple[str, str]]:
    """(node, who reads its values): its edges, and the connections that learn from it."""
    yield from ((edge.source, edge.target) for edge in program.edges)
    for name, learning in program.learning.items():
        yield from ((node, name) for node, _ in learning.reads)


def last_reads(program: Program, order: list[Group]) -> list[Group]:
    """For each group, the nodes that no later group reads."""
    place = {name: i for i, group in enumerate(order) for name in group}
    last = dict(place)
    for source, reader in _reads(program):
        last[source] = max(last[source], place[reader])
    read: list[list[str]] = [[] for _ in order]
    for name, at in last.items():
        read[at].append(name)
    return [tuple(names) for names in read]
