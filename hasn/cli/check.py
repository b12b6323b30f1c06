"""`hasn check`: what is wrong or doubtful in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from hasn.cli.options import Dt, File, Json, Method

if TYPE_CHECKING:
    from hasn.finding import Finding

#: What its findings may name on the command line.
_OPTIONS = ("dt", "method")
_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check(file: File, dt: Dt = None, method: Method = None, as_json: Json = False) -> None:
    """List all that is wrong (errors) or doubtful (warnings, notes) in a file; exit status 1 if there is an error.

    Example: hasn check model.nir --dt 1e-3
    """
    from hasn.cli.console import show, show_json
    from hasn.cli.words import translated

    findings = _findings(file, dt, method)
    wrong = any(finding.severity == "error" for finding in findings)
    if as_json:
        show_json({"ok": not wrong, "findings": [shown(finding) for finding in findings]})
    else:
        from rich.text import Text

        for finding in findings:
            text = str(translated(finding.to_error(), _OPTIONS))
            show(Text.assemble((f"{finding.severity}: ", _STYLES[finding.severity]), text))
        if not findings:
            show(f"{file}: nothing wrong, nothing doubtful")
    if wrong:
        raise typer.Exit(1)


def _findings(file: Any, dt: float | None, method: str | None) -> list[Finding]:
    """What loading refuses is a finding too."""
    from hasn.errors import FileError, GraphError
    from hasn.finding import Finding
    from hasn.ir.check import check as check_graph
    from hasn.ir.load import load
    from hasn.ir.meaning import require_options

    require_options(method=method)
    try:
        graph = load(file)
    except (FileError, GraphError) as error:
        return [
            Finding("error", error.node or "", error.parameter or "", error.message, error.way_out or "", error.got,
                    error.wanted or "", type(error))
        ]  # fmt: skip
    return check_graph(graph, dt=dt, method=method)


def shown(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "node": finding.node,
        "parameter": finding.parameter,
        "message": finding.message,
        "got": None if finding.got is None else str(finding.got),
        "wanted": finding.wanted,
        "repair": finding.repair,
        "error": finding.error.__name__,
    }
