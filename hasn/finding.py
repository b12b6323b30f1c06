"""What is wrong, or doubtful, in a graph: one finding each, and how findings become errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from hasn.errors import GraphError, HasnError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One statement of :func:`hasn.check`.

    Attributes:
        severity: ``error`` (cannot run), ``warning`` (runs, likely not as meant) or ``note``.
        node: name of the node, ``outer.inner`` inside nested graphs; empty for the graph itself.
        parameter: the parameter of that node; empty where none is to blame.
        message: what is wrong, one clause.
        repair: what to do about it.
        got: the value found.
        wanted: the condition it should meet.
        error: class of the error that :func:`hasn.compile` raises for it.
    """

    severity: Severity
    node: str
    parameter: str
    message: str
    repair: str = ""
    got: object = None
    wanted: str = ""
    error: type[HasnError] = GraphError

    def __str__(self) -> str:
        return str(self.to_error())

    def to_error(self) -> HasnError:
        """The same statement as an exception."""
        return self.error(
            self.message,
            node=self.node or None,
            parameter=self.parameter or None,
            got=self.got,
            wanted=self.wanted or None,
            way_out=self.repair or None,
        )


def finding_of(error: HasnError, node: str = "") -> Finding:
    """An error as a finding, at ``node`` unless the error names one itself."""
    parameter, way_out, wanted = error.parameter or "", error.way_out or "", error.wanted or ""
    return Finding("error", error.node or node, parameter, error.message, way_out, error.got, wanted, type(error))


def raise_errors(findings: Iterable[Finding]) -> None:
    """Raise the first error among ``findings``, naming how many more there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    error = errors[0].to_error()
    if len(errors) > 1:
        error.add_note(f"({len(errors) - 1} more: hasn.check lists all of them)")
    raise error


def in_graph(outer: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings with node names as seen from outside the nested graph ``outer``."""
    for finding in findings:
        node = f"{outer}.{finding.node}" if finding.node else outer
        yield Finding(**{**finding.__dict__, "node": node})
