"""Linear maps as torch modules: torch's own where there is one, so that a state_dict reads as its users expect."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from hasn.backends.snntorch.synapses import Part, Synapses
from hasn.errors import UnsupportedError
from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling, Sparse, floating
from hasn.program.model import Connection


def _unset(cls: Any, *sizes: Any, **options: Any) -> Any:
    """A module of torch's whose parameters are memory that nothing has been written to.

    torch's own skip_init does it by way of meta tensors, whose first one imports sympy: 0.4 s.
    """
    module = cls.__new__(cls)
    vars(module)["reset_parameters"] = lambda: None
    module.__init__(*sizes, **options)
    del vars(module)["reset_parameters"]
    return module


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


class MatrixMap(nn.Module):
    """A map that torch has no module for, by its sparse matrix, which does not train.

    Args:
        matrix: of flat elements, compressed by rows.
        bias: for each element of the result, or None.
        shape: of the result.
        dtype: of the weights.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, matrix: Any, bias: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self.shape = shape
        self.part = Part(0, matrix.indices, matrix.indptr, *matrix.shape)
        self.register_buffer("weight", torch.tensor(floating(matrix.data), dtype=dtype))
        added = None if bias is None else torch.tensor(floating(bias), dtype=dtype).reshape(shape)
        self.register_buffer("bias", added)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *given) to (batch, *shape)."""
        y: Tensor = self.part(x.flatten(1), self.weight).unflatten(1, self.shape)
        return y if self.bias is None else y + self.bias


def _linear(spec: Dense, dtype: torch.dtype) -> nn.Module:
    if np.ndim(spec.weight) != 2:
        return BlockLinear(spec.weight, spec.bias, dtype)
    outputs, inputs = spec.weight.shape
    return _filled(_unset(nn.Linear, inputs, outputs, bias=spec.bias is not None, dtype=dtype), spec)


def _conv(spec: Convolution, dtype: torch.dtype) -> nn.Module:
    outs, ins, *kernel = spec.weight.shape
    cls: Any = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
    # An uneven padding only comes from 'same', and torch puts the odd zero on the same side.
    uneven = any(low != high for low, high in spec.pads)
    padding = "same" if uneven else tuple(low for low, _ in spec.pads)
    conv = _unset(
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
    if isinstance(step.map, Identity):
        return Reshape(step.shape)
    make = _MODULES.get(type(step.map))
    return _by_matrix(step, dtype) if make is None else make(step.map, dtype)


def _by_matrix(step: Connection, dtype: torch.dtype) -> nn.Module:
    parts = step.map.parts(step.shape if step.given is None else step.given)
    if any(steps for steps, _ in parts):
        raise UnsupportedError(
            "a map with delays of its own that is no hasn.program.maps.Sparse",
            node=step.name,
            got=type(step.map).__name__,
            way_out="Let the node mean a Sparse map.",
        )
    ((_, matrix),) = parts
    return MatrixMap(matrix, step.map.bias, step.shape, dtype)


def hold(module: nn.Module, trained: Collection[str]) -> None:
    """Make constants of a connection's parameters that its node does not have under these names."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        if name not in trained:
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
