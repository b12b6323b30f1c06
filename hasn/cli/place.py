"""`hasn place`: a network onto the cores of a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import Batch, Dt, File, Force, Input, Json, Rate, Seed, Steps

if TYPE_CHECKING:
    from hasn.cli.inputs import Given
    from hasn.conversions.loihi.network import QuantisedNetwork

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

    FILE is a graph in the chip's units, as hasn quantise writes it. Traffic is counted on --input, or on random spikes.

    Example: hasn place model-loihi.nir --target loihi1 --input spikes.npz --report placement.html
    """
    from hasn.cli.console import show, show_json, width, working
    from hasn.cli.inputs import given_inputs
    from hasn.conversions.loihi.placement import place as place_network
    from hasn.ir.whole import refuse_existing

    if report is not None:
        refuse_existing(report, force=force)
    with working(f"Reading {file}") as say:
        network = _read(file, target, dt)
        given = given_inputs(network.integers.network.program, input_, steps, rate, seed, batch)
        placement = place_network(
            network, given.values, target=target, cores=cores, seed=seed, steps=given.steps, progress=say
        )
        if report is not None:
            say("Drawing the mesh")
            placement.to_html(report, force=force)
    if as_json:
        show_json({**placement.to_dict(), **_data(given, report)})
        return
    show(given.text)
    show(placement.table(width=width()))
    if report is not None:
        show(f"Wrote {report}")


def _read(file: Path, target: str | None, dt: float | None) -> QuantisedNetwork:
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.conversions.loihi.profiles import profile
    from hasn.errors import UnsupportedError
    from hasn.ir.load import load

    if target is not None:
        profile(target)  # an unknown one is refused before anything is read
    try:
        return QuantisedNetwork.of_graph(load(file), target=target, dt=dt)
    except UnsupportedError as error:
        error.add_note("If FILE is in real numbers, quantise it first: hasn quantise FILE --calibrate DATA --out OUT.")
        raise


def _data(given: Given, report: Path | None) -> dict[str, Any]:
    return {"input": given.data, "report": None if report is None else str(report)}
