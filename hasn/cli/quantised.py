"""A file as a network in the chip's integers, whether it is one already or a float graph: for export and place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.errors import UnsupportedError

if TYPE_CHECKING:
    import nir

    from hasn.conversions.loihi.network import QuantisedNetwork

#: Random spikes to calibrate with where no data is given, as `hasn run` draws them: steps, rate a step, samples, seed.
STEPS, RATE, SAMPLES, SEED = 100, 0.2, 8, 0


@dataclass(frozen=True)
class Chip:
    """A network in integers.

    Attributes:
        network: the network.
        text: where its integers come from, for people.
        data: the same for programs.
    """

    network: QuantisedNetwork
    text: str
    data: dict[str, Any]


def chip_network(
    file: Path, target: str, calibrate: Path | None, dt: float | None = None, timing: str | None = None
) -> Chip:
    """Read a graph in the chip's units as it is; quantise any other, on ``calibrate`` or on random spikes.

    Raises:
        FileError, GraphError, TimeStepError: the file or dt has no meaning.
        UnsupportedError, ParameterError, InputError: the float graph cannot be quantised.
    """
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.ir.load import load

    graph = load(file)
    try:
        found = QuantisedNetwork.of_graph(graph, target=target, dt=dt, timing=timing)
    except UnsupportedError:
        return _quantised(graph, target, calibrate, dt, timing or "synchronous")
    return Chip(found, "The graph is in the chip's units", {"kind": "chip units"})


def _quantised(graph: nir.NIRGraph, target: str, calibrate: Path | None, dt: float | None, timing: str) -> Chip:
    from hasn.cli.inputs import given_inputs
    from hasn.conversions.loihi.quantise import quantise
    from hasn.program.lower import lower

    program = lower(graph, dt=dt, timing=timing)
    given = given_inputs(program, calibrate, None if calibrate else STEPS, RATE, SEED, SAMPLES)
    made = quantise(graph, target, calibrate=given.values, dt=dt, timing=timing)
    if calibrate is not None:
        text = f"Quantised, with scales from {calibrate}"
    else:
        text = (
            f"Quantised, with scales from RANDOM spikes (no --calibrate was given; rate {RATE:g}, {STEPS} steps): "
            "stronger inputs may wrap or clip"
        )
    return Chip(made, text, {"kind": "quantised", "calibration": given.data})
