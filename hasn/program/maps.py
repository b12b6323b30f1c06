"""The linear maps of a Connection, and each one's sparse matrix over flat (C order) elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Floats: TypeAlias = NDArray[np.floating[Any]]
Matrix: TypeAlias = Any
"""A scipy.sparse.csr_array (scipy ships no types)."""


@dataclass(frozen=True)
class Identity:
    """``y = x``, perhaps in another shape (Flatten, Delay, a nested graph's Input and Output)."""

    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse (size, size) identity for an input of ``shape``."""
        from scipy.sparse import eye_array

        return eye_array(int(np.prod(shape)), format="csr")


@dataclass(frozen=True)
class Scaling:
    """``y = s * x``, elementwise."""

    scale: Floats
    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse diagonal matrix."""
        from scipy.sparse import dia_array

        values: Floats = np.asarray(self.scale, dtype=np.float64).reshape(1, -1)
        return dia_array((values, np.zeros(1, dtype=int)), shape=(values.size, values.size)).tocsr()


@dataclass(frozen=True)
class Dense:
    """``y[..., o] = sum_i W[..., o, i] x[..., i] + b[..., o]``; leading dimensions are independent blocks."""

    weight: Floats
    bias: Floats | None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse matrix (zero weights left out), block-diagonal over the leading dimensions."""
        from scipy.sparse import block_diag, csr_array

        weight = np.asarray(self.weight, dtype=np.float64)
        if weight.ndim == 2:
            return csr_array(weight)
        return csr_array(
            block_diag([csr_array(block) for block in weight.reshape(-1, *weight.shape[-2:])], format="csr")
        )


@dataclass(frozen=True)
class Convolution:
    """Cross-correlation as torch does it, in one or two dimensions.

    Attributes:
        weight: (out channels, in channels / groups, *kernel).
        bias: one value an output channel, or None.
        stride, dilation: one integer for each dimension.
        pads: zeros (before, after) each dimension.
        groups: blocks of channels that do not see each other.
    """

    weight: Floats
    bias: Floats | None
    stride: Shape
    pads: Pads
    dilation: Shape
    groups: int

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse matrix: every window unrolled."""
        return _window_matrix(
            np.asarray(self.weight, dtype=np.float64), shape, self.stride, self.pads, self.dilation, self.groups
        )


@dataclass(frozen=True)
class Pooling:
    """Sum over windows, or their mean (padding counts in the mean)."""

    kernel: Shape
    stride: Shape
    pads: Pads
    mean: bool
    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse matrix: a convolution that keeps channels apart, all weights equal."""
        value = 1.0 / float(np.prod(self.kernel)) if self.mean else 1.0
        weight = np.full((shape[0], 1, *self.kernel), value)
        return _window_matrix(weight, shape, self.stride, self.pads, (1,) * len(self.kernel), shape[0])


LinearMap: TypeAlias = Identity | Scaling | Dense | Convolution | Pooling


def window_counts(size: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Shape:
    """Windows in each dimension: ``(n + pads - dilation (kernel - 1) - 1) // stride + 1``."""
    return tuple(
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, k, s, (low, high), d in zip(size, kernel, stride, pads, dilation, strict=True)
    )


def _window_matrix(weight: Floats, shape: Shape, stride: Shape, pads: Pads, dilation: Shape, groups: int) -> Matrix:
    """Unroll a grouped, dilated, padded cross-correlation over an input of ``shape`` = (channels, *spatial)."""
    from scipy.sparse import csr_array

    outs, ins, *kernel = weight.shape
    size = window_counts(shape[1:], tuple(kernel), stride, pads, dilation)
    grid = np.meshgrid(
        np.arange(outs),
        *map(np.arange, size),
        np.arange(ins),
        *map(np.arange, kernel),
        indexing="ij",
        sparse=True,
    )
    dims = len(kernel)
    out_channel, position, in_channel, offset = grid[0], grid[1 : 1 + dims], grid[1 + dims], grid[2 + dims :]
    full = np.broadcast_shapes(*(axis.shape for axis in grid))
    column: NDArray[np.int64] = out_channel // (outs // groups) * ins + in_channel
    row: NDArray[np.int64] = out_channel
    inside = np.ones(full, dtype=bool)
    for axis in range(dims):
        place = position[axis] * stride[axis] + offset[axis] * dilation[axis] - pads[axis][0]
        inside &= (place >= 0) & (place < shape[1 + axis])
        column = column * shape[1 + axis] + place
        row = row * size[axis] + position[axis]
    value = weight.reshape(outs, *(1,) * dims, ins, *kernel)
    rows, columns, values = (np.broadcast_to(array, full)[inside] for array in (row, column, value))
    kept = values != 0
    dense_shape = (outs * int(np.prod(size)), int(np.prod(shape)))
    return csr_array((values[kept], (rows[kept], columns[kept])), shape=dense_shape)
