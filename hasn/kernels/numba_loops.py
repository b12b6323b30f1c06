"""The loops of ``_scan.c`` in numba: the same operations in the same order, and so the same bits.

numba contracts and reorders nothing unless it is told to. The inner loops touch few arrays each: LLVM has to compare at
run time whether they overlap, and beyond eight comparisons it does not vectorise. What is compiled stays in this file:
numba's cache on disk looks at no other to see whether it is out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

from hasn.kernels.scan import Reset, Rows, Slope

#: Neurons in a block, as in ``_scan.c``.
ROOM = 8192

# The numbers are those of ``_scan.c`` and cannot change without it; if they do, this file has to, for the cache's sake.
_ONE_ROW, _CURRENT_FIRST = int(Rows.ONE), int(Rows.CURRENT_FIRST)
_NO_RESET, _TO_ZERO = int(Reset.NONE), int(Reset.ZERO)
_ATAN, _FAST_SIGMOID, _SIGMOID = int(Slope.ATAN), int(Slope.FAST_SIGMOID), int(Slope.SIGMOID)
_TRIANGULAR = int(Slope.TRIANGULAR)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    made: Any = numba.njit(error_model="numpy")(function)
    return made  # type: ignore[no-any-return]


def _kept(function: _Function) -> _Function:
    """Compiled once and kept on disk, where there is a folder that can be written to."""
    try:
        made: Any = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        return _compiled(function)
    return made  # type: ignore[no-any-return]


@_compiled
def _copy(to: Any, given: Any) -> None:
    for j in range(len(to)):
        to[j] = given[j]


@_compiled
def _update(rows: int, k: Any, x: Any, v: Any, c: Any) -> None:
    """A step of n neurons up to the threshold: the states v and c move on."""
    keep_v, gain_v, bias, keep_c, gain_c, weight = k[0], k[1], k[2], k[3], k[4], k[5]
    n = len(v)
    if rows == _ONE_ROW:
        for j in range(n):
            v[j] = keep_v[j] * v[j] + gain_v[j] * x[j] + bias[j]
        return
    if rows == _CURRENT_FIRST:
        for j in range(n):
            c[j] = keep_c[j] * c[j] + gain_c[j] * x[j]
        for j in range(n):
            v[j] = keep_v[j] * v[j] + weight[j] * c[j] + bias[j]
        return
    for j in range(n):
        v[j] = keep_v[j] * v[j] + weight[j] * c[j] + gain_v[j] * x[j] + bias[j]
    for j in range(n):
        c[j] = keep_c[j] * c[j] + gain_c[j] * x[j]


@_compiled
def _fire(reset: int, threshold: Any, jump: Any, v: Any, out: Any) -> None:
    """Spikes, and the reset."""
    one, zero = v.dtype.type(1), v.dtype.type(0)
    n = len(v)
    if reset == _NO_RESET:
        _copy(out, v)
    elif reset == _TO_ZERO:
        for j in range(n):
            z = one if v[j] > threshold[j] else zero
            v[j] = v[j] * (one - z) + jump[j] * z
            out[j] = z
    else:
        for j in range(n):
            z = one if v[j] > threshold[j] else zero
            v[j] = v[j] - z * jump[j]
            out[j] = z


@_compiled
def _exp_negative(constants: Any, terms: Any, w: Any, r: Any, power: Any, bits: Any) -> None:
    """w <- exp(w) for w <= 0, as ``_scan.c`` does it; ``bits`` is ``power`` as whole numbers."""
    one, zero = w.dtype.type(1), w.dtype.type(0)
    shifter, high, low, lowest, per_ln2 = constants[3], constants[4], constants[5], constants[6], constants[7]
    bias, mantissa = bits.dtype.type(terms[1]), bits.dtype.type(terms[2])
    n = len(w)
    for j in range(n):
        x = lowest if w[j] < lowest else w[j]
        whole = x * per_ln2 + shifter
        k = whole - shifter
        r[j] = (x - k * high) - k * low
        power[j] = whole
    for j in range(n):
        bits[j] = (bits[j] + bias) << mantissa
    for j in range(n):  # where exp(w) is 0, so is its factor
        power[j] = zero if w[j] < lowest else power[j]
    for j in range(n):
        w[j] = one
    for i in range(terms[0], 0, -1):
        inverse = one / w.dtype.type(i)
        for j in range(n):
            w[j] = one + w[j] * r[j] * inverse
    for j in range(n):
        w[j] = w[j] * power[j]


@_compiled
def _slopes(slope: int, constants: Any, terms: Any, v: Any, threshold: Any, d: Any, room: Any, bits: Any) -> None:
    """d = dz/dv at u = v - threshold, as snntorch.surrogate 1.0 defines it."""
    p, half, scale = constants[0], constants[1], constants[2]
    one = d.dtype.type(1)
    n = len(d)
    if slope == _ATAN:
        for j in range(n):
            w = scale * (v[j] - threshold[j])
            d[j] = half / (one + w * w)
    elif slope == _FAST_SIGMOID:
        for j in range(n):
            w = p * abs(v[j] - threshold[j]) + one
            d[j] = one / (w * w)
    elif slope == _SIGMOID:
        for j in range(n):
            d[j] = -abs(p * (v[j] - threshold[j]))
        _exp_negative(constants, terms, d, room[1][:n], room[0][:n], bits[:n])
        for j in range(n):
            w = d[j] + one
            d[j] = p * d[j] / (w * w)
    elif slope == _TRIANGULAR:
        for j in range(n):
            d[j] = -p if v[j] - threshold[j] >= 0 else p
    else:
        for j in range(n):
            d[j] = one


@_compiled
def _fire_back(reset: int, threshold: Any, jump: Any, gradient: Any, before: Any, d: Any, v: Any) -> None:
    """The adjoint of ``_fire``: v from dL/dv after the reset to dL/dv before it."""
    one, zero = v.dtype.type(1), v.dtype.type(0)
    n = len(v)
    if reset == _NO_RESET:
        for j in range(n):
            v[j] = v[j] + gradient[j]
    elif reset == _TO_ZERO:
        for j in range(n):
            quiet = zero if before[j] > threshold[j] else one
            v[j] = v[j] * quiet + (gradient[j] + v[j] * (jump[j] - before[j])) * d[j]
    else:
        for j in range(n):
            v[j] = v[j] + (gradient[j] - v[j] * jump[j]) * d[j]


@_compiled
def _update_back(rows: int, k: Any, v: Any, c: Any, out: Any) -> None:
    """The adjoint of ``_update``: v and c from dL/d(state after the step) to dL/d(state before it)."""
    keep_v, gain_v, keep_c, gain_c, weight = k[0], k[1], k[3], k[4], k[5]
    n = len(v)
    if rows == _ONE_ROW:
        for j in range(n):
            out[j] = gain_v[j] * v[j]
    elif rows == _CURRENT_FIRST:
        for j in range(n):
            c[j] = c[j] + weight[j] * v[j]
        for j in range(n):
            out[j] = gain_c[j] * c[j]
        for j in range(n):
            c[j] = keep_c[j] * c[j]
    else:
        for j in range(n):
            out[j] = gain_c[j] * c[j] + gain_v[j] * v[j]
        for j in range(n):
            c[j] = keep_c[j] * c[j] + weight[j] * v[j]
    for j in range(n):
        v[j] = keep_v[j] * v[j]


@_compiled
def _coefficients(k: Any, neurons: int, start: int, n: int) -> Any:
    """A block's rows of the coefficients."""
    a = start
    return (
        k[a : a + n],
        k[a + neurons : a + neurons + n],
        k[a + 2 * neurons : a + 2 * neurons + n],
        k[a + 3 * neurons : a + 3 * neurons + n],
        k[a + 4 * neurons : a + 4 * neurons + n],
        k[a + 5 * neurons : a + 5 * neurons + n],
        k[a + 6 * neurons : a + 6 * neurons + n],
        k[a + 7 * neurons : a + 7 * neurons + n],
    )


