"""A population's float update as the chip's neuron has it.

With ``v' = v - v_reset`` the float update

    c <- a_c c + g_c x,   v <- a v + alpha c + k        (no current: v <- a v + g x + k)

has the chip's form, with the current ``u = alpha c`` and weights ``W alpha g_c`` (``W g``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hasn.errors import UnsupportedError
from hasn.program.model import Floats, Neurons, Threshold


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


def equation_of(p: Neurons | Threshold, drive: Floats | None) -> Equation:
    """Read a population's update.

    Args:
        p: the population.
        drive: constant input from step 0 on that goes into the bias (populations without a current), or None.

    Raises:
        UnsupportedError: a reset by subtraction, a threshold below v_reset, or an update that is not the chip's.
    """

    def flat(value: Any) -> Floats:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), p.shape).reshape(-1)

    if isinstance(p, Threshold):  # a voltage that keeps nothing
        zero, one = flat(0.0), flat(1.0)
        bias = zero if drive is None else drive
        return Equation(
            p.name, p.shape, None, zero, one, None, bias, zero, _above(p, flat(p.threshold), zero), zero, one
        )
    _refuse_others(p)
    offset = flat(0.0 if p.firing is None else p.firing.jump)
    threshold = None if p.threshold is None else _above(p, flat(p.threshold), offset)
    keep_c, voltage, gain, rate = _rows(p, flat)
    keep_v = flat(voltage.terms[0][1])
    bias = flat(0.0 if voltage.bias is None else voltage.bias) - (1.0 - keep_v) * offset
    if drive is not None:
        bias = bias + gain * drive
    initial = flat(p.initial["v"]) - offset
    return Equation(p.name, p.shape, keep_c, keep_v, gain, rate, bias, offset, threshold, initial, flat(1.0))


def _rows(p: Neurons, flat: Any) -> tuple[Floats | None, Any, Floats, tuple[Floats, Floats] | None]:
    """(what the current keeps, the voltage's row, gain, its two factors)."""
    rows = p.rows
    if p.update == "one row":
        return None, rows[0], flat(rows[0].gain), None
    if p.update == "voltage first":
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


def _refuse_others(p: Neurons) -> None:
    """Refuse what is not the chip's LIF neuron, but for the method."""
    if p.update == "general" or (p.spiking and p.firing is None):
        raise UnsupportedError(
            "it is not the chip's LIF neuron; programmable neurons are out of scope",
            node=p.name,
            way_out="Take a nir.LIF or nir.CubaLIF in its place.",
        )
    if p.held is not None:
        raise UnsupportedError(
            "the chip's LIF neuron, as Lava's bit-accurate model has it, is not held after a spike",
            node=p.name,
            parameter="metadata['refractory']",
            got=f"{int(p.held.max())} step(s)",
            wanted="0",
            way_out="Train without a refractory period.",
        )
    if p.reset == "subtract":
        raise UnsupportedError(
            "the chip's LIF neuron resets to a fixed voltage; programmable neurons are out of scope",
            node=p.name,
            parameter="reset",
            got="'subtract'",
            wanted="'zero'",
            way_out="hasn.conversions.loihi.zero_reset(graph, inputs, labels) gives the graph with reset='zero' and "
            "says what that costs; train it on.",
        )


def _above(p: Neurons | Threshold, threshold: Floats, offset: Floats) -> Floats:
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
