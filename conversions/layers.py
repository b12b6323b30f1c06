"""torch's layers as NIR nodes: a table from type to builder, and what no table entry can be made of.

Every builder takes the module, its path, the shape that arrives (one sample of one step) and how many dimensions of
the tensor stand before it (1: batch; 2: time and batch), and gives a NIR node, or None where the layer does nothing to
the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import nir
import numpy as np
from torch import Tensor, nn

from hasn.conversions.refuse import refusal
from hasn.nodes.values import pair
from hasn.program.model import Shape

LayerBuilder: TypeAlias = Callable[[Any, str, Shape, int], nir.NIRNode | None]


def array(value: Tensor) -> np.ndarray[Any, Any]:
    """A copy of a tensor's values, in its own precision."""
    copied: np.ndarray[Any, Any] = value.detach().cpu().numpy().copy()
    return copied


def _linear(module: nn.Linear, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    if len(shape) != 1:
        raise refusal(
            path,
            None,
            "a Linear over the last of several dimensions",
            got=shape,
            wanted=f"({module.in_features},)",
            way_out="Put a Flatten before it, or hand over the part of the network behind it.",
        )
    if shape != (module.in_features,):
        raise refusal(path, "in_features", "does not fit what arrives", got=shape, wanted=f"({module.in_features},)")
    if module.bias is None:
        return nir.Linear(weight=array(module.weight))
    return nir.Affine(weight=array(module.weight), bias=array(module.bias))


def _conv(module: nn.Conv1d | nn.Conv2d, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    if module.padding_mode != "zeros":
        raise refusal(path, "padding_mode", "NIR pads with zeros only", got=repr(module.padding_mode), wanted="'zeros'")
    one = isinstance(module, nn.Conv1d)
    padding: Any = module.padding if isinstance(module.padding, str) else tuple(module.padding)
    options = {"stride": tuple(module.stride), "padding": padding, "dilation": tuple(module.dilation)}
    if one:
        options = {name: value if isinstance(value, str) else value[0] for name, value in options.items()}
    bias = np.zeros(module.out_channels) if module.bias is None else array(module.bias)
    kind = nir.Conv1d if one else nir.Conv2d
    size: Any = shape[-1] if one else shape[-2:]
    return kind(input_shape=size, weight=array(module.weight), bias=bias, groups=module.groups, **options)


def _pool(module: nn.AvgPool2d, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    kernel, stride, padding = (pair(value, 2) for value in (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode:
        raise refusal(
            path, "ceil_mode", "NIR drops the rest of a row", got=True, wanted="False", way_out="Crop or pad."
        )
    if not module.count_include_pad and any(padding):
        raise refusal(
            path, "count_include_pad", "NIR counts the padding in the mean", got=False, wanted="True, or padding=0"
        )
    if module.divisor_override not in (None, 1):
        raise refusal(
            path,
            "divisor_override",
            "NIR divides by the kernel's size, or not at all",
            got=module.divisor_override,
            wanted="None (AvgPool2d) or 1 (SumPool2d)",
            way_out="Scale the next layer's weights instead.",
        )
    kind = nir.AvgPool2d if module.divisor_override is None else nir.SumPool2d
    return kind(kernel_size=np.array(kernel), stride=np.array(stride), padding=np.array(padding))


def flatten(start: int, end: int, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    """torch's Flatten, whose dimensions count those before a sample's."""
    rank = len(shape) + ahead
    first, last = start % rank, end % rank
    if first < ahead:
        batch = "the batch" if ahead == 1 else "time and batch"
        raise refusal(path, "start_dim", f"it would merge {batch} into the values", got=start, wanted=f">= {ahead}")
    return nir.Flatten(input_type={"input": np.array(shape)}, start_dim=first - ahead, end_dim=last - ahead)


def _dropout(module: nn.Module, path: str, shape: Shape, ahead: int) -> None:
    if module.training:
        raise refusal(
            path,
            "training",
            "dropout draws at random while it trains",
            got=True,
            wanted="False",
            way_out="Call module.eval() first: in evaluation dropout does nothing.",
        )


_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
LAYERS: dict[type, LayerBuilder] = {
    nn.Linear: _linear,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _pool,
    nn.Flatten: lambda module, path, shape, ahead: flatten(module.start_dim, module.end_dim, path, shape, ahead),
    nn.Identity: lambda module, path, shape, ahead: None,
    **dict.fromkeys(_DROPOUTS, _dropout),
}

BATCH_NORMS: tuple[type, ...] = (nn.BatchNorm1d, nn.BatchNorm2d)

#: Layers of torch's (subclasses included) that count one dimension before a sample's, and no more.
ONE_AHEAD = (nn.Conv1d, nn.Conv2d, nn.AvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.LPPool2d)

#: Layers with a way out of their own, by the name of their type.
WAYS_OUT = {
    "MaxPool2d": "NIR has no maximum; train with AvgPool2d, or with a stride in the convolution.",
    "MaxPool1d": "NIR has no maximum; train with a stride in the convolution.",
    "ReLU": "Analog activations are no spikes: convert the network to a spiking one first.",
    "ConvTranspose2d": "NIR has no transposed convolution.",
    "LayerNorm": "It divides by what the values are at the moment, which no NIR node does.",
}

_OF_STEPS = "It orders, repeats or sums the steps: do that before and after a run, and convert the part between."
#: Functions and methods with a way out, by name.
FUNCTIONS = {
    "avg_pool2d": "Use the module torch.nn.AvgPool2d.",
    "linear": "Use the module torch.nn.Linear.",
    "conv1d": "Use the module torch.nn.Conv1d.",
    "conv2d": "Use the module torch.nn.Conv2d.",
    "batch_norm": "Use the module torch.nn.BatchNorm1d or BatchNorm2d, behind a Linear or a convolution.",
    "dropout": "Use the module torch.nn.Dropout, and call eval() first; or pass training=self.training.",
    "matmul": "Use the module torch.nn.Linear.",
    **dict.fromkeys(("max_pool2d", "adaptive_max_pool2d", "boolean_dispatch"), WAYS_OUT["MaxPool2d"]),
    "max_pool1d": WAYS_OUT["MaxPool1d"],
    **dict.fromkeys(("relu", "sigmoid", "tanh", "gelu", "softmax", "log_softmax"), WAYS_OUT["ReLU"]),
    **dict.fromkeys(("mul", "imul", "truediv", "div", "neg"), "Put the factor into the weights before or after it."),
    **dict.fromkeys(("sub", "isub"), "Put the sign into the weights, and add."),
    **dict.fromkeys(("unsqueeze", "squeeze", "repeat", "expand", "mean", "sum", "cat", "stack"), _OF_STEPS),
    **dict.fromkeys(("permute", "transpose"), _OF_STEPS),
}


def check_features(norm: Any, shape: Shape, path: str) -> None:
    """Refuse a batch normalisation of another number of channels, or of dimensions, than arrive."""
    ranks = (3,) if norm.__class__.__name__.endswith("2d") else (1, 2)
    if len(shape) not in ranks or shape[0] != norm.num_features:
        channels = " or ".join(f"({', '.join((str(norm.num_features), *('n',) * (rank - 1)))})" for rank in ranks)
        raise refusal(path, "num_features", "does not fit what arrives", got=shape, wanted=channels)


def fused(norm: Any, node: nir.NIRNode, path: str) -> nir.NIRNode:
    """``norm(node(x))`` in evaluation, as one node: ``y -> (y - mean) * gamma / sqrt(var + eps) + beta`` per channel.

    Raises:
        UnsupportedError: the norm still learns its mean, or stands behind something that has no weights.
    """
    if norm.training or norm.running_mean is None:
        raise refusal(
            path,
            "training",
            "batch normalisation by the batch's own mean",
            got=True,
            wanted="running statistics",
            way_out="Call module.eval() first: hasn then folds it into the layer before it.",
        )
    if not isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d):
        raise refusal(
            path,
            None,
            f"batch normalisation behind {type(node).__name__} cannot be folded into weights",
            wanted="a Linear or a convolution before it, which feeds nothing else",
            way_out="Train without it, or put it behind the weights.",
        )
    double = [None if t is None else array(t).astype(np.float64) for t in (norm.running_var, norm.weight, norm.bias)]
    variance, gamma, beta = double
    scale = np.asarray(1.0 if gamma is None else gamma) / np.sqrt(np.asarray(variance) + norm.eps)
    shift = (0.0 if beta is None else beta) - array(norm.running_mean).astype(np.float64) * scale
    weight = np.asarray(node.weight, dtype=np.float64)
    weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    bias = np.asarray(getattr(node, "bias", 0.0), dtype=np.float64) * scale + shift
    if isinstance(node, nir.Affine | nir.Linear):
        return nir.Affine(weight=weight, bias=bias)
    kept = {name: getattr(node, name) for name in ("input_shape", "stride", "padding", "dilation", "groups")}
    return type(node)(weight=weight, bias=bias, **kept)
