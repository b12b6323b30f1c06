"""SparseLinear: synapses, each with a weight and a delay of whole steps.

    y[t, o] = sum over the synapses into o of w x[t - d, i]

In a loop a synapse's delay comes on top of the feedback edge's own step, as a nir.Delay's does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import DTypeLike, NDArray

from hasn.errors import ParameterError
from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Place
from hasn.nodes.neuron import under_way_findings
from hasn.nodes.sparse_findings import (
    LONGEST,
    STORED,
    TYPES,
    delay_findings,
    double_findings,
    pattern_findings,
    weight_findings,
)
from hasn.nodes.values import array_of, numbers
from hasn.program.describe import counted
from hasn.program.maps import Sparse, decoded
from hasn.program.model import Connection, Shape

_INT8_MAX = 127


@dataclass(frozen=True)
class Rows:
    """A matrix as compressed sparse rows; scipy's own cannot hold float16."""

    data: Any
    indices: Any
    indptr: Any
    shape: Any


@dataclass(init=False, eq=False)
class SparseLinear(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """Synapses in the order of a CSR matrix; the equation stands in :mod:`hasn.nodes.sparse`.

    Several synapses may join the same two elements; they add up. A stored weight of 0 is a synapse too.

    Args:
        weight: scipy CSR (outputs, inputs). float64, float32, float16 and int8 are kept as they are; other numbers
            become float64.
        delay: whole steps for each stored weight, in its order; None: 0 for all.
        scale: of int8 weights, whose values are the integers times this, in float32: one number, or one an output.
        dtype: "float64", "float32", "float16" or "int8": how weights are kept; they are rounded to it. With "int8" and
            no scale each output gets one of its own, by its largest weight.

    Attributes:
        data, indices, indptr, shape: the matrix as it is kept; the pattern is read-only.
        delay, scale: arrays, or None.

    Raises:
        ParameterError: weight is no CSR matrix, or the weights do not go into the type.
    """

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    shape: Shape
    delay: NDArray[Any] | None = None
    scale: NDArray[Any] | None = field(default=None)

    def __init__(
        self,
        weight: Any,
        delay: Any = None,
        *,
        scale: Any = None,
        dtype: DTypeLike = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if getattr(weight, "format", "csr") != "csr" or not hasattr(weight, "indptr"):
            got = type(weight).__name__
            way = "scipy.sparse.csr_array(weight), or weight.tocsr(); delays then count in its order."
            raise ParameterError("is no CSR matrix", parameter="weight", got=got, wanted="scipy CSR", way_out=way)
        self.shape = tuple(int(n) for n in weight.shape)
        self.indices, self.indptr = _pattern(weight.indices), _pattern(weight.indptr)
        self.delay = None if delay is None else _pattern(delay)
        self.data, self.scale = _stored(np.asarray(array_of(weight.data)), self.indptr, scale, dtype)
        self.metadata = {} if metadata is None else metadata
        ends = self.shape if len(self.shape) == 2 else (0, 0)
        self.input_type, self.output_type = {"input": np.array(ends[1:])}, {"output": np.array(ends[:1])}

    @property
    def weight(self) -> Any:
        """The weights as they act, as a scipy CSR matrix in float64 or float32.

        May be set to a value for each synapse, or to a CSR matrix of the same pattern: they are kept in the type that
        there is where it holds them exactly, else in their own.
        """
        return self._map().matrix(self.shape)

    @weight.setter
    def weight(self, values: Any) -> None:
        data = np.asarray(array_of(values.data if hasattr(values, "indptr") else values))
        if data.shape != self.data.shape:
            wanted = f"{self.data.shape}, one a synapse"
            raise ParameterError("is not of this pattern", parameter="weight", got=data.shape, wanted=wanted)
        kept, scale = self.data.dtype, self.scale
        with np.errstate(all="ignore"):
            if kept == np.int8:
                units = data if scale is None else data / _of_rows(scale, self.indptr)
                new = np.clip(np.rint(units), -_INT8_MAX - 1, _INT8_MAX).astype(kept)
            else:
                new = data.astype(kept)
        exact = np.array_equal(decoded(new, scale, self.indptr), data)
        self.data, self.scale = (new, scale) if exact else (data.copy(), None)

    @property
    def synapses(self) -> int:
        """How many there are."""
        return int(self.data.size)

    def to_dict(self) -> dict[str, Any]:
        """The fields of a file."""
        arrays = {"data": self.data, "indices": self.indices, "indptr": self.indptr, "shape": np.array(self.shape)}
        optional = {"delay": self.delay, "scale": self.scale}
        given = {name: value for name, value in optional.items() if value is not None}
        return {**arrays, **given, "metadata": dict(self.metadata), "type": type(self).__name__}

    def _map(self) -> Sparse:
        outputs, inputs = self.shape
        delay = None if self.delay is None or not np.any(self.delay) else self.delay
        return Sparse(self.data, self.indices, self.indptr, outputs, inputs, self.scale, delay)


def _pattern(values: Any) -> NDArray[Any]:
    """An array of its own that nobody changes; integers in 32 bits where they fit."""
    array = np.array(array_of(values))
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4 and (not array.size or _within(array)):
        array = array.astype(np.int32)
    array.setflags(write=False)
    return array


def _within(array: NDArray[Any]) -> bool:
    return bool(array.min() >= -LONGEST and array.max() <= LONGEST)


def _of_rows(scale: NDArray[Any], indptr: NDArray[Any]) -> NDArray[Any]:
    return scale if scale.size == 1 else np.repeat(scale, np.diff(indptr))


def _stored(data: NDArray[Any], indptr: NDArray[Any], scale: Any, dtype: DTypeLike) -> tuple[Any, Any]:
    """Values and scale as the node keeps them."""
    wanted = data.dtype if dtype is None else np.dtype(dtype)
    if dtype is None and data.dtype not in STORED and data.dtype.kind in "biuf":
        wanted = np.dtype(np.float64)
    if wanted not in STORED:
        raise ParameterError("no such type of weights", parameter="weight", got=wanted, wanted=TYPES)
    factor = None if scale is None else np.array(array_of(scale), dtype=np.float32)
    if wanted != np.int8:
        if factor is not None:
            way = "Leave scale out, or pass dtype='int8'."
            raise ParameterError("belongs to int8 weights", parameter="scale", got=wanted, way_out=way)
        with np.errstate(over="ignore"):
            made = data.astype(wanted)
        if np.any(np.isfinite(data) & ~np.isfinite(made)):
            largest = np.abs(data).max()
            raise ParameterError(f"does not go into {wanted}", parameter="weight", got=largest, wanted=TYPES)
        return made, None
    return (data.copy(), factor) if data.dtype == np.int8 else _rounded(data, indptr, factor)


def _rounded(data: NDArray[Any], indptr: NDArray[Any], scale: Any) -> tuple[Any, Any]:
    """int8 and its scale."""
    if not np.all(np.isfinite(data)):
        raise ParameterError("does not go into int8", parameter="weight", got="nan or inf", wanted="finite numbers")
    if scale is None:
        largest = np.zeros(len(indptr) - 1)
        np.maximum.at(largest, np.repeat(np.arange(len(largest)), np.diff(indptr)), np.abs(data))
        # Rounded up, so that the largest weight does not become 128 units.
        scale = np.nextafter((np.where(largest > 0, largest, 1.0) / _INT8_MAX).astype(np.float32), np.float32(np.inf))
    units = np.rint(data / _of_rows(np.asarray(scale), indptr))
    if np.any(np.abs(units) > _INT8_MAX):
        got, wanted = f"{np.abs(data).max():g}", f"at most {_INT8_MAX} times the scale"
        raise ParameterError("does not go into int8", parameter="scale", got=got, wanted=wanted)
    return units.astype(np.int8), scale


class SparseLinearKind(NodeKind):
    """A matrix with few weights, each perhaps with a delay."""

    type = SparseLinear
    trained = ("weight",)  # a scale is how they are kept

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """Its columns."""
        return tuple(node.shape[1:])

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """Its rows."""
        return tuple(node.shape[:1])

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A sparse map; the pattern, which is read-only, is shared."""
        delay = None if node.delay is None or not np.any(node.delay) else _pattern_of(node.delay)
        scale = None if node.scale is None else np.array(node.scale)
        outputs, inputs = node.shape
        indices, ends = _pattern_of(node.indices), _pattern_of(node.indptr)
        sparse = Sparse(np.array(node.data), indices, ends, outputs, inputs, scale, delay)
        return Connection(place.name, sparse, place.result, given=place.given)

    def values(self, node: nir.NIRNode) -> dict[str, Any]:
        """Weights and delays, one a synapse."""
        found = {"weight": decoded(node.data, node.scale, node.indptr)}
        return found if node.delay is None else {**found, "delay": node.delay}

    def remark(self, node: nir.NIRNode) -> str:
        """How many synapses of how many, and how they are kept."""
        entries = max(int(np.prod(node.shape)), 1)
        kept = f"{node.data.dtype}{'' if node.scale is None else ' with a scale'}"
        return f"{counted(node.synapses, 'synapse')} ({100 * node.synapses / entries:.3g} %), {kept}"

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """Delays behind which much is under way."""
        if node.delay is not None and node.delay.size:
            yield from under_way_findings(name, "delay", int(node.delay.max()), int(node.shape[1]))

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """The file has the parts of the matrix."""
        parts = {}
        for part in ("data", "indices", "indptr", "shape"):
            if part not in fields:
                raise ParameterError("this SparseLinear lacks it", node=name, parameter=part)
            array = numbers(fields[part])
            if array is None or array.ndim != 1 or (part != "data" and array.dtype.kind not in "iu"):
                got = None if array is None else f"{array.dtype} {array.shape}"
                raise ParameterError("is no list of numbers", node=name, parameter=part, got=got)
            parts[part] = array
        rest = {key: value for key, value in fields.items() if key not in parts}
        return {"weight": Rows(**parts), **rest}

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether the matrix is one, weights are finite and delays can be counted."""
        found = list(pattern_findings(name, node))
        yield from found
        yield from weight_findings(name, node)
        delays = list(delay_findings(name, node))
        yield from delays
        if not found and not delays:
            yield from double_findings(name, node)


def _pattern_of(array: NDArray[Any]) -> NDArray[Any]:
    """The node's own read-only array, or a copy of what a user has put in its place."""
    return array if not array.flags.writeable else _pattern(array)


KINDS = (SparseLinearKind(),)
