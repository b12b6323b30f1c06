"""A Program cut in stages that run one after the other over whole sequences, each on a device of its own.

Nodes in a cycle stay together, whatever delays it has: their values go round within a node. So a stage only ever takes
values from stages before it, and can run over all steps once those have. What crosses a cut is an Output of the stage
before it and an Input of the one behind it; a value that is needed further on is passed through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from hasn.errors import OptionError
from hasn.program.cycles import cycles
from hasn.program.maps import Convolution, Pooling
from hasn.program.model import Connection, Edge, Node, Program, Shape, Sink, Source

#: What ``balance`` may name: the numbers that training moves (memory), or products of a step (time).
BALANCES = ("parameters", "synapses")

Value: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Stage:
    """A part of a Program.

    Attributes:
        program: the part: a Source for each value that comes in, a Sink for each that goes out.
        names: the steps of the whole that it runs, in the order of evaluation.
        incoming: names of its Sources: the whole's Inputs in the first stage, values of stages before in the others.
        outgoing: the values that it hands on, in the next stage's order; in the last stage the whole's Outputs.
        shown: names of the Sinks that show them, in the same order.
    """

    program: Program
    names: tuple[str, ...]
    incoming: tuple[str, ...]
    outgoing: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def given(self) -> tuple[Shape, ...]:
        """Shapes of what comes in."""
        return tuple(self.program.by_name[name].shape for name in self.incoming)

    @property
    def made(self) -> tuple[Shape, ...]:
        """Shapes of what goes out."""
        return tuple(self.program.by_name[name].shape for name in self.shown)


def cut(program: Program, stages: int | Sequence[str], balance: str = "parameters") -> tuple[Stage, ...]:
    """Cut a Program in consecutive stages.

    Inputs are taken by the first stage, and Outputs shown by the last. Run one after the other, the stages compute what
    the whole does, in the same order of sums.

    Args:
        program: the whole.
        stages: how many; or the names of the nodes with which the second, third ... begin: such a node and all that
            it reaches lie behind the cut, all else before it.
        balance: of a number of stages: "parameters" (the largest stage has as few weights, biases and scales as can
            be) or "synapses" (as few products a step). Of such cuts the one whose stages are most alike, and then the
            one that fewest numbers cross.

    Raises:
        OptionError: no such node or balance; more stages than there are groups of nodes; a stage without nodes.
    """
    if balance not in BALANCES:
        raise OptionError("no such balance", parameter="balance", got=repr(balance), wanted=" or ".join(BALANCES))
    if not program.inputs:
        raise OptionError("a graph without an Input cannot be cut", parameter="stages", wanted="an Input")
    if isinstance(stages, str) or not isinstance(stages, int | Sequence) or isinstance(stages, bool):
        raise OptionError("no stages", parameter="stages", got=repr(stages), wanted="a number, or names of nodes")
    groups = _groups(program)
    count = stages if isinstance(stages, int) else len(stages) + 1
    if not 1 <= count <= len(groups):
        wanted = f"1 to {len(groups)}: so many groups of nodes can be told apart"
        raise OptionError("no such number of stages", parameter="stages", got=count, wanted=wanted)
    place = _balanced(program, groups, count, balance) if isinstance(stages, int) else _named(program, groups, stages)
    place |= {node.name: 0 for node in program.of(Source)}
    place |= dict.fromkeys(_endings(program), count - 1)
    return _made(program, place, count)


def _endings(program: Program) -> set[str]:
    """Outputs that no node reads."""
    read = {edge.source for edge in program.edges}
    return {node.name for node in program.of(Sink) if node.name not in read}


def _groups(program: Program) -> list[tuple[str, ...]]:
    """Nodes that are in cycles together, or one alone, without Inputs and Outputs; sources before targets."""
    apart = {node.name for node in program.of(Source)} | _endings(program)
    names = [node.name for node in program.nodes if node.name not in apart]
    return cycles(names, [(e.source, e.target) for e in program.edges if not apart & {e.source, e.target}])


# --- where to cut


def _named(program: Program, groups: list[tuple[str, ...]], first: Sequence[str]) -> dict[str, int]:
    """Node -> stage, where the nodes of ``first`` begin the second, third ... stage."""
    of_group = {name: group for group in groups for name in group}
    place = dict.fromkeys(of_group, 0)
    for stage, name in enumerate(first, start=1):
        if name not in of_group:
            wanted = "a node of the graph that is no Input and no Output"
            raise OptionError("no stage can begin here", parameter="stages", got=repr(name), wanted=wanted)
        place |= dict.fromkeys(_reached(program, name) & place.keys(), stage)
    for stage in range(len(first) + 1):
        if stage not in place.values():
            begun = f"the one that begins with '{first[stage - 1]}'" if stage else "the first"
            raise OptionError(
                f"a stage has no nodes: {begun}",
                parameter="stages",
                got=", ".join(map(repr, first)),
                wanted="names in the order in which values pass, one of a cycle",
            )
    return place


def _reached(program: Program, name: str) -> set[str]:
    after: dict[str, list[str]] = {}
    for edge in program.edges:
        after.setdefault(edge.source, []).append(edge.target)
    found, waiting = {name}, [name]
    while waiting:
        new = set(after.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _balanced(program: Program, groups: list[tuple[str, ...]], count: int, balance: str) -> dict[str, int]:
    """Node -> stage: the costliest stage costs least; then the others are most alike; then fewest numbers cross."""
    costs = [sum(_cost(program.by_name[name], balance) for name in group) for group in groups]
    before = [0, *np.cumsum(costs).tolist()]
    crossing = _crossing(program, groups)
    ends = len(groups)
    peak = _partition(count, ends, lambda start, end, best: (max(best[0], before[end] - before[start]),))[0][0]

    def alike(start: int, end: int, best: Value) -> Value:
        cost = before[end] - before[start]
        return (best[0] + cost**2, best[-1] + crossing[start]) if cost <= peak else (math.inf, 0)

    starts = _partition(count, ends, alike)[1]
    return {name: sum(start <= i for start in starts) - 1 for i, group in enumerate(groups) for name in group}


def _partition(count: int, ends: int, joined: Callable[[int, int, Value], Value]) -> tuple[Value, tuple[int, ...]]:
    """The best way to cut ``ends`` groups into ``count`` stages, and where each begins (the latest of equal places).

    Args:
        joined: (start, end, value of the stages before) to the value with the stage of groups start..end-1.
    """
    best: dict[int, tuple[Value, tuple[int, ...]]] = {0: ((0, 0), ())}
    for stage in range(1, count + 1):
        found: dict[int, tuple[Value, tuple[int, ...]]] = {}
        for end in range(stage, ends - (count - stage) + 1):
            options = [
                (joined(start, end, value), -start, (*starts, start))
                for start, (value, starts) in best.items()
                if start < end
            ]
            value, _, starts = min(options)
            found[end] = (value, starts)
        best = found
    return best[ends]


def _crossing(program: Program, groups: list[tuple[str, ...]]) -> list[int]:
    """Numbers a step that cross a cut before each group."""
    place = {node.name: -1 for node in program.of(Source)}
    place |= {name: i for i, group in enumerate(groups) for name in group}
    last = _last_read(program, place, len(groups))
    sizes = {node.name: math.prod(node.shape) for node in program.nodes}
    return [
        0 if not cut_at else sum(sizes[name] for name, at in place.items() if at < cut_at <= last[name])
        for cut_at in range(len(groups))
    ]


def _last_read(program: Program, place: dict[str, int], end: int) -> dict[str, int]:
    """Value -> the last place that needs it; an Output is needed at the end."""
    last = {name: end if isinstance(program.by_name[name], Sink) else at for name, at in place.items()}
    for edge in program.edges:
        last[edge.source] = max(last.get(edge.source, 0), place.get(edge.target, end))
    return last


def _cost(node: Node, balance: str) -> int:
    """Weights, biases and scales of a node, or its products."""
    if not isinstance(node, Connection):
        return 0
    weight = getattr(node.map, "weight", getattr(node.map, "scale", None))
    if balance == "parameters":
        return sum(int(np.size(array)) for array in (weight, node.map.bias) if array is not None)
    if isinstance(node.map, Pooling):
        return math.prod(node.map.kernel) * math.prod(node.shape)
    windows = math.prod(node.shape[1:]) if isinstance(node.map, Convolution) else 1
    return 0 if weight is None else int(np.size(weight)) * windows


# --- the parts


def _made(program: Program, place: dict[str, int], count: int) -> tuple[Stage, ...]:
    last = _last_read(program, place, count - 1)
    crossing = [
        [node.name for node in program.nodes if place[node.name] < stage <= last[node.name]] for stage in range(count)
    ]
    clock = program.of(Source)[0].name  # what no value leads into still needs to know how long a sequence is
    lonely = max((stage for stage in range(1, count) if not crossing[stage]), default=0)
    for stage in range(1, lonely + 1):
        crossing[stage] = crossing[stage] if clock in crossing[stage] else [clock, *crossing[stage]]
    crossing[0] = [node.name for node in program.inputs]
    crossing.append([node.name for node in program.of(Sink)])
    return tuple(_stage(program, place, stage, crossing[stage], crossing[stage + 1]) for stage in range(count))


def _stage(program: Program, place: dict[str, int], stage: int, incoming: Iterable[str], outgoing: list[str]) -> Stage:
    shapes = {node.name: node.shape for node in program.nodes}
    own = [node for node in program.nodes if place[node.name] == stage]
    names = {node.name for node in own}
    sources = [Source(name, shapes[name]) for name in incoming if name not in names]
    shown = {name: _shown_as(name, own) for name in outgoing}
    sinks = [Sink(sink, shapes[name]) for name, sink in shown.items() if sink != name]
    edges = [edge for edge in program.edges if place[edge.target] == stage]
    edges += [Edge(name, sink) for name, sink in shown.items() if sink != name]
    part = replace(program, nodes=(*sources, *own, *sinks), edges=tuple(edges))
    return Stage(part, tuple(node.name for node in own), tuple(incoming), tuple(outgoing), tuple(shown.values()))


def _shown_as(name: str, own: list[Node]) -> str:
    """Name of the Sink that shows a value: itself, or one that no node of a graph can have, since it has a slash."""
    return name if any(node.name == name and isinstance(node, Sink) for node in own) else f"{name}/on"
