"""A scan of tensors (T, batch, *shape): the kernel that reads them, what it is given, and the call.

C reads the tensors of the CPU, Triton those of a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hasn import kernels
from hasn.backends.snntorch.equations import Equations, RowEquations
from hasn.backends.snntorch.triton_trial import triton_kernels, triton_runs_on
from hasn.kernels import RowScan, RowStates, Scan, available
from hasn.kernels.implementation import switched_off

#: torch's name for the devices that are Triton's; ROCm has the same.
_GPU = "cuda"
#: A sample's neurons fewer than this are laid out with the batch as one row, so that the inner loops are long.
_SHORT = 128


def possible() -> bool:
    """Whether some kernel may be of use here."""
    return bool(available()) or (torch.cuda.is_available() and not switched_off())


def reads(*parts: Tensor, rows: bool = False) -> bool:
    """Whether a kernel can read these tensors; ``rows``: that of populations that say their rows."""
    device = parts[0].device
    if any(type(part) is not Tensor or part.device != device for part in parts):
        return False
    return triton_runs_on(device, rows) if on_gpu(parts[0]) else device.type == "cpu" and bool(available())


def on_gpu(x: Tensor) -> bool:
    """Whether Triton's kernel is the one for this tensor."""
    return x.device.type == _GPU


class Ends(NamedTuple):
    """Gradients by what a scan gave, None for zeros: by its output, and by the final v and c."""

    output: Tensor | None
    v: Tensor | None
    c: Tensor | None = None


def scan_job(x: Tensor, found: Equations) -> tuple[Scan, Tensor]:
    """Sizes for the kernel, and the coefficients laid out for them."""
    sizes, values, how = _laid_out(x, found)
    return Scan(*sizes, found.rows, found.reset, *how), values


def rows_job(x: Tensor, found: RowEquations) -> tuple[RowScan, Tensor]:
    """The same for a population that says its rows."""
    sizes, values, how = _laid_out(x, found)
    return RowScan(*sizes, found.program, *how), values


def _laid_out(x: Tensor, found: Equations | RowEquations) -> tuple[tuple[int, int, int], Tensor, tuple[Any, ...]]:
    """Steps, batch and neurons for the kernel; the coefficients for them; precision, threads and surrogate."""
    steps, batch = x.shape[:2]
    values, neurons = found.values, found.values.shape[1]
    if neurons < _SHORT and batch > 1:
        values, neurons, batch = found.repeated(batch), neurons * batch, 1
    slope = () if found.slope is None else found.slope
    return (steps, batch, neurons), values, (x.dtype == torch.float64, torch.get_num_threads(), *slope)


def _shared(state: Tensor) -> bool:
    """Whether all samples have one memory, as before the first step."""
    return len(state) > 0 and state.stride(0) == 0 and state[0].is_contiguous()


def _address(array: Tensor | None) -> int:
    return 0 if array is None else array.data_ptr()


def _addresses(arrays: Sequence[Tensor | None]) -> tuple[int, ...]:
    return tuple(map(_address, arrays))


