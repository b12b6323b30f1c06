"""The shape of every signal, inferred from the nodes themselves (nir 1.0.8 uses one kernel side for both)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import nir
import numpy as np

from hasn.errors import ParameterError, ShapeError
from hasn.finding import Finding, finding_of
from hasn.ir.structure import FlatGraph
from hasn.nodes.lookup import kind_of
from hasn.program.model import Shape

_MOST_ELEMENTS = 2**62


def infer_shapes(flat: FlatGraph) -> tuple[dict[str, tuple[Shape, Shape]], list[Finding]]:
    """(input shape, output shape) of every node, and what is wrong with them.

    A node whose shapes cannot be known is missing from the mapping and has a finding.
    """
    before: dict[str, list[str]] = {name: [] for name in flat.nodes}
    after: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        before[target].append(source)
        after[source].append(target)
    known: dict[str, tuple[Shape, Shape]] = {}
    findings: dict[str, Finding] = {}
    queue = deque(sorted(flat.nodes, key=lambda name: name not in flat.inputs))
    while queue:
        name = queue.popleft()
        if name in known or name in findings:
            continue
        try:
            shapes = _node_shapes(flat.nodes[name], [known[source][1] for source in before[name] if source in known])
        except (ShapeError, ParameterError) as error:
            findings[name] = finding_of(error, name)
            continue
        if shapes is not None:
            known[name] = shapes
            queue.extend(after[name])
    for name in flat.nodes:
        if name not in known and name not in findings and not any(source in findings for source in before[name]):
            findings[name] = Finding(
                "error",
                name,
                "",
                "its input shape is nowhere given",
                "Give the graph an Input with a shape, or the node its input_shape.",
                error=ShapeError,
            )
    return known, [*findings.values(), *_edge_findings(flat, known)]


def _node_shapes(node: nir.NIRNode, incoming: list[Shape]) -> tuple[Shape, Shape] | None:
    kind = kind_of(node)
    fixed = kind.input_shape(node)
    if fixed is None and not incoming:
        return None
    shape = fixed if fixed is not None else incoming[0]
    result = kind.output_shape(node, shape)
    for found in (shape, result):
        if math.prod(found) > _MOST_ELEMENTS:
            raise ShapeError("has more elements than can be counted", got=found, wanted="at most 2^62")
    return shape, result


def _edge_findings(flat: FlatGraph, known: dict[str, tuple[Shape, Shape]]) -> Iterator[Finding]:
    for source, target in flat.edges:
        if source not in known or target not in known:
            continue
        given, taken = known[source][1], known[target][0]
        if given != taken:
            yield Finding(
                "error",
                target,
                "",
                f"shape mismatch along the edge from '{source}'",
                _mismatch_repair(given, taken),
                given,
                f"{taken}, which {type(flat.nodes[target]).__name__} takes",
                ShapeError,
            )


def _mismatch_repair(given: Shape, taken: Shape) -> str:
    if int(np.prod(taken)) == 1:
        return f"Broadcast its parameters to shape {given} (hasn.repair does it), or reduce the input."
    if int(np.prod(given)) == int(np.prod(taken)):
        return f"Put a nir.Flatten between them, or give its parameters the shape {given}."
    return "Give both ends one shape."
