"""A population over many steps in one call: a kernel where it has this population's equations, else the step loop.

The scan gives the step loop's spikes and gradients: the same operations in the same order, and the gradient flows
through the reset as snnTorch lets it. What it cannot do (another surrogate, a neuron that was replaced or hooked,
trained coefficients of snnTorch's own neurons, a device without a kernel) the loop does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hasn.backends.snntorch import kernel_calls
from hasn.backends.snntorch.equations import Equations, RowEquations, equations
from hasn.backends.snntorch.kernel_calls import (
    Ends,
    RowsKept,
    backward,
    forward,
    rows_backward,
    rows_forward,
    rows_kept,
)
from hasn.backends.snntorch.neurons import Population, States
from hasn.kernels import Reset, Rows, Slope
from hasn.kernels.scan import COEFFICIENTS


class Scanned(NamedTuple):
    """What a population did.

    Attributes:
        output: spikes, or v where there is no threshold, (T, batch, *shape).
        states: after the last step, each (batch, *shape).
        voltages: v after the reset, (T, batch, *shape), if asked for.
    """

    output: Tensor
    states: States
    voltages: Tensor | None


class Scanner:
    """A population, made ready for some calls: its coefficients are read once.

    Args:
        population: the module.
    """

    def __init__(self, population: Population) -> None:
        self.population = population
        self._found = equations(population) if kernel_calls.possible() else None
        # One step alone the loop does faster where coefficients train.
        self._few = 1 if self._found is not None and self._found.values.requires_grad else 0
        self._place = {state: population.states.index(state) for state in population.states}

    def __call__(self, x: Tensor, states: States, voltages: bool = False, owned: bool = False) -> Scanned:
        """All steps.

        Args:
            x: summed input, (T, batch, *shape).
            states: before the first step, each (batch, *shape), in the population's order.
            voltages: whether v is wanted; without gradients only.
            owned: nobody else reads ``x``, so that it may be overwritten.
        """
        found = self._found
        rows = isinstance(found, RowEquations)
        if found is None or not (len(x) > self._few and kernel_calls.reads(x, *states, found.values, rows=rows)):
            return looped(self.population, x, states, voltages)
        learns = rows and found.values.requires_grad and torch.is_grad_enabled()
        if learns and kernel_calls.on_gpu(x):  # no kernel there has those gradients
            return looped(self.population, x, states, voltages)
        dtype = found.values.dtype
        drive = x.to(dtype).contiguous()
        if isinstance(found, RowEquations):
            return self._by_rows(found, drive, tuple(state.to(dtype) for state in states), voltages, owned, x.dtype)
        v = states[self._place["v"]].to(dtype)
        c = None if found.rows is Rows.ONE else states[self._place["c"]].to(dtype)
        after = torch.empty_like(drive) if voltages else None
        if torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in (drive, v, c, found.values)):
            output, v, c = _Scan.apply(drive, v, c, found.values, found, owned, after)  # type: ignore[no-untyped-call]
        else:
            output, v, c = forward(drive, v, c, found, None, after, drive if owned else torch.empty_like(drive))
        return Scanned(output.to(x.dtype), (v,) if c is None else self._ordered(v, c), after)

    def _by_rows(
        self, found: RowEquations, x: Tensor, states: States, voltages: bool, owned: bool, dtype: torch.dtype
    ) -> Scanned:
        after = torch.empty_like(x) if voltages else None
        if torch.is_grad_enabled() and any(part.requires_grad for part in (x, found.values, *states)):
            output, *ends = _RowsScan.apply(found, after, owned, x, found.values, *states)  # type: ignore[no-untyped-call]
        else:
            output = x if owned else torch.empty_like(x)
            ends = rows_forward(x, states, found, output, None, after)
        return Scanned(output.to(dtype), tuple(ends), after)

    def step(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """One step, as the population's own module gives it: (batch, *shape)."""
        if self._found is None:
            return self.population(x, states)  # type: ignore[no-any-return]
        done = self(x.unsqueeze(0), states)
        return done.output.squeeze(0), done.states

    def _ordered(self, v: Tensor, c: Tensor) -> States:
        return (v, c) if self._place["v"] == 0 else (c, v)


def looped(population: Population, x: Tensor, states: States, voltages: bool = False) -> Scanned:
    """The same by the population's own module, step by step."""
    outputs, after = [], []
    for now in x:
        output, states = population(now, states)
        outputs.append(output)
        if voltages:
            after.append(population.voltage(states))
    if not outputs:
        return Scanned(torch.zeros_like(x), states, torch.zeros_like(x) if voltages else None)
    return Scanned(torch.stack(outputs), states, torch.stack(after) if voltages else None)


