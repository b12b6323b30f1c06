"""Gradients that are large and finite: their norm, clipping, and the optimizers that cannot square them.

The norm of g is ``m |g / m|`` with ``m`` the largest element, in float64: no square overflows where no gradient does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hasn.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor

#: Norms from which an optimizer's squares may overflow float32, whose largest number is 3.4e38.
LARGE = 1e18


def clipped(gradients: Sequence[Tensor], clip: float | None) -> Tensor:
    """The norm of gradients, float64; they are scaled down to ``clip`` where they exceed it.

    Inf where one is not finite, or where the norm itself is beyond float64: nothing is scaled then.
    """
    import torch

    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        return torch.tensor(float("inf"), dtype=torch.float64)
    most = max(float(gradient.abs().max()) for gradient in gradients if gradient.numel())
    parts = [torch.linalg.vector_norm(gradient.double() / most).cpu() for gradient in gradients]
    share = torch.linalg.vector_norm(torch.stack(parts))
    if clip is not None and float(share) > clip / most:
        for gradient in gradients:
            gradient.copy_(gradient.double() / most * (clip / float(share)))
        return torch.tensor(clip, dtype=torch.float64) if most * float(share) == float("inf") else share * most
    norm: Tensor = share * most
    return norm


def check(optimizer: Any) -> None:
    """Refuse an optimizer whose state is no longer finite after such a gradient: it would stand still ever after.

    Raises:
        TrainingError: naming the optimizer, and the way out.
    """
    import torch

    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and not bool(torch.isfinite(value).all()):
                raise TrainingError(
                    f"the gradient is finite, and too large for what {type(optimizer).__name__} keeps of it",
                    parameter=name,
                    got="a square beyond the precision",
                    way_out="Pass clip=1.0 or a smaller loss, or precision='float64'.",
                )
