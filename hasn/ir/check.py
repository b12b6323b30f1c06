"""`hasn.check`: everything that is wrong or doubtful in a graph, and the form in which the rest uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import nir

from hasn.errors import HasnError, OptionError, TimeStepError
from hasn.finding import Finding, finding_of, raise_errors
from hasn.ir.learning import learning_findings
from hasn.ir.parameters import parameter_findings
from hasn.ir.reach import reach_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import FlatGraph, laid_flat, structure_findings
from hasn.ir.suspicion import suspicion_findings
from hasn.ir.timestep import dt_findings, dt_of, missing_dt_text
from hasn.program.model import Shape

METHODS = ("euler", "exact")


@dataclass(frozen=True)
class CheckedGraph:
    """A flat graph in which nothing is wrong, with the shape of every signal and dt in seconds."""

    flat: FlatGraph
    shapes: dict[str, tuple[Shape, Shape]]
    dt: float


def check(graph: nir.NIRGraph, *, dt: float | None = None, method: str = "euler") -> list[Finding]:
    """List what is wrong (errors) or doubtful (warnings, notes) in a graph; raises nothing for a bad graph.

    Args:
        graph: the graph, which is not changed.
        dt: time step in seconds; default: the graph's ``metadata["dt"]``.
        method: ``"euler"`` or ``"exact"``; Euler steps are checked against the time constants.

    Returns:
        Findings, errors first. An empty list: the graph compiles on a backend that has its primitives.

    Raises:
        OptionError: unknown method, or not a graph.
    """
    return _examined(graph, dt, method).findings


def require_method(method: str) -> None:
    """Raise OptionError unless ``method`` is one there is."""
    if method not in METHODS:
        raise OptionError("unknown method", parameter="method", got=repr(method), wanted=" or ".join(METHODS))


@dataclass
class _Examined:
    """What one look at a graph shows: all of it that was reached before an error made the rest meaningless."""

    findings: list[Finding]
    flat: FlatGraph | None = None
    shapes: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    dt: float | None = None

    def add(self, findings: Iterable[Finding]) -> bool:
        """Whether the look can go on: none of these is an error."""
        new = list(findings)
        self.findings += new
        return not any(finding.severity == "error" for finding in new)


def _examined(graph: Any, dt: float | None, method: str) -> _Examined:
    require_method(method)
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError(
            "not a NIR graph",
            parameter="graph",
            got=type(graph).__name__,
            wanted="nir.NIRGraph",
            way_out="hasn.load reads one from a file.",
        )
    found = _Examined([])
    try:
        _look(found, graph, dt, method)
    except HasnError as error:
        found.add([finding_of(error)])
    rank = {"error": 0, "warning": 1, "note": 2}
    found.findings.sort(key=lambda finding: rank[finding.severity])
    return found


def _look(found: _Examined, graph: nir.NIRGraph, dt: float | None, method: str) -> None:
    """Structure first, then values, then shapes and dt.

    Raises:
        GraphError, TimeStepError: two nodes get one name; dt has no meaning.
    """
    if not found.add(structure_findings(graph)):
        return
    found.flat = laid_flat(graph)
    if not found.add(parameter_findings(found.flat)):
        return
    found.add(reach_findings(found.flat))
    found.shapes, wrong = infer_shapes(found.flat)
    found.add(wrong)
    found.add(learning_findings(found.flat))
    found.dt = dt_of(found.flat.metadata, dt)
    found.add(dt_findings(found.flat, found.dt, method))
    if found.dt is not None:
        found.add(suspicion_findings(found.flat, found.dt))


def checked(graph: nir.NIRGraph, *, dt: float | None = None, method: str = "euler") -> CheckedGraph:
    """The graph in the form that lowering takes.

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the first error that :func:`check` lists.
        TimeStepError: dt is neither given nor in the graph.
    """
    found = _examined(graph, dt, method)
    raise_errors(found.findings)
    assert found.flat is not None  # or there were errors
    if found.dt is None:
        raise TimeStepError(
            "the time step is not known", parameter="dt", wanted="seconds", way_out=missing_dt_text(found.flat)
        )
    return CheckedGraph(found.flat, found.shapes, found.dt)
