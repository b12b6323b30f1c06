"""Linear maps as torch modules: torch's own where there is one, so that a state_dict reads as its users expect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.utils import skip_init

from hasn.program.maps import Convolution, Dense, Identity, LinearMap, Pooling, Scaling, Sparse, floating
from hasn.program.model import Connection

#: A module whose parameters are memory that nothing has been written to; torch gives no types.
_UNSET: Any = skip_init


class Reshape(nn.Module):
    """The same values in another shape (Flatten); batch first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) to (batch, *shape)."""
        return x.reshape(x.shape[0], *self.shape)


class Scale(nn.Module):
    """``y = scale * x``, elementwise."""

    def __init__(self, scale: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(floating(scale), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape), shape kept."""
        return self.scale * x


class BlockLinear(nn.Module):
    """``y[..., o] = sum_i W[..., o, i] x[..., i] + b[..., o]`` for a weight with leading dimensions."""

    def __init__(self, weight: Any, bias: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(floating(weight), dtype=dtype))
        self.bias = None if bias is None else nn.Parameter(torch.tensor(floating(bias), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ..., inputs) to (batch, ..., outputs)."""
        y = torch.einsum("...oi,b...i->b...o", self.weight, x)
        return y if self.bias is None else y + self.bias


class Pool(nn.Module):
    """Sum or mean over windows; the padding counts in the mean (torch's own pads at most half a kernel)."""

    def __init__(self, spec: Pooling) -> None:
        super().__init__()
        self.spec = spec
        self.padding = [n for pads in reversed(spec.pads) for n in pads]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to the pooled size."""
        padded = functional.pad(x, self.padding) if any(self.padding) else x
        divisor = None if self.spec.mean else 1
        return functional.avg_pool2d(padded, self.spec.kernel, self.spec.stride, divisor_override=divisor)


def _linear(spec: Dense, dtype: torch.dtype) -> nn.Module:
    if np.ndim(spec.weight) != 2:
        return BlockLinear(spec.weight, spec.bias, dtype)
    outputs, inputs = spec.weight.shape
    return _filled(_UNSET(nn.Linear, inputs, outputs, bias=spec.bias is not None, dtype=dtype), spec)


def _conv(spec: Convolution, dtype: torch.dtype) -> nn.Module:
    outs, ins, *kernel = spec.weight.shape
    cls: Any = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
    # An uneven padding only comes from 'same', and torch puts the odd zero on the same side.
    uneven = any(low != high for low, high in spec.pads)
    padding = "same" if uneven else tuple(low for low, _ in spec.pads)
    conv = _UNSET(
        cls,
        ins * spec.groups,
        outs,
        tuple(kernel),
        stride=spec.stride,
        padding=padding,
        dilation=spec.dilation,
        groups=spec.groups,
        bias=spec.bias is not None,
        dtype=dtype,
    )
    return _filled(conv, spec)


def _filled(module: Any, spec: Dense | Convolution) -> nn.Module:
    with torch.no_grad():  # straight from the Program's array, whatever its type: no copy in between
        module.weight.copy_(torch.from_numpy(floating(spec.weight)))
        if spec.bias is not None:
            module.bias.copy_(torch.from_numpy(floating(spec.bias)))
    filled: nn.Module = module
    return filled


def _sparse(spec: Sparse, dtype: torch.dtype) -> nn.Module:
    from hasn.backends.snntorch.synapses import Synapses

    return Synapses(spec, dtype)


_MODULES: dict[type, Callable[[Any, torch.dtype], nn.Module]] = {
    Dense: _linear,
    Sparse: _sparse,
    Convolution: _conv,
    Pooling: lambda spec, dtype: Pool(spec),
    Scaling: lambda spec, dtype: Scale(spec.scale, dtype),
}


def connection_module(step: Connection, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The torch module of a Connection's linear map, weights in ``dtype``; its delay is the network's business."""
    linear: LinearMap = step.map
    return Reshape(step.shape) if isinstance(linear, Identity) else _MODULES[type(linear)](linear, dtype)


class Line:
    """Values under way at a connection; one for each run.

    Args:
        length: past values that the next step may need.
        past: values of the steps before, newest first.
    """

    def __init__(self, length: int, past: list[Tensor] | None = None) -> None:
        self.length = length
        self.past: list[Tensor] = list(past or [])

    def take(self, x: Tensor) -> None:
        """This step's value."""
        self.past.insert(0, x)
        del self.past[self.length + 1 :]

    def with_past(self, past: list[Tensor]) -> Self:
        """A line like this one with other values under way."""
        new = copy.copy(self)
        new.past = list(past)
        return new


class DelayLine(Line):
    """``y[t] = x[t - steps]`` for each element, 0 before the start; one for each run.

    Learned delays are whole numbers forwards. Backwards, dy[t]/d(steps) is taken as the slope of x around t - steps,
    ``(x[t - steps - 1] - x[t - steps + 1]) / 2``, and ``x[t - 1] - x[t]`` where steps is 0 (Shrestha and Orchard,
    SLAYER, NeurIPS 2018, section 3.2: the gradient by a delay is that of the delayed signal by time, negative).

    Args:
        steps: whole numbers of steps, of the shape of x without its batch.
        past: values under way, newest first.
        learned: the same numbers as a floating tensor that takes gradients; ``steps`` is not read then.
    """

    def __init__(self, steps: Any, past: list[Tensor] | None = None, learned: Tensor | None = None) -> None:
        self.learned = learned
        self.steps = torch.as_tensor(steps) if learned is None else learned.detach().round().long().cpu()
        self.distinct = sorted(set(self.steps.reshape(-1).tolist()))
        super().__init__(int(self.distinct[-1]) + (learned is not None), past)

    def push(self, x: Tensor) -> Tensor:
        """Take this step's value, give what is due."""
        self.take(x)
        return self.due(lambda n: self.past[n] if n < len(self.past) else torch.zeros_like(x), x)

    def due(self, ago: Callable[[int], Tensor], like: Tensor) -> Tensor:
        """What is due, if ``ago(n)`` is the value of n steps before."""
        due, slope = torch.zeros_like(like), torch.zeros_like(like)
        for n in self.distinct:
            chosen = (self.steps == n).to(like.device)
            due = torch.where(chosen, ago(n), due)
            if self.learned is not None:
                rise = (ago(n + 1) - ago(n - 1)) / 2 if n else ago(1) - ago(0)
                slope = torch.where(chosen, rise.detach(), slope)
        if self.learned is None:
            return due
        return due + (self.learned - self.learned.detach()).to(like) * slope
