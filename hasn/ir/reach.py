"""What of a graph nothing reaches: it runs, gives zeros, and two backends agree on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import nir
import numpy as np

from hasn.finding import Finding
from hasn.ir.structure import Edge, FlatGraph
from hasn.nodes.lookup import kind_of
from hasn.plasticity.modulators import SOURCES

#: Parameters and metadata that move a node without any input, where they are not zero.
_DRIVES = ("bias", "v_leak", "v_init")
#: Thresholds that the silent value 0 already exceeds, where they are below zero.
_THRESHOLDS = ("v_threshold", "threshold")
#: Factors of all that passes a node, or that a drawn input gives, by attributes: nothing does where they are all zero.
_FACTORS = {
    "weight": ("weight",), "scale": ("scale",), "w_in": ("w_in",), "rate": ("rate",), "std": ("mean", "std"),
}  # fmt: skip
#: The same where the attribute is not what the user gives.
_KEPT_AS = {"weight": ("data",)}


def reach_findings(flat: FlatGraph) -> Iterator[Finding]:
    """Warnings: nodes that nothing reaches, nodes that let nothing pass, Inputs that lead nowhere."""
    alone = {name for name, node in flat.nodes.items() if name in flat.inputs or acts_alone(node)}
    closed = {name: factor for name, node in flat.nodes.items() if (factor := zero_factor(node)) is not None}
    there = reached([edge for edge in flat.edges if edge[0] in alone or edge[0] not in closed], alone)
    for name, node in flat.nodes.items():
        drawn = not kind_of(node).takes_edges and name not in flat.inputs
        if name in closed:
            what = "it gives zeros" if drawn else "nothing passes it"
            repair = f"Give its {closed[name]} other values, or remove it."
            yield Finding("warning", name, closed[name], f"is all 0, so {what}", repair)
        if name not in there and not drawn:
            what = "it gives zeros" if name in flat.outputs else "it stays silent"
            yield Finding(
                "warning",
                name,
                "",
                f"nothing reaches it, so {what}",
                "Add the edge that leads to it, or remove it.",
                wanted="a path from an Input, from a drawn input, or from a node with a bias or a leak of its own",
            )
    left = {source for source, _ in flat.edges} | _modulating(flat)
    for name in flat.inputs:
        if name not in left:
            repair = "Add the edge that leads out of it, or remove it."
            yield Finding("warning", name, "", "no edge leads out of this Input, so its values go nowhere", repair)


def _modulating(flat: FlatGraph) -> set[str]:
    """Nodes that a learning rule reads: their values go there."""
    found: set[str] = set()
    for name, node in flat.nodes.items():
        said = node.metadata.get(SOURCES) if isinstance(node.metadata, dict) else None
        given = said.values() if isinstance(said, dict) else ()
        found.update(f"{name[: name.rfind('.') + 1]}{source}" for source in given)
    return found


def reached(edges: Iterable[Edge], sources: Iterable[str]) -> set[str]:
    """The sources and all nodes that a path leads to from one of them."""
    after: dict[str, list[str]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    found, waiting = set(sources), list(sources)
    while waiting:
        new = [target for target in after.get(waiting.pop(), ()) if target not in found]
        found.update(new)
        waiting += new
    return found


def acts_alone(node: nir.NIRNode) -> bool:
    """Whether a node may give more than zeros though nothing arrives: it is drawn, or has a drive of its own."""
    if not kind_of(node).takes_edges:
        return zero_factor(node) is None
    said = node.metadata if isinstance(node.metadata, dict) else {}
    values = {**{name: said.get(name) for name in _DRIVES}, **vars(node)}
    drives = [_numbers(values.get(name)) for name in _DRIVES]
    thresholds = [_numbers(values.get(name)) for name in _THRESHOLDS]
    return any(bool((array != 0).any()) for array in drives) or any(bool((array < 0).any()) for array in thresholds)


def zero_factor(node: nir.NIRNode) -> str | None:
    """The parameter that is 0 throughout, so that nothing passes the node; None: something does, or may by learning."""
    said = node.metadata if isinstance(node.metadata, dict) else {}
    if "plasticity" in said:
        return None
    values = vars(node)
    for name, attributes in (*_FACTORS.items(), *_KEPT_AS.items()):
        given = [values[attribute] for attribute in attributes if values.get(attribute) is not None]
        if len(given) == len(attributes) and all(map(_is_zero, given)):
            return name
    return None


def _is_zero(value: object) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "biuf" and not array.any()  # no copy: it may be gigabytes


def _numbers(value: object) -> np.ndarray[Any, Any]:
    """As an array; an empty one where there are none: what metadata a kind does not read may be anything."""
    try:
        return np.asarray([] if value is None else value, dtype=float)
    except (TypeError, ValueError):
        return np.zeros(0)
