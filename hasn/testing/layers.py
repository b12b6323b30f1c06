"""The stateless nodes of the reference, from torch's definitions: functions (node, x) -> y on (batch, *shape)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def dense(node: Any, x: Array) -> Array:
    y: Array = np.einsum("...oi,b...i->b...o", node.weight, x) + getattr(node, "bias", 0.0)
    return y


class Synapses:
    """A SparseLinear: the sum over its synapses, one after the other, of what each one's source sent its delay ago."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.past: list[Array] = []

    def __call__(self, x: Array, log: Any) -> Array:
        node = self.node
        outputs, _ = node.shape
        self.past.append(x)
        y = np.zeros((len(x), outputs))
        scale = np.ones(1) if node.scale is None else node.scale.reshape(-1)
        for o in range(outputs):
            for s in range(node.indptr[o], node.indptr[o + 1]):
                weight: Any = node.data[s]
                if node.data.dtype == np.int8:  # an int8 weight is the float32 nearest to integer times scale
                    weight = np.float32(np.float64(weight) * np.float64(scale[o % scale.size]))
                when = len(self.past) - 1 - (0 if node.delay is None else int(node.delay[s]))
                if when >= 0:
                    y[:, o] += np.float64(weight) * self.past[when][:, node.indices[s]]
        return y


def both(value: Any, dims: int) -> list[int]:
    return [int(n) for n in np.broadcast_to(np.asarray(value).reshape(-1), (dims,))]


def windows(
    x: Array, kernel: list[int], stride: Any, padding: Any, dilation: Any
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Every output position and the (batch, channels, *kernel) that it sees; then what is outside is 0."""
    dims = len(kernel)
    stride, dilation = both(stride, dims), both(dilation, dims)
    if isinstance(padding, str):  # torch puts the odd zero of 'same' behind
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
    else:
        total = [2 * p for p in both(padding, dims)]
    padded = np.pad(x, [(0, 0), (0, 0), *((n // 2, n - n // 2) for n in total)])
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [(n - span) // s + 1 for n, span, s in zip(padded.shape[2:], spans, stride, strict=True)]
    for place in np.ndindex(*size):
        cut = [slice(p * s, p * s + span, d) for p, s, span, d in zip(place, stride, spans, dilation, strict=True)]
        yield place, padded[(slice(None), slice(None), *cut)]


def assemble(found: Iterator[tuple[tuple[int, ...], Array]]) -> Array:
    """(batch, channels) at every position, as (batch, channels, *positions)."""
    values = dict(found)
    last = max(values)
    return np.stack([values[p] for p in np.ndindex(*(n + 1 for n in last))], -1).reshape(
        *values[last].shape, *(n + 1 for n in last)
    )


def convolution(node: Any, x: Array) -> Array:
    kernel, groups = list(node.weight.shape[2:]), int(node.groups)
    outs, ins = node.weight.shape[0] // groups, node.weight.shape[1]
    inside = list(range(1, node.weight.ndim))  # in channels and kernel

    def at(patch: Array) -> Array:
        parts = [
            np.tensordot(patch[:, g * ins : (g + 1) * ins], node.weight[g * outs : (g + 1) * outs], (inside, inside))
            for g in range(groups)
        ]
        y: Array = np.concatenate(parts, axis=1) + node.bias
        return y

    return assemble((p, at(patch)) for p, patch in windows(x, kernel, node.stride, node.padding, node.dilation))


def pool(node: Any, x: Array) -> Array:
    how = np.mean if isinstance(node, nir.AvgPool2d) else np.sum
    found = windows(x, both(node.kernel_size, 2), node.stride, node.padding, 1)
    return assemble((place, how(patch, axis=(2, 3))) for place, patch in found)


def flatten(node: Any, x: Array) -> Array:
    dims = range(x.ndim - 1)
    first, last = dims[node.start_dim] + 1, dims[node.end_dim] + 1
    return x.reshape(*x.shape[:first], -1, *x.shape[last + 1 :])


STATELESS: dict[type, Callable[[Any, Array], Array]] = {
    nir.Input: lambda node, x: x,
    nir.Output: lambda node, x: x,
    nir.Affine: dense,
    nir.Linear: dense,
    nir.Scale: lambda node, x: node.scale * x,
    nir.Conv1d: convolution,
    nir.Conv2d: convolution,
    nir.SumPool2d: pool,
    nir.AvgPool2d: pool,
    nir.Flatten: flatten,
}
