"""Products of dense connections in bfloat16 parts, accumulated in float32 (``matmul="split-bf16"`` and ``"bf16"``).

A float32 number is ``x = hi + lo`` to 2^-17 of itself, with ``hi = bf16(x)``, ``lo = bf16(x - hi)``. "split-bf16" takes

    a b = a_hi b_hi + a_hi b_lo + a_lo b_hi

forwards and backwards; spikes have no lo, so their products are two. "bf16" takes the first term alone, which changes
spikes. Every term is exact in float32, and sums are float32's; :attr:`hasn.kernels.Product.error_bound` says how far
they are off. The C kernel does it where the processor has AMX, torch where not: on float32 tensors that hold bf16
values, with leave to use bf16 units (CPU) or TF32 (CUDA), which rounds nothing more off them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from hasn import kernels
from hasn.errors import OptionError

Matmul: TypeAlias = Literal["float32", "split-bf16", "bf16"]
_PARTS: dict[str, int] = {"float32": 0, "bf16": 1, "split-bf16": 2}
MATMULS: tuple[str, ...] = get_args(Matmul)


def parts_of(matmul: Any) -> int:
    """Into how many parts factors are taken; 0: torch's own product.

    Raises:
        OptionError: there is no such way.
    """
    if not isinstance(matmul, str) or matmul not in _PARTS:
        raise OptionError("no such product", parameter="matmul", got=repr(matmul), wanted=", ".join(MATMULS))
    return _PARTS[matmul]


def check_dtype(dtype: torch.dtype, matmul: str) -> None:
    """Refuse weights whose parts these would not be.

    Raises:
        OptionError: they are not float32.
    """
    if dtype != torch.float32:
        raise OptionError(
            "the parts of a product are those of float32 numbers",
            parameter="matmul",
            got=f"{matmul!r} with weights in {str(dtype).removeprefix('torch.')}",
            way_out="Pass precision='float32', or leave matmul out.",
        )


def dense(module: nn.Linear, x: Tensor, parts: int) -> Tensor:
    """``y = x W^T + b`` for x (..., inputs), float32."""
    rows = x.reshape(-1, x.shape[-1]).to(module.weight.dtype)
    made: Tensor = _Dense.apply(rows, module.weight, module.bias, parts)  # type: ignore[no-untyped-call]
    return made.view(*x.shape[:-1], made.shape[-1])


class _Dense(torch.autograd.Function):
    """The product and its gradients, each in parts."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, parts: int) -> Tensor:
        """(rows, inputs) to (rows, outputs)."""
        ctx.save_for_backward(x, weight)
        ctx.parts = parts
        return product(x, weight.t(), parts, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Gradients by x, weight and bias."""
        x, weight = ctx.saved_tensors
        to_x = product(gradient, weight, ctx.parts) if ctx.needs_input_grad[0] else None
        to_weight = product(gradient.t(), x, ctx.parts) if ctx.needs_input_grad[1] else None
        return to_x, to_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None, None


def product(a: Tensor, b: Tensor, parts: int, bias: Tensor | None = None) -> Tensor:
    """``a b + bias`` for float32 matrices."""
    on_cpu = a.device.type == b.device.type == "cpu"
    if on_cpu and min(a.shape[0], *b.shape) and kernels.product_available():
        return _by_kernel(a, b, parts, bias)
    with _fast():
        return _by_torch(a, b, parts, bias)


def _by_kernel(a: Tensor, b: Tensor, parts: int, bias: Tensor | None) -> Tensor:
    """By :func:`hasn.kernels.product`, which takes contiguous matrices or the transposes of such."""
    (a, turned_a), (b, turned_b) = _laid_out(a), _laid_out(b)
    (m, k), n = a.shape, b.shape[1]
    sizes = kernels.Product(m, n, k, turned_a, turned_b, parts, torch.get_num_threads())
    made = a.new_empty(m, n)
    offset = None if bias is None else bias.detach().contiguous()
    kernels.product(sizes, a.data_ptr(), b.data_ptr(), made.data_ptr(), 0 if offset is None else offset.data_ptr())
    return made


def _laid_out(x: Tensor) -> tuple[Tensor, bool]:
    """The matrix, contiguous or the transpose of one that is, and whether it is that."""
    if x.t().is_contiguous() and not x.is_contiguous():
        return x, True
    return x.contiguous(), False


def _by_torch(a: Tensor, b: Tensor, parts: int, bias: Tensor | None) -> Tensor:
    """The terms one after the other; those of a lo that is 0 are left out."""
    (a_high, a_low), (b_high, b_low) = _split(a, parts), _split(b, parts)
    made = a_high @ b_high
    if b_low is not None:
        made.addmm_(_finite(a_high), b_low)
    if a_low is not None:
        made.addmm_(a_low, _finite(b_high))
    return made if bias is None else made.add_(bias)


def _split(x: Tensor, parts: int) -> tuple[Tensor, Tensor | None]:
    """hi and lo, as float32; None for a lo that is 0 or not wanted."""
    high = x.bfloat16().float()
    if parts == 1 or torch.equal(high, x):
        return high, None
    low = (x - high).bfloat16().float()
    return high, _finite(low)


def _finite(x: Tensor) -> Tensor:
    """x, and 0 where it is not finite: infinities count in the first term, and have no lo."""
    return torch.where(x.isfinite(), x, 0.0)


@contextmanager
def _fast() -> Iterator[None]:
    """Leave to round float32 factors to bf16 (CPU) or TF32 (CUDA), for the whole process: it changes no bf16 value."""
    backends: Any = torch.backends
    places: list[tuple[Any, str]] = [(backends.mkldnn.matmul, "bf16")]
    if torch.cuda.is_available():
        places.append((backends.cuda.matmul, "tf32"))
    before = [place.fp32_precision for place, _ in places]
    try:
        for place, precision in places:
            place.fp32_precision = precision
        yield
    finally:
        for (place, _), precision in zip(places, before, strict=True):
            place.fp32_precision = precision
