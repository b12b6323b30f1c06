"""Nodes and edges: what must hold before a graph means anything, and nested graphs laid flat."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir

from hasn.errors import GraphError
from hasn.finding import Finding, in_graph, raise_errors
from hasn.ir.names import fault_of, shown
from hasn.nodes.lookup import is_known, kind_names, kind_of
from hasn.nodes.values import in_numpy

Edge = tuple[str, str]


@dataclass(frozen=True)
class FlatGraph:
    """A graph without nested graphs: names are ``outer.inner``.

    Attributes:
        nodes: name to NIR node, in NumPy's arrays. A nested graph's own Input and Output stay, as identities.
        edges: (source, target) names, in the order of the file.
        inputs: names of the graph's own Inputs.
        outputs: names of the graph's own Outputs.
        metadata: the outermost graph's metadata.
    """

    nodes: dict[str, nir.NIRNode]
    edges: tuple[Edge, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: dict[str, Any]


def structure_findings(graph: nir.NIRGraph) -> Iterator[Finding]:
    """Unknown node types, edges to nowhere, edges listed twice, ambiguous ends; nested graphs included."""
    malformed = list(_form_findings(graph, ()))
    yield from malformed or _meaning_findings(graph, top=True)


def _meaning_findings(graph: nir.NIRGraph, top: bool) -> Iterator[Finding]:
    for name in graph.nodes:
        if fault := fault_of(name):
            yield Finding("error", shown(name), "", fault, "Rename the node.", got=ascii(name))
    seen: set[Edge] = set()
    for edge in map(tuple, graph.edges):
        if edge in seen:
            yield Finding(
                "error",
                edge[1],
                "",
                f"the edge {edge[0]!r} -> {edge[1]!r} is listed twice",
                "List it once, or double the weight if the doubling is meant.",
            )
        seen.add(edge)
        yield from _end_findings(graph, edge, top)
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from in_graph(name, _meaning_findings(node, top=False))
        elif not is_known(node):
            what, way = f"unknown node type {type(node).__name__}", f"hasn runs {', '.join(kind_names())}."
            yield Finding("error", name, "", what, way)
    if top and not any(isinstance(node, nir.Output) for node in graph.nodes.values()):
        yield Finding(
            "warning",
            "",
            "",
            "the graph has no Output node, so a recording has no outputs",
            "Add a nir.Output and an edge to it.",
        )


def _form_findings(graph: nir.NIRGraph, around: tuple[int, ...]) -> Iterator[Finding]:
    """What is no graph at all: nodes that are none, edges that are no pairs of names; nested graphs included."""
    if id(graph) in around:
        yield Finding("error", "", "", "the graph contains itself", "Nest a copy of a graph, not the graph.")
        return
    nodes, edges = getattr(graph, "nodes", None), getattr(graph, "edges", None)
    if not isinstance(nodes, dict):
        got = type(nodes).__name__
        yield Finding("error", "", "nodes", "is not a mapping of names to nodes", got=got, wanted="a dict")
    else:
        for name, node in nodes.items():
            if not isinstance(name, str) or not isinstance(node, nir.NIRNode):
                got = f"{type(name).__name__} -> {type(node).__name__}"
                yield Finding("error", str(name), "", "is no node under a name", got=got, wanted="str -> nir.NIRNode")
            elif isinstance(node, nir.NIRGraph):
                yield from in_graph(name, _form_findings(node, (*around, id(graph))))
    if not isinstance(edges, list | tuple | set | frozenset):
        got = type(edges).__name__
        yield Finding("error", "", "edges", "is not a list of pairs of names", got=got, wanted="a list")
        return
    for edge in edges:
        ends = edge if isinstance(edge, list | tuple) else ()
        if len(ends) != 2 or not all(isinstance(end, str) for end in ends):
            yield Finding("error", "", "edges", "is no pair of names", got=repr(edge), wanted="(source, target)")


def _end_findings(graph: nir.NIRGraph, edge: Edge, top: bool) -> Iterator[Finding]:
    for name, is_source in ((edge[0], True), (edge[1], False)):
        try:
            node_at(graph, name, is_source)
        except GraphError as error:
            yield Finding(
                "error",
                error.node or name,
                "",
                f"edge {edge[0]!r} -> {edge[1]!r}: {error.message}",
                error.way_out or "",
            )
    target = graph.nodes.get(edge[1])
    if target is not None and is_known(target) and not kind_of(target).takes_edges:
        what, way = (
            f"edge from {edge[0]!r} into a {kind_of(target).name}, which takes none",
            "Point it at what follows.",
        )
        yield Finding("error", edge[1], "", what, way)
    if top and isinstance(target, nir.Input):
        yield Finding(
            "error",
            edge[1],
            "",
            f"edge from {edge[0]!r} into an Input of the graph",
            "An Input takes its values from outside; point the edge at the node behind it.",
        )


def node_at(graph: nir.NIRGraph, name: str, is_source: bool) -> str:
    """Flat name of the node that an edge's end means; a nested graph stands for its one Output or Input.

    Raises:
        GraphError: there is no such node, or the nested graph has several ends to choose from.
    """
    node = graph.nodes.get(name)
    if node is None:
        parts = name.split(".")
        outers = (".".join(parts[:i]) for i in range(1, len(parts)))
        outer = next((outer for outer in outers if isinstance(graph.nodes.get(outer), nir.NIRGraph)), None)
        if outer is None:
            raise GraphError(
                "there is no such node",
                node=name,
                way_out=f"The graph has {shown(', '.join(sorted(graph.nodes))) or 'no nodes'}.",
            )
        return f"{outer}.{node_at(graph.nodes[outer], name[len(outer) + 1 :], is_source)}"
    if not isinstance(node, nir.NIRGraph):
        return name
    wanted = nir.Output if is_source else nir.Input
    ends = [inner for inner, n in node.nodes.items() if isinstance(n, wanted)]
    if len(ends) != 1:
        raise GraphError(
            f"the nested graph has {len(ends)} {wanted.__name__} nodes",
            node=name,
            way_out=f"Name the one that is meant: {', '.join(f'{name}.{end}' for end in sorted(ends)) or 'add one'}.",
        )
    return f"{name}.{ends[0]}"


def flatten(graph: nir.NIRGraph) -> FlatGraph:
    """Lay nested graphs flat; the caller's graph is not changed.

    Raises:
        GraphError: the structure is broken (see :func:`structure_findings`), or two nodes get one name.
    """
    raise_errors(structure_findings(graph))
    return laid_flat(graph)


def laid_flat(graph: nir.NIRGraph) -> FlatGraph:
    """The same of a graph whose structure has been found sound.

    Raises:
        GraphError: two nodes get one name.
    """
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[Edge] = []
    _lay_flat(graph, "", nodes, edges)
    for (source, target), times in Counter(edges).items():
        if times > 1:
            raise GraphError(
                f"{times} edges lead here from '{source}' once nested graphs are laid flat",
                node=target,
                way_out="List one of them: an edge to a nested graph is an edge to its only port.",
            )
    inputs = tuple(sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Input)))
    outputs = tuple(sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Output)))
    metadata = graph.metadata if isinstance(graph.metadata, dict) else {}
    return FlatGraph(nodes, tuple(edges), inputs, outputs, in_numpy(metadata))


def _in_numpy(node: nir.NIRNode) -> nir.NIRNode:
    """The node itself, or a copy where it holds tensors."""
    held = in_numpy(vars(node))
    if held is vars(node):
        return node
    made = copy.copy(node)
    vars(made).update(held)
    return made


def _lay_flat(graph: nir.NIRGraph, prefix: str, nodes: dict[str, nir.NIRNode], edges: list[Edge]) -> None:
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            _lay_flat(node, f"{prefix}{name}.", nodes, edges)
        elif prefix + name in nodes:
            raise GraphError(
                "two nodes get this name once nested graphs are laid flat",
                node=prefix + name,
                way_out="Rename one of them: names inside a nested graph become outer.inner.",
            )
        else:
            nodes[prefix + name] = _in_numpy(node)
    for source, target in graph.edges:
        edges.append((prefix + node_at(graph, source, True), prefix + node_at(graph, target, False)))
