"""The linear maps of a Connection, and each one's sparse matrices over flat (C order) elements.

A matrix keeps the type of the weights (float64 or float32), and shares memory with them where it can.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]
Matrix: TypeAlias = Any
"""A scipy.sparse.csr_array (scipy ships no types)."""
Parts: TypeAlias = tuple[tuple[int, Matrix], ...]
"""(steps of delay, matrix of what takes them)."""
#: Entries of a dense matrix that are looked at in one go.
_BLOCK = 1 << 17
#: Bytes of a weight while a convolution is unrolled: places, whether it is inside, and the matrix (measured: 60 to 75).
_UNROLLED = 70


class Map(ABC):
    """A linear map. The kinds of this file have modules of torch's own; one of another package runs by its matrix.

    Attributes:
        bias: what it adds, for each element of the result (a convolution: for each channel); None for nothing.
    """

    bias: Any

    @abstractmethod
    def matrix(self, shape: Shape) -> Matrix:
        """The whole map as a matrix over flat elements, for an input of ``shape``."""

    def parts(self, shape: Shape) -> Parts:
        """The map by delay: one part, without any, unless synapses have delays of their own."""
        return ((0, self.matrix(shape)),)


@dataclass(frozen=True)
class Identity(Map):
    """``y = x``, perhaps in another shape (Flatten, Delay, a nested graph's Input and Output)."""

    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse (size, size) identity for an input of ``shape``."""
        from scipy.sparse import eye_array

        return eye_array(int(np.prod(shape)), format="csr")


@dataclass(frozen=True)
class Scaling(Map):
    """``y = s * x``, elementwise."""

    scale: Floats
    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse diagonal matrix."""
        from scipy.sparse import dia_array

        values: Floats = np.asarray(self.scale, dtype=np.float64).reshape(1, -1)
        return dia_array((values, np.zeros(1, dtype=int)), shape=(values.size, values.size)).tocsr()


@dataclass(frozen=True)
class Dense(Map):
    """``y[..., o] = sum_i W[..., o, i] x[..., i] + b[..., o]``; leading dimensions are independent blocks."""

    weight: Floats
    bias: Floats | None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse matrix (zero weights left out), block-diagonal over the leading dimensions."""
        from scipy.sparse import csr_array

        weight = floating(self.weight)
        outs, ins = weight.shape[-2:]
        rows = weight.reshape(-1, ins)
        columns = len(rows) // max(outs, 1) * ins
        ends = np.concatenate([[0], np.cumsum([np.count_nonzero(row) for row in rows], dtype=np.int64)])
        index = np.int32 if max(columns, int(ends[-1])) < 2**31 else np.int64
        values, places = np.empty(ends[-1], weight.dtype), np.empty(ends[-1], index)
        step = max(1, _BLOCK // max(ins, 1))
        for first in range(0, len(rows), step):  # by blocks: the mask and its places are far larger than the result
            row, column = np.nonzero(rows[first : first + step])
            here = slice(ends[first], ends[min(first + step, len(rows))])
            values[here] = rows[first : first + step][row, column]
            places[here] = column + (row + first) // outs * ins
        return csr_array((values, places, ends.astype(index)), shape=(len(rows), columns))


@dataclass(frozen=True)
class Sparse(Map):
    """``y[t, o] = sum over synapses w x[t - d, i]``, each synapse with a delay of its own.

    Synapse ``s`` of output ``o`` (``indptr[o] <= s < indptr[o + 1]``) comes from ``indices[s]``. Several may join the
    same two elements: they add up. What a part needs of the pattern is shared, never changed.

    Attributes:
        weight: one value a synapse as it is stored: float64, float32, float16 or int8.
        indices, indptr: the pattern.
        outputs, inputs: elements.
        scale: float32, what int8 values are multiplied with: one for all, or one an output.
        delay: whole steps for each synapse, or None for none.
    """

    weight: NDArray[Any]
    indices: Integers
    indptr: Integers
    outputs: int
    inputs: int
    scale: Floats | None = None
    delay: Integers | None = None
    bias: None = None

    @property
    def values(self) -> Floats:
        """The weights as they act: float64 or float32."""
        return decoded(self.weight, self.scale, self.indptr)

    def matrix(self, shape: Shape) -> Matrix:
        """All synapses, whatever their delay."""
        from scipy.sparse import csr_array

        return csr_array((self.values, self.indices, self.indptr), shape=(self.outputs, self.inputs))

    def parts(self, shape: Shape) -> Parts:
        """The synapses of each delay, shortest first."""
        from scipy.sparse import csr_array

        if self.delay is None:
            return super().parts(shape)
        values, size = self.values, (self.outputs, self.inputs)
        return tuple(
            (steps, csr_array((values[kept], self.indices[kept], ends), shape=size))
            for steps, kept, ends in self.of_delay()
        )

    def of_delay(self) -> Iterator[tuple[int, Integers, Integers]]:
        """(steps, places of the synapses that take them, indptr among these), shortest first."""
        if self.delay is not None:
            for steps in distinct(self.delay):
                kept = np.flatnonzero(self.delay == steps)
                yield steps, kept, np.searchsorted(kept, self.indptr).astype(self.indptr.dtype)


def distinct(delay: Integers) -> list[int]:
    """The delays that there are, in order, without a sorted copy of a long list."""
    found: set[int] = set()
    for first in range(0, delay.size, _BLOCK):
        found.update(np.unique(delay[first : first + _BLOCK]).tolist())
    return sorted(found)


def decoded(weight: NDArray[Any], scale: Floats | None, indptr: Integers) -> Floats:
    """Stored weights as they act: float64 and float32 as they are, float16 in float32 (exact), int8 as the float32
    that is nearest to the integer times its float32 scale."""
    if weight.dtype in (np.float64, np.float32):
        return weight
    values = weight.astype(np.float32)
    if scale is not None:
        values *= scale if np.size(scale) == 1 else np.repeat(scale, np.diff(indptr))
    return values


def floating(values: Any) -> Floats:
    """Numbers as float64 or float32: as they are, where they are either."""
    array = np.asarray(values)
    if array.dtype in (np.float64, np.float32):
        return array
    return array.astype(np.float32 if array.dtype == np.float16 else np.float64)


@dataclass(frozen=True)
class Convolution(Map):
    """Cross-correlation as torch does it, in one or two dimensions.

    Attributes:
        weight: (out channels, in channels / groups, *kernel).
        bias: one value an output channel, or None.
        stride, dilation: one integer for each dimension.
        pads: zeros (before, after) each dimension.
        groups: blocks of channels that do not see each other.
        given: (in channels, *size) of what it is applied to, where that is known.
    """

    weight: Floats
    bias: Floats | None
    stride: Shape
    pads: Pads
    dilation: Shape
    groups: int
    given: Shape | None = None

    def matrix(self, shape: Shape) -> Matrix:
        """Sparse matrix: every window unrolled."""
        return _window_matrix(floating(self.weight), shape, self.stride, self.pads, self.dilation, self.groups)

    def places(self, shape: Shape) -> Matrix:
        """Which weight stands where in the matrix: its flat number, and 1; what meets padding alone stands nowhere."""
        numbers = np.arange(1.0, self.weight.size + 1.0).reshape(self.weight.shape)
        return _window_matrix(numbers, shape, self.stride, self.pads, self.dilation, self.groups)

    def unrolled_bytes(self, shape: Shape) -> int:
        """Memory that making the matrix takes."""
        windows = window_counts(shape[1:], self.weight.shape[2:], self.stride, self.pads, self.dilation)
        return _UNROLLED * math.prod(windows) * self.weight.size


@dataclass(frozen=True)
class Pooling(Map):
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

    def unrolled_bytes(self, shape: Shape) -> int:
        """Memory that making the matrix takes."""
        windows = window_counts(shape[1:], self.kernel, self.stride, self.pads, (1,) * len(self.kernel))
        return _UNROLLED * math.prod(windows) * shape[0] * math.prod(self.kernel)


@dataclass(frozen=True)
class Mean(Map):
    """``y = sum of all elements / how many there are``: one number."""

    bias: None = None

    def matrix(self, shape: Shape) -> Matrix:
        """One row."""
        from scipy.sparse import csr_array

        many = math.prod(shape)
        return csr_array(np.full((1, many), 1.0 / max(many, 1)))


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
