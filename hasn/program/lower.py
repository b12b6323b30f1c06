"""NIR graph -> Program: every primitive becomes one of the five kinds of step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import nir
import numpy as np

from hasn.errors import OptionError
from hasn.ir.check import CheckedGraph, checked
from hasn.ir.parameters import RESETS
from hasn.ir.shapes import Shape
from hasn.ir.structure import FlatGraph
from hasn.ir.values import pads, pair, single, text
from hasn.program.discretise import rows_of
from hasn.program.feedback import evaluation_order, feedback_edges
from hasn.program.maps import Convolution, Dense, Identity, LinearMap, Pooling, Scaling
from hasn.program.model import Compare, Connection, Edge, Floats, Neurons, Program, Sink, Source, Step

TIMINGS = ("synchronous", "hardware")


def lower(
    graph: nir.NIRGraph,
    *,
    dt: float | None = None,
    method: str = "euler",
    reset: str = "zero",
    timing: str = "synchronous",
) -> Program:
    """Give a graph its meaning in discrete time.

    Args:
        graph: the graph, which is not changed.
        dt: seconds a step; default: the graph's ``metadata["dt"]``.
        method: ``"euler"`` or ``"exact"``, see :mod:`hasn.program.discretise`.
        reset: ``"zero"`` (``v <- v_reset``) or ``"subtract"`` (``v <- v - (v_threshold - v_reset)``) for the neurons
            whose own ``metadata["reset"]`` says nothing.
        timing: ``"synchronous"`` (only feedback edges and Delays take time) or ``"hardware"`` (every connection out of
            an Input, a population or a Threshold takes one step, and that step is the feedback edge's own).

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the graph or dt has no meaning.
        OptionError: unknown method, reset or timing.
    """
    for name, value, known in (("reset", reset, RESETS), ("timing", timing, TIMINGS)):
        if value not in known:
            raise OptionError(f"unknown {name}", parameter=name, got=repr(value), wanted=" or ".join(known))
    graph_ok = checked(graph, dt=dt, method=method)
    flat = graph_ok.flat if timing == "synchronous" else _without_passages(graph_ok.flat)
    edges = _timed_edges(flat, timing)
    order = evaluation_order(flat.nodes, [(edge.source, edge.target) for edge in edges if edge.delay == 0])
    steps = tuple(_step(graph_ok, name, method, reset) for name in order)
    return Program(steps, edges, graph_ok.dt, method, timing, dict(flat.metadata))


def _without_passages(flat: FlatGraph) -> FlatGraph:
    """The graph without nested graphs' own Inputs and Outputs: hardware has no such nodes, so no step for them."""
    nodes, edges = dict(flat.nodes), list(flat.edges)
    for name, node in flat.nodes.items():
        if isinstance(node, nir.Input | nir.Output) and name not in (*flat.inputs, *flat.outputs):
            before = [source for source, target in edges if target == name]
            after = [target for source, target in edges if source == name]
            if not before or name in before:
                continue  # nothing arrives, or a loop of its own: it stays, as the silent node it is
            edges = [edge for edge in edges if name not in edge]
            edges += [(source, target) for source in before for target in after]
            del nodes[name]
    return FlatGraph(nodes, tuple(edges), flat.inputs, flat.outputs, flat.metadata)


def _timed_edges(flat: FlatGraph, timing: str) -> tuple[Edge, ...]:
    hops = {edge for edge in flat.edges if timing == "hardware" and _takes_a_step(flat, edge)}
    instant = [edge for edge in flat.edges if edge not in hops]
    late = hops | feedback_edges(flat.nodes, instant, flat.inputs)
    return tuple(Edge(source, target, int((source, target) in late)) for source, target in flat.edges)


_VALUED = (nir.Threshold, nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)


def _takes_a_step(flat: FlatGraph, edge: tuple[str, str]) -> bool:
    """Whether hardware carries this edge over its network: out of a population, and not merely read out."""
    source, target = edge
    return (source in flat.inputs or isinstance(flat.nodes[source], _VALUED)) and target not in flat.outputs


def _step(graph: CheckedGraph, name: str, method: str, reset: str) -> Step:
    node = graph.flat.nodes[name]
    given, result = graph.shapes[name]
    if name in graph.flat.inputs:
        return Source(name, result)
    if name in graph.flat.outputs:
        return Sink(name, result)
    if isinstance(node, nir.Threshold):
        return Compare(name, result, np.array(node.threshold, dtype=np.float64))
    if isinstance(node, nir.Delay):
        steps = np.rint(np.asarray(node.delay, dtype=np.float64) / graph.dt).astype(np.int64)
        return Connection(name, Identity(), result, steps if np.any(steps) else None, given)
    if type(node) in _MAPS:
        return Connection(name, _MAPS[type(node)](node, given), result, given=given)
    return _neurons(name, node, result, graph.dt, method, reset)


def _conv(node: nir.NIRNode, shape: Shape) -> LinearMap:
    kernel = np.shape(node.weight)[2:]
    stride, dilation = pair(node.stride, len(kernel)), pair(node.dilation, len(kernel))
    padding = pads(node.padding, kernel, dilation)
    return Convolution(np.array(node.weight), np.array(node.bias), stride, padding, dilation, single(node.groups))


def _pool(node: nir.NIRNode, shape: Shape) -> LinearMap:
    kernel = pair(node.kernel_size, 2)
    return Pooling(kernel, pair(node.stride, 2), pads(node.padding, kernel, (1, 1)), isinstance(node, nir.AvgPool2d))


# Copies throughout: what a caller does to the graph afterwards must not reach the Program.
_MAPS: dict[type[nir.NIRNode], Callable[[nir.NIRNode, Shape], LinearMap]] = {
    nir.Input: lambda node, shape: Identity(),
    nir.Output: lambda node, shape: Identity(),
    nir.Flatten: lambda node, shape: Identity(),
    nir.Affine: lambda node, shape: Dense(np.array(node.weight), np.array(node.bias)),
    nir.Linear: lambda node, shape: Dense(np.array(node.weight)),
    nir.Scale: lambda node, shape: Scaling(np.array(node.scale)),
    nir.Conv1d: _conv,
    nir.Conv2d: _conv,
    nir.SumPool2d: _pool,
    nir.AvgPool2d: _pool,
}


def _neurons(name: str, node: nir.NIRNode, shape: Shape, dt: float, method: str, reset: str) -> Neurons:
    rows = rows_of(node, dt, method)
    states = tuple(sorted(row.state for row in rows))  # ("c", "v") whatever the order of the rows
    metadata: dict[str, Any] = node.metadata if isinstance(node.metadata, dict) else {}
    initial = {state: np.zeros(shape) for state in states}
    initial["v"] = initial["v"] + np.asarray(metadata.get("v_init", 0.0), dtype=np.float64)
    if not hasattr(node, "v_threshold"):
        return Neurons(name, shape, states, rows, initial)
    how = cast(Literal["zero", "subtract"], text(metadata.get("reset", reset)))
    threshold: Floats = np.array(node.v_threshold, dtype=np.float64)
    v_reset: Floats = np.array(node.v_reset, dtype=np.float64)
    jump = v_reset if how == "zero" else threshold - v_reset
    return Neurons(name, shape, states, rows, initial, threshold, how, jump)
