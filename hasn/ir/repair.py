"""Mend foreign files: what can be mended without guessing at the meaning, and a list of what was changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hasn.errors import GraphError, ShapeError
from hasn.ir.finding import Finding
from hasn.ir.parameters import RULES, parameter_findings
from hasn.ir.shapes import Shape, infer_shapes, output_shape, shape_of
from hasn.ir.structure import FlatGraph, flatten
from hasn.ir.timestep import dt_of, propose_dt
from hasn.ir.typed import copy_graph, with_types
from hasn.ir.values import single, text

#: Parameters that hold one value for each element, by node type: those that may be broadcast or reshaped.
_ELEMENTWISE = {
    kind: tuple(rule.parameter for rule in RULES[kind])
    for kind in (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, nir.Scale, nir.Threshold, nir.Delay)
}

#: 0.8 GB for each parameter: a shape that a damaged file claims may be any size.
_MOST_ELEMENTS = 10**8


@dataclass(frozen=True)
class Repaired:
    """A mended copy of a graph, and one finding (severity "note") for each change."""

    graph: nir.NIRGraph
    changes: list[Finding]


def repair(graph: nir.NIRGraph, *, dt: float | None = None) -> Repaired:
    """Mend what foreign exporters commonly get wrong, in a copy.

    Mended: edges listed twice; bytes where NIR has strings; scalar parameters, and parameters of shape (1,) or
    (1, 1, 1), brought to the shape that arrives; a Flatten whose dimensions count the batch; a recorded shape (Output,
    Flatten, convolution) that contradicts what arrives; types left open; dt, where ``r = tau / dt`` betrays it.

    Args:
        graph: the graph; not changed. It may still have errors afterwards: see :func:`hasn.check`.
        dt: seconds a step, kept as metadata; nothing is proposed then.
    """
    changes: list[Finding] = []
    mended = copy_graph(graph)
    _drop_double_edges(mended, "", changes)
    _decode(mended, "", changes)
    try:
        flat = flatten(mended)
    except GraphError:
        return Repaired(mended, changes)
    if not any(finding.severity == "error" for finding in parameter_findings(flat)):
        _fit_shapes(flat, changes)
        _note_open_types(flat, changes)
    _set_dt(mended, flat, dt, changes)
    return Repaired(with_types(mended), changes)


def _change(changes: list[Finding], node: str, parameter: str, message: str, got: object = None) -> None:
    changes.append(Finding("note", node, parameter, message, got=got))


def _inner(graph: nir.NIRGraph, prefix: str) -> Iterable[tuple[str, nir.NIRGraph]]:
    return ((f"{prefix}{name}.", node) for name, node in graph.nodes.items() if isinstance(node, nir.NIRGraph))


def _drop_double_edges(graph: nir.NIRGraph, prefix: str, changes: list[Finding]) -> None:
    kept = list(dict.fromkeys((source, target) for source, target in graph.edges))
    for edge in kept:
        times = graph.edges.count(edge)
        if times > 1:
            _change(
                changes, prefix + edge[1], "", f"the edge from '{prefix}{edge[0]}' was listed {times} times, now once"
            )
    graph.edges = kept
    for inner, node in _inner(graph, prefix):
        _drop_double_edges(node, inner, changes)


def _decode(graph: nir.NIRGraph, prefix: str, changes: list[Finding]) -> None:
    for name, node in graph.nodes.items():
        for holder, label in ((vars(node), "{}"), (node.metadata, "metadata['{}']")):
            for key, value in list(holder.items()):
                if isinstance(value, bytes):
                    holder[key] = text(value)
                    _change(changes, prefix + name, label.format(key), "bytes are now a string", value)
    for inner, node in _inner(graph, prefix):
        _decode(node, inner, changes)


def _fit_shapes(flat: FlatGraph, changes: list[Finding]) -> None:
    """Bring nodes to the shape that arrives, one at a time in the direction of the signals, until nothing changes."""
    for _ in range(len(flat.nodes) + 1):
        shapes, _findings = infer_shapes(flat)
        for source, target in flat.edges:
            if source in shapes and target not in shapes:
                if _fit_flatten(flat.nodes[target], target, shapes[source][1], None, changes):
                    break
                continue
            if source not in shapes or target not in shapes or shapes[source][1] == shapes[target][0]:
                continue
            if _fit_flatten(flat.nodes[source], source, shapes[source][0], shapes[target][0], changes):
                break
            if _fit(flat.nodes[target], target, shapes[source][1], changes):
                break
        else:
            return


def _fit_flatten(node: nir.NIRNode, name: str, given: Shape, wanted: Shape | None, changes: list[Finding]) -> bool:
    """Whether a Flatten gives the wanted shape once its dimensions are no longer counted with the batch.

    None: any shape, where it has no such dimensions as it stands.
    """
    if not isinstance(node, nir.Flatten) or single(node.start_dim) < 1 or single(node.end_dim) == 0:
        return False  # dimension 0 would be the batch itself
    old = {"start_dim": single(node.start_dim), "end_dim": single(node.end_dim)}
    moved = copy.copy(node)
    moved.start_dim, moved.end_dim = (dim - 1 if dim > 0 else dim for dim in old.values())
    try:
        if wanted not in (None, output_shape(moved, given)):
            return False
    except ShapeError:
        return False
    for parameter, dim in old.items():
        new = getattr(moved, parameter)
        if new != dim:
            setattr(node, parameter, new)
            _change(changes, name, parameter, f"now {new}: it was counted with the batch, as torch does", dim)
    return True


def _fit(node: nir.NIRNode, name: str, arriving: Shape, changes: list[Finding]) -> bool:
    """Whether ``node`` could be brought to the shape that arrives."""
    if isinstance(node, nir.Flatten):
        _change(changes, name, "input_type", f"now {arriving}, as it arrives", shape_of(node.input_type["input"]))
        node.input_type = {"input": np.array(arriving)}
        return True
    if isinstance(node, nir.Output):
        return _fit_output(node, name, arriving, changes)
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return _fit_convolution(node, name, arriving, changes)
    parameters = _ELEMENTWISE.get(type(node), ())
    values = {parameter: np.asarray(getattr(node, parameter)) for parameter in parameters}
    fitted = {parameter: broadcast(value, arriving) for parameter, value in values.items()}
    if not parameters or any(value is None for value in fitted.values()):
        return False
    for parameter, value in fitted.items():
        if values[parameter].shape != arriving:
            _change(changes, name, parameter, f"brought to shape {arriving}", values[parameter].shape)
            setattr(node, parameter, value)
    return True


def broadcast(value: np.ndarray[Any, Any], shape: Shape) -> np.ndarray[Any, Any] | None:
    """``value`` in ``shape`` if there is only one way to mean it: a single value, or the same but for sides of one.

    None also where the result is so large that it is rather the shape that is damaged.
    """
    if math.prod(shape) > _MOST_ELEMENTS:
        return None
    if value.size == 1:
        return np.full(shape, value.reshape(-1)[0])
    if tuple(n for n in value.shape if n != 1) == tuple(n for n in shape if n != 1):
        return value.reshape(shape)
    same_rank = value.ndim == len(shape) and all(n in (1, m) for n, m in zip(value.shape, shape, strict=True))
    return np.broadcast_to(value, shape).copy() if same_rank else None


def _fit_output(node: nir.NIRNode, name: str, arriving: Shape, changes: list[Finding]) -> bool:
    old = shape_of(node.output_type["output"]) or ()
    if int(np.prod(old)) != int(np.prod(arriving)):
        return False
    _change(changes, name, "shape", f"now {arriving}, as it arrives", old)
    node.input_type, node.output_type = {"input": np.array(arriving)}, {"output": np.array(arriving)}
    return True


def _fit_convolution(node: nir.NIRNode, name: str, arriving: Shape, changes: list[Finding]) -> bool:
    spatial = arriving[1:]
    old = shape_of(node.input_shape)
    if len(spatial) != np.ndim(node.weight) - 2 or old is None or old[-len(spatial) :] == spatial:
        return False  # another rank, or the channels differ: that is no matter of a recorded shape
    _change(changes, name, "input_shape", f"now {spatial}, as it arrives", old)
    node.input_shape = int(spatial[0]) if len(spatial) == 1 else tuple(int(n) for n in spatial)
    return True


def _note_open_types(flat: FlatGraph, changes: list[Finding]) -> None:
    """Say which recorded types are filled in or corrected by :func:`hasn.ir.typed.with_types`."""
    for name, (given, result) in infer_shapes(flat)[0].items():
        node = flat.nodes[name]
        for field, wanted in (("input_type", given), ("output_type", result)):
            types = getattr(node, field, None) or {}
            old = shape_of(next(iter(types.values()), None))
            if old != wanted:
                what = "filled in" if old is None else "corrected"
                _change(changes, name, field, f"{what}: {wanted}", old)


def _set_dt(graph: nir.NIRGraph, flat: FlatGraph, dt: float | None, changes: list[Finding]) -> None:
    known = dt_of(graph.metadata, dt)
    if known is not None:
        graph.metadata["dt"] = known
        return
    proposed = propose_dt(flat)
    if proposed is not None:
        graph.metadata["dt"] = proposed
        _change(changes, "", "dt", f"set to {proposed:g} s, which r = tau/dt points to")