class _Scan(torch.autograd.Function):
    """The scan with its gradients by the input, the initial states and the coefficients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, c: Tensor | None, k: Tensor, found: Equations, owned: bool, after: Any
    ) -> Any:
        """Spikes (or v), and the final states; ``k`` is ``found.values``, as autograd sees it."""
        before, trains = None, ctx.needs_input_grad[3]
        if found.reset is not Reset.NONE:
            before = x.detach() if owned and not trains else torch.empty_like(x)
        after = torch.empty_like(x) if trains and after is None else after
        # Where nothing resets, nothing but the coefficients is kept: the way back is linear.
        out, v_end, c_end = forward(x, v, c, found, before, after, torch.empty_like(x))
        ctx.found, ctx.like = found, x.shape
        ctx.save_for_backward(before, *((x, v, c, out, after) if trains else ()))
        ctx.set_materialize_grads(False)
        return out, v_end, c_end

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, to_v: Tensor | None, to_c: Tensor | None) -> Any:
        """Gradients by input, initial states and coefficients."""
        before, *kept = ctx.saved_tensors
        ends = Ends(gradient, to_v, to_c)
        if kept:
            return *_learned(ctx.found, _Kept(before, *kept), ends), None, None, None
        wanted = (ctx.needs_input_grad[1], ctx.needs_input_grad[2])
        if ctx.found.detached and before is not None:
            return *_detached(ctx.found, ctx.like, ends, before, wanted), None, None, None, None
        return *backward(ctx.found, ctx.like, ends, before, wanted), None, None, None, None


def _detached(
    found: Equations, like: torch.Size, ends: Ends, before: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients where no gradient flows through the reset, by the kernel of those where one does.

    With z taken as constant in the reset and u being v before it,

        dL/du[t] = (1 - z[t]) dL/dv[t] + s[t] (ZERO),   dL/dv[t] + s[t] (SUBTRACT),   s[t] = dL/dz[t] dz/du[t]

    The second is the adjoint of no reset, of the gradient s. The first is that of ZERO, which the kernel computes as
    ``v quiet + (s + v (jump - u)) d``, with jump 0, z in place of u, a slope d of 1, and a threshold that nothing
    reaches, so that quiet is 1.
    """
    assert found.slope is not None
    k = dict(zip(COEFFICIENTS, found.values.detach().reshape(8, *like[2:]), strict=True))
    given = None
    if ends.output is not None:
        given = _slope(*found.slope, before - k["threshold"]).mul_(ends.output)
    ends = ends._replace(output=given)
    if found.reset is Reset.SUBTRACT:
        return backward(replace(found, reset=Reset.NONE, slope=None), like, ends, None, wanted)
    values = found.values.detach().clone()
    values[COEFFICIENTS.index("jump")] = 0
    values[COEFFICIENTS.index("threshold")] = math.inf
    plain = replace(found, values=values, slope=(Slope.STRAIGHT_THROUGH, 1.0), _repeats={})
    return backward(plain, like, ends, (before > k["threshold"]).to(before.dtype), wanted)


class _RowsScan(torch.autograd.Function):
    """The scan of a population that says its rows, with its gradients by input, coefficients and initial states."""

    @staticmethod
    def forward(ctx: Any, found: RowEquations, after: Any, owned: bool, x: Tensor, k: Tensor, *states: Tensor) -> Any:
        """Spikes (or v), and the final states; ``k`` is ``found.values``, as autograd sees it."""
        trains = ctx.needs_input_grad[4]
        kept, out = rows_kept(x, found, owned, trains), torch.empty_like(x)
        ends = rows_forward(x, states, found, out, kept, after)
        ctx.found, ctx.like = found, x.shape
        ctx.save_for_backward(x if trains else None, kept.free, *kept.values, *kept.begun)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*ends[found.program.states :])  # the steps left
        return out, *ends

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, *ends: Tensor | None) -> Any:
        """Gradients by input, coefficients and initial states."""
        x, free, *values = ctx.saved_tensors
        between, states = len(ctx.found.program.kept), ctx.found.program.states
        kept = RowsKept(free, tuple(values[:between]), tuple(values[between:]))
        given = [end if i < states else None for i, end in enumerate(ends)]
        wanted = [want and i < states for i, want in enumerate(ctx.needs_input_grad[5:])]
        by_x, by_states, by_k = rows_backward(ctx.found, ctx.like, gradient, given, kept, wanted, x)
        return None, None, None, by_x, by_k, *by_states


class _Kept(NamedTuple):
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


def _learned(found: Equations, kept: _Kept, ends: Ends) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Gradients by the input, the initial v and c, and the coefficients (8, neurons).

    From the same kernels: every recursion in these gradients is one that a kernel has.

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


def _add_voltage(sums: _Sums, kept: _Kept, g: Tensor) -> None:
    one = torch.ones_like(g[0])
    for t in range(len(g)):
        sums.add("keep_v", g[t], kept.after[t - 1] if t else kept.v)
        sums.add("gain_v", g[t], kept.x[t])
        sums.add("bias", g[t], one)


def _add_current(sums: _Sums, found: Equations, k: dict[str, Tensor], kept: _Kept, g: Tensor, f: Tensor) -> None:
    """By weight, keep_c and gain_c; the current itself is computed anew."""
    assert kept.c is not None
    line = _row(found, Reset.NONE, k["keep_c"], k["gain_c"], k)
    c, _, _ = forward(kept.x, kept.c, None, line, None, None, torch.empty_like(kept.x))
    for t in range(len(g)):
        previous = c[t - 1] if t else kept.c
        sums.add("weight", g[t], c[t] if found.rows is Rows.CURRENT_FIRST else previous)
        sums.add("keep_c", f[t], previous)
        sums.add("gain_c", f[t], kept.x[t])


def _add_reset(sums: _Sums, found: Equations, k: dict[str, Tensor], kept: _Kept, g: Tensor, ends: Ends) -> None:
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