@_compiled
def _load(to: Any, given: Any, shared: bool, at: int, neurons: int, start: int, n: int, samples: int) -> None:
    """States of a block, zeros where none are given."""
    for s in range(samples):
        low, mine = start if shared else at + s * neurons, to[s * n : s * n + n]
        if len(given):
            _copy(mine, given[low : low + n])
        else:
            mine.fill(0)


@_compiled
def _store(to: Any, states: Any, at: int, neurons: int, n: int, samples: int) -> None:
    if len(to):
        for s in range(samples):
            _copy(to[at + s * neurons : at + s * neurons + n], states[s * n : s * n + n])


@_kept
def forward(blocks: Any, sizes: Any, kind: Any, shared: bool, k: Any, arrays: Any) -> None:
    """Blocks ``blocks[0]`` to ``blocks[1]`` over all steps."""
    first, last, parts, most = blocks
    (steps, batch, neurons), (rows, reset, _) = sizes, kind
    x, v_given, c_given, v_end, c_end, out, before, after = arrays
    v, c = np.empty(ROOM, k.dtype), np.empty(ROOM, k.dtype)
    for i in range(first, last):
        sample, start = i // parts * most, i % parts * ROOM
        samples, n = min(most, batch - sample), min(ROOM, neurons - start)
        at, mine = sample * neurons + start, _coefficients(k, neurons, start, n)
        _load(v, v_given, shared, at, neurons, start, n, samples)
        _load(c, c_given, shared, at, neurons, start, n, samples)
        for t in range(steps):
            for s in range(samples):
                low = (t * batch + s) * neurons + at
                high, here = low + n, v[s * n : s * n + n]
                _update(rows, mine, x[low:high], here, c[s * n : s * n + n])
                if len(before):
                    _copy(before[low:high], here)
                _fire(reset, mine[6], mine[7], here, out[low:high])
                if len(after):
                    _copy(after[low:high], here)
        _store(v_end, v, at, neurons, n, samples)
        _store(c_end, c, at, neurons, n, samples)


