"""Mend foreign files: what can be mended without guessing at the meaning, and a list of what was changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import nir
import numpy as np

from hasn.errors import GraphError, ParameterError, ShapeError
from hasn.finding import Finding
from hasn.ir.parameters import HAVE_A_SHAPE, parameter_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import FlatGraph, flatten
from hasn.ir.timestep import dt_of, propose_dt
from hasn.ir.typed import copy_graph, set_types
from hasn.nodes.kind import Mending, shape_of
from hasn.nodes.lookup import kind_of
from hasn.nodes.values import numbers, text
from hasn.program.model import Shape


@dataclass(frozen=True)
class Repaired:
    """A mended copy of a graph, and one finding (severity "note") for each change."""

    graph: nir.NIRGraph
    changes: list[Finding]


def repair(graph: nir.NIRGraph, *, dt: float | None = None) -> Repaired:
    """Mend what foreign exporters commonly get wrong, in a copy.

    Mended: edges listed twice; bytes where NIR has strings; scalar parameters, and parameters of shape (1,) or
    (1, 1, 1), brought to the shape that arrives; a Flatten whose dimensions count the batch, or whose shape is zeros;
    an Input whose shape counts a batch of one; a recorded shape (a nested graph's Input, Output, Flatten, convolution)
    that contradicts what arrives; types left open; dt, where ``r = tau / dt`` betrays it.

    Args:
        graph: the graph; not changed. It may still have errors afterwards: see :func:`hasn.check`.
        dt: seconds a step, kept as metadata; nothing is proposed then.
    """
    changes: list[Finding] = []
    mended = copy_graph(graph)
    _drop_double_edges(mended, "", changes)
    _decode(mended, "", changes)
    _drop_placeholders(mended, "", changes)
    try:
        flat = flatten(mended)
    except GraphError:
        return Repaired(mended, changes)
    # A value without meaning says nothing about shapes: each finding is mended on its own.
    if all(found.message in HAVE_A_SHAPE for found in parameter_findings(flat) if found.severity == "error"):
        _fit_shapes(flat, changes)
        _note_open_types(flat, changes)
    _set_dt(mended, flat, dt, changes)
    return Repaired(set_types(mended), changes)


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


def _drop_placeholders(graph: nir.NIRGraph, prefix: str, changes: list[Finding]) -> None:
    """NIR 0.2 wrote zeros for a Flatten's shape that it did not know; the shape that arrives takes their place."""
    for name, node in graph.nodes.items():
        types = node.input_type if isinstance(node, nir.Flatten) else None
        shape = numbers(types.get("input")) if isinstance(types, dict) else None
        if shape is not None and shape.size and not np.any(shape):
            node.input_type = {"input": None}
            _change(changes, prefix + name, "input_type", "zeros stood for a shape that was not known", shape.tolist())
    for inner, node in _inner(graph, prefix):
        _drop_placeholders(node, inner, changes)


def _fit_shapes(flat: FlatGraph, changes: list[Finding]) -> None:
    """Bring nodes to the shape that arrives, one at a time in the direction of the signals, until nothing changes."""
    for _ in range(len(flat.nodes) + 1):
        shapes, _findings = infer_shapes(flat)
        for source, target in flat.edges:
            if source not in shapes:
                continue
            before, after = flat.nodes[source], flat.nodes[target]
            arriving = shapes[source][1]
            if target not in shapes:
                if _mend(after, target, kind_of(after).reread(after, arriving, None), changes) or (
                    isinstance(before, nir.Input)
                    and _takes(after, arriving[1:])
                    and _mend(before, source, kind_of(before).reread(before, arriving, arriving[1:]), changes)
                ):
                    break
            elif arriving != (taken := shapes[target][0]) and (
                _mend(before, source, kind_of(before).reread(before, shapes[source][0], taken), changes)
                or _mend(after, target, kind_of(after).fitted(after, arriving), changes)
            ):
                break
        else:
            return


def _takes(node: nir.NIRNode, shape: Shape) -> bool:
    try:
        kind_of(node).output_shape(node, shape)
    except (ShapeError, ParameterError):
        return False
    return True


def _mend(node: nir.NIRNode, name: str, mendings: list[Mending], changes: list[Finding]) -> bool:
    """Whether there is anything to mend; it is."""
    for mending in mendings:
        for attribute, value in mending.values.items():
            setattr(node, attribute, value)
        _change(changes, name, mending.parameter, mending.message, mending.got)
    return bool(mendings)


def _note_open_types(flat: FlatGraph, changes: list[Finding]) -> None:
    """Say which recorded types are filled in or corrected by :func:`hasn.ir.typed.set_types`."""
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
