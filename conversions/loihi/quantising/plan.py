"""The scale of a population, chip units for its unit of voltage, and the registers that it gives.

The weights in weight units are ``W * gain * scale / 64``; see :mod:`hasn.conversions.loihi.quantising.equation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hasn.conversions.loihi.quantising.cone import uniform
from hasn.conversions.loihi.quantising.equation import Equation
from hasn.conversions.loihi.quantising.rounding import LARGEST_BIAS, Rounding, biases, decays, grid, largest_weight
from hasn.conversions.loihi.quantising.simulate import Trace
from hasn.errors import ParameterError
from hasn.program.integers.model import ALIGN_BITS, STATE_LIMIT, THRESHOLD_MAX, Integers
from hasn.program.model import Floats

UNIT = float(1 << ALIGN_BITS)
#: Scales that are tried within the highest octave: between them the weights' grid moves by less than 1 %.
CANDIDATES = 96
#: Scales below it would underflow in what is computed with them.
SMALLEST = 1e-290
#: Weights of a connection that the choice looks at.
SAMPLE = 50_000


@dataclass(frozen=True)
class Registers:
    """An equation at a scale: what the registers hold.

    Attributes:
        equation: where it comes from.
        scale: chip units for the equation's unit of voltage.
        du, dv, vth: see :class:`hasn.program.integers.model.IntegerPopulation`; None as there.
        bias, v_init: in voltage units.
    """

    equation: Equation
    scale: float
    du: Integers | None
    dv: Integers
    vth: Integers | None
    bias: Integers
    v_init: Integers

    @property
    def units_a_volt(self) -> Floats:
        """Chip units a volt, for each neuron."""
        return np.asarray(self.scale / self.equation.volts)


def registers(
    equation: Equation, connections: Mapping[str, Floats], trace: Trace, rounding: Rounding, headroom: float
) -> Registers:
    """Choose a scale and round.

    Args:
        equation: of the population.
        connections: node -> weights as they reach the voltage, in volts: ``W * gain`` and all factors.
        trace: the calibration run, for the largest current and voltage.
        rounding: of the weights.
        headroom: factor by which current and voltage may exceed those of the calibration before they wrap or clip.

    Raises:
        ParameterError: weights or a threshold that no scale brings into the registers.
    """
    for name, values in connections.items():
        if not np.any(values):
            raise _nothing_arrives(equation, name)
    limit = _limit(equation, connections, trace, rounding, headroom)
    samples = {name: _sample(values) for name, values in connections.items()}
    scale = min(
        _candidates(equation, samples, limit), key=lambda s: (_error(equation, samples, s, rounding.weight_bits), -s)
    )
    _refuse_lost(equation, connections, scale, rounding)
    return Registers(
        equation,
        scale,
        None if equation.keep_c is None else decays(equation.keep_c, offset=1),
        decays(equation.keep_v),
        None if equation.threshold is None else _mantissas(equation.name, equation.threshold, scale),
        biases(equation.bias * scale),
        np.rint(equation.initial * scale).astype(np.int64),
    )


def _nothing_arrives(equation: Equation, node: str) -> ParameterError:
    """Who takes away what comes from a node: its weights, or the factors of the population behind it."""
    if np.any(equation.gain):
        return ParameterError("all weights are zero", node=node, parameter="weight", way_out="Leave the node out.")
    parameter = "w_in" if equation.rate is not None and not np.any(equation.rate[0]) else "r"
    return ParameterError(
        f"is zero, so that nothing from '{node}' reaches its voltage", node=equation.name, parameter=parameter,
        got=0.0, wanted="a value that is not 0", way_out="Leave out the node that leads here, or mend the value.",
    )  # fmt: skip


def _mantissas(name: str, threshold: Floats, scale: float) -> Integers:
    """vth for thresholds above the voltage that becomes 0."""
    vth = np.rint(threshold * scale / UNIT).astype(np.int64)
    if np.any((vth == 0) & (threshold > 0)):
        raise ParameterError(
            "the threshold is lost in rounding beside its inputs", node=name, parameter="v_threshold",
            got=float(np.min(threshold)), wanted=f"at least {UNIT / scale:g} V above v_reset",
        )  # fmt: skip
    return vth


def _limit(
    e: Equation, connections: Mapping[str, Floats], trace: Trace, rounding: Rounding, headroom: float
) -> float:  # fmt: skip
    """The largest scale at which everything fits."""
    limits: list[float] = []

    def within(value: float, most: float) -> None:
        if value > 0:
            limits.append(most / value)

    reached = np.maximum(trace.current, trace.voltage) / e.volts
    within(float(reached.max()), (STATE_LIMIT - 1) / headroom)
    within(float(np.abs(e.initial).max()), STATE_LIMIT - 1)
    within(float(np.abs(e.bias).max()), LARGEST_BIAS)
    within(0.0 if e.threshold is None else float(e.threshold.max()), THRESHOLD_MAX * UNIT)
    for values in connections.values():
        within(float(np.abs(values).max()), largest_weight(rounding.weight_bits, rounding.largest_exponent) * UNIT)
    limit = min(limits, default=UNIT)
    if limit < SMALLEST:
        raise ParameterError(
            "its voltages, thresholds or weights are too large beside its gain for any scale", node=e.name,
            got=f"{1 / SMALLEST:.3g} times what the chip's registers hold, or more",
            way_out="Scale weights, resistance and voltages so that they are comparable.",
        )  # fmt: skip
    return limit


def _sample(values: Floats) -> Floats:
    """Enough weights to judge a grid by, the largest of either sign among them."""
    flat = values.reshape(-1)
    if flat.size <= SAMPLE:
        return flat
    return np.concatenate([flat[:: flat.size // SAMPLE + 1], [flat.max(), flat.min()]])


def _candidates(e: Equation, connections: Mapping[str, Floats], limit: float) -> list[float]:
    """Scales within the octave below the limit.

    At some, one threshold for all is a whole number; at others, a connection's largest weight is: where the ratio of
    the two is a simple one, both.
    """
    scales = limit * 2.0 ** -np.linspace(0.0, 1.0, CANDIDATES, endpoint=False)
    if e.threshold is not None and uniform(e.threshold) and e.threshold[0] > 0:
        mantissas = np.unique(np.floor(scales * e.threshold[0] / UNIT))
        scales = mantissas * UNIT / e.threshold[0] if mantissas[-1] > 0 else scales
    found = [scales]
    for values in connections.values():
        unit = UNIT / float(np.abs(values).max())  # the scale at which the largest weight is 1
        octave = 2.0 ** np.floor(np.log2(limit / unit))
        whole = unit * octave * np.arange(64, 129) / 64.0
        found.append(np.concatenate([whole, whole / 2]))
    every = np.unique(np.concatenate(found))
    return [float(scale) for scale in every[(every <= limit) & (every > limit / 2)]] or [limit]


def _error(e: Equation, connections: Mapping[str, Floats], scale: float, bits: int) -> float:
    """Mean squares of the rounding errors of weights and threshold, relative to their own, added up."""
    total = 0.0
    for values in connections.values():
        units = values * scale / UNIT
        _, quantum, most = grid(units, bits)
        rounded = np.clip(np.rint(units / quantum) * quantum, -most, most)
        total += float(np.square(rounded - units).sum() / np.square(units).sum())
    if e.threshold is not None and np.any(e.threshold):
        height = e.threshold * scale / UNIT
        total += float(np.square(np.rint(height) - height).sum() / np.square(height).sum())
    return total


def _refuse_lost(e: Equation, connections: Mapping[str, Floats], scale: float, rounding: Rounding) -> None:
    for name, values in connections.items():
        units = values * scale / UNIT
        _, quantum, _ = grid(units, rounding.weight_bits)
        if np.abs(units).max() < quantum / 2:
            raise ParameterError(
                f"its weights are lost beside the threshold and the other inputs of {e.name}: "
                "they need more range than 8 bits and an exponent have",
                node=name,
                parameter="weight",
                got=f"at most {float(np.abs(values).max()):.3g} V into the voltage",
                wanted=f"at least {quantum / 2 * UNIT / scale:.3g} V",
                way_out="Leave the node out, or scale the model so that its inputs are comparable.",
            )
