"""`hasn run`: a file on one backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from hasn.cli.pieces import Summary

Backend = Annotated[str, typer.Option(help="Who runs it; hasn backends lists them.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Write outputs, spikes and voltages here: arrays outputs/NODE, spikes/NODE ... in a .npz file."),
]

Report = Annotated[Path | None, typer.Option(help="Write a page with the weights over time of what learns, here.")]
Weights = Annotated[bool, typer.Option("--weights", help="Write the weights that learn after each step, too.")]


def run(
    file: File,
    backend: Backend = "snntorch",
    input_: Input = None,
    out: Out = None,
    weights: Weights = False,
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
    """Run a file on one backend and say how much it spiked.

    Example: hasn run model.nir --backend brian2 --input spikes.npz --out recording.npz
    """
    from hasn.cli.console import show, show_json, working
    from hasn.cli.inputs import given_inputs
    from hasn.cli.pieces import run as run_pieces
    from hasn.cli.repair import loaded
    from hasn.compiler import compile as compile_graph
    from hasn.errors import OptionError
    from hasn.ir.learning import rules_of
    from hasn.ir.outputs import apart, ready_to_write
    from hasn.ir.structure import flatten
    from hasn.program.describe import counted
    from hasn.report.run import write_run_report

    options = backend_options(option)
    if weights and out is None:
        raise OptionError("nothing is written", parameter="--weights", way_out="Give --out too.")
    apart({"FILE": file, "--input": input_}, **{"--out": out, "--report": report})
    for path in (out, report):
        if path is not None:
            ready_to_write(path, force=force)
    graph, repairs = loaded(file, repair=repair, dt=dt, as_json=as_json)
    with working(f"Compiling for {backend}") as say:
        executable = compile_graph(
            graph, backend, dt=dt, method=method, reset=reset, timing=timing, precision=precision, **options
        )
        with executable:
            given = given_inputs(executable.program, input_, steps, rate, seed, batch)
            say(f"Running on {backend}")
            record = executable.recordable if out is not None else ("spikes",)
            record = tuple(group for group in record if group != "weights" or weights)
            found = run_pieces(executable, given.values, given.steps, record, out, force, say)
    pieces = f", in {found.pieces:,} pieces" if found.pieces > 1 else ""
    told = f"{backend}, {precision}: {counted(found.steps, 'step')} in {found.seconds:.3g} s{pieces}"
    if report is not None:
        write_run_report(
            report, f"{file.name} on {backend}", told, _rows(found), rules_of(flatten(graph)), found.histograms,
            found.last.dt, force=force,
        )  # fmt: skip
    files = {name: None if path is None else str(path) for name, path in (("out", out), ("report", report))}
    if as_json:
        show_json({**repairs, "input": given.data, **_data(found), **files})
        return
    show(given.text)
    show(_table(found))
    written = ", ".join(filter(None, files.values()))
    show(told + (f"; wrote {written}" if written else ""))


def _rates(summary: Summary) -> dict[str, dict[str, Any]]:
    """Spiking node -> neurons, spikes and mean rate in Hz."""
    found = {}
    for name, spikes in summary.spikes.items():
        count = int(spikes.total)
        neuron_seconds = spikes.size * summary.last.dt
        found[name] = {
            "shape": list(spikes.shape[1:]),
            "spikes": count,
            "rate_hz": count / neuron_seconds if neuron_seconds else 0.0,
        }
    return found


_COLUMNS = ("node", "recorded", "shape (time first)", "spikes", "mean rate (Hz)", "values")


def _table(summary: Summary) -> Any:
    from hasn.cli.console import add_row, table

    made = table(*_COLUMNS, numbers=("spikes", "mean rate (Hz)"))
    for row in _rows(summary):
        add_row(made, *row)
    return made


def _rows(summary: Summary) -> list[tuple[str, ...]]:
    """A row of :data:`_COLUMNS` for each array, and for each connection that learns."""
    rows: list[tuple[str, ...]] = []
    for name, found in _rates(summary).items():
        shape = str(summary.spikes[name].shape)
        rows.append((name, "spikes", shape, f"{found['spikes']:,}", f"{found['rate_hz']:.4g}", ""))
    for name, array in summary.outputs.items():
        mean = array.total / max(1, array.size)
        values = f"{array.least:.4g} .. {array.most:.4g}, mean {mean:.4g}" if array.size else ""
        rows.append((name, "output", str(array.shape), "", "", values))
    for name, histogram in summary.histograms.items():
        size = f"{int(histogram.counts[0].sum()):,} weights"
        rows.append((name, "weights", size, "", "", _course(histogram.figures())))
    return rows


def _course(figures: dict[str, dict[str, float]]) -> str:
    """How weights have moved, from the start to the end."""
    start, end = figures["start"], figures["end"]
    text = [f"{name} {start[name]:.4g} -> {end[name]:.4g}" for name in ("mean", "sd")]
    text += [
        f"at {bound} {100 * start[name]:.3g} -> {100 * end[name]:.3g} %"
        for name, bound in (("at_low", "w_min"), ("at_high", "w_max"))
        if start[name] or end[name]
    ]
    return ", ".join(text)


def _data(summary: Summary) -> dict[str, Any]:
    return {
        "backend": summary.last.backend,
        "precision": summary.last.precision,
        "steps": summary.steps,
        "dt": summary.last.dt,
        "seconds": summary.seconds,
        "spikes": _rates(summary),
        "outputs": {name: {"shape": list(array.shape), "sum": array.total} for name, array in summary.outputs.items()},
        "shifts": {name: int(shift) for name, shift in summary.last.shifts.items()},
        "weights": {name: histogram.figures() for name, histogram in summary.histograms.items()},
        "total_spikes": summary.counts.total_spikes,
        "synaptic_operations": summary.counts.total_synaptic_operations,
    }
