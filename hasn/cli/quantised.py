"""A file as a network in the chip's integers, whether it is one already or a float graph: for export and place."""

from __future__ import annotations

from collections.abc import Callable
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
        calibration: the data that its scales come from; None where the file has them.
    """

    network: QuantisedNetwork
    text: str
    data: dict[str, Any]
    calibration: Any = None

    @property
    def compared(self) -> bool:
        """False where it was quantised on data on which nothing spiked."""
        return self.data["kind"] != "quantised" or self.network.report().compared


def chip_network(
    file: Path,
    target: str | None,
    calibrate: Path | None,
    say: Callable[[str], None],
    typical: Path | None = None,
    **options: Any,
) -> Chip:
    """Read a graph in the chip's units as it is; quantise any other, on ``calibrate`` or on random spikes.

    Args:
        file: the graph.
        target: "loihi1" or "loihi2"; None: the file's own, else "loihi2".
        calibrate: typical data; with it, the file is always quantised.
        say: hears what is being done.
        typical: data to calibrate on where the file has to be quantised.
        **options: of :func:`hasn.quantise`.

    Raises:
        FileError, GraphError, TimeStepError: the file or dt has no meaning.
        UnsupportedError, ParameterError, InputError: the float graph cannot be quantised.
    """
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.ir.load import load

    graph = load(file)
    if calibrate is None:
        try:
            found = QuantisedNetwork.of_graph(graph, target=target, dt=options.get("dt"), timing=options.get("timing"))
        except UnsupportedError:
            pass
        else:
            return Chip(found, f"{file} is in the chip's units", {"kind": "chip units"})
    option = "--calibrate" if calibrate is not None else "--input"
    return _quantised(graph, target or "loihi2", calibrate or typical, option, say, options)


def _quantised(
    graph: nir.NIRGraph,
    target: str,
    calibrate: Path | None,
    option: str,
    say: Callable[[str], None],
    options: dict[str, Any],
) -> Chip:
    from hasn.cli.inputs import given_inputs
    from hasn.conversions.loihi.quantising.quantise import quantise
    from hasn.ir.lower import lower

    meaning = {key: options[key] for key in ("dt", "method", "reset", "timing") if key in options}
    program = lower(graph, **meaning)
    given = given_inputs(program, calibrate, None if calibrate else STEPS, RATE, SEED, SAMPLES, option)
    made = quantise(
        graph, target, calibrate=given.values, **options,
        progress=lambda what, done, total: say(f"{what.capitalize()}: step {done} of {total}"),
    )  # fmt: skip
    if calibrate is not None:
        text = f"Quantised, with scales from {calibrate}"
    else:
        text = (
            f"Quantised, with scales from RANDOM spikes (no --calibrate was given; rate {RATE:g}, {STEPS} steps): "
            "stronger inputs may wrap or clip"
        )
    return Chip(made, text, {"kind": "quantised", "calibration": given.data}, given.values)
