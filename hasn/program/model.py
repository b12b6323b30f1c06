"""The kinds of step that a Program has. Frozen: no pass changes one in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.maps import LinearMap

Shape = tuple[int, ...]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """An Input of the graph: its value comes from outside, 0 before the start."""

    name: str
    shape: Shape


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
    """

    name: str
    map: LinearMap
    shape: Shape
    delay: NDArray[np.int64] | None = None
    given: Shape | None = None


@dataclass(frozen=True)
class Row:
    """One line of a neuron's update: ``state <- sum(coefficient * state') + gain * x + bias``.

    The rows of a neuron act one after the other; each sees what those before it have written. The sum is taken from
    left to right in the order of ``terms``, then ``gain * x``, then ``bias``.

    Attributes:
        state: the state that is written.
        terms: (state that is read, its coefficient for each neuron), in order.
        gain: weight of the summed input for each neuron; None: this row does not read the input.
        bias: constant for each neuron (what the leak adds); None for none.
    """

    state: str
    terms: tuple[tuple[str, Floats], ...]
    gain: Floats | None = None
    bias: Floats | None = None


@dataclass(frozen=True)
class Neurons:
    """A population: a linear update of its states, then perhaps a threshold on ``v`` and a jump at the spike.

    ``z = 1[v > threshold]`` (strict), and where ``z``: ``v <- jump`` (reset "zero") or ``v <- v - jump`` ("subtract").
    The output is ``z``, or ``v`` where there is no threshold.

    Attributes:
        name: the node's name.
        shape: shape of the population.
        states: the states' names, ``v`` among them.
        rows: the update, in order.
        initial: value of each state before the first step.
        threshold: for each neuron, or None: the population does not spike.
        reset: how ``v`` jumps at a spike.
        jump: for each neuron: where to (zero) or by how much (subtract).
    """

    name: str
    shape: Shape
    states: tuple[str, ...]
    rows: tuple[Row, ...]
    initial: dict[str, Floats]
    threshold: Floats | None = None
    reset: Literal["zero", "subtract"] | None = None
    jump: Floats | None = None

    @property
    def spiking(self) -> bool:
        """Whether the population has a threshold."""
        return self.threshold is not None


@dataclass(frozen=True)
class Compare:
    """``y = 1[x > threshold]`` (strict): NIR's Threshold."""

    name: str
    shape: Shape
    threshold: Floats


Step: TypeAlias = Source | Sink | Connection | Neurons | Compare


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
        steps: in the order of evaluation inside one time step.
        edges: who adds what; only an edge with a delay may point backwards.
        dt: seconds a step; kept for recordings, no step needs it.
        method: "euler" or "exact".
        timing: "synchronous" or "hardware" (every connection takes a step).
        metadata: the graph's own.
    """

    steps: tuple[Step, ...]
    edges: tuple[Edge, ...]
    dt: float
    method: str
    timing: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """The step of this name."""
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Step]:
        """Steps by name, in the order of evaluation."""
        return {step.name: step for step in self.steps}

    def of(self, *kinds: type) -> list[Any]:
        """The steps of these kinds, in the order of evaluation."""
        return [step for step in self.steps if isinstance(step, kinds)]

    def edges_into(self, name: str) -> list[Edge]:
        """Edges that end at a step."""
        return [edge for edge in self.edges if edge.target == name]

    @property
    def recorded_spikes(self) -> tuple[str, ...]:
        """Names of the steps that have spikes to record."""
        return tuple(s.name for s in self.steps if isinstance(s, Compare) or (isinstance(s, Neurons) and s.spiking))

    @property
    def recorded_voltages(self) -> tuple[str, ...]:
        """Names of the steps that have a membrane potential to record."""
        return tuple(s.name for s in self.steps if isinstance(s, Neurons))
