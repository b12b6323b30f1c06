"""`hasn place`: a network onto the cores of a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import Batch, Dt, File, Force, Input, Json, Rate, Seed, Steps

if TYPE_CHECKING:
    from hasn.cli.inputs import Given

Target = Annotated[str | None, typer.Option(help="loihi1 or loihi2; default: what the file says, else loihi2.")]
Cores = Annotated[int | None, typer.Option(help="Spread over so many cores; default: whatever sends the least.")]
Report = Annotated[Path | None, typer.Option(help="Write an HTML page here: the mesh as a heat map, all cores.")]


def place(
    file: File,
    target: Target = None,
    input_: Input = None,
    cores: Cores = None,
    report: Report = None,
    steps: Steps = None,
    rate: Rate = 0.2,
    seed: Seed = 0,
    batch: Batch = None,
    dt: Dt = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Assign neurons to the cores of a chip so that few spikes travel between cores.

    FILE is a graph in the chip's units, as hasn quantise writes it; any other is quantised first, with --input or else
    with random spikes. Traffic is counted on --input, or on random spikes.

    Example: hasn place model-loihi.nir --target loihi1 --input spikes.npz --report placement.html
    """
    from hasn.cli.console import show, show_json, width, working
    from hasn.cli.errors import NOTHING
    from hasn.cli.inputs import given_inputs
    from hasn.cli.quantised import chip_network
    from hasn.conversions.loihi.placement import place as place_network
    from hasn.conversions.loihi.placement.text import nothing_text
    from hasn.conversions.loihi.profiles import profile
    from hasn.ir.outputs import apart, ready_to_write

    if report is not None:
        apart({"FILE": file, "--input": input_}, **{"--report": report})
        ready_to_write(report, force=force)
    with working(f"Reading {file}") as say:
        if target is not None:
            profile(target)  # an unknown one is refused before anything is read
        chip = chip_network(file, target, None, say, dt=dt, typical=input_)
        given = given_inputs(chip.network.integers.network.program, input_, steps, rate, seed, batch)
        data = given.values if given.values is None else chip.network.inputs(given.values)
        placement = place_network(
            chip.network, data, target=target, cores=cores, seed=seed, steps=given.steps, progress=say
        )
        if report is not None:
            say("Drawing the mesh")
            placement.to_html(report, force=force)
    if as_json:
        found = {"network": chip.data, "counted": placement.counted, **_data(given, report)}
        show_json({**placement.to_dict(), **found})
    else:
        show(chip.text)
        show(given.text)
        show(placement.table(width=width()))
        if report is not None:
            show(f"Wrote {report}")
        if not placement.counted:
            spiked = any(sent.spikes for sent in placement.populations.values())
            way_out = "" if spiked else " Pass --input DATA that makes the network spike."
            show(nothing_text(placement) + way_out, "yellow")
    if not placement.counted:
        raise typer.Exit(NOTHING)


def _data(given: Given, report: Path | None) -> dict[str, Any]:
    return {"input": given.data, "report": None if report is None else str(report)}