@_kept
def backward(
    blocks: Any, sizes: Any, kind: Any, constants: Any, terms: Any, k: Any, arrays: Any, room: Any, bits: Any
) -> None:
    """The adjoint of ``forward``; ``room`` (2, ROOM) is scratch, ``bits`` its first row as whole numbers."""
    first, last, parts, most = blocks
    (steps, batch, neurons), (rows, reset, slope) = sizes, kind
    x, v_given, c_given, v_end, c_end, out, before, _ = arrays
    v, c, d, none = np.empty(ROOM, k.dtype), np.empty(ROOM, k.dtype), np.empty(ROOM, k.dtype), np.zeros(ROOM, k.dtype)
    for i in range(first, last):
        sample, start = i // parts * most, i % parts * ROOM
        samples, n = min(most, batch - sample), min(ROOM, neurons - start)
        at, mine = sample * neurons + start, _coefficients(k, neurons, start, n)
        _load(v, v_given, False, at, neurons, start, n, samples)
        _load(c, c_given, False, at, neurons, start, n, samples)
        for t in range(steps - 1, -1, -1):
            for s in range(samples):
                low = (t * batch + s) * neurons + at
                high, here = low + n, v[s * n : s * n + n]
                if reset != _NO_RESET:
                    _slopes(slope, constants, terms, before[low:high], mine[6], d[:n], room, bits)
                given = x[low:high] if len(x) else none[:n]
                _fire_back(reset, mine[6], mine[7], given, before[low:high], d, here)
                _update_back(rows, mine, here, c[s * n : s * n + n], out[low:high])
        _store(v_end, v, at, neurons, n, samples)
        _store(c_end, c, at, neurons, n, samples)
