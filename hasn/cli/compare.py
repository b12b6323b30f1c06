"""`hasn compare`: a file on several backends, spike by spike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hasn.cli.options import (
    BackendOption,
    Batch,
    Dt,
    File,
    Force,
    Input,
    Json,
    Method,
    Precision,
    Rate,
    Repair,
    Reset,
    Seed,
    Steps,
    Timing,
    backend_options,
)

if TYPE_CHECKING:
    from hasn.agreement import Comparison

Backends = Annotated[str, typer.Option(help="Who takes part, with commas; NAME:PRECISION for another precision.")]
Reference = Annotated[str, typer.Option(help="Whom the others are held against.")]
Report = Annotated[Path | None, typer.Option(help="Write an HTML report here: rasters, voltages, the graph.")]


def compare(
    file: File,
    backends: Backends = "snntorch,brian2,lava",
    reference: Reference = "brian2",
    input_: Input = None,
    report: Report = None,
    steps: Steps = None,
    rate: Rate = 0.2,
    seed: Seed = 0,
    batch: Batch = None,
    dt: Dt = None,
    method: Method = None,
    reset: Reset = None,
    timing: Timing = None,
    precision: Precision = "float64",
    option: BackendOption = None,
    repair: Repair = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run a file on several backends and say, spike by spike, whether they agree.

    Exit status: 0 they agree, 1 they do not, 3 no spike was there to compare.

    Example: hasn compare model.nir --backends snntorch,brian2 --input spikes.npz --report report.html
    """
    from hasn.agreement import compare as compare_graph
    from hasn.cli.console import working
    from hasn.cli.errors import NOTHING
    from hasn.cli.inputs import given_inputs
    from hasn.cli.repair import loaded
    from hasn.ir.lower import lower
    from hasn.ir.outputs import apart, ready_to_write

    options = backend_options(option)
    if report is not None:
        apart({"FILE": file, "--input": input_}, **{"--report": report})
        ready_to_write(report, force=force)
    graph, repairs = loaded(file, repair=repair, dt=dt, as_json=as_json)
    program = lower(graph, dt=dt, method=method, reset=reset, timing=timing)
    given = given_inputs(program, input_, steps, rate, seed, batch)
    with working("Comparing") as say:
        comparison = compare_graph(
            graph, given.values, backends=_labels(backends), reference=reference, dt=program.dt, method=method,
            reset=reset, timing=timing, precision=precision, steps=given.steps,
            progress=lambda label: say(f"Running on {label}"), **options,
        )  # fmt: skip
        if report is not None:
            say("Drawing the report")
            _write_report(report, comparison, f"{file.name}. {given.text}.", force)
    _show(comparison, given.text, {**repairs, "input": given.data}, report, as_json)
    if not comparison.ok:
        raise typer.Exit(1)
    if not comparison.compared:
        raise typer.Exit(NOTHING)


def _labels(text: str) -> list[str]:
    return [label for part in text.split(",") if (label := part.strip())]


def _write_report(path: Path, comparison: Comparison, subtitle: str, force: bool) -> None:
    from hasn.report.html import write_report

    write_report(path, comparison, subtitle=subtitle, force=force)


def _show(comparison: Comparison, text: str, data: dict[str, object], report: Path | None, as_json: bool) -> None:
    from hasn.cli.console import show, show_json, width
    from hasn.report.facts import comparison_data
    from hasn.report.table import comparison_table
    from hasn.report.verdict import verdict

    if as_json:
        written = None if report is None else str(report)
        show_json({**comparison_data(comparison), **data, "report": written})
        return
    show(text)
    show(comparison_table(comparison, width=width()))
    result = verdict(comparison)
    colour = "bold red" if not result.ok else "green" if result.compared else "yellow"
    show(f"{result.headline}: {result.sentence}", colour)
    if report is not None:
        show(f"Wrote {report}")
