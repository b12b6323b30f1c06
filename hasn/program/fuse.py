"""Program -> Network: stateless chains composed to sparse projections between populations.

Event-driven and message-passing simulators (Brian2, Lava) know populations and synapses, nothing in between. A chain
such as Conv2d -> SumPool2d -> Flatten -> Affine is linear, so it is one sparse matrix; Delays and feedback edges in it
become delays of the projection, and biases become a constant drive with a first step.

Products and sums of matrices are taken in float64. Where there are none, a projection has the weights as they are
stored: nothing is copied, and float32 stays float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.learning import Learning, arriving
from hasn.program.maps import Convolution, Dense, Identity, Matrix, Pooling, Sparse
from hasn.program.model import Connection, Floats, Neurons, Program, Shape, Sink, Source, Threshold
from hasn.room import require


@dataclass(frozen=True)
class Relay:
    """``y = sum of what arrives``, without state: an Output that sums, the cut of a stateless loop, what a connection
    that learns is given, or reads."""

    name: str
    shape: Shape


Population: TypeAlias = Source | Neurons | Threshold | Relay


@dataclass(frozen=True)
class Projection:
    """``x_target[t] += W y_source[t - delay]`` over flat (C order) elements.

    Attributes:
        source, target: populations.
        delay: steps of canonical time.
        weights: scipy.sparse.csr_array (elements of target, elements of source), float64 or float32; it may share its
            memory with others, so it is never changed.
    """

    source: str
    target: str
    delay: int
    weights: Matrix


@dataclass(frozen=True)
class Plastic:
    """A connection that learns: never composed, its pattern its own, weights of 0 included.

    Attributes:
        name: of the connection, and of the Relay that sums what arrives at it.
        target: the population that it feeds, without delay but the synapses' own.
        map: Dense, Sparse or Convolution; a bias is among the target's drives.
        learning: how its weights move.
    """

    name: str
    target: str
    map: Dense | Sparse | Convolution
    learning: Learning


@dataclass(frozen=True)
class Network:
    """Populations in the order of evaluation, projections between them, and constant drives.

    Attributes:
        populations: Sources, Neurons, Thresholds, Relays; a projection without delay points forwards.
        projections: at most one for each (source, target, delay).
        drives: target -> {first step: value added to the input at every step from there on (flat)}.
        outputs: Output node -> the population whose value it shows.
        program: what this was made from.
        plastic: connections that learn.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    drives: dict[str, dict[int, Floats]]
    outputs: dict[str, str]
    program: Program
    plastic: tuple[Plastic, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Population]:
        """Populations by name, in the order of evaluation."""
        return {population.name: population for population in self.populations}

    def into(self, name: str) -> list[Projection]:
        """Projections that end at a population."""
        return list(self._ends["target"].get(name, ()))

    def out_of(self, name: str) -> list[Projection]:
        """Projections that start at a population."""
        return list(self._ends["source"].get(name, ()))

    @cached_property
    def _ends(self) -> dict[str, dict[str, list[Projection]]]:
        """ "source" or "target" -> population -> projections."""
        found: dict[str, dict[str, list[Projection]]] = {"source": {}, "target": {}}
        for projection in self.projections:
            found["source"].setdefault(projection.source, []).append(projection)
            found["target"].setdefault(projection.target, []).append(projection)
        return found

    def levels(self) -> dict[str, int]:
        """Length of the longest chain of projections without delay that ends at each population."""
        level = dict.fromkeys(self.by_name, 0)
        for name in self.by_name:
            ready = [level[p.source] + 1 for p in self.into(name) if p.delay == 0]
            ready += [level[p.name] + 1 for p in self.plastic if p.target == name]
            level[name] = max(ready, default=0)
        return level


def has_spikes(population: Population) -> bool:
    """Whether a population's value is 0 or 1 by its kind (an Input's value is whatever the user gives)."""
    return isinstance(population, Threshold) or (isinstance(population, Neurons) and population.spiking)


@dataclass(frozen=True)
class _Same:
    """The identity of so many elements, while nothing has been done to it."""

    size: int


