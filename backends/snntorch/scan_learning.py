"""Gradients by a population's coefficients, from the same kernels: every recursion in them is one that a kernel has.

With g = dL/du, u being v before the reset, v' and c' the states before the step, and f = dL/dc (after the step):

    g is the adjoint of ONE_ROW with gain 1, whatever the rows: v' reaches u by keep_v alone
    f is an adjoint without a reset, of ``weight g``:  CURRENT_FIRST  f = keep_c f(t+1) + weight g
                                                       VOLTAGE_FIRST  f = keep_c f(t+1) + weight g(t+1)
    keep_v  sum g v'    gain_v  sum g x    bias  sum g    weight  sum g c (VOLTAGE_FIRST: c')
    keep_c  sum f c'    gain_c  sum f x
    threshold  -sum S, with S = (dL/dz + G dv/dz) dz/du and G = dL/dv after the reset = keep_v g(t+1)
    jump       sum G z (ZERO), -sum G z (SUBTRACT)

The sums go step by step in the arrays' type, as autograd's over a step loop do, and over the batch in float64.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from hasn.backends.snntorch.scan_calls import Ends, backward, forward
from hasn.backends.snntorch.scan_coefficients import Equations
from hasn.kernels import Reset, Rows, Slope
from hasn.kernels.scan import COEFFICIENTS


class Kept(NamedTuple):
    """What the forward scan read and wrote: (T, batch, *shape), and v and c before the first step, (batch, *shape).

    Attributes:
        before: v before the reset; None where nothing resets.
        x, v, c: input and initial states; c None where there is none.
        output: spikes, or v.
        after: v after the reset.
    """

    before: Tensor | None
    x: Tensor
    v: Tensor
    c: Tensor | None
    output: Tensor
    after: Tensor


def learned(found: Equations, kept: Kept, ends: Ends) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Gradients by the input, the initial v and c, and the coefficients (8, neurons)."""
    k = dict(zip(COEFFICIENTS, found.values.detach().reshape(8, *kept.x.shape[2:]), strict=True))
    one = torch.ones_like(k["keep_v"])
    alone = _row(found, found.reset, k["keep_v"], one, k)
    g, to_v, _ = backward(alone, kept.x.shape, Ends(ends.output, ends.v), kept.before, (True, False))
    assert to_v is not None
    sums = _Sums(found, kept.x)
    _add_voltage(sums, kept, g)
    if found.reset is not Reset.NONE and found.trained & {"threshold", "jump"}:
        _add_reset(sums, found, k, kept, g, ends)
    if found.rows is Rows.ONE:
        return g.mul_(k["gain_v"]), to_v, None, sums.total()
    f, to_c = _by_current(found, k, g, ends.c)
    _add_current(sums, found, k, kept, g, f)
    by_x = f.mul_(k["gain_c"])
    if found.rows is Rows.VOLTAGE_FIRST:
        by_x += g.mul_(k["gain_v"])
    return by_x, to_v, to_c, sums.total()


def _row(found: Equations, reset: Reset, keep: Tensor, gain: Tensor, others: dict[str, Tensor]) -> Equations:
    """One row with these coefficients, and the threshold and jump of ``others``."""
    nothing = torch.zeros_like(keep)
    parts = {"keep_v": keep, "gain_v": gain, "threshold": others["threshold"], "jump": others["jump"]}
    values = torch.stack([parts.get(name, nothing).reshape(-1) for name in COEFFICIENTS])
    return replace(found, rows=Rows.ONE, reset=reset, values=values, trained=frozenset(), _repeats={})


def _by_current(found: Equations, k: dict[str, Tensor], g: Tensor, to_c: Tensor | None) -> tuple[Tensor, Tensor]:
    """f = dL/dc after each step, and dL/d(initial c)."""
    given, late = k["weight"] * g, found.rows is Rows.VOLTAGE_FIRST
    first = given[0]
    if late:
        given = torch.cat([given[1:], torch.zeros_like(given[:1])])
    line = _row(found, Reset.NONE, k["keep_c"], torch.ones_like(k["keep_c"]), k)
    f, start, _ = backward(line, tuple(g.shape), Ends(given, to_c), None, (True, False))
    assert start is not None
    return f, start + first if late else start


