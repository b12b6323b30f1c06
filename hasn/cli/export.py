"""`hasn export`: a network for a chip, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import Dt, File, Force, Json, Method, Reset, Timing

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import QuantisedNetwork

Target = Annotated[
    str,
    typer.Option(
        help="loihi2 or loihi1: a folder that runs and tests itself with lava-nc; netx: lava-dl's .net file; "
        "nir: the dequantised graph, for other tools."
    ),
]
Out = Annotated[Path, typer.Option(help="The folder, or for netx and nir the file, to write.", show_default=False)]
Input = Annotated[
    Path | None,
    typer.Option("--input", help="Data for the self-test, as for run; default: the calibration, or random spikes."),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(help="Typical data, to quantise FILE with (see hasn quantise)."),
]
Written = tuple[dict[str, Any], list[str]]


def export(
    file: File,
    out: Out,
    target: Target = "loihi2",
    input_: Input = None,
    calibrate: Calibrate = None,
    dt: Dt = None,
    method: Method = None,
    reset: Reset = None,
    timing: Timing = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a network for a chip, with its own test.

    FILE is a graph in the chip's units, as hasn quantise writes it; any other is quantised first, with --calibrate or
    else with random spikes.

    Example: hasn export model-loihi.nir --target loihi2 --out chip
    """
    from hasn.cli.console import show, show_json, working
    from hasn.cli.errors import NOTHING
    from hasn.cli.inputs import read_inputs
    from hasn.cli.quantised import chip_network
    from hasn.errors import OptionError
    from hasn.ir.outputs import apart

    if target not in TARGETS:
        raise OptionError("unknown target", parameter="--target", got=repr(target), wanted=" or ".join(TARGETS))
    apart({"FILE": file, "--input": input_, "--calibrate": calibrate}, **{"--out": out})
    _make_ready(target, out, force)
    options: dict[str, Any] = {"largest_exponent": 0} if target == "netx" else {}
    with working(f"Reading {file}") as say:
        chip = chip_network(
            file, _chip(target), calibrate, say, dt=dt, method=method, reset=reset, timing=timing, **options
        )  # fmt: skip
        data = chip.calibration
        if input_ is not None:
            data = read_inputs(input_, chip.network.integers.network.program)
        say(f"Writing {out}")
        found, lines = TARGETS[target](chip.network, out, data, force)
    if as_json:
        show_json({"target": target, "out": str(out), "network": chip.data, "compared": chip.compared, **found})
    else:
        for line in (chip.text, *lines):
            show(line)
        if "tested" in found and not found["tested"]:
            show("Nothing is tested: no spikes in the self-test, so passing it shows nothing. Pass --input DATA that "
                 "makes the network spike.", "yellow")  # fmt: skip
        elif not chip.compared:
            show("Nothing was compared: no spikes on the calibration data, so scales say nothing. Pass --calibrate "
                 "DATA that makes the network spike.", "yellow")  # fmt: skip
    if not found.get("tested", True) or not chip.compared:
        raise typer.Exit(NOTHING)


def _make_ready(target: str, out: Path, force: bool) -> None:
    """Try the output before the network is quantised and run."""
    from hasn.conversions.loihi.export.bundle.folder import ready_bundle
    from hasn.conversions.loihi.export.bundle.write import MANIFEST
    from hasn.ir.outputs import ready_to_write

    if target.startswith("loihi"):
        ready_bundle(out, force=force, mark=MANIFEST)
    else:
        ready_to_write(out, force=force)


def _chip(target: str) -> str | None:
    """The chip that a target is for; None where it is the file's own."""
    return target if target.startswith("loihi") else None


# --- targets: (network, out, data for the self-test or None, force) -> (for programs, lines for people)


def _bundle(network: QuantisedNetwork, out: Path, data: Any, force: bool) -> Written:
    from hasn.conversions.loihi.export.bundle import export_bundle
    from hasn.program.describe import counted

    made = export_bundle(network, out, inputs=data, force=force)
    resources = made.resources
    lines = [
        f"{counted(resources['neurons'], 'neuron')}, {counted(resources['synapses'], 'synapse')} in "
        f"{counted(resources['connections'], 'connection')}, {counted(resources['weight_bits'], 'bit')} of weights",
        "Spikes in the self-test: " + (", ".join(f"{k} {v:,}" for k, v in made.spikes.items()) or "(no spiking node)"),
        f"Wrote {out}. In a Python 3.10 with lava-nc: python {out / 'run.py'} --self-test",
    ]
    silent = [name for name, count in made.spikes.items() if not count]
    if silent and made.tested:
        lines.insert(2, f"Silent in the self-test, so hardly tested: {', '.join(silent)}. Pass --input DATA.")
    found = {
        "shifts": made.shifts, "resources": resources, "self_test_spikes": made.spikes,
        "tested": made.tested, "judged_by": made.judged_by, "graded_inputs": list(made.graded),
    }  # fmt: skip
    return found, lines


def _netx(network: QuantisedNetwork, out: Path, data: Any, force: bool) -> Written:
    from hasn.conversions.loihi.export.netx import export_netx

    made = export_netx(network, out, force=force)
    found = {"layers": made.layers, "shifts": made.shifts, "reading": made.reading}
    return found, [f"Wrote {out}. lava-dl reads it: {made.reading}"]


def _nir(network: QuantisedNetwork, out: Path, data: Any, force: bool) -> Written:
    from hasn.ir.save import save

    save(network.dequantised(), out, force=force)
    return {}, [f"Wrote {out}: what the integers stand for, in volts"]


TARGETS: dict[str, Callable[[QuantisedNetwork, Path, Any, bool], Written]] = {
    "loihi2": _bundle,
    "loihi1": _bundle,
    "netx": _netx,
    "nir": _nir,
}
