"""The scan of :mod:`hasn.kernels.scan` on a GPU, in Triton: one program a block of neurons, the time loop inside it.

A thread has one neuron of one sample and keeps its states in registers, so that memory is read and written once. The
operations and their order are those of the step loop, and Triton is told not to contract ``a*b + c``: that would change
spikes. Gradients may differ from C's in their last bits: the GPU divides and takes exp in its own way.

Imports Triton; :mod:`hasn.backends.snntorch.scan_places` says when.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from hasn.kernels import Reset, Rows, Scan, Slope

#: Threads of a program: neurons are independent, and small programs fill the GPU evenly.
BLOCK = 128
OPTIONS = {"num_warps": BLOCK // 32, "enable_fp_fusion": False}

# What a Triton function reads from outside has to be a constexpr.
_ONE_ROW, _CURRENT_FIRST = tl.constexpr(int(Rows.ONE)), tl.constexpr(int(Rows.CURRENT_FIRST))
_NO_RESET, _TO_ZERO = tl.constexpr(int(Reset.NONE)), tl.constexpr(int(Reset.ZERO))
_ATAN, _FAST_SIGMOID = tl.constexpr(int(Slope.ATAN)), tl.constexpr(int(Slope.FAST_SIGMOID))
_SIGMOID, _TRIANGULAR = tl.constexpr(int(Slope.SIGMOID)), tl.constexpr(int(Slope.TRIANGULAR))


def jitted(function: Callable[..., Any]) -> Any:
    """Sizes change from call to call, and are not worth a compilation each."""
    return triton.jit(do_not_specialize=("steps", "states", "neurons"))(function)


class States(NamedTuple):
    """The states of a scan: tensors of (batch, neurons) where :class:`hasn.kernels.States` has addresses.

    Attributes:
        v, c: what to start from; None: zeros.
        v_end, c_end: take what it ends with; None: not wanted.
        shared: v and c are one state of all samples, (neurons,).
    """

    v: Tensor | None = None
    c: Tensor | None = None
    v_end: Tensor | None = None
    c_end: Tensor | None = None
    shared: bool = False


def scan_forward(
    scan: Scan,
    coefficients: Tensor,
    x: Tensor,
    states: States,
    out: Tensor,
    before: Tensor | None = None,
    after: Tensor | None = None,
) -> None:
    """All steps of a population: :func:`hasn.kernels.scan_forward` with tensors, all on one device, for addresses."""
    count = scan.batch * scan.neurons
    with on_device_of(x):
        _forward[(triton.cdiv(count, BLOCK),)](
            coefficients,
            x,
            *states[:4],
            out,
            before,
            after,
            scan.steps,
            count,
            scan.neurons,
            int(scan.rows),
            int(scan.reset),
            bool(states.shared),
            BLOCK,
            **OPTIONS,
        )


def scan_backward(
    scan: Scan, coefficients: Tensor, gradient: Tensor | None, states: States, out: Tensor, before: Tensor | None = None
) -> None:
    """The adjoint: :func:`hasn.kernels.scan_backward` with tensors for addresses."""
    count = scan.batch * scan.neurons
    with on_device_of(out):
        _backward[(triton.cdiv(count, BLOCK),)](
            coefficients,
            gradient,
            *states[:4],
            out,
            before,
            surrogate_numbers(scan.parameter, out.dtype, out.device),
            scan.steps,
            count,
            scan.neurons,
            int(scan.rows),
            int(scan.reset),
            int(scan.slope),
            BLOCK,
            **OPTIONS,
        )


def on_device_of(x: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on torch's current device, which need not be the tensors'."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


@lru_cache(maxsize=64)
def surrogate_numbers(parameter: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """p, p/2 and pi/2 p in the arrays' type: Triton would make a float argument float32."""
    return torch.tensor([parameter, parameter / 2, 1.5707963267948966 * parameter], dtype=dtype, device=device)