class _Sums:
    """Sums over steps and batch of products, by coefficient; what does not train is left out."""

    def __init__(self, found: Equations, x: Tensor) -> None:
        self._parts = {name: torch.zeros_like(x[0]) for name in found.trained}
        self._like = found.values

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def add(self, name: str, left: Tensor, right: Tensor, sign: int = 1) -> None:
        """A step's product."""
        if name in self._parts:
            self._parts[name].addcmul_(left, right, value=sign)

    def total(self) -> Tensor:
        """(8, neurons)."""
        made = torch.zeros_like(self._like)
        for name, part in self._parts.items():
            made[COEFFICIENTS.index(name)] = part.sum(0, dtype=torch.float64).reshape(-1)
        return made


def _add_voltage(sums: _Sums, kept: Kept, g: Tensor) -> None:
    one = torch.ones_like(g[0])
    for t in range(len(g)):
        sums.add("keep_v", g[t], kept.after[t - 1] if t else kept.v)
        sums.add("gain_v", g[t], kept.x[t])
        sums.add("bias", g[t], one)


def _add_current(sums: _Sums, found: Equations, k: dict[str, Tensor], kept: Kept, g: Tensor, f: Tensor) -> None:
    """By weight, keep_c and gain_c; the current itself is computed anew."""
    assert kept.c is not None
    line = _row(found, Reset.NONE, k["keep_c"], k["gain_c"], k)
    c, _, _ = forward(kept.x, kept.c, None, line, None, None, torch.empty_like(kept.x))
    for t in range(len(g)):
        previous = c[t - 1] if t else kept.c
        sums.add("weight", g[t], c[t] if found.rows is Rows.CURRENT_FIRST else previous)
        sums.add("keep_c", f[t], previous)
        sums.add("gain_c", f[t], kept.x[t])


def _add_reset(sums: _Sums, found: Equations, k: dict[str, Tensor], kept: Kept, g: Tensor, ends: Ends) -> None:
    assert kept.before is not None
    assert found.slope is not None
    zero, (back, by_spike, u) = found.reset is Reset.ZERO, g.new_empty(3, *g.shape[1:])
    for t in range(len(g)):
        if t < len(g) - 1:
            torch.mul(k["keep_v"], g[t + 1], out=back)
        elif ends.v is not None:
            back.copy_(ends.v)
        else:
            back.zero_()
        sums.add("jump", back, kept.output[t], 1 if zero else -1)
        if "threshold" not in sums:
            continue
        torch.sub(k["jump"], kept.before[t], out=by_spike) if zero else by_spike.copy_(k["jump"]).neg_()
        by_spike *= back
        if ends.output is not None:
            by_spike += ends.output[t]
        torch.sub(kept.before[t], k["threshold"], out=u)
        sums.add("threshold", by_spike, _slope(*found.slope, u), -1)


def _slope(kind: Slope, p: float, u: Tensor) -> Tensor:
    """dz/du of :class:`hasn.kernels.Slope`; overwrites u."""
    if kind is Slope.ATAN:
        return u.mul_(math.pi / 2 * p).square_().add_(1).reciprocal_().mul_(p / 2)
    if kind is Slope.FAST_SIGMOID:
        return u.abs_().mul_(p).add_(1).square_().reciprocal_()
    if kind is Slope.SIGMOID:  # even in u, so that nothing overflows
        e = u.abs_().mul_(-p).exp_()
        return (e + 1).square_().reciprocal_().mul_(e).mul_(p)
    if kind is Slope.TRIANGULAR:
        return (u >= 0).to(u.dtype).mul_(-2 * p).add_(p)
    return u.fill_(1)
