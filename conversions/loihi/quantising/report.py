"""What quantising did: per node scale, bits used, saturation, weight error, expected drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.program.draw import plain_text
from hasn.program.integers.model import DECAY_BITS, STATE_LIMIT, THRESHOLD_MAX

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.conversions.loihi.quantising.cone import Cone
    from hasn.conversions.loihi.quantising.connect import Synapses, Weights
    from hasn.conversions.loihi.quantising.plan import Registers
    from hasn.conversions.loihi.quantising.simulate import Trace


@dataclass(frozen=True)
class PopulationReport:
    """A population after quantising.

    Attributes:
        node: its name.
        scale: chip units a volt (the largest, where the neurons' gain is folded into it).
        groups: distinct (du, dv, vth): the chip holds one of each for a group of neurons.
        threshold_bits: bits that the largest threshold takes of 17 (0: it does not spike).
        decay_error: largest relative error of a time constant, dt / (1 - what a step keeps).
        bias_error: largest error of the bias, relative to the largest bias.
        current_use, voltage_use: largest |u| and |v| (before the reset) on the calibration data, as parts of the
            24-bit range. Nothing wrapped or clipped: ``quantise`` would have taken a smaller scale.
        float_spikes, integer_spikes: on the calibration data.
        drift: spikes that only one of the two runs has, over the spikes that either has (0: the same spikes); None:
            neither has any, which shows nothing.
    """

    node: str
    scale: float
    groups: int
    threshold_bits: int
    decay_error: float
    bias_error: float
    current_use: float
    voltage_use: float
    float_spikes: int
    integer_spikes: int
    drift: float | None


@dataclass(frozen=True)
class WeightReport:
    """A connection after quantising.

    Attributes:
        node: the node that holds the weights, or "source -> target".
        target: the population it leads to.
        exponent: of all its weights.
        bits: bits of the largest mantissa, sign apart, of the 8 that there are (7 where both signs occur).
        levels: distinct weights.
        error: root mean square of the rounding error, relative to that of the weights.
        largest_error: largest rounding error, relative to the largest weight.
        zeroed: part of the weights that were not 0 and are now.
        composed: why the connection is a composed matrix; empty if its node keeps its weights.
    """

    node: str
    target: str
    exponent: int
    bits: int
    levels: int
    error: float
    largest_error: float
    zeroed: float
    composed: str


@dataclass(frozen=True)
class QuantisationReport:
    """Per node: scale, bits used, saturation, weight error, expected drift (on the calibration data).

    Attributes:
        target: the chip.
        populations, weights: one entry each.
        input_scales: Input -> what its data is multiplied with (1: taken as it is).
    """

    target: str
    populations: tuple[PopulationReport, ...]
    weights: tuple[WeightReport, ...]
    input_scales: dict[str, float]

    @property
    def compared(self) -> bool:
        """Whether the drift says anything: there was a spike; where nothing can spike, a voltage that is not 0."""
        spiking = [p for p in self.populations if p.threshold_bits]
        return (
            any(p.float_spikes or p.integer_spikes for p in spiking)
            if spiking
            else any(p.voltage_use for p in self.populations)
        )

    def table(self) -> str:
        """Two tables as text."""
        populations = [
            (p.node, f"{p.scale:.4g}", str(p.groups), str(p.threshold_bits), f"{p.decay_error:.2%}",
             f"{p.bias_error:.2%}", f"{p.current_use:.1%}", f"{p.voltage_use:.1%}", f"{p.float_spikes:,}",
             f"{p.integer_spikes:,}", "–" if p.drift is None else f"{p.drift:.2%}")
            for p in self.populations
        ]  # fmt: skip
        weights = [
            (w.node, w.target, str(w.exponent), str(w.bits), str(w.levels), f"{w.error:.2%}", f"{w.largest_error:.2%}",
             f"{w.zeroed:.1%}", "yes" if w.composed else "")
            for w in self.weights
        ]  # fmt: skip
        heads = (
            ("population", "units a volt", "groups", "bits of vth", "tau error", "bias error", "u used", "v used",
             "spikes (float)", "spikes (integer)", "drift"),
            ("weights", "into", "exponent", "bits", "levels", "rms error", "max error", "lost", "composed"),
        )  # fmt: skip
        return f"{_table(heads[0], populations)}\n{_table(heads[1], weights)}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def report_on(
    made: QuantisedNetwork,
    synapses: Mapping[str, Synapses],
    registers: Mapping[str, Registers],
    floats: Mapping[str, Trace],
    integers: Mapping[str, Trace],
    cones: Mapping[str, Cone],
) -> QuantisationReport:
    """Put the report together from the rounded network and the two calibration runs."""
    populations = tuple(_population(r, floats[name], integers[name]) for name, r in registers.items())
    weights = tuple(
        _weights(node, w, name, cones[name].why_composed) for name, s in synapses.items() for node, w in s.all().items()
    )
    return QuantisationReport(made.target, populations, weights, dict(made.input_scales))


def _population(r: Registers, floats: Trace, integers: Trace) -> PopulationReport:
    e = r.equation
    kept = [(1.0 - e.keep_v, r.dv)] + ([] if e.keep_c is None or r.du is None else [(1.0 - e.keep_c, r.du + 1)])
    unity = float(1 << DECAY_BITS)
    decay = max(float(np.max(np.abs(d / unity - lost) / np.maximum(lost, 1 / unity))) for lost, d in kept)
    exact = e.bias * r.scale
    largest = np.abs(exact).max()
    bias = float(np.abs(r.bias - exact).max() / largest) if largest else 0.0
    vth = r.vth if r.vth is not None else np.full_like(r.dv, THRESHOLD_MAX)
    du = r.du if r.du is not None else np.zeros_like(r.dv)
    one, other = floats.output > 0.5, integers.output > 0.5
    spiking = r.vth is not None
    either = np.count_nonzero(one | other) if spiking else 0
    return PopulationReport(
        e.name,
        float(r.units_a_volt.max()),
        len(np.unique(np.stack([du, r.dv, vth], axis=1), axis=0)),
        int(r.vth.max()).bit_length() if r.vth is not None else 0,
        decay,
        bias,
        float(integers.current.max()) / STATE_LIMIT,
        float(integers.voltage.max()) / STATE_LIMIT,
        int(one.sum()) if spiking else 0,
        int(other.sum()) if spiking else 0,
        np.count_nonzero(one != other) / either if either else None,
    )


def _weights(node: str, w: Weights, target: str, composed: str) -> WeightReport:
    error = w.integers - w.exact
    there = w.exact != 0  # not nowhere: a node whose weights are all 0 is refused
    return WeightReport(
        node,
        target,
        w.exponent,
        (int(np.abs(w.integers).max()) >> w.exponent).bit_length()
        - bool(np.any(w.integers > 0) and np.any(w.integers < 0)),
        len(np.unique(w.integers)),
        float(np.sqrt(np.square(error).mean() / np.square(w.exact).mean())),
        float(np.abs(error).max() / np.abs(w.exact).max()),
        np.count_nonzero(there & (w.integers == 0)) / np.count_nonzero(there),
        composed,
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    from rich.box import ROUNDED
    from rich.table import Table
    from rich.text import Text

    table = Table(box=ROUNDED)
    for i, column in enumerate(head):
        table.add_column(Text(column), justify="left" if i == 0 or column == "into" else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return plain_text(table, 400)
