"""NIR graph -> Program: every node becomes what its kind means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError, ShapeError
from hasn.ir.check import CheckedGraph, checked
from hasn.ir.learning import arriving_late, is_given, learning_nodes, learning_of, modulating, modulator_sources
from hasn.ir.structure import FlatGraph
from hasn.nodes.kind import Place
from hasn.nodes.lookup import kind_of, neuron_kind
from hasn.nodes.neuron import NOT_FINITE, SMALLER
from hasn.program.feedback import evaluation_order, feedback_edges
from hasn.program.model import Connection, Edge, Neurons, Node, Program, Sink, Source


def lower(
    graph: nir.NIRGraph,
    *,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
) -> Program:
    """Give a graph its meaning in discrete time. What a call leaves out is what the graph's metadata say.

    Args:
        graph: the graph, which is not changed.
        dt: seconds a step.
        method: ``"euler"`` (the default) or ``"exact"``, see :mod:`hasn.program.discretise`.
        reset: ``"zero"`` (the default, ``v <- v_reset``) or ``"subtract"`` (``v <- v - (v_threshold - v_reset)``) for
            the neurons whose own ``metadata["reset"]`` says nothing.
        timing: ``"synchronous"`` (the default: only feedback edges and Delays take time) or ``"hardware"`` (every
            connection out of an Input, a drawn input, a population or a Threshold takes one step, and that is the
            feedback edge's own).

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the graph or dt has no meaning.
        OptionError: unknown method, reset or timing.
    """
    return lower_checked(checked(graph, dt=dt, method=method, reset=reset, timing=timing))


def lower_checked(graph_ok: CheckedGraph) -> Program:
    """The same of a graph that has been checked."""
    method, timing = graph_ok.meaning.method, graph_ok.meaning.timing
    flat = graph_ok.flat if timing == "synchronous" else _without_passages(graph_ok.flat)
    edges = _timed_edges(flat, timing)
    order = evaluation_order(flat.nodes, [(edge.source, edge.target) for edge in edges if edge.delay == 0])
    learning = {name: learning_of(graph_ok.flat, name, graph_ok.dt) for name in learning_nodes(graph_ok.flat)}
    made = {name: _node(graph_ok, name) for name in order}
    for name, found in learning.items():
        connection = made[name]
        if isinstance(connection, Connection):  # others have been refused
            made[name] = replace(connection, learning=found)
    means, ways = modulating(graph_ok.flat, graph_ok.shapes, timing)
    first = [made.pop(way.source) for way in ways if is_given(graph_ok.flat, way.source)]
    nodes = (*modulator_sources(graph_ok.flat, learning), *first, *means, *made.values())
    return Program(nodes, (*edges, *ways), graph_ok.dt, method, timing, dict(flat.metadata))


def _without_passages(flat: FlatGraph) -> FlatGraph:
    """The graph without nested graphs' own Inputs and Outputs: hardware has no such nodes, so no step for them."""
    nodes, edges = dict(flat.nodes), dict(enumerate(flat.edges))  # by number, in order
    at: dict[str, dict[int, None]] = {name: {} for name in nodes}
    for number, ends in edges.items():
        for name in ends:
            at[name][number] = None
    own, numbers = {*flat.inputs, *flat.outputs}, count(len(edges))
    for name, node in flat.nodes.items():
        if isinstance(node, nir.Input | nir.Output) and name not in own:
            here = {number: edges[number] for number in sorted(at[name])}
            before = [source for source, target in here.values() if target == name]
            after = [target for source, target in here.values() if source == name]
            if not before or name in before:
                continue  # nothing arrives, or a loop of its own: it stays, as the silent node it is
            for number, ends in here.items():
                for end in set(ends):
                    del at[end][number]
                del edges[number]
            for ends in ((source, target) for source in before for target in after):
                number = next(numbers)
                edges[number] = ends
                at[ends[0]][number] = at[ends[1]][number] = None
            del nodes[name]
    return FlatGraph(nodes, tuple(edges.values()), flat.inputs, flat.outputs, flat.metadata)


def _timed_edges(flat: FlatGraph, timing: str) -> tuple[Edge, ...]:
    hops = {edge for edge in flat.edges if timing == "hardware" and _takes_a_step(flat, edge)}
    instant = [edge for edge in flat.edges if edge not in hops]
    late = arriving_late(flat, hops | feedback_edges(flat.nodes, instant, flat.inputs))
    return tuple(Edge(source, target, int((source, target) in late)) for source, target in flat.edges)


def _takes_a_step(flat: FlatGraph, edge: tuple[str, str]) -> bool:
    """Whether hardware carries this edge over its network: out of a population, and not merely read out."""
    source, target = edge
    node = flat.nodes[source]
    sends = isinstance(node, nir.Threshold) or neuron_kind(node) is not None or not kind_of(node).takes_edges
    valued = source in flat.inputs or sends
    return valued and target not in flat.outputs


def _node(graph: CheckedGraph, name: str) -> Node:
    node = graph.flat.nodes[name]
    given, result = graph.shapes[name]
    if name in graph.flat.inputs:
        return Source(name, result)
    if name in graph.flat.outputs:
        return Sink(name, result)
    kind = kind_of(node)
    with np.errstate(all="ignore"):  # looked at below
        made = kind.meaning(node, Place(name, given, result, graph.dt, graph.meaning.method, graph.meaning.reset))
    for what, value in _arrays_in(made):
        shape = np.shape(value)
        if not np.isfinite(value).all():
            raise not_a_number(name, what)
        if shape not in ((), result):
            raise ShapeError(
                f"the node kind {kind.name} does not keep to the shape that it says",
                node=name,
                parameter=what,
                got=shape,
                wanted=str(result),
                way_out="Mend the package that brings the kind: output_shape and meaning must agree.",
            )
    return made


def not_a_number(node: str, what: str) -> ParameterError:
    """The error of a coefficient beyond the numbers, though each of its parameters is one."""
    return ParameterError(
        NOT_FINITE,
        node=node,
        parameter=what,
        got="inf or NaN",
        wanted="a number up to 1.8e+308",
        way_out=SMALLER,
    )


def _arrays_in(node: Node) -> Iterator[tuple[str, Any]]:
    """What of a node must have its shape, or be one number for all, and be finite."""
    yield "shape", np.broadcast_to(0.0, node.shape)
    if not isinstance(node, Neurons):
        return
    for row in (*node.rows, *node.resets):
        parts: list[tuple[str, Any]] = [*row.terms, ("the input", row.gain), ("a constant", row.bias)]
        yield from ((f"{row.state} from {name}", value) for name, value in parts if value is not None)
    if node.condition is not None:
        parts = [*node.condition.terms, ("a constant", node.condition.constant)]
        yield from ((f"spike condition from {name}", value) for name, value in parts)
    yield from ((f"initial {state}", value) for state, value in node.initial.items())
