"""A population over many steps in one call: a kernel where it has this population's equations, else the step loop.

The scan gives the step loop's spikes and gradients: the same operations in the same order, and the gradient flows
through the reset as snnTorch lets it. What it cannot do (another surrogate, a neuron that was replaced or hooked,
coefficients that train, a device without a kernel) the loop does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hasn import kernels
from hasn.backends.snntorch import scan_places
from hasn.backends.snntorch.neurons import Population, States
from hasn.backends.snntorch.scan_coefficients import Equations, equations
from hasn.kernels import Reset, Rows, Scan

#: A sample's neurons fewer than this are laid out with the batch as one row, so that the inner loops are long.
_SHORT = 128


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
        if found is None or not (len(x) and scan_places.reads(x, *states, found.values)):
            return looped(self.population, x, states, voltages)
        dtype = found.values.dtype
        owned = owned and x.dtype == dtype and x.is_contiguous()
        drive = x.to(dtype).contiguous()
        v = states[self._place["v"]].to(dtype)
        c = None if found.rows is Rows.ONE else states[self._place["c"]].to(dtype)
        after = torch.empty_like(drive) if voltages else None
        if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (drive, v, c)):
            output, v, c = _Scan.apply(drive, v, c, found, owned, after)  # type: ignore[no-untyped-call]
        else:
            output, v, c = _forward(drive, v, c, found, None, after, drive if owned else torch.empty_like(drive))
        return Scanned(output.to(x.dtype), (v,) if c is None else self._ordered(v, c), after)

    def step(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """One step, as the population's own module gives it: (batch, *shape)."""
        if self._found is None:
            return self.population(x, states)  # type: ignore[no-any-return]
        done = self(x.unsqueeze(0), states)
        return done.output[0], done.states

    def _ordered(self, v: Tensor, c: Tensor) -> States:
        return (v, c) if self._place["v"] == 0 else (c, v)


def looped(population: Population, x: Tensor, states: States, voltages: bool = False) -> Scanned:
    """The same by the population's own module, step by step."""
    outputs, after = [], []
    for now in x:
        output, states = population(now, states)
        outputs.append(output)
        if voltages:
            after.append(states[population.states.index("v")])
    if not outputs:
        return Scanned(torch.zeros_like(x), states, torch.zeros_like(x) if voltages else None)
    return Scanned(torch.stack(outputs), states, torch.stack(after) if voltages else None)


def _job(x: Tensor, found: Equations) -> tuple[Scan, Tensor]:
    """Sizes for the kernel, and the coefficients laid out for them."""
    steps, batch = x.shape[:2]
    values, neurons = found.values, found.values.shape[1]
    if neurons < _SHORT and batch > 1:
        values, neurons, batch = found.repeated(batch), neurons * batch, 1
    double, threads = x.dtype == torch.float64, torch.get_num_threads()
    slope = () if found.slope is None else found.slope
    return Scan(steps, batch, neurons, found.rows, found.reset, double, threads, *slope), values


def _shared(state: Tensor) -> bool:
    """Whether all samples have one memory, as before the first step."""
    return state.stride(0) == 0 and state[0].is_contiguous()


def _address(array: Tensor | None) -> int:
    return 0 if array is None else array.data_ptr()


def _forward(
    x: Tensor,
    v: Tensor,
    c: Tensor | None,
    found: Equations,
    before: Tensor | None,
    after: Tensor | None,
    out: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output and final states; ``before`` and ``after``, where given, are filled."""
    job, values = _job(x, found)
    shared = job.batch == x.shape[1] and all(s is None or _shared(s) for s in (v, c))
    if not shared:
        v, c = v.contiguous(), None if c is None else c.contiguous()
    v_end, c_end = x.new_empty(x.shape[1:]), None if c is None else x.new_empty(x.shape[1:])
    if scan_places.on_gpu(x):
        gpu = scan_places.triton_scan()
        gpu.scan_forward(job, values, x, gpu.States(v, c, v_end, c_end, shared), out, before, after)
        return out, v_end, c_end
    states = kernels.States(_address(v), _address(c), _address(v_end), _address(c_end), shared)
    kernels.scan_forward(job, _address(values), _address(x), states, *map(_address, (out, before, after)))
    return out, v_end, c_end


class _Scan(torch.autograd.Function):
    """The scan with its gradients by the input and the initial states."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor, c: Tensor | None, found: Equations, owned: bool, after: Any) -> Any:
        """Spikes (or v), and the final states."""
        before = None
        if found.reset is not Reset.NONE:
            before = x.detach() if owned else torch.empty_like(x)
        # Where nothing resets, nothing but the coefficients is kept: the way back is linear.
        out, v_end, c_end = _forward(x, v, c, found, before, after, torch.empty_like(x))
        ctx.found, ctx.like = found, x.shape
        ctx.save_for_backward(before)
        ctx.set_materialize_grads(False)
        return out, v_end, c_end

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, to_v: Tensor | None, to_c: Tensor | None) -> Any:
        """Gradients by input and initial states."""
        (before,) = ctx.saved_tensors
        found: Equations = ctx.found
        made = found.values.new_empty(ctx.like)
        job, values = _job(made, found)
        gradient, to_v, to_c = (None if g is None else g.contiguous() for g in (gradient, to_v, to_c))
        v, c = (made.new_empty(ctx.like[1:]) if ctx.needs_input_grad[i] else None for i in (1, 2))
        if scan_places.on_gpu(made):
            gpu = scan_places.triton_scan()
            gpu.scan_backward(job, values, gradient, gpu.States(to_v, to_c, v, c), made, before)
            return made, v, c, None, None, None
        states = kernels.States(_address(to_v), _address(to_c), _address(v), _address(c))
        kernels.scan_backward(job, _address(values), _address(gradient), states, *map(_address, (made, before)))
        return made, v, c, None, None, None
