"""The chip's integer arithmetic, one population at a time: the readable reference that executors are held against.

The rules are those of Lava's bit-accurate models (lava-nc 0.10, tag ``fixed_pt``; Davies et al., IEEE Micro 38, 2018,
for the chip): 24-bit current and voltage, 12-bit decays, 8-bit weights, a 17-bit threshold.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError, ParameterError

Integers: TypeAlias = NDArray[np.int64]

#: Fraction bits of a decay, bits by which synaptic input and thresholds are aligned, and the range of u and v.
DECAY_BITS, ALIGN_BITS, STATE_LIMIT = 12, 6, 1 << 23
_UNITY = 1 << DECAY_BITS


def integer_population(
    inputs: Any,
    weights: Any,
    *,
    du: int,
    dv: int,
    vth: int,
    weight_exp: int = 0,
    bias_mant: Any = 0,
    bias_exp: Any = 0,
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Run one population of the chip's LIF neurons behind one synaptic connection.

    Each step t, all in integers (``>>`` of a magnitude, so decays go towards 0)::

        a <- ((W x[t-1]) << weight_exp) << 6              one step late: the connection takes a step; 0 at t = 0
        u <- wrap(sign(u) * (|u| * (4096 - (du + 1)) >> 12) + a)
        v <- clip(sign(v) * (|v| * (4096 - dv) >> 12) + u + (bias_mant << bias_exp))
        z  = v > vth << 6,  v <- 0 where z

    ``wrap`` takes 2**24 off a current above 2**23 and adds it at or below -2**23, once, as Lava does; ``clip`` keeps a
    voltage within +-(2**23 - 1). Negative exponents shift right.

    Args:
        inputs: spikes (or graded integers) (T, n_in).
        weights: (n, n_in) integers: 0..255 if none is negative, -255..0 if none is positive, else even -256..254.
        du, dv: decays, 0..4095; du = 4095 keeps no current.
        vth: threshold mantissa, 0..131071.
        weight_exp: exponent of the weights, -8..7.
        bias_mant: -4096..4095, one or one for each neuron.
        bias_exp: 0..7, likewise.

    Returns:
        u, v (after the reset) and spikes, each (T, n).

    Raises:
        InputError: inputs that are no integers, or do not fit the weights.
        ParameterError: a value that the chip's registers cannot hold.
    """
    w = _weights(weights)
    x = _inputs(inputs, w.shape[1])
    for name, value, low, high in (("du", du, 0, 4095), ("dv", dv, 0, 4095), ("vth", vth, 0, 131071)):
        _within(name, np.asarray(value), low, high)
    _within("weight_exp", np.asarray(weight_exp), -8, 7)
    mantissa = _within("bias_mant", np.asarray(bias_mant), -4096, 4095)
    bias = np.broadcast_to(mantissa << _within("bias_exp", np.asarray(bias_exp), 0, 7), (w.shape[0],))
    trace_u, trace_v = np.zeros((2, len(x), w.shape[0]), dtype=np.int64)
    spikes = np.zeros((len(x), w.shape[0]), dtype=bool)
    u = v = np.zeros(w.shape[0], dtype=np.int64)
    for t in range(len(x)):
        arrived = _shifted(w @ x[t - 1], weight_exp) << ALIGN_BITS if t > 0 else np.zeros_like(u)
        u = wrap(decay(u, du + 1) + arrived)
        v = np.clip(decay(v, dv) + u + bias, 1 - STATE_LIMIT, STATE_LIMIT - 1)
        spikes[t] = v > vth << ALIGN_BITS
        v = np.where(spikes[t], 0, v)
        trace_u[t], trace_v[t] = u, v
    return trace_u, trace_v, spikes


def decay(state: Integers, amount: int) -> Integers:
    """``sign(x) * (|x| * (4096 - amount) >> 12)``."""
    return np.asarray(np.sign(state) * (np.abs(state) * (_UNITY - amount) >> DECAY_BITS), dtype=np.int64)


def wrap(current: Integers) -> Integers:
    """One turn of the 24-bit range, as Lava takes it: 2**23 itself stays, -2**23 becomes 2**23."""
    above, below = current > STATE_LIMIT, current <= -STATE_LIMIT
    return np.asarray(current - 2 * STATE_LIMIT * above + 2 * STATE_LIMIT * below, dtype=np.int64)


def _shifted(value: Integers, exponent: int) -> Integers:
    return value << exponent if exponent > 0 else value >> -exponent


def _inputs(inputs: Any, width: int) -> Integers:
    x = np.asarray(inputs)
    if x.dtype.kind not in "biu" and (x.dtype.kind != "f" or np.any(x != np.rint(x))):
        raise InputError("the chip takes integers", parameter="inputs", got=x.dtype, wanted="spikes 0/1 or integers")
    if x.ndim != 2 or x.shape[1] != width:
        raise InputError("the inputs do not fit the weights", parameter="inputs", got=x.shape, wanted=f"(T, {width})")
    return x.astype(np.int64)


def _weights(weights: Any) -> Integers:
    w = np.asarray(weights)
    if w.ndim != 2:
        raise ParameterError("is not a matrix", parameter="weights", got=w.shape, wanted="(neurons, inputs)")
    mixed = bool(np.any(w > 0) and np.any(w < 0))
    low, high = (-256, 254) if mixed else (-255, 255)
    w = _within("weights", w, low, high)
    if mixed and np.any(w % 2):
        raise ParameterError(
            "weights of both signs have 7 bits and a sign, so they are even",
            parameter="weights",
            got=int(w[w % 2 != 0][0]),
            wanted=f"even integers {low}..{high}",
            way_out="Double the grid: round to even, or split by sign.",
        )
    return w


def _within(name: str, value: NDArray[Any], low: int, high: int) -> Integers:
    """``value`` as integers, if the register holds it.

    Raises:
        ParameterError: no integer, or out of range.
    """
    whole = value.dtype.kind in "biu" or (value.dtype.kind == "f" and bool(np.all(value == np.rint(value))))
    if not whole or (value.size and (value.min() < low or value.max() > high)):
        got = value if value.size == 1 else f"{value.min()} .. {value.max()}"
        raise ParameterError(
            "does not fit the chip's register", parameter=name, got=got, wanted=f"integers {low}..{high}"
        )
    return value.astype(np.int64)
