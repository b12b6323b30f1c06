"""`hasn energy`: a run priced by chips, arithmetic, brain tissue and this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

Backend = Annotated[str, typer.Option(help="Who runs it; hasn backends lists them. Counts are the same on all.")]
Profiles = Annotated[
    str, typer.Option(help="Names with commas, .toml files of your own among them; or all. Default: those of reports.")
]
Bound = Annotated[
    bool, typer.Option("--bound", help="Let Loihi 1's constants stand in for Loihi 2's, as a labelled bound.")
]
Static = Annotated[bool, typer.Option("--static", help="Count static power too, where it is known.")]
Nodes = Annotated[bool, typer.Option("--nodes", help="Print each profile's table by node and term as well.")]
Out = Annotated[Path | None, typer.Option(help="Write the reports here as JSON.")]


def energy(
    file: File,
    profiles: Profiles = "",
    input_: Input = None,
    backend: Backend = "snntorch",
    bound: Bound = False,
    static: Static = False,
    nodes: Nodes = False,
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
    """Say what a run would cost on chips, in arithmetic, in brain tissue; and what it cost on this machine.

    Every constant has a source and a grade (docs/energy.md). What is unknown is named, and never 0.

    Example: hasn energy model.nir --input spikes.npz --profiles all
    """
    from hasn.cli.console import show, show_json, working
    from hasn.cli.inputs import given_inputs
    from hasn.cli.repair import loaded
    from hasn.compiler import compile as compile_graph
    from hasn.energy import PROFILES_COMPARED, Meter, compare_profiles
    from hasn.energy import profile as profile_of
    from hasn.energy import profiles as all_profiles
    from hasn.ir.outputs import apart, ready_to_write

    options = backend_options(option)
    named = [name.strip() for name in profiles.split(",") if name.strip()] or list(PROFILES_COMPARED)
    names = [name for one in named for name in (all_profiles() if one == "all" else (one,))]
    for name in names:
        profile_of(name)  # an unknown one is refused before anything is read
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
            with Meter() as meter:
                recording = executable.run(given.values, steps=given.steps, record={"counts": "active"})
    table = compare_profiles(
        recording, names, bound=bound, static=static, measured={"cpu": meter.cpu, "gpu": meter.gpu}
    )
    data = {**repairs, "input": given.data, "backend": backend, **table.to_dict()}
    if out is not None:
        _write(out, data, force)
    if as_json:
        show_json({**data, "out": None if out is None else str(out)})
        return
    show(given.text)
    if nodes:
        for report in table.reports.values():
            show(f"{report.table()}\n")
    show(table.text)
    if out is not None:
        show(f"Wrote {out}")


def _write(path: Path, data: dict[str, object], force: bool) -> None:
    import json

    from hasn.ir.whole import whole_file
    from hasn.jsonable import plain

    with whole_file(path, force=force) as temporary:
        temporary.write_text(json.dumps(plain(data), indent=2, allow_nan=False) + "\n", encoding="utf8")
