"""A population over many steps in one call: a kernel where it has this population's equations, else the step loop.

The scan gives the step loop's spikes and gradients: the same operations in the same order, and the gradient flows
through the reset as snnTorch lets it. What it cannot do (another surrogate, a neuron that was replaced or hooked,
trained coefficients of snnTorch's own neurons, a device without a kernel) the loop does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hasn.backends.snntorch import scan_places
from hasn.backends.snntorch.neurons import Population, States
from hasn.backends.snntorch.scan_calls import Ends, RowsKept, backward, forward, rows_backward, rows_forward, rows_kept
from hasn.backends.snntorch.scan_coefficients import Equations, RowEquations, equations
from hasn.backends.snntorch.scan_learning import Kept, learned
from hasn.kernels import Reset, Rows


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
        self._found = equations(population) if scan_places.possible() else None
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
        if found is None or not (len(x) > self._few and scan_places.reads(x, *states, found.values, rows=rows)):
            return looped(self.population, x, states, voltages)
        learns = rows and found.values.requires_grad and torch.is_grad_enabled()
        if learns and scan_places.on_gpu(x):  # no kernel there has those gradients
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
            return *learned(ctx.found, Kept(before, *kept), ends), None, None, None
        wanted = (ctx.needs_input_grad[1], ctx.needs_input_grad[2])
        return *backward(ctx.found, ctx.like, ends, before, wanted), None, None, None, None


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
