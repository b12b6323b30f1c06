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
    from hasn.recording import Recording

Backend = Annotated[str, typer.Option(help="Who runs it; hasn backends lists them.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Write outputs, spikes and voltages here: arrays outputs/NODE, spikes/NODE ... in a .npz file."),
]


def run(
    file: File,
    backend: Backend = "snntorch",
    input_: Input = None,
    out: Out = None,
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
    from hasn.cli.repair import loaded
    from hasn.compiler import compile as compile_graph
    from hasn.ir.outputs import apart, ready_to_write
    from hasn.program.describe import counted

    options = backend_options(option)
    if out is not None:
        apart({"FILE": file, "--input": input_}, **{"--out": out})
        ready_to_write(out, force=force)
    graph, repairs = loaded(file, repair=repair, dt=dt, as_json=as_json)
    with working(f"Compiling for {backend}") as say:
        executable = compile_graph(
            graph, backend, dt=dt, method=method, reset=reset, timing=timing, precision=precision, **options
        )
        with executable:
            given = given_inputs(executable.program, input_, steps, rate, seed, batch)
            say(f"Running on {backend}")
            record = executable.recordable if out is not None else ("spikes",)
            recording = executable.run(given.values, record=record, steps=given.steps)
    if out is not None:
        _write(recording, out, force)
    if as_json:
        show_json({**repairs, "input": given.data, **_data(recording), "out": None if out is None else str(out)})
        return
    show(given.text)
    show(_table(recording))
    show(f"{backend}, {precision}: {counted(recording.steps, 'step')} in {recording.seconds:.3g} s"
         + (f"; wrote {out}" if out is not None else ""))  # fmt: skip


def _write(recording: Recording, out: Path, force: bool) -> None:
    """All arrays of a recording, whole or not at all."""
    import numpy as np

    from hasn.ir.arrays import write_arrays

    arrays: dict[str, Any] = {
        f"{group}/{name}": array for group, kept in recording.series.items() for name, array in kept.items()
    }
    write_arrays(out, {**arrays, "dt": np.array(recording.dt), "times": recording.times}, force=force)


def _rates(recording: Recording) -> dict[str, dict[str, Any]]:
    """Spiking node -> neurons, spikes and mean rate in Hz."""
    found = {}
    for name, spikes in recording.spikes.items():
        count = int(spikes.sum())
        neuron_seconds = spikes.size * recording.dt
        found[name] = {
            "shape": list(spikes.shape[1:]),
            "spikes": count,
            "rate_hz": count / neuron_seconds if neuron_seconds else 0.0,
        }
    return found


def _table(recording: Recording) -> Any:
    from hasn.cli.console import add_row, table

    made = table("node", "recorded", "shape (time first)", "spikes", "mean rate (Hz)", "values",
                 numbers=("spikes", "mean rate (Hz)"))  # fmt: skip
    for name, found in _rates(recording).items():
        shape = recording.spikes[name].shape
        add_row(made, name, "spikes", shape, f"{found['spikes']:,}", f"{found['rate_hz']:.4g}", "")
    for name, array in recording.outputs.items():
        values = f"{array.min():.4g} .. {array.max():.4g}, mean {array.mean():.4g}" if array.size else ""
        add_row(made, name, "output", array.shape, "", "", values)
    return made


def _data(recording: Recording) -> dict[str, Any]:
    return {
        "backend": recording.backend,
        "precision": recording.precision,
        "steps": recording.steps,
        "dt": recording.dt,
        "seconds": recording.seconds,
        "spikes": _rates(recording),
        "outputs": {
            name: {"shape": list(array.shape), "sum": float(array.sum())} for name, array in recording.outputs.items()
        },
        "shifts": {name: int(shift) for name, shift in recording.shifts.items()},
        "total_spikes": recording.counts.total_spikes,
        "synaptic_operations": recording.counts.total_synaptic_operations,
    }
