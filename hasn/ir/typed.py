"""Copies of graphs, and graphs whose nodes carry the shapes that hasn infers."""

from __future__ import annotations

import copy
from typing import Any

import nir
import numpy as np

from hasn.errors import GraphError
from hasn.ir.parameters import parameter_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import FlatGraph, flatten, laid_flat
from hasn.nodes.lookup import neuron_kind
from hasn.nodes.values import in_numpy
from hasn.program.model import Shape


def with_types(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A copy with every ``input_type`` and ``output_type`` (and ``input_shape``) that can be known.

    nir's own inference uses one kernel side for both dimensions and forgets groups. A graph with errors comes back
    with the types it had: finding them is :func:`hasn.check`'s task.
    """
    return set_types(copy_graph(graph))


def set_types(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same in place, of a graph that is nobody else's: as :func:`copy_graph` makes it."""
    try:
        flat = flatten(graph)
    except GraphError:
        return graph
    if any(finding.severity == "error" for finding in parameter_findings(flat)):
        return graph
    _type(graph, flat, infer_shapes(flat)[0])
    return graph


def typed_copy(graph: nir.NIRGraph, shapes: dict[str, tuple[Shape, Shape]]) -> nir.NIRGraph:
    """:func:`with_types` of a graph that has been checked, whose shapes are known.

    Weights are shared with the caller's, however large they are: whoever gives the graph away copies them then.
    """
    typed = copy_graph(graph, fresh=False)
    flat = laid_flat(typed)
    for node in flat.nodes.values():
        if neuron_kind(node) is not None:
            vars(node).update(vars(copy_node(node)))
    _type(typed, flat, shapes)
    return typed


def _type(typed: nir.NIRGraph, flat: FlatGraph, shapes: dict[str, tuple[Shape, Shape]]) -> None:
    for name, (given, result) in shapes.items():
        _set_types(flat.nodes[name], given, result)
    _set_graph_types(typed)


def copy_graph(graph: nir.NIRGraph, *, fresh: bool = True) -> nir.NIRGraph:
    """A graph whose nodes, arrays and metadata can be changed without changing the caller's; tensors become arrays.

    Every function that gives back a new graph begins with it.

    Args:
        graph: the graph; not changed.
        fresh: whether arrays are copied; else they are shared, for what is read and thrown away.
    """
    nodes = {
        name: copy_graph(node, fresh=fresh) if isinstance(node, nir.NIRGraph) else copy_node(node, fresh=fresh)
        for name, node in graph.nodes.items()
    }
    edges = [(str(a), str(b)) for a, b in graph.edges]
    return nir.NIRGraph(nodes, edges, metadata=_metadata_of(graph, fresh), type_check=False)


def copy_node(node: nir.NIRNode, *, fresh: bool = True) -> nir.NIRNode:
    """The same of a node that is no graph."""
    made = copy.copy(node)
    vars(made).update({key: in_numpy(value, fresh=fresh) for key, value in vars(node).items() if key != "metadata"})
    made.metadata = _metadata_of(node, fresh)
    return made


def _metadata_of(node: nir.NIRNode, fresh: bool) -> dict[str, Any]:
    return dict(in_numpy(node.metadata, fresh=fresh)) if isinstance(node.metadata, dict) else {}


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
