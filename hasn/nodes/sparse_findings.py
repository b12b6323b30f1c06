"""What can be wrong or doubtful in the arrays of a SparseLinear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.finding import Finding
from hasn.nodes.kind import error
from hasn.nodes.values import array_of, numbers

#: Steps that a delay can have at most.
LONGEST = 2**31 - 1
#: What weights are kept in.
STORED = (np.float64, np.float32, np.float16, np.int8)
TYPES = "float64, float32, float16 or int8"
#: Synapses that are looked at in one go.
_BLOCK = 1 << 20


def pattern_findings(name: str, node: Any) -> Iterator[Finding]:
    """Whether indices and indptr are those of a matrix of this shape."""
    if len(node.shape) != 2 or min(node.shape) < 1:
        yield error(name, "shape", "is no matrix", node.shape, "(outputs, inputs), both >= 1")
        return
    outputs, inputs = node.shape
    indices, ends = array_of(node.indices), array_of(node.indptr)
    if indices is None or ends is None or any(a.ndim != 1 or a.dtype.kind not in "iu" for a in (indices, ends)):
        yield error(name, "indices", "are no whole numbers", None, "scipy's indices and indptr")
        return
    sound = len(ends) == outputs + 1 and ends[0] == 0 and ends[-1] == len(indices) == node.data.size
    if not sound or np.any(ends[1:] < ends[:-1]):
        wanted = f"{outputs + 1} places in order, from 0 to {node.data.size}"
        yield error(name, "indptr", "does not divide the synapses among the outputs", np.shape(ends), wanted)
    elif indices.size and (indices.min() < 0 or indices.max() >= inputs):
        got = int(indices.min() if indices.min() < 0 else indices.max())
        yield error(name, "indices", "names an input that is not there", got, f"0 .. {inputs - 1}")


def weight_findings(name: str, node: Any) -> Iterator[Finding]:
    """Whether every weight is finite, and the scale, if any, fits."""
    if node.data.dtype not in STORED:
        yield error(name, "weight", "no such type of weights", node.data.dtype, TYPES)
        return
    blocks = (node.data[at : at + _BLOCK] for at in range(0, node.synapses, _BLOCK))
    bad = sum(int(np.count_nonzero(~np.isfinite(block))) for block in blocks)
    if bad:
        where = int(np.flatnonzero(~np.isfinite(node.data))[0])
        got = f"{node.data[where]} at synapse {where}" + (f" ({bad} such values)" if bad > 1 else "")
        yield error(name, "weight", "has a value with no meaning", got, "finite numbers")
    if node.scale is not None:
        scale = numbers(node.scale)
        if scale is None or not np.all(np.isfinite(scale)) or scale.shape not in ((), (1,), tuple(node.shape[:1])):
            wanted = f"a finite number, or one for each of {node.shape[0]} outputs"
            yield error(name, "scale", "has no meaning", np.shape(node.scale), wanted)
        elif node.data.dtype != np.int8:
            yield error(name, "scale", "belongs to int8 weights", node.data.dtype, "int8 weights, or no scale")


def delay_findings(name: str, node: Any) -> Iterator[Finding]:
    """Whether every synapse has a delay that can be counted."""
    if node.delay is None:
        return
    delay, wanted = numbers(node.delay), f"whole steps, 0 .. {LONGEST}"
    if delay is None or delay.dtype.kind not in "iu":
        what = "is no list of whole numbers"
        got = type(node.delay).__name__ if delay is None else delay.dtype
        repair = "A delay counts steps: round(seconds / dt), as integers."
        yield error(name, "delay", what, got, wanted, repair)
    elif delay.shape != node.data.shape:
        yield error(name, "delay", "is not one a synapse", delay.shape, f"{node.data.shape}, in the weights' order")
    elif delay.size and (delay.min() < 0 or delay.max() > LONGEST):
        bad = delay.min() if delay.min() < 0 else delay.max()
        what = "is negative" if bad < 0 else "is more steps than can be counted"
        yield error(name, "delay", what, f"{bad} at synapse {int(np.flatnonzero(delay == bad)[0])}", wanted)


def double_findings(name: str, node: Any) -> Iterator[Finding]:
    """Whether some synapses are like others in both ends and in delay."""
    doubles = sum(_doubles(node, first, last) for first, last in _row_blocks(node.indptr))
    if doubles:
        what = f"{doubles:,} synapses join elements that another one joins with the same delay: they add up"
        yield Finding("note", name, "weight", what, "If that is not meant, sum or drop them.")


def _row_blocks(ends: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Rows, by blocks of some number of synapses."""
    first, rows = 0, len(ends) - 1
    while first < rows:
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + _BLOCK, side="right")) - 1)
        yield first, min(last, rows)
        first = last


def _doubles(node: Any, first: int, last: int) -> int:
    """Synapses of these rows that are like one before them in both ends and in delay."""
    here = slice(int(node.indptr[first]), int(node.indptr[last]))
    columns = node.indices[here]
    rows = np.repeat(np.arange(last - first, dtype=np.int32), np.diff(node.indptr[first : last + 1]))
    same_row = rows[1:] == rows[:-1]
    if not np.any(same_row & (columns[1:] <= columns[:-1])):
        return 0
    keys: Mapping[str, Any] = {"rows": rows, "columns": columns}
    if node.delay is not None:
        keys = {**keys, "delay": node.delay[here]}
    order = np.lexsort(tuple(keys.values()))
    return int(np.count_nonzero(np.all([key[order][1:] == key[order][:-1] for key in keys.values()], axis=0)))
