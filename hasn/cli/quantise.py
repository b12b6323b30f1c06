"""`hasn quantise`: a float graph into the chip's integers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hasn.cli.options import Dt, File, Force, Json, Method, Repair, Reset, Timing

Calibrate = Annotated[
    Path,
    typer.Option(help="Typical inputs, as strong as they get: a .npy array (T[, batch], *shape), or a .npz with one "
                 "for each Input."),
]  # fmt: skip
Target = Annotated[str, typer.Option(help="loihi1 or loihi2.")]
Out = Annotated[Path, typer.Option(help="Write the quantised graph here (.nir).", show_default=False)]
Rounding = Annotated[str, typer.Option(help="Of weights: nearest, truncate or stochastic.")]
Bits = Annotated[int, typer.Option(help="Bits of a weight, 2 to 8.")]
Headroom = Annotated[float, typer.Option(help="How far above the calibration currents and voltages may go.")]
InputBits = Annotated[int, typer.Option(help="Bits of real-valued Inputs.")]
Seed = Annotated[int, typer.Option(help="Of stochastic rounding.")]


def quantise(
    file: File,
    calibrate: Calibrate,
    out: Out,
    target: Target = "loihi2",
    dt: Dt = None,
    method: Method = None,
    reset: Reset = None,
    timing: Timing = None,
    rounding: Rounding = "nearest",
    weight_bits: Bits = 8,
    headroom: Headroom = 2.0,
    input_bits: InputBits = 8,
    seed: Seed = 0,
    repair: Repair = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Bring a float graph into the chip's integers, and say what that costs.

    What is written runs on every backend with --precision loihi, bit for bit the same.

    Example: hasn quantise model.nir --calibrate spikes.npz --out model-loihi.nir
    """
    from hasn.cli.console import show, show_json, working
    from hasn.cli.errors import NOTHING
    from hasn.cli.inputs import read_inputs
    from hasn.cli.repair import loaded
    from hasn.conversions.loihi.quantising.quantise import quantise as quantise_graph
    from hasn.ir.lower import lower
    from hasn.ir.outputs import apart, ready_to_write

    apart({"--calibrate": calibrate}, **{"--out": out})
    ready_to_write(out, force=force)
    graph, repairs = loaded(file, repair=repair, dt=dt, as_json=as_json)
    program = lower(graph, dt=dt, method=method, reset=reset, timing=timing)
    data = read_inputs(calibrate, program, "--calibrate")
    with working("Calibrating") as say:
        made = quantise_graph(
            graph, target, calibrate=data, dt=dt, method=method, reset=reset, timing=timing, rounding=rounding,
            weight_bits=weight_bits, headroom=headroom, input_bits=input_bits, seed=seed,
            progress=lambda what, done, total: say(f"{what.capitalize()}: step {done} of {total}"),
        )  # fmt: skip
    made.save(out, force=force)
    report = made.report()
    if as_json:
        show_json({**repairs, **report.to_dict(), "compared": report.compared, "out": str(out)})
    else:
        show(report.table())
        show(f"Wrote {out}. Run it: hasn compare {out} --precision loihi")
        if not report.compared:
            show("Nothing was compared: no spikes on the calibration data, so scales and drift say nothing. "
                 "Pass inputs that make the network spike.", "yellow")  # fmt: skip
    if not report.compared:
        raise typer.Exit(NOTHING)
