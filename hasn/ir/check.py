"""`hasn.check`: everything that is wrong or doubtful in a graph, and the form in which the rest uses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import nir

from hasn.errors import HasnError, OptionError, TimeStepError
from hasn.finding import Finding, finding_of, raise_errors
from hasn.ir.learning import learning_findings
from hasn.ir.meaning import Meaning, meaning_findings, meaning_of, require_options
from hasn.ir.parameters import parameter_findings
from hasn.ir.reach import reach_findings
from hasn.ir.shapes import infer_shapes
from hasn.ir.size import size_findings
from hasn.ir.structure import FlatGraph, laid_flat, structure_findings
from hasn.ir.suspicion import delay_findings, suspicion_findings
from hasn.ir.timestep import dt_findings, missing_dt_text, propose_dt
from hasn.program.model import Shape


@dataclass(frozen=True)
class CheckedGraph:
    """A flat graph in which nothing is wrong, with the shape of every signal, dt in seconds, and what it means."""

    flat: FlatGraph
    shapes: dict[str, tuple[Shape, Shape]]
    dt: float
    meaning: Meaning


def check(graph: nir.NIRGraph, *, dt: float | None = None, method: str | None = None) -> list[Finding]:
    """List what is wrong (errors) or doubtful (warnings, notes) in a graph; raises nothing for a bad graph.

    Args:
        graph: the graph, which is not changed.
        dt: time step in seconds; default: the graph's ``metadata["dt"]``.
        method: ``"euler"`` or ``"exact"``; default: the graph's ``metadata["method"]``, else "euler". Euler steps are
            checked against the time constants.

    Returns:
        Findings, errors first. An empty list: the graph compiles on a backend that has its primitives.

    Raises:
        OptionError: unknown method, or not a graph.
    """
    return _examined(graph, {"dt": dt, "method": method}).findings


@dataclass
class _Examined:
    """What one look at a graph shows: all of it that was reached before an error made the rest meaningless."""

    findings: list[Finding]
    flat: FlatGraph | None = None
    shapes: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    meaning: Meaning | None = None

    def add(self, findings: Iterable[Finding]) -> bool:
        """Whether the look can go on: none of these is an error."""
        new = list(findings)
        self.findings += new
        return not any(finding.severity == "error" for finding in new)


def _examined(graph: Any, given: dict[str, Any]) -> _Examined:
    require_options(**{name: value for name, value in given.items() if name != "dt"})
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
        _look(found, graph, given)
    except HasnError as error:
        found.add([finding_of(error)])
    rank = {"error": 0, "warning": 1, "note": 2}
    found.findings.sort(key=lambda finding: rank[finding.severity])
    return found


def _look(found: _Examined, graph: nir.NIRGraph, given: dict[str, Any]) -> None:
    """Structure first, then values, then shapes, then what the graph means in time.

    Raises:
        GraphError, ParameterError, TimeStepError: two nodes get one name; dt or the metadata have no meaning.
    """
    if not found.add(structure_findings(graph)):
        return
    found.flat = laid_flat(graph)
    if not found.add(parameter_findings(found.flat)):
        return
    found.add(reach_findings(found.flat))
    found.shapes, wrong = infer_shapes(found.flat)
    found.add(wrong)
    found.meaning = meaning_of(found.flat.metadata, **given)
    found.add(meaning_findings(graph, found.meaning, given))
    dt = found.meaning.dt
    found.add(dt_findings(found.flat, dt, found.meaning.method))
    if dt is not None:
        found.add(suspicion_findings(found.flat, dt))
    told = dt or propose_dt(found.flat)
    found.add(learning_findings(found.flat, told))
    if told is not None:
        found.add(delay_findings(found.flat, told))
    found.add(size_findings(found.flat, found.shapes))


def checked(graph: nir.NIRGraph, **given: Any) -> CheckedGraph:
    """The graph in the form that lowering takes.

    Args:
        graph: the graph, which is not changed.
        given: dt, method, reset, timing, as :func:`hasn.compile` takes them; default: what the graph says.

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the first error that :func:`check` lists.
        TimeStepError: dt is neither given nor in the graph.
    """
    found = _examined(graph, given)
    raise_errors(found.findings)
    assert found.flat is not None  # or there were errors
    assert found.meaning is not None
    if found.meaning.dt is None:
        raise TimeStepError(
            "the time step is not known", parameter="dt", wanted="seconds", way_out=missing_dt_text(found.flat)
        )
    return CheckedGraph(found.flat, found.shapes, found.meaning.dt, found.meaning)
