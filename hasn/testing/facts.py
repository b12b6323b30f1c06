"""What a case contains, as the rows of docs/support.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import nir

from hasn.nodes.lookup import kind_names
from hasn.testing.cases import CASES
from hasn.testing.cases.case import Case
from hasn.testing.structure import structure

#: Row -> whether a case belongs to it.
FEATURES: dict[str, Callable[[Case], bool]] = {
    "method euler": lambda case: case.method == "euler",
    "method exact": lambda case: case.method == "exact",
    "reset zero": lambda case: case.reset == "zero",
    "reset subtract": lambda case: case.reset == "subtract",
    "no batch axis": lambda case: case.batch is None,
    "batch": lambda case: case.batch is not None,
    "timing synchronous": lambda case: case.timing == "synchronous",
    "timing hardware": lambda case: case.timing == "hardware",
    "inputs of real numbers": lambda case: case.graded,
    "recurrence": lambda case: recurrent(case),
    "nested graphs": lambda case: nested(case.graph()) > 0,
    "nested two deep": lambda case: nested(case.graph()) > 1,
    "several Inputs": lambda case: count(case, nir.Input) > 1,
    "several Outputs": lambda case: count(case, nir.Output) > 1,
}


@cache
def facts(name: str) -> frozenset[str]:
    """The primitives and features of a case."""
    case = CASES[name]
    primitives = {type(node).__name__ for node in inner(case.graph())} & set(kind_names())
    if nested(case.graph()):
        primitives.add("NIRGraph")
    return frozenset(primitives | {feature for feature, holds in FEATURES.items() if holds(case)})


def inner(graph: nir.NIRGraph) -> Iterator[nir.NIRNode]:
    """All nodes, those of nested graphs included."""
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            yield from inner(node)
        else:
            yield node


def nested(graph: nir.NIRGraph) -> int:
    """How deep graphs lie in this one."""
    depths = [nested(node) + 1 for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
    return max(depths, default=0)


def count(case: Case, kind: type[nir.NIRNode]) -> int:
    """Nodes of one kind at the top."""
    return sum(isinstance(node, kind) for node in case.graph().nodes.values())


def recurrent(case: Case) -> bool:
    """Whether some signal comes back to where it was."""
    return bool(structure(case.graph(), "synchronous").late)
