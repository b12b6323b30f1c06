"""The kinds of node that a Program has. Frozen: no pass changes one in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.drawn import Drawn
from hasn.program.learning import Learning
from hasn.program.maps import Map

Shape = tuple[int, ...]
Floats: TypeAlias = NDArray[np.float64]
#: The coefficient 1 of all neurons of any population.
ONE: Floats = np.ones(())


@dataclass(frozen=True)
class Source:
    """Where values come from: an Input of the graph, whose user gives them, or a drawn input. 0 before the start.

    Attributes:
        name: the node's name.
        shape: without time and batch.
        drawn: what is drawn, or None: values come from outside.
        modulates: whether learning reads it, and nobody else: no Input of the graph.
    """

    name: str
    shape: Shape
    drawn: Drawn | None = None
    modulates: bool = False


@dataclass(frozen=True)
class Sink:
    """An Output of the graph: the sum of what arrives."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Connection:
    """``y[t] = W x[t - delay] + b`` for ``t >= delay``, 0 before; a linear map and, elementwise, a delay.

    Attributes:
        name: the node's name.
        map: the linear map (dense, convolution, pooling, scale, identity).
        shape: shape of the result, without time and batch.
        delay: steps for each element of the result, or None for none.
        given: shape of the summed input, also where no edge leads in; None where it is not known.
        learning: how its weights move, or None: they stay.
    """

    name: str
    map: Map
    shape: Shape
    delay: NDArray[np.int64] | None = None
    given: Shape | None = None
    learning: Learning | None = None


@dataclass(frozen=True)
class Row:
    """One line of a neuron's update, or of its reset: ``state <- sum(coefficient * state') + gain * x + bias``.

    The rows of a neuron act one after the other; each sees what those before it have written, unless it says that it
    reads the states of before the step. The sum is taken from left to right in the order of ``terms``, then
    ``gain * x``, then ``bias``.

    Attributes:
        state: the state that is written.
        terms: (state that is read, its coefficient for each neuron), in order.
        gain: weight of the summed input for each neuron; None: this row does not read the input.
        bias: constant for each neuron (what the leak adds); None for none.
        before: whether the terms read the states of before the step.
    """

    state: str
    terms: tuple[tuple[str, Floats], ...]
    gain: Floats | None = None
    bias: Floats | None = None
    before: bool = False


@dataclass(frozen=True)
class Condition:
    """When a neuron spikes: ``z = 1[sum(coefficient * state) + constant > 0]`` (strict), summed from left to right.

    Attributes:
        terms: (state, its coefficient for each neuron), in order.
        constant: for each neuron; minus the threshold.
    """

    terms: tuple[tuple[str, Floats], ...]
    constant: Floats


def moves(terms: tuple[tuple[str, Floats], ...], state: str) -> bool:
    """Whether these terms are ``1 state`` and nothing else."""
    return len(terms) == 1 and terms[0][0] == state and bool(np.all(terms[0][1] == 1.0))


@dataclass(frozen=True)
class Firing:
    """A threshold on ``v`` alone and one jump of ``v``: ``z = 1[v > threshold]``; where ``z``: ``v <- jump`` (reset
    "zero") or ``v <- v - jump`` ("subtract").

    What most neurons do, and all that stock simulators and chips have a name for; :attr:`Neurons.firing` finds it.
    """

    threshold: Floats
    reset: Literal["zero", "subtract"]
    jump: Floats

    @property
    def condition(self) -> Condition:
        """The same as a spike condition (``v - threshold > 0`` is ``v > threshold`` exactly, subnormals included)."""
        return Condition((("v", ONE),), -self.threshold)

    @property
    def resets(self) -> tuple[Row, ...]:
        """The same as rows."""
        if self.reset == "zero":
            return (Row("v", (), bias=self.jump),)
        return (Row("v", (("v", ONE),), bias=-self.jump),)


#: Names of an update's form. "one row": ``v`` alone. "current first": ``c``, then ``v`` with the new ``c``. "voltage
#: first": ``v`` with the old ``c``, then ``c``. All else is "general".
Update: TypeAlias = Literal["one row", "current first", "voltage first", "general"]


