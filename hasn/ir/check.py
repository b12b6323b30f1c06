"""`hasn.check`: everything that is wrong or doubtful in a graph, and the form in which the rest uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir

from hasn.errors import GraphError, OptionError, TimeStepError
from hasn.finding import Finding, finding_of, raise_errors
from hasn.ir.parameters import parameter_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import FlatGraph, flatten, structure_findings
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
    require_method(method)
    findings = _findings(graph, dt, method)
    rank = {"error": 0, "warning": 1, "note": 2}
    return sorted(findings, key=lambda finding: rank[finding.severity])


def require_method(method: str) -> None:
    """Raise OptionError unless ``method`` is one there is."""
    if method not in METHODS:
        raise OptionError("unknown method", parameter="method", got=repr(method), wanted=" or ".join(METHODS))


def _findings(graph: Any, dt: float | None, method: str) -> list[Finding]:
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError(
            "not a NIR graph",
            parameter="graph",
            got=type(graph).__name__,
            wanted="nir.NIRGraph",
            way_out="hasn.load reads one from a file.",
        )
    findings = list(structure_findings(graph))
    if any(finding.severity == "error" for finding in findings):
        return findings
    try:
        flat = flatten(graph)
    except GraphError as error:
        return [*findings, finding_of(error)]
    values = list(parameter_findings(flat))
    findings += values
    if not any(finding.severity == "error" for finding in values):
        findings += infer_shapes(flat)[1]
        try:
            step = dt_of(flat.metadata, dt)
            findings += dt_findings(flat, step, method)
            findings += suspicion_findings(flat, step) if step is not None else ()
        except TimeStepError as error:
            findings.append(finding_of(error))
    return findings


def checked(graph: nir.NIRGraph, *, dt: float | None = None, method: str = "euler") -> CheckedGraph:
    """The graph in the form that lowering takes.

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the first error that :func:`check` lists.
        TimeStepError: dt is neither given nor in the graph.
    """
    require_method(method)
    raise_errors(check(graph, dt=dt, method=method))
    flat = flatten(graph)
    step = dt_of(flat.metadata, dt)
    if step is None:
        raise TimeStepError(
            "the time step is not known", parameter="dt", wanted="seconds", way_out=missing_dt_text(flat)
        )
    return CheckedGraph(flat, infer_shapes(flat)[0], step)
