"""The recurrent weights of snnTorch's RLeaky and RSynaptic, from the loop of a Program."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hasn.conversions.coefficients import Floats
from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.chain import Link
from hasn.program.maps import Convolution, Dense, Scaling


def recurrent_options(link: Link, gain: Floats) -> dict[str, Any]:
    """The constructor's words for the loop's kind and size."""
    assert link.recurrent is not None
    spec, shape = link.recurrent.map, link.step.shape
    if isinstance(spec, Scaling):
        return {"all_to_all": False, "V": _float32(np.asarray(spec.scale) * gain)}
    _refuse_late_bias(link)
    if isinstance(spec, Dense) and np.ndim(spec.weight) == 2:
        return {"linear_features": shape[0]}
    if isinstance(spec, Convolution) and _is_centred(spec) and np.all(gain == 1):
        return {"conv2d_channels": shape[0], "kernel_size": tuple(int(n) for n in spec.weight.shape[2:])}
    raise refusal(
        link.recurrent.name,
        None,
        "snnTorch's recurrent weights are one-to-one, a matrix, or a centred convolution",
        got=type(spec).__name__,
        way_out="Leave sequential out.",
    )


def set_recurrent(module: nn.Module, link: Link, gain: Floats) -> None:
    """Put the loop's weights, and the constant beside it, into the neuron; an input weighs ``gain`` there."""
    assert link.recurrent is not None
    spec = link.recurrent.map
    if not isinstance(spec, Dense | Convolution):
        return
    rows = gain.reshape(-1, 1) if isinstance(spec, Dense) else 1.0
    bias = 0.0 if link.recurrent_bias is None else np.asarray(link.recurrent_bias.map.bias)
    with torch.no_grad():
        module.weight.copy_(_float32(np.asarray(spec.weight) * rows))  # type: ignore[operator]
        scaled = bias * (gain if isinstance(spec, Dense) else 1.0) * np.ones(spec.weight.shape[0])
        module.bias.copy_(_float32(scaled))  # type: ignore[operator]


def _refuse_late_bias(link: Link) -> None:
    assert link.recurrent is not None
    bias = link.recurrent.map.bias
    if bias is not None and np.any(bias):
        raise refusal(
            link.recurrent.name,
            "bias",
            "on an edge back it acts from the second step on, in snnTorch from the first",
            way_out="Leave sequential out.",
        )


def _is_centred(spec: Convolution) -> bool:
    kernel = spec.weight.shape[2:]
    centred = all(low == high == side // 2 for (low, high), side in zip(spec.pads, kernel, strict=True))
    return len(kernel) == 2 and spec.groups == 1 and {*spec.stride, *spec.dilation} == {1} and centred


def _float32(values: Any) -> Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float32)
