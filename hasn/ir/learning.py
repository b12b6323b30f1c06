"""Which connections of a graph learn, by what, and from whom: ``metadata["plasticity"]`` (docs/plasticity.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import GraphError, HasnError, OptionError, ParameterError
from hasn.finding import Finding, finding_of
from hasn.ir.structure import FlatGraph
from hasn.nodes.lookup import kind_of, neuron_kind
from hasn.nodes.sparse import SparseLinear
from hasn.plasticity.modulators import SOURCES, sources_of
from hasn.plasticity.rule import KEY, Rule, rule_of
from hasn.program.learning import Learning
from hasn.program.maps import Mean
from hasn.program.model import Connection, Edge, Shape, Source

_LEARNERS = (nir.Linear, nir.Affine, SparseLinear, nir.Conv1d, nir.Conv2d)


def learning_nodes(flat: FlatGraph) -> list[str]:
    """Names of the nodes that learn."""
    return [name for name, node in flat.nodes.items() if isinstance(node.metadata, dict) and KEY in node.metadata]


def rules_of(flat: FlatGraph) -> dict[str, Rule]:
    """Connection that learns -> its rule.

    Raises:
        OptionError: metadata that are no rule.
    """
    return {name: rule_of(flat.nodes[name].metadata[KEY], name) for name in learning_nodes(flat)}


def learning_findings(flat: FlatGraph, dt: float | None) -> Iterator[Finding]:
    """Rules without meaning, and rules that do not fit their connection, or the step if it is known."""
    for name in learning_nodes(flat):
        try:
            _rule_of(flat, name)
            if dt is not None:
                learning_of(flat, name, dt)
        except HasnError as error:
            yield finding_of(error)


def learning_of(flat: FlatGraph, name: str, dt: float) -> Learning:
    """How a connection learns, in steps of ``dt`` seconds.

    Raises:
        OptionError: its metadata are no rule, or none in such steps.
        ParameterError: the node cannot learn, or its weights lie outside the bounds.
        GraphError: it does not feed one population, that one does not have what the rule reads, or a modulator's name
            is a node's.
    """
    rule, target = _rule_of(flat, name)
    given = {modulator: mean_of(flat, source) for modulator, source in _given(flat, name, rule).items()}
    try:
        return rule.discrete(dt, target, {modulator: given.get(modulator, modulator) for modulator in rule.modulators})
    except OptionError as error:
        raise OptionError(f"its learning rule: {error}", node=name, parameter=f"metadata['{KEY}']") from error


def _rule_of(flat: FlatGraph, name: str) -> tuple[Rule, str]:
    """A node's rule, which fits it, and the population that it feeds."""
    node = flat.nodes[name]
    rule = rule_of(node.metadata[KEY], name)
    _check_weights(name, node, rule)
    _check_sums(name, node, rule)
    target = _target(flat, name)
    if "post" in rule.reads and not hasattr(flat.nodes[target], "v_threshold"):
        raise GraphError(
            f"the rule reads post, and '{target}' does not spike",
            node=name,
            parameter=f"metadata['{KEY}']",
            got=rule.name,
            way_out="Read v, or let the connection feed neurons with a threshold.",
        )
    given = _given(flat, name, rule)
    for modulator in rule.modulators:
        if modulator in flat.nodes and modulator not in given:
            raise GraphError(
                "a modulator has the name of a node",
                node=name,
                parameter=f"metadata['{KEY}']",
                got=repr(modulator),
                way_out="Name it otherwise in the rule, or attach it as that node's: modulators={...}.",
            )
    return rule, target


