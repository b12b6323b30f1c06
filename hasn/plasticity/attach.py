"""A rule onto a node of a graph, and off it."""

from __future__ import annotations

from collections.abc import Mapping

import nir

from hasn.errors import OptionError
from hasn.ir.typed import copy_graph
from hasn.plasticity.modulators import SOURCES, relative
from hasn.plasticity.rule import KEY, Rule


def attach(graph: nir.NIRGraph, node: str, rule: Rule, modulators: Mapping[str, str] | None = None) -> nir.NIRGraph:
    """A graph in which a connection learns by a rule; the caller's is not changed.

    The rule stands in ``node.metadata["plasticity"]``: it is saved and loaded with the graph, and other tools read the
    file as the network without learning.

    Args:
        graph: the graph.
        node: name of a Linear, Affine, SparseLinear, Conv1d or Conv2d; ``"outer.inner"`` in a nested graph.
        rule: what it learns by.
        modulators: modulator of the rule -> the node whose mean value it is: the rate of a population, what a readout,
            an Output or an Input has. Those that are not named here are the user's to give to each run.

    Raises:
        OptionError: there is no such node, rule or modulator. Whether the rule fits is seen by :func:`hasn.check`.
    """
    if not isinstance(rule, Rule):
        raise OptionError("not a rule", parameter="rule", got=type(rule).__name__, wanted="hasn.plasticity.Rule")
    given = {} if modulators is None else relative(modulators, node)
    for name in given:
        if name not in rule.modulators:
            wanted = ", ".join(rule.modulators) or "none: the rule reads no modulator"
            raise OptionError("the rule reads no such modulator", parameter="modulators", got=repr(name), wanted=wanted)
    made = _with(graph, node, {KEY: rule.metadata(), **({SOURCES: given} if given else {})})
    for name, source in (modulators or {}).items():
        if isinstance(held(made, source), nir.NIRGraph | None):
            raise OptionError("there is no such node with a value", parameter=f"modulators[{name!r}]", got=repr(source))
    return made


def detach(graph: nir.NIRGraph, node: str) -> nir.NIRGraph:
    """A graph in which a connection learns no more; the caller's is not changed.

    Raises:
        OptionError: there is no such node, or it does not learn.
    """
    return _with(graph, node, {})


def _with(graph: nir.NIRGraph, node: str, added: Mapping[str, object]) -> nir.NIRGraph:
    made = copy_graph(graph)
    found = held(made, node)
    if found is None:
        raise OptionError("there is no such node", parameter="node", got=repr(node), wanted=", ".join(graph.nodes))
    if not added and KEY not in found.metadata:
        raise OptionError("does not learn", parameter="node", got=repr(node))
    kept = {key: value for key, value in found.metadata.items() if key not in (KEY, SOURCES)}
    found.metadata = {**kept, **added}
    return made


def held(graph: nir.NIRGraph, node: str) -> nir.NIRNode | None:
    """The node of a name, or None."""
    inside: nir.NIRNode | None = graph
    for part in node.split("."):
        inside = inside.nodes.get(part) if isinstance(inside, nir.NIRGraph) else None
    return inside