@jitted
def _forward(  # type: ignore[no-untyped-def]
    k, x, v_given, c_given, v_end, c_end, out, before, after, steps, states, neurons,
    ROWS: tl.constexpr, RESET: tl.constexpr, SHARED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, neuron = at < states, at % neurons
    keep_v, gain_v = tl.load(k + neuron, here), tl.load(k + neurons + neuron, here)
    bias = tl.load(k + 2 * neurons + neuron, here)
    keep_c, gain_c = tl.load(k + 3 * neurons + neuron, here), tl.load(k + 4 * neurons + neuron, here)
    weight = tl.load(k + 5 * neurons + neuron, here)
    threshold, jump = tl.load(k + 6 * neurons + neuron, here), tl.load(k + 7 * neurons + neuron, here)
    v, c = keep_v * 0, keep_v * 0
    first = neuron if SHARED else at
    if v_given is not None:
        v = tl.load(v_given + first, here)
    if c_given is not None:
        c = tl.load(c_given + first, here)
    now = at
    for _ in range(steps):
        drive = tl.load(x + now, here)
        if ROWS == _ONE_ROW:
            v = keep_v * v + gain_v * drive + bias
        elif ROWS == _CURRENT_FIRST:
            c = keep_c * c + gain_c * drive
            v = keep_v * v + weight * c + bias
        else:
            v = keep_v * v + weight * c + gain_v * drive + bias
            c = keep_c * c + gain_c * drive
        if before is not None:
            tl.store(before + now, v, here)
        if RESET == _NO_RESET:
            tl.store(out + now, v, here)
        else:
            z = (v > threshold).to(v.dtype)
            v = v * (1 - z) + jump * z if RESET == _TO_ZERO else v - z * jump
            tl.store(out + now, z, here)
        if after is not None:
            tl.store(after + now, v, here)
        now += states
    if v_end is not None:
        tl.store(v_end + at, v, here)
    if c_end is not None:
        tl.store(c_end + at, c, here)


@jitted
def _backward(  # type: ignore[no-untyped-def]
    k, gradient, v_given, c_given, v_end, c_end, out, before, surrogate, steps, states, neurons,
    ROWS: tl.constexpr, RESET: tl.constexpr, SLOPE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, neuron = at < states, at % neurons
    keep_v, gain_v = tl.load(k + neuron, here), tl.load(k + neurons + neuron, here)
    keep_c, gain_c = tl.load(k + 3 * neurons + neuron, here), tl.load(k + 4 * neurons + neuron, here)
    weight = tl.load(k + 5 * neurons + neuron, here)
    threshold, jump = tl.load(k + 6 * neurons + neuron, here), tl.load(k + 7 * neurons + neuron, here)
    v, c, given = keep_v * 0, keep_v * 0, keep_v * 0
    if v_given is not None:
        v = tl.load(v_given + at, here)
    if c_given is not None:
        c = tl.load(c_given + at, here)
    now = at + (steps - 1) * states.to(tl.int64)
    for _ in range(steps):
        if gradient is not None:
            given = tl.load(gradient + now, here)
        if RESET == _NO_RESET:
            v = v + given
        else:
            u = tl.load(before + now, here)
            d = slope(u - threshold, surrogate, SLOPE)
            if RESET == _TO_ZERO:
                z = (u > threshold).to(v.dtype)
                v = v * (1 - z) + (given + v * (jump - u)) * d
            else:
                v = v + (given - v * jump) * d
        if ROWS == _ONE_ROW:
            tl.store(out + now, gain_v * v, here)
        elif ROWS == _CURRENT_FIRST:
            c = c + weight * v
            tl.store(out + now, gain_c * c, here)
            c = keep_c * c
        else:
            tl.store(out + now, gain_c * c + gain_v * v, here)
            c = keep_c * c + weight * v
        v = keep_v * v
        now -= states
    if v_end is not None:
        tl.store(v_end + at, v, here)
    if c_end is not None:
        tl.store(c_end + at, c, here)


@jitted
def slope(u, surrogate, SLOPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """dz/du, as snntorch.surrogate 1.0 defines it."""
    p = tl.load(surrogate)
    d = u * 0 + 1
    if SLOPE == _ATAN:
        w = tl.load(surrogate + 2) * u
        d = tl.load(surrogate + 1) / (1 + w * w)
    elif SLOPE == _FAST_SIGMOID:
        w = p * tl.abs(u) + 1
        d = 1 / (w * w)
    elif SLOPE == _SIGMOID:  # even in u, so that nothing overflows
        e = tl.exp(-tl.abs(p * u))
        d = p * e / ((e + 1) * (e + 1))
    elif SLOPE == _TRIANGULAR:
        d = tl.where(u >= 0, -p, p)
    return d
