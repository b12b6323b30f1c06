"""How many results each element of a linear map's input reaches, and which results some elements reach.

A weight of 0 reaches nothing, unless it is stored as a synapse of its own. Convolutions and pools go by arithmetic on
their windows and are never unrolled; a map of another kind answers from its sparse matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling, Shape, Sparse, window_counts

Integers: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Stored:
    """Some of the synapses of a Sparse map: those of one delay."""

    entries: Any

    def matrix(self, shape: Shape) -> Any:
        """The matrix itself."""
        return self.entries


def by_delay(of: Any, shape: Shape) -> tuple[tuple[int, Any], ...]:
    """(steps, map): a map whose synapses have delays of their own, in parts; any other is one."""
    if getattr(of, "delay", None) is None:
        return ((0, of),)
    return tuple((int(steps), Stored(matrix)) for steps, matrix in of.parts(shape))


def with_zeros(of: Any) -> Any:
    """The same map with a synapse wherever it has a weight, of 0 or not."""
    return replace(of, weight=np.ones_like(np.asarray(of.weight))) if isinstance(of, Dense | Convolution) else of


@singledispatch
def fan_out(of: Any, shape: Shape) -> Integers:
    """For each flat (C order) element of an input of ``shape``, the results that it reaches."""
    matrix = of.matrix(shape)
    return np.bincount(matrix.indices[matrix.data != 0], minlength=matrix.shape[1])


@singledispatch
def reached(of: Any, events: Bools) -> Bools:
    """Which results get something, (cases, results), where some elements of the input send: (cases, *shape)."""
    pattern = of.matrix(events.shape[1:]).astype(bool).astype(np.float32)
    flat: Bools = (pattern @ events.reshape(len(events), -1).T.astype(np.float32)).T > 0
    return flat


@fan_out.register
def _(of: Identity, shape: Shape) -> Integers:
    return np.ones(int(np.prod(shape)), dtype=np.int64)


@reached.register
def _(of: Identity, events: Bools) -> Bools:
    return events.reshape(len(events), -1)


@fan_out.register
def _(of: Scaling, shape: Shape) -> Integers:
    return np.broadcast_to(np.asarray(of.scale) != 0, shape).reshape(-1).astype(np.int64)


@reached.register
def _(of: Scaling, events: Bools) -> Bools:
    passed: Bools = events & (np.asarray(of.scale) != 0)
    return passed.reshape(len(events), -1)


@fan_out.register
def _(of: Dense, shape: Shape) -> Integers:
    used: Integers = np.count_nonzero(of.weight, axis=-2)
    return used.reshape(-1)


@reached.register
def _(of: Dense, events: Bools) -> Bools:
    pattern = (np.asarray(of.weight) != 0).astype(np.float32)  # sums of up to 2^24 ones are exact
    sent = events.reshape(len(events), -1, pattern.shape[-1]).swapaxes(0, 1).astype(np.float32)  # (blocks, cases, ...)
    sums = np.matmul(sent, pattern.reshape(-1, *pattern.shape[-2:]).swapaxes(1, 2))
    found: Bools = sums > 0
    return found.swapaxes(0, 1).reshape(len(events), -1)


@fan_out.register
def _(of: Sparse | Stored, shape: Shape) -> Integers:
    matrix = of.matrix(shape)
    return np.bincount(matrix.indices, minlength=matrix.shape[1])  # what is stored is a synapse, whatever its weight


@reached.register
def _(of: Sparse | Stored, events: Bools) -> Bools:
    from scipy.sparse import csr_array

    matrix = of.matrix(events.shape[1:])
    ones = np.ones(matrix.nnz, dtype=np.float32)  # sums of up to 2^24 of them are exact
    pattern = csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)
    found: Bools = (pattern @ events.reshape(len(events), -1).T.astype(np.float32)).T > 0
    return found


@fan_out.register
def _(of: Convolution, shape: Shape) -> Integers:
    outs, ins, *kernel = of.weight.shape
    pattern = (np.asarray(of.weight) != 0).reshape(of.groups, outs // of.groups, ins, *kernel)
    weights = pattern.sum(axis=1, dtype=np.int64).reshape(of.groups * ins, *kernel)
    return _windowed(weights, shape, of.stride, of.pads, of.dilation)


@reached.register
def _(of: Convolution, events: Bools) -> Bools:
    outs, ins, *kernel = of.weight.shape
    pattern = (np.asarray(of.weight) != 0).astype(np.float32).reshape(of.groups, outs // of.groups, ins, -1)
    size = window_counts(events.shape[2:], tuple(kernel), of.stride, of.pads, of.dilation)
    found = np.zeros((len(events), of.groups, outs // of.groups, int(np.prod(size))), dtype=bool)
    for place, part in enumerate(_parts(events, tuple(kernel), size, of.stride, of.pads, of.dilation)):
        grouped = part.reshape(len(events), of.groups, ins, -1).astype(np.float32)
        found |= np.matmul(pattern[..., place], grouped) > 0
    return found.reshape(len(events), -1)


@fan_out.register
def _(of: Pooling, shape: Shape) -> Integers:
    weights = np.ones((shape[0], *of.kernel), dtype=np.int64)
    return _windowed(weights, shape, of.stride, of.pads, (1,) * len(of.kernel))


@reached.register
def _(of: Pooling, events: Bools) -> Bools:
    ones = (1,) * len(of.kernel)
    size = window_counts(events.shape[2:], of.kernel, of.stride, of.pads, ones)
    found = np.zeros((*events.shape[:2], *size), dtype=bool)
    for part in _parts(events, of.kernel, size, of.stride, of.pads, ones):
        found |= part
    return found.reshape(len(events), -1)


def _windowed(weights: Integers, shape: Shape, stride: Shape, pads: Any, dilation: Shape) -> Integers:
    """Weights (channels, *kernel), each counted once for every window in which it meets an element: (elements,)."""
    size = window_counts(shape[1:], weights.shape[1:], stride, pads, dilation)
    for axis, length in enumerate(shape[1:]):
        windows, taps = np.arange(size[axis]), np.arange(weights.shape[1])  # each turn takes axis 1, and adds the last
        met = windows[:, np.newaxis] * stride[axis] + taps * dilation[axis] - pads[axis][0]
        meets = (met[..., np.newaxis] == np.arange(length)).sum(axis=0, dtype=np.int64)  # (taps, places)
        weights = np.tensordot(weights, meets, axes=(1, 0))
    return weights.reshape(-1)


def _parts(events: Bools, kernel: Shape, size: Shape, stride: Shape, pads: Any, dilation: Shape) -> Any:
    """For each place of the kernel, in C order, what every window sees there: (cases, channels, *size)."""
    padded = np.pad(events, ((0, 0), (0, 0), *pads))
    for place in product(*map(range, kernel)):
        cut = [
            slice(k * d, k * d + s * (n - 1) + 1, s) for k, d, s, n in zip(place, dilation, stride, size, strict=True)
        ]
        yield padded[:, :, *cut]