def forward(
    x: Tensor,
    v: Tensor,
    c: Tensor | None,
    found: Equations,
    before: Tensor | None,
    after: Tensor | None,
    out: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output and final states; ``before`` and ``after``, where given, are filled."""
    job, values = scan_job(x, found)
    shared = job.batch == x.shape[1] and all(s is None or _shared(s) for s in (v, c))
    if not shared:
        v, c = v.contiguous(), None if c is None else c.contiguous()
    v_end, c_end = x.new_empty(x.shape[1:]), None if c is None else x.new_empty(x.shape[1:])
    if on_gpu(x):
        gpu = triton_kernels()
        gpu.scan_forward(job, values, x, gpu.States(v, c, v_end, c_end, shared), out, before, after)
        return out, v_end, c_end
    states = kernels.States(_address(v), _address(c), _address(v_end), _address(c_end), shared)
    kernels.scan_forward(job, _address(values), _address(x), states, *map(_address, (out, before, after)))
    return out, v_end, c_end


def backward(
    found: Equations, like: tuple[int, ...], ends: Ends, before: Tensor | None, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradients by the input (its shape is ``like``) and, where wanted, by the initial v and c.

    ``before`` is what the forward call wrote there; None where nothing resets.
    """
    made = found.values.new_empty(like)
    job, values = scan_job(made, found)
    gradient, to_v, to_c = (None if g is None else g.contiguous() for g in ends)
    v, c = (made.new_empty(like[1:]) if want else None for want in wanted)
    if on_gpu(made):
        gpu = triton_kernels()
        gpu.scan_backward(job, values, gradient, gpu.States(to_v, to_c, v, c), made, before)
        return made, v, c
    states = kernels.States(_address(to_v), _address(to_c), _address(v), _address(c))
    kernels.scan_backward(job, _address(values), _address(gradient), states, *map(_address, (made, before)))
    return made, v, c


class RowsKept(NamedTuple):
    """What the forward scan leaves for the way back.

    Attributes:
        free: who was not held, bytes, (T, batch, *shape); None where nobody is.
        values: states between update and reset, each (T, batch, *shape).
        begun: states before each step, where coefficients train; else empty.
    """

    free: Tensor | None
    values: tuple[Tensor, ...]
    begun: tuple[Tensor, ...] = ()


def rows_kept(x: Tensor, found: RowEquations, owned: bool = False, trains: bool = False) -> RowsKept:
    """Memory for it; the input's own where that may be overwritten, and coefficients do not train."""
    program, owned = found.program, owned and not trains
    free = None if program.arrays == program.states else x.new_empty(x.shape, dtype=torch.uint8)
    memory = (x.detach() if owned and i == 0 else torch.empty_like(x) for i in range(len(program.kept)))
    return RowsKept(free, tuple(memory), tuple(torch.empty_like(x) for _ in range(program.states if trains else 0)))


def rows_forward(
    x: Tensor,
    states: Sequence[Tensor],
    found: RowEquations,
    out: Tensor,
    kept: RowsKept | None = None,
    after: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """The final states; ``out``, and ``kept`` and ``after`` where given, are filled."""
    job, values = rows_job(x, found)
    shared = job.batch == x.shape[1] and all(_shared(state) for state in states)
    if not shared:
        states = [state.contiguous() for state in states]
    ends = tuple(x.new_empty(x.shape[1:]) for _ in states)
    free, between, begun = kept or (None, (), ())
    if on_gpu(x):
        gpu = triton_kernels()
        gpu.rows_forward(job, values, x, gpu.RowTensors(states, ends, shared, between), out, free, after)
        return ends
    at = RowStates(_addresses(states), _addresses(ends), shared, _addresses(between), _addresses(begun))
    kernels.rows_forward(job, _address(values), _address(x), at, *_addresses((out, free, after)))
    return ends


def rows_backward(
    found: RowEquations,
    like: tuple[int, ...],
    output: Tensor | None,
    ends: Sequence[Tensor | None],
    kept: RowsKept,
    wanted: Sequence[bool],
    x: Tensor | None = None,
) -> tuple[Tensor, list[Tensor | None], Tensor | None]:
    """Gradients by the input (its shape is ``like``) and, where wanted, by the initial states and the coefficients.

    Args:
        found: the equations.
        like: shape of the input.
        output, ends: gradients by what the forward call gave, None for zeros.
        kept: what it kept.
        wanted: which initial states' gradients are wanted.
        x: the input, where the coefficients' are wanted.
    """
    made = found.values.new_empty(like)
    job, values = rows_job(made, found)
    output = None if output is None else output.contiguous()
    given = [None if end is None else end.contiguous() for end in ends]
    starts = [made.new_empty(like[1:]) if want else None for want in wanted]
    if on_gpu(made):
        gpu = triton_kernels()
        gpu.rows_backward(job, values, output, gpu.RowTensors(given, starts, kept=kept.values), made, kept.free)
        return made, starts, None
    at = RowStates(_addresses(given), _addresses(starts), kept=_addresses(kept.values), begun=_addresses(kept.begun))
    sums = None if x is None else made.new_zeros((len(found.values), like[1], found.values.shape[1]))
    kernels.rows_backward(job, _address(values), _address(output), at, *_addresses((made, kept.free, x, sums)))
    return made, starts, None if sums is None else sums.sum(1, dtype=torch.float64).to(made.dtype)
