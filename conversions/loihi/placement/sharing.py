"""Which synapses of a convolution are one and the same weight of its kernel.

Between two populations a chain of windows (Convolution, Pooling, Flatten) is one convolution with a larger kernel and
the product of the strides. Two of its synapses share a weight if they join the same channels at the same offset; at a
border the composed kernel can differ, so their value counts too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasn.program.integers.model import IntegerProjection
from hasn.program.maps import Convolution, Identity, Matrix, Pooling, Shape
from hasn.program.model import Connection, Program


def kernel_entries(program: Program, projection: IntegerProjection, mantissas: Matrix) -> NDArray[np.int64] | None:
    """For each stored synapse (in the order of ``mantissas.data``) the number of its kernel weight, from 0.

    Returns:
        None where the projection is no convolution: not all that leads from source to target is windows of one stride.
    """
    chains = _chains(program, projection.source, projection.target)
    if not chains or not all(_is_window(chain) for chain in chains):
        return None
    frames = {_frame(program, projection.source, chain) for chain in chains}
    if len(frames) != 1:
        return None
    given, made, stride = frames.pop()
    coo = mantissas.tocoo()
    out = np.unravel_index(coo.row.astype(np.int64), made)
    into = np.unravel_index(coo.col.astype(np.int64), given)
    offsets = [into[1 + axis] - stride[axis] * out[1 + axis] for axis in range(len(stride))]
    keys = np.stack([out[0], into[0], *offsets, coo.data.astype(np.int64)], axis=1)
    numbers = np.unique(keys, axis=0, return_inverse=True)[1]
    return np.asarray(numbers.reshape(-1), dtype=np.int64)


def _chains(program: Program, source: str, target: str) -> list[tuple[Connection, ...]]:
    """Every path of Connections from one population to the other, in the order of the signal."""
    steps, found = program.by_name, []
    open_ends: list[tuple[str, tuple[Connection, ...]]] = [(target, ())]
    while open_ends:
        name, behind = open_ends.pop()
        for edge in program.edges_into(name):
            step = steps[edge.source]
            if edge.source == source:
                found.append(behind)
            elif isinstance(step, Connection) and all(step is not passed for passed in behind):
                open_ends.append((edge.source, (step, *behind)))
    return found


def _is_window(chain: tuple[Connection, ...]) -> bool:
    maps = [step.map for step in chain]
    return any(isinstance(m, Convolution) for m in maps) and all(
        isinstance(m, Convolution | Pooling | Identity) for m in maps
    )


def _frame(program: Program, source: str, chain: tuple[Connection, ...]) -> tuple[Shape, Shape, Shape]:
    """(shape given, shape made, stride) of a chain of windows as one window."""
    windows = [step for step in chain if isinstance(step.map, Convolution | Pooling)]
    given = program.node(source).shape if windows[0].given is None else windows[0].given
    stride = np.prod([step.map.stride for step in windows], axis=0)  # type: ignore[attr-defined]
    return tuple(given), tuple(windows[-1].shape), tuple(int(s) for s in stride)