@dataclass
class _Sum:
    """A signal as a linear combination: of delayed populations, and of constants with a first step."""

    terms: dict[tuple[str, int], Matrix | _Same]
    drive: dict[int, Floats]

    def add(self, other: _Sum, delay: int) -> None:
        for (source, steps), matrix in other.terms.items():
            key = (source, steps + delay)
            self.terms[key] = _added(self.terms[key], matrix) if key in self.terms else matrix
        for onset, value in other.drive.items():
            self.drive[onset + delay] = self.drive.get(onset + delay, 0.0) + value


def _full(matrix: Matrix | _Same) -> Matrix:
    return Identity().matrix((matrix.size,)) if isinstance(matrix, _Same) else matrix


def _added(one: Matrix | _Same, other: Matrix | _Same) -> Matrix:
    return _full(one).astype(np.float64, copy=False) + _full(other).astype(np.float64, copy=False)


def _times(matrix: Matrix, before: Matrix | _Same) -> Matrix:
    if isinstance(before, _Same):
        return matrix
    return matrix.astype(np.float64, copy=False) @ before.astype(np.float64, copy=False)


def fuse(program: Program) -> Network:
    """Compose every chain of stateless linear steps into projections between populations.

    A Program is composed once: all who ask get the same Network.
    """
    kept: dict[str, Any] = vars(program)  # beside its fields, so that it lives as long as the Program
    if _KEPT not in kept:
        kept[_KEPT] = _Fusion(program).network()
    network: Network = kept[_KEPT]
    return network


_KEPT = "_network"


