"""A copy of a graph whose nodes carry the shapes that hasn infers."""

from __future__ import annotations

import copy

import nir
import numpy as np

from hasn.errors import GraphError
from hasn.ir.parameters import parameter_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import FlatGraph, flatten, laid_flat
from hasn.program.model import Shape


def with_types(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same graph with every ``input_type`` and ``output_type`` (and ``input_shape``) that can be known.

    nir's own inference uses one kernel side for both dimensions and forgets groups. A graph with errors comes back
    with the types it had: finding them is :func:`hasn.check`'s task.
    """
    typed = copy_graph(graph)
    try:
        flat = flatten(typed)
    except GraphError:
        return typed
    if any(finding.severity == "error" for finding in parameter_findings(flat)):
        return typed
    _type(typed, flat, infer_shapes(flat)[0])
    return typed


def typed_copy(graph: nir.NIRGraph, shapes: dict[str, tuple[Shape, Shape]]) -> nir.NIRGraph:
    """The same of a graph that has been checked, whose shapes are known."""
    typed = copy_graph(graph)
    _type(typed, laid_flat(typed), shapes)
    return typed


def _type(typed: nir.NIRGraph, flat: FlatGraph, shapes: dict[str, tuple[Shape, Shape]]) -> None:
    for name, (given, result) in shapes.items():
        _set_types(flat.nodes[name], given, result)
    _set_graph_types(typed)


def copy_graph(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A graph whose nodes and metadata can be changed without changing the caller's (arrays are shared)."""
    nodes = {
        name: copy_graph(node) if isinstance(node, nir.NIRGraph) else copy.copy(node)
        for name, node in graph.nodes.items()
    }
    for node in nodes.values():
        node.metadata = dict(node.metadata) if isinstance(node.metadata, dict) else {}
    metadata = dict(graph.metadata) if isinstance(graph.metadata, dict) else {}
    return nir.NIRGraph(nodes, [(str(a), str(b)) for a, b in graph.edges], metadata=metadata, type_check=False)


def _set_types(node: nir.NIRNode, given: Shape, result: Shape) -> None:
    node.input_type = {"input": np.array(given, dtype=int)}
    node.output_type = {"output": np.array(result, dtype=int)}
    if isinstance(node, nir.Conv1d):
        node.input_shape = int(given[1])
    elif isinstance(node, nir.Conv2d):
        node.input_shape = (int(given[1]), int(given[2]))


def _set_graph_types(graph: nir.NIRGraph) -> None:
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            _set_graph_types(node)
    graph._update_input_output_types()
