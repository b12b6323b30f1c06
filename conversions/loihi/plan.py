"""From a float population to registers: how its equation reads on the chip, and the scale that serves it best.

With ``v' = scale * (v - v_reset)`` the float update

    c <- a_c c + g_c x,   v <- a v + alpha c + k        (no current: v <- a v + g x + k)

becomes the chip's, with u = scale * alpha * c and weights ``W * alpha * g_c * scale / 64`` (``W * g * scale / 64``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hasn.conversions.loihi.rounding import LARGEST_BIAS, Rounding, biases, decays, grid, largest_weight
from hasn.conversions.loihi.simulate import Trace
from hasn.errors import ParameterError, UnsupportedError
from hasn.program.integers.model import ALIGN_BITS, STATE_LIMIT, THRESHOLD_MAX, Integers
from hasn.program.model import Compare, Floats, Neurons

UNIT = float(1 << ALIGN_BITS)
#: Scales that are tried within the highest octave: between them the weights' grid moves by less than 1 %.
CANDIDATES = 96
#: Weights of a connection that the choice looks at.
SAMPLE = 50_000


@dataclass(frozen=True)
class Equation:
    """A population's update as the chip has it; arrays are flat, one value for each neuron.

    Voltages are in volts, or, where R cannot be folded into weights that neurons share (a convolution's), in units of
    each neuron's own gain: then all gains are 1, and thresholds differ.

    Attributes:
        name, shape: of the population.
        volts: volts that a unit of voltage is.
        keep_c: what the current keeps of itself; None: no current.
        keep_v: what the voltage keeps.
        gain: what a unit of input adds to the current's part of the voltage.
        rate: for the float graph: (g_c, alpha), of which gain is the product; None without a current.
        bias: constant added to the voltage at every step, the offset taken into account.
        offset: the voltage that becomes 0 (v_reset).
        threshold: above the offset; None: it does not spike.
        initial: voltage before the first step, above the offset.
    """

    name: str
    shape: tuple[int, ...]
    keep_c: Floats | None
    keep_v: Floats
    gain: Floats
    rate: tuple[Floats, Floats] | None
    bias: Floats
    offset: Floats
    threshold: Floats | None
    initial: Floats
    volts: Floats

    def in_units_of_gain(self) -> Equation:
        """The same update with the gain folded into the unit of voltage."""
        threshold = None if self.threshold is None else self.threshold / self.gain
        return replace(
            self,
            gain=np.ones_like(self.gain),
            bias=self.bias / self.gain,
            threshold=threshold,
            initial=self.initial / self.gain,
            volts=self.volts * self.gain,
        )


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


def equation_of(p: Neurons | Compare, drive: Floats | None) -> Equation:
    """Read a population's update.

    Args:
        p: the population.
        drive: constant input from step 0 on that goes into the bias (populations without a current), or None.

    Raises:
        UnsupportedError: a reset by subtraction, a threshold below v_reset, or an update that is not the chip's.
    """
    size = int(np.prod(p.shape))

    def flat(value: Any) -> Floats:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), p.shape).reshape(-1)

    if isinstance(p, Compare):  # a voltage that keeps nothing
        zero, one = np.zeros(size), np.ones(size)
        bias = zero if drive is None else drive
        return Equation(
            p.name, p.shape, None, zero, one, None, bias, zero, _above(p, flat(p.threshold), zero), zero, one
        )
    _refuse_subtract(p)
    offset = np.zeros(size) if p.threshold is None else flat(p.jump)
    threshold = None if p.threshold is None else _above(p, flat(p.threshold), offset)
    keep_c, voltage, gain, rate = _rows(p, flat)
    keep_v = flat(voltage.terms[0][1])
    bias = (np.zeros(size) if voltage.bias is None else flat(voltage.bias)) - (1.0 - keep_v) * offset
    if drive is not None:
        bias = bias + gain * drive
    initial = flat(p.initial["v"]) - offset
    return Equation(p.name, p.shape, keep_c, keep_v, gain, rate, bias, offset, threshold, initial, np.ones(size))


def _rows(p: Neurons, flat: Any) -> tuple[Floats | None, Any, Floats, tuple[Floats, Floats] | None]:
    """(what the current keeps, the voltage's row, gain, its two factors)."""
    rows = p.rows
    if len(rows) == 1 and rows[0].gain is not None:
        return None, rows[0], flat(rows[0].gain), None
    if [row.state for row in rows] != ["c", "v"]:
        raise UnsupportedError(
            "its voltage takes the current of the step before (method 'exact'); the chip's takes the new one",
            node=p.name,
            parameter="method",
            got="'exact'",
            wanted="'euler'",
        )
    current, voltage = rows
    rate = flat(current.gain), flat(voltage.terms[1][1])
    return flat(current.terms[0][1]), voltage, rate[0] * rate[1], rate


def _refuse_subtract(p: Neurons) -> None:
    if p.reset == "subtract":
        raise UnsupportedError(
            "the chip's LIF neuron resets to a fixed voltage; programmable neurons are out of scope",
            node=p.name,
            parameter="reset",
            got="'subtract'",
            wanted="'zero'",
            way_out="Train with reset='zero'.",
        )


def _above(p: Neurons | Compare, threshold: Floats, offset: Floats) -> Floats:
    height = threshold - offset
    if np.any(height < 0):
        raise UnsupportedError(
            "the chip's threshold is not below the voltage it resets to",
            node=p.name,
            parameter="v_threshold",
            got=float(threshold[int(height.argmin())]),
            wanted=f"at least v_reset = {float(offset[int(height.argmin())]):g}",
        )
    return height


# --- the scale


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
            raise ParameterError("all weights are zero", node=name, parameter="weight", way_out="Leave the node out.")
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
    within(headroom * float(reached.max(initial=0.0)), STATE_LIMIT - 1)
    within(float(np.abs(e.initial).max(initial=0.0)), STATE_LIMIT - 1)
    within(float(np.abs(e.bias).max(initial=0.0)), LARGEST_BIAS)
    within(0.0 if e.threshold is None else float(e.threshold.max(initial=0.0)), THRESHOLD_MAX * UNIT)
    for values in connections.values():
        within(float(np.abs(values).max()), largest_weight(rounding.weight_bits, rounding.largest_exponent) * UNIT)
    return min(limits, default=UNIT)


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
    theta = np.ones(1) if e.threshold is None else e.threshold
    if e.threshold is not None and theta.size and np.all(theta == theta[0]) and theta[0] > 0:
        mantissas = np.unique(np.floor(scales * theta[0] / UNIT))
        scales = mantissas[mantissas > 0] * UNIT / theta[0] if np.any(mantissas > 0) else scales
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