def stateless_loops(program: Program) -> set[str]:
    """Sources of the delayed edges that close loops of stateless steps: they get a Relay of their own."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = [node.name for node in program.of(Connection)]
    index = {name: i for i, name in enumerate(names)}
    inner = [e for e in program.edges if e.source in index and e.target in index]
    if not inner:
        return set()
    pairs = ([index[e.source] for e in inner], [index[e.target] for e in inner])
    graph = coo_array((np.ones(len(inner)), pairs), shape=(len(names), len(names)))
    part = connected_components(graph, directed=True, connection="strong")[1]
    return {e.source for e in inner if e.delay > 0 and part[index[e.source]] == part[index[e.target]]}


class _Fusion:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes = program.by_name
        self.into = {name: program.edges_into(name) for name in self.nodes}
        cut = stateless_loops(program)
        self.learners = {node.name: node for node in program.of(Connection) if node.learning is not None}
        read = {node for learning in program.learning.values() for node, _ in learning.reads}
        self.populations: dict[str, Population] = {
            name: Relay(name, self._relayed(node)) if isinstance(node, Sink | Connection) else node
            for name, node in self.nodes.items()
            if not isinstance(node, Connection) or name in cut or name in self.learners or name in read
        }
        self.known: dict[str, _Sum] = {}

    def _relayed(self, node: Sink | Connection) -> Shape:
        """Of what a Relay sums: what arrives at a connection that learns, what another node sends."""
        learner = self.learners.get(node.name)
        return node.shape if learner is None else arriving(learner.map)

    def network(self) -> Network:
        projections: list[Projection] = []
        drives: dict[str, dict[int, Floats]] = {}
        outputs = {node.name: node.name for node in self.program.of(Sink)}
        passing_on = {edge.source for edge in self.program.edges}  # an Output may have edges of its own
        for node in self.program.of(Connection):  # in order, so that a long chain needs no deep recursion
            if node.name not in self.learners:
                self._value(node.name)
        for name, population in list(self.populations.items()):
            if isinstance(population, Source):
                continue
            composed = isinstance(self.nodes[name], Connection) and name not in self.learners
            total = self._result(name) if composed else self._incoming(name)
            alias = self._alias(name, total) if name in outputs and name not in passing_on else None
            if alias is not None:
                outputs[name] = alias
                del self.populations[name]
                continue
            terms = {key: _full(matrix) for key, matrix in total.terms.items()}
            projections += [Projection(s, name, d, m) for (s, d), m in sorted(terms.items()) if m.nnz]
            drive = {onset: value for onset, value in sorted(total.drive.items()) if np.any(value)}
            if drive:
                drives[name] = drive
        found = tuple(self.populations.values()), tuple(projections), drives, outputs, self.program
        return Network(*found, tuple(self._plastic(node) for node in self.learners.values()))

    def _plastic(self, node: Connection) -> Plastic:
        if node.learning is None or not isinstance(node.map, Dense | Sparse | Convolution):
            raise TypeError(f"{node.name} does not learn")
        return Plastic(node.name, node.learning.target, node.map, node.learning)

    def _alias(self, name: str, total: _Sum) -> str | None:
        """The population that an Output merely shows, in the same shape, if it does."""
        if len(total.terms) != 1 or any(np.any(value) for value in total.drive.values()):
            return None
        (((source, delay), found),) = total.terms.items()
        matrix = _full(found)
        rows, columns = matrix.shape
        same = rows == columns and matrix.nnz == rows and bool(np.all(matrix.diagonal() == 1.0))
        same = same and self.nodes[source].shape == self.nodes[name].shape
        return source if same and delay == 0 else None

    def _incoming(self, name: str) -> _Sum:
        total = _Sum({}, {})
        for edge in self.into[name]:
            learner = self.learners.get(edge.source)
            if learner is None:
                total.add(self._value(edge.source), edge.delay)
            elif (bias := bias_vector(learner)) is not None:
                total.add(_Sum({}, {0: bias}), edge.delay)
        return total

    def _value(self, name: str) -> _Sum:
        """What ``name`` sends, in terms of populations."""
        if name in self.populations:
            return _Sum({(name, 0): _Same(int(np.prod(self.populations[name].shape)))}, {})
        if name not in self.known:
            self.known[name] = self._result(name)
        return self.known[name]

    def _result(self, name: str) -> _Sum:
        node = self.nodes[name]
        if not isinstance(node, Connection):
            raise TypeError(f"{name} is no connection")
        return _delayed(node, _mapped(node, self._incoming(name), self._in_shape(name)))

    def _in_shape(self, name: str) -> Shape:
        for edge in self.into[name]:
            return self.nodes[edge.source].shape
        return self.nodes[name].shape


def _mapped(node: Connection, total: _Sum, shape: Shape) -> _Sum:
    if isinstance(node.map, Identity):
        return total
    if isinstance(node.map, Convolution | Pooling) and (total.terms or total.drive):
        what = "a convolution or a pool as one matrix, which Brian2 and Lava take,"
        require(node.map.unrolled_bytes(shape), what, node=node.name, way_out="Run it on snntorch, or make it smaller.")
    result = _Sum({}, {})
    for steps, matrix in node.map.parts(shape) if total.terms or total.drive else ():
        terms = {key: _times(matrix, before) for key, before in total.terms.items()}
        result.add(_Sum(terms, {onset: matrix @ value for onset, value in total.drive.items()}), steps)
    bias = bias_vector(node)
    if bias is not None:
        result.drive[0] = result.drive.get(0, 0.0) + bias
    return result


def bias_vector(node: Connection) -> Floats | None:
    """The bias for each flat element of the result, or None if the map adds nothing."""
    bias = node.map.bias
    if bias is None or not np.any(bias):
        return None
    flat = np.asarray(bias, dtype=np.float64).reshape(-1)
    if isinstance(node.map, Convolution):
        return np.repeat(flat, int(np.prod(node.shape[1:])))
    return flat


def _delayed(node: Connection, total: _Sum) -> _Sum:
    if node.delay is None:
        return total
    steps = node.delay.reshape(-1)
    result = _Sum({}, {})
    for delay in np.unique(steps):
        chosen = steps == delay
        terms = total.terms if chosen.all() else {key: _rows(_full(m), chosen) for key, m in total.terms.items()}
        result.add(_Sum(terms, {onset: chosen * value for onset, value in total.drive.items()}), int(delay))
    return result


def _rows(matrix: Matrix, chosen: NDArray[np.bool_]) -> Matrix:
    """The matrix without the synapses of other rows."""
    from scipy.sparse import csr_array

    lengths = np.diff(matrix.indptr)
    kept = np.repeat(chosen, lengths)
    ends = np.concatenate([[0], np.cumsum(lengths * chosen)]).astype(matrix.indptr.dtype)
    return csr_array((matrix.data[kept], matrix.indices[kept], ends), shape=matrix.shape)
