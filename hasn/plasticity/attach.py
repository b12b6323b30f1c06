"""A rule onto a node of a graph, and off it."""

from __future__ import annotations

from collections.abc import Mapping

import nir

from hasn.errors import OptionError
from hasn.ir.typed import copy_graph
from hasn.plasticity.rule import KEY, Rule


def attach(graph: nir.NIRGraph, node: str, rule: Rule) -> nir.NIRGraph:
    """A graph in which a connection learns by a rule; the caller's is not changed.

    The rule stands in ``node.metadata["plasticity"]``: it is saved and loaded with the graph, and other tools read the
    file as the network without learning.

    Args:
        graph: the graph.
        node: name of a Linear, Affine, SparseLinear, Conv1d or Conv2d; ``"outer.inner"`` in a nested graph.
        rule: what it learns by.

    Raises:
        OptionError: there is no such node, or no such rule. Whether the rule fits is seen by :func:`hasn.check`.
    """
    if not isinstance(rule, Rule):
        raise OptionError("not a rule", parameter="rule", got=type(rule).__name__, wanted="hasn.plasticity.Rule")
    return _with(graph, node, {KEY: rule.metadata()})


def detach(graph: nir.NIRGraph, node: str) -> nir.NIRGraph:
    """A graph in which a connection learns no more; the caller's is not changed.

    Raises:
        OptionError: there is no such node, or it does not learn.
    """
    return _with(graph, node, {})


def _with(graph: nir.NIRGraph, node: str, added: Mapping[str, object]) -> nir.NIRGraph:
    made = copy_graph(graph)
    inside = made
    *outer, name = node.split(".")
    for part in outer:
        inside = inside.nodes.get(part)
        if not isinstance(inside, nir.NIRGraph):
            break
    if not isinstance(inside, nir.NIRGraph) or name not in inside.nodes:
        raise OptionError("there is no such node", parameter="node", got=repr(node), wanted=", ".join(graph.nodes))
    found = inside.nodes[name]
    if not added and KEY not in found.metadata:
        raise OptionError("does not learn", parameter="node", got=repr(node))
    found.metadata = {**{key: value for key, value in found.metadata.items() if key != KEY}, **added}
    return made
