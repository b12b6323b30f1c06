"""Whether Triton's kernels may be used on a device.

Triton is taken at its word only after a trial there: a short scan has to give torch's own bits, and the gradients of
torch's autograd. Where it does not compile, or computes something else, a warning says so once and populations go by
the step loop.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from hasn.kernels import Line, Reset, RowProgram, Rows, RowScan, Scan, Slope
from hasn.kernels.implementation import switched_off
from hasn.kernels.rows import NONE


def triton_kernels() -> Any:
    """The module :mod:`hasn.backends.snntorch.triton_kernels`, which imports Triton."""
    return importlib.import_module("hasn.backends.snntorch.triton_kernels")


def triton_runs_on(device: torch.device, rows: bool = False) -> bool:
    """Whether Triton is installed, not switched off (``HASN_KERNELS=0``), and has passed its trial on this device."""
    return not switched_off() and importlib.util.find_spec("triton") is not None and _passed(device, rows)


@cache
def _passed(device: torch.device, rows: bool) -> bool:
    """The trial, once a process and device; that of rows is another one."""
    try:
        with torch.inference_mode(False), torch.enable_grad():
            why = _rows_trial(device) if rows else _trial(device)
    except Exception as error:  # Triton's errors have no common class, and its launcher needs a C compiler
        why = f"{type(error).__name__}: {str(error)[:300]}"
    if why:
        way = "populations go by the step loop, which is slower and gives the same; HASN_KERNELS=0 asks for it"
        warnings.warn(f"Triton's scan does not work on {device} ({why}); {way}", RuntimeWarning, stacklevel=2)
    return not why


def _trial(device: torch.device) -> str:
    """What is wrong with Triton's scan on this device; "" if nothing."""
    (x, v, c, k), run = _numbers(device), triton_kernels()
    scan, wanted = Scan(4, 2, 200, Rows.VOLTAGE_FIRST, Reset.ZERO), _by_torch(Reset.ZERO, k, x, v, c)
    made = [torch.empty_like(part) for part in (x, x, v, c)]
    run.scan_forward(scan, k, x, run.States(v, c, *made[2:]), *made[:2])
    if not _same(made, wanted):
        return _NUMBERS
    inputs = [part.clone().requires_grad_() for part in (x, v, c)]
    linear = _by_torch(Reset.NONE, k, *inputs)
    gradients = torch.autograd.grad((linear[0] * x).sum() + (linear[2] * v).sum(), inputs)
    made = [torch.empty_like(part) for part in (x, v, c)]
    scan = Scan(4, 2, 200, Rows.VOLTAGE_FIRST, Reset.NONE)
    run.scan_backward(scan, k, x, run.States(v, None, *made[1:]), made[0])
    return "" if _close(made, gradients) else _GRADIENTS


def _rows_trial(device: torch.device) -> str:
    """The same for rows: two states that read each other, a jump, a move, and a hold."""
    (x, v, w, k), run = _numbers(device), triton_kernels()
    v_row, w_row = Line(0, ((0, 0), (1, 1)), gain=2, before=True), Line(1, ((1, 3), (0, 4)))
    condition, resets = Line(0, ((0, NONE), (1, 1)), bias=5), (Line(0, bias=6), Line(1, bias=4, moves=True))
    program = RowProgram(2, 0, (w_row, v_row), condition, resets, held=7)
    k[5], k[7] = -k[5], (3 * k[7]).floor()
    scan = RowScan(4, 2, 200, program, slope=Slope.STRAIGHT_THROUGH)
    left = torch.zeros_like(v)
    inputs = [part.clone().requires_grad_() for part in (x, v, w)]
    wanted = _rows_by_torch(k, *inputs)
    made = [torch.empty_like(part) for part in (x, v, w, left)]
    kept, free = [torch.empty_like(x), torch.empty_like(x)], torch.empty_like(x, dtype=torch.uint8)
    run.rows_forward(scan, k, x, run.RowTensors((v, w, left), made[1:], False, kept), made[0], free)
    if not _same(made, wanted):
        return _NUMBERS
    gradients = torch.autograd.grad((wanted[0] * x).sum() + (wanted[1] * v).sum() + (wanted[2] * w).sum(), inputs)
    made = [torch.empty_like(part) for part in (x, v, w)]
    run.rows_backward(scan, k, x, run.RowTensors((v, w, None), (*made[1:], None), kept=kept), made[0], free)
    return "" if _close(made, gradients) else _GRADIENTS


_NUMBERS = "other numbers than torch's own; does it contract products and sums?"
_GRADIENTS = "other gradients than torch's own"


def _same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


def _close(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Four steps: some ten roundings of 6e-8, in an order that need not be autograd's."""
    return all(torch.allclose(*pair, rtol=1e-4, atol=1e-5) for pair in zip(ours, theirs, strict=True))


def _numbers(device: torch.device) -> tuple[Tensor, ...]:
    """Input, states and coefficients without a pattern, the same on every machine: 4 steps of 2 samples of 200."""
    spread = (torch.arange(8 * 200 * 2, dtype=torch.float64) * 0.6180339887498949 % 1.0).to(torch.float32).to(device)
    x = spread[:1600].reshape(4, 2, 200) * 2 - 0.5
    v, c = spread[1600:2000].reshape(2, 200) - 0.5, spread[2000:2400].reshape(2, 200) - 0.5
    return x, v, c, spread[1600:3200].reshape(8, 200).contiguous()


def _by_torch(reset: Reset, k: Tensor, x: Tensor, v: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Output, v before the reset, and the final v and c, an operation at a time."""
    keep_v, gain_v, bias, keep_c, gain_c, weight, threshold, jump = k
    out, before = [], []
    for now in x:
        v, c = keep_v * v + weight * c + gain_v * now + bias, keep_c * c + gain_c * now
        z = v
        before.append(v)
        if reset is Reset.ZERO:
            z = (v > threshold).to(v.dtype)
            v = v * (1 - z) + jump * z
        out.append(z)
    return torch.stack(out), torch.stack(before), v, c


def _rows_by_torch(k: Tensor, x: Tensor, v: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    """Output, and the final v, w and steps left; z has the slope 1."""
    out, left = [], torch.zeros_like(v)
    for now in x:
        free, old_v, old_w = left <= 0, v, w
        w = k[3] * w + k[4] * v
        v = torch.where(free, k[0] * old_v + k[1] * old_w + k[2] * now, old_v)
        u = v + k[1] * w + k[5]
        z = ((u > 0).to(v.dtype) + (u - u.detach())) * free
        left = torch.where(z > 0, k[7], (left - 1).clamp(min=0))
        v, w = v * (1 - z) + k[6] * z, w + z * k[4]
        out.append(z)
    return torch.stack(out), v, w, left