def arriving_late(flat: FlatGraph, late: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Late edges, where none leads out of a connection that learns: those into it are late in its place.

    The values are the same but for the weights, which then are those of the step in which the target takes them: its
    pre spike is the source's as the target sees it.
    """
    learners = set(learning_nodes(flat))
    moved = {edge for edge in late if edge[0] in learners}
    behind = {name for name, _ in moved}
    return (late - moved) | {edge for edge in flat.edges if edge[1] in behind}


def modulator_sources(flat: FlatGraph, learning: dict[str, Learning]) -> tuple[Source, ...]:
    """The Sources of the modulators that a user gives: one number a step and sample each."""
    names = {node for found in learning.values() for _, node in found.modulators} - {*means(flat)}
    return tuple(Source(name, (), modulates=True) for name in sorted(names))


def mean_of(flat: FlatGraph, source: str) -> str:
    """Name of the Connection that takes the mean of a node, for those who learn from it."""
    name = f"mean of {source}"
    while name in flat.nodes:
        name += "'"
    return name


def means(flat: FlatGraph) -> dict[str, str]:
    """Mean that a modulator is -> the node that it is taken of."""
    found = {}
    for learner in learning_nodes(flat):
        for source in sources_of(flat.nodes[learner].metadata, learner).values():
            node = learner[: learner.rfind(".") + 1] + source
            found[mean_of(flat, node)] = node
    return dict(sorted(found.items()))


def modulating(
    flat: FlatGraph, shapes: dict[str, tuple[Shape, Shape]], timing: str
) -> tuple[tuple[Connection, ...], tuple[Edge, ...]]:
    """The Connections that take means, and the edges into them.

    What an Input or a drawn input has acts in its own step, as what a user gives does; on hardware it takes a step as
    over any connection. All else may stand behind the one who learns: it acts one step later.
    """
    nodes, edges = [], []
    for name, source in means(flat).items():
        now = timing == "synchronous" and is_given(flat, source)
        nodes.append(Connection(name, Mean(), (1,), given=shapes[source][1]))
        edges.append(Edge(source, name, 0 if now else 1))
    return tuple(nodes), tuple(edges)


def is_given(flat: FlatGraph, node: str) -> bool:
    """Whether a node's value is there before any other's: an Input of the graph, or a drawn input."""
    return node in flat.inputs or not kind_of(flat.nodes[node]).takes_edges


def _given(flat: FlatGraph, name: str, rule: Rule) -> dict[str, str]:
    """Modulator of the rule -> the node that gives it.

    Raises:
        OptionError: the metadata say no such thing.
        GraphError: the rule has no such modulator, or there is no such node with a value.
    """
    inside, found = name[: name.rfind(".") + 1], {}
    where = f"metadata['{SOURCES}']"
    for modulator, given in sources_of(flat.nodes[name].metadata, name).items():
        if modulator not in rule.modulators:
            wanted = ", ".join(rule.modulators) or "none"
            raise GraphError(
                "the rule reads no such modulator", node=name, parameter=where, got=repr(modulator), wanted=wanted
            )
        source = found[modulator] = inside + given
        node = flat.nodes.get(source)
        if node is None:
            raise GraphError(
                f"the modulator {modulator} comes from a node that is not there",
                node=name,
                parameter=where,
                got=repr(source),
                way_out="hasn.plasticity.attach it again, with modulators={...}.",
            )
        if KEY in node.metadata:
            raise GraphError(
                f"the modulator {modulator} comes from a connection that learns",
                node=name,
                parameter=where,
                got=repr(source),
                way_out="Name the population behind it.",
            )
        if isinstance(node, nir.Input | nir.Output) and source not in (*flat.inputs, *flat.outputs):
            raise GraphError(
                f"the modulator {modulator} comes from a port of a nested graph, which is no node of its own",
                node=name,
                parameter=where,
                got=repr(source),
                way_out="Name the node before it.",
            )
    return found


def _check_weights(name: str, node: Any, rule: Rule) -> None:
    where = f"metadata['{KEY}']"
    if not isinstance(node, _LEARNERS):
        wanted = ", ".join(kind.__name__ for kind in _LEARNERS)
        raise ParameterError(
            "this node cannot learn", node=name, parameter=where, got=type(node).__name__, wanted=wanted
        )
    sparse = isinstance(node, SparseLinear)
    weight = np.asarray(node.data if sparse else node.weight)
    if sparse and weight.dtype not in (np.float64, np.float32):
        way = "Store them as float32: SparseLinear(weight, dtype='float32')."
        raise ParameterError(
            "weights that learn are floating numbers", node=name, parameter="weight", got=weight.dtype, way_out=way
        )
    if isinstance(node, nir.Linear | nir.Affine) and weight.ndim != 2:
        raise ParameterError(
            "only one block of weights can learn",
            node=name,
            parameter="weight",
            got=weight.shape,
            wanted="2 dimensions",
        )
    outside = (weight < rule.w_min) | (weight > rule.w_max)
    if np.any(outside):
        raise ParameterError(
            f"the rule's bounds leave out {np.count_nonzero(outside):,} of {weight.size:,} weights",
            node=name,
            parameter="weight",
            got=f"{weight.min():g} .. {weight.max():g}",
            wanted=f"{rule.w_min:g} .. {rule.w_max:g}",
            way_out="Widen w_min and w_max, or clip the weights first.",
        )


def _check_sums(name: str, node: Any, rule: Rule) -> None:
    """Refuse bounds under which a target's weights cannot sum to what they are normalised to."""
    if rule.normalise is None:
        return
    sparse = isinstance(node, SparseLinear)
    many = np.diff(node.indptr) if sparse else np.full(len(node.weight), np.asarray(node.weight)[0].size)
    many = many[many > 0]
    most = max(abs(rule.w_min), abs(rule.w_max))
    least = max(rule.w_min, -rule.w_max, 0.0)
    wrong = many[(many * most < rule.normalise) | (many * least > rule.normalise)]
    if wrong.size:
        raise ParameterError(
            f"weights within these bounds do not sum to that: {wrong.size:,} of its targets have {wrong[0]}",
            node=name,
            parameter=f"metadata['{KEY}']['normalise']",
            got=rule.normalise,
            wanted=f"{wrong[0] * least:g} .. {wrong[0] * most:g}",
            way_out="Widen w_min and w_max, or normalise to another sum.",
        )


def _target(flat: FlatGraph, name: str) -> str:
    """The one population that a connection feeds."""
    targets = [target for source, target in flat.edges if source == name]
    if len(targets) != 1 or neuron_kind(flat.nodes[targets[0]]) is None:
        raise GraphError(
            "a connection that learns feeds one population, without anything in between",
            node=name,
            parameter=f"metadata['{KEY}']",
            got=f"edges to {', '.join(targets) or 'nobody'}",
            wanted="one edge, to neurons",
            way_out="Give each population a connection of its own; put a Delay before the connection, not behind it.",
        )
    return targets[0]