@dataclass(frozen=True)
class Neurons:
    """A population: a linear update of its states, then perhaps a spike condition and rows that act at a spike.

    The rows of ``update`` act at every step. Where ``z``, the rows of ``resets`` act, one after the other. For
    ``held`` steps after a spike ``v`` keeps its value, whatever arrives, and the neuron cannot spike; its other states
    go on. The output is ``z``, or ``v`` where there is no condition.

    Attributes:
        name: the node's name.
        shape: shape of the population.
        states: the states' names, ``v`` among them: what is recorded and held.
        rows: the update, in order.
        initial: value of each state before the first step.
        condition: when a neuron spikes, or None: the population does not.
        resets: what a spike changes.
        held: steps after a spike for each neuron, or None for none.
    """

    name: str
    shape: Shape
    states: tuple[str, ...]
    rows: tuple[Row, ...]
    initial: dict[str, Floats]
    condition: Condition | None = None
    resets: tuple[Row, ...] = ()
    held: NDArray[np.int64] | None = None

    @property
    def spiking(self) -> bool:
        """Whether the population has a spike condition."""
        return self.condition is not None

    @cached_property
    def update(self) -> Update:
        """The name of the update's form: the one place that tells them apart."""
        form = [(row.state, tuple(state for state, _ in row.terms), row.before) for row in self.rows]
        if form == [("v", ("v",), False)]:
            return "one row"
        if sorted(form) != [("c", ("c",), False), ("v", ("v", "c"), False)]:
            return "general"
        current = next(row for row in self.rows if row.state == "c")
        if current.bias is not None:
            return "general"
        if self.rows[0].state == "v":
            return "voltage first"
        return "current first" if self.rows[1].gain is None else "general"

    @cached_property
    def firing(self) -> Firing | None:
        """Threshold and jump, where the condition and the resets are nothing else; None where they are more."""
        if self.condition is None or len(self.resets) != 1:
            return None
        (reset,) = self.resets
        if not moves(self.condition.terms, "v") or reset.state != "v" or reset.bias is None:
            return None
        if not reset.terms:
            return Firing(-self.condition.constant, "zero", reset.bias)
        return Firing(-self.condition.constant, "subtract", -reset.bias) if moves(reset.terms, "v") else None

    @property
    def threshold(self) -> Floats | None:
        """Minus the constant of its condition: the threshold, without what moves it; None: it does not spike."""
        return None if self.condition is None else -self.condition.constant

    @property
    def reset(self) -> Literal["zero", "subtract"] | None:
        """How a spike resets ``v``: to a value, or by an amount; None: it does not."""
        rows = [row for row in self.resets if row.state == "v"]
        return ("subtract" if rows[0].terms else "zero") if rows else None

    @property
    def plain(self) -> bool:
        """Whether it is what stock neurons are: a named update, a threshold and a jump of ``v`` or none, no hold."""
        return self.update != "general" and (self.firing is not None or not self.spiking) and self.held is None


@dataclass(frozen=True)
class Threshold:
    """``y = 1[x > threshold]`` (strict): NIR's Threshold."""

    name: str
    shape: Shape
    threshold: Floats


Node: TypeAlias = Source | Sink | Connection | Neurons | Threshold


@dataclass(frozen=True)
class Edge:
    """``target`` adds the value that ``source`` had ``delay`` steps ago (0 before the start)."""

    source: str
    target: str
    delay: int = 0


@dataclass(frozen=True)
class Program:
    """A graph in discrete time.

    Attributes:
        nodes: in the order of evaluation inside one time step.
        edges: who adds what; only an edge with a delay may point backwards.
        dt: seconds a step; kept for recordings, no node needs it.
        method: "euler" or "exact".
        timing: "synchronous" or "hardware" (every connection takes a step).
        metadata: the graph's own.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    dt: float
    method: str
    timing: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def node(self, name: str) -> Node:
        """The node of this name."""
        return self.by_name[name]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by name, in the order of evaluation."""
        return {node.name: node for node in self.nodes}

    def of(self, *kinds: type) -> list[Any]:
        """The nodes of these kinds, in the order of evaluation."""
        return [node for node in self.nodes if isinstance(node, kinds)]

    @cached_property
    def inputs(self) -> tuple[Source, ...]:
        """The Sources whose values come from outside."""
        return tuple(source for source in self.of(Source) if source.drawn is None)

    @cached_property
    def modulators(self) -> tuple[str, ...]:
        """The Sources that learning reads."""
        return tuple(source.name for source in self.inputs if source.modulates)

    @cached_property
    def learning(self) -> dict[str, Learning]:
        """Connection that learns -> how."""
        return {node.name: node.learning for node in self.of(Connection) if node.learning is not None}

    @cached_property
    def drawn(self) -> dict[str, Drawn]:
        """Drawn input -> what it draws."""
        return {source.name: source.drawn for source in self.of(Source) if source.drawn is not None}

    def drawn_values(self, first: int, steps: int, batch: int) -> dict[str, Floats]:
        """Drawn input -> its values of some steps, (steps, batch, *shape)."""
        return {name: what.values(first, steps, batch) for name, what in self.drawn.items()}

    def edges_into(self, name: str) -> list[Edge]:
        """Edges that end at a node."""
        return list(self._into.get(name, ()))

    @cached_property
    def _into(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.target, []).append(edge)
        return found

    @property
    def recorded_spikes(self) -> tuple[str, ...]:
        """Names of the nodes that have spikes to record."""
        return tuple(n.name for n in self.nodes if isinstance(n, Threshold) or (isinstance(n, Neurons) and n.spiking))

    @property
    def recorded_voltages(self) -> tuple[str, ...]:
        """Names of the nodes that have a membrane potential to record."""
        return tuple(n.name for n in self.nodes if isinstance(n, Neurons))
