"""`hasn export`: a network for a chip, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hasn.cli.options import Dt, File, Force, Json, Method, Reset, Timing

if TYPE_CHECKING:
    import nir

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
    typer.Option(help="FILE is in real numbers: quantise it first, with this typical data (see hasn quantise)."),
]
Written = tuple[dict[str, Any], list[str]]


def export(
    file: File,
    out: Out,
    target: Target = "loihi2",
    input_: Input = None,
    calibrate: Calibrate = None,
    dt: Dt = None,
    method: Method = "euler",
    reset: Reset = "zero",
    timing: Timing = "synchronous",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a network for a chip, with its own test.

    FILE is a graph in the chip's units, as hasn quantise writes it; with --calibrate, any graph.

    Example: hasn export model-loihi.nir --target loihi2 --out chip
    """
    from hasn.cli.console import show, show_json, working
    from hasn.cli.inputs import read_inputs
    from hasn.errors import OptionError
    from hasn.ir.load import load

    if target not in TARGETS:
        raise OptionError("unknown target", parameter="--target", got=repr(target), wanted=" or ".join(TARGETS))
    graph = load(file)
    with working(f"Reading {file}") as say:
        data: Any = None
        if calibrate is not None:
            network, data = _quantised(graph, calibrate, target, dt, method, reset, timing, say)
        else:
            network = _read(graph, target, dt, timing)
        if input_ is not None:
            data = read_inputs(input_, network.integers.network.program)
        say(f"Writing {out}")
        found, lines = TARGETS[target](network, out, data, force)
    if as_json:
        show_json({"target": target, "out": str(out), **found})
        return
    for line in lines:
        show(line)


def _read(graph: nir.NIRGraph, target: str, dt: float | None, timing: str) -> QuantisedNetwork:
    """A graph that is in the chip's units already."""
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.errors import UnsupportedError

    try:
        return QuantisedNetwork.of_graph(
            graph, target=_chip(target), dt=dt, timing=None if timing == "synchronous" else timing
        )
    except UnsupportedError as error:
        error.add_note("If FILE is in real numbers, pass --calibrate DATA, or run hasn quantise first.")
        raise


def _quantised(
    graph: nir.NIRGraph,
    calibrate: Path,
    target: str,
    dt: float | None,
    method: str,
    reset: str,
    timing: str,
    say: Callable[[str], None],
) -> tuple[QuantisedNetwork, Any]:
    """(the graph in the chip's integers, the calibration data)."""
    from hasn.cli.inputs import read_inputs
    from hasn.conversions.loihi.quantise import quantise
    from hasn.program.lower import lower

    data = read_inputs(calibrate, lower(graph, dt=dt, method=method, reset=reset, timing=timing))
    made = quantise(
        graph, _chip(target) or "loihi2", calibrate=data, dt=dt, method=method, reset=reset, timing=timing,
        progress=lambda what, done, total: say(f"{what.capitalize()}: step {done} of {total}"),
    )  # fmt: skip
    return made, data


def _chip(target: str) -> str | None:
    """The chip that a target is for; None where it is the file's own."""
    return target if target.startswith("loihi") else None


# --- targets: (network, out, data for the self-test or None, force) -> (for programs, lines for people)


def _bundle(network: QuantisedNetwork, out: Path, data: Any, force: bool) -> Written:
    from hasn.conversions.loihi.bundle import export_bundle

    made = export_bundle(network, out, inputs=data, force=force)
    resources = made.resources
    lines = [
        f"{resources['neurons']:,} neurons, {resources['synapses']:,} synapses in {resources['connections']} "
        f"connections, {resources['weight_bits']:,} bits of weights",
        "Spikes in the self-test: " + (", ".join(f"{k} {v:,}" for k, v in made.spikes.items()) or "(no spiking node)"),
        f"Wrote {out}. In a Python 3.10 with lava-nc: python {out / 'run.py'} --self-test",
    ]
    silent = [name for name, count in made.spikes.items() if not count]
    if silent:
        lines.insert(2, f"Silent in the self-test, so hardly tested: {', '.join(silent)}. Pass --input DATA.")
    found = {
        "shifts": made.shifts, "resources": resources, "self_test_spikes": made.spikes,
        "judged_by": made.judged_by, "graded_inputs": list(made.graded),
    }  # fmt: skip
    return found, lines


def _netx(network: QuantisedNetwork, out: Path, data: Any, force: bool) -> Written:
    from hasn.conversions.loihi.netx import export_netx

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
