"""What arrives at each connection at each step, as numbers: for metrics that look at values, not at events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import UnsupportedError
from hasn.program.fan_out import fan_out, with_zeros
from hasn.program.fuse import bias_vector, stateless_loops
from hasn.program.maps import Convolution, Dense, Sparse
from hasn.program.model import Connection, Program, Sink

Array: TypeAlias = NDArray[Any]
#: The maps whose weights are synapses of a layer: what other tools call Linear and Conv.
WEIGHTED = (Dense, Convolution, Sparse)


def layers(program: Program) -> tuple[Connection, ...]:
    """The connections that are layers with weights.

    Raises:
        UnsupportedError: one of them learns, or values go round without any population.
    """
    for name in [*program.learning, *sorted(stateless_loops(program))]:
        learns = name in program.learning
        raise UnsupportedError(
            "its weights move" if learns else "it is in a loop without any population",
            node=name,
            way_out="Take the rule off with hasn.plasticity.detach." if learns else None,
        )
    return tuple(node for node in program.of(Connection) if isinstance(node.map, WEIGHTED))


def arriving(program: Program, sent: Mapping[str, Array]) -> dict[str, Array]:
    """Layer -> the sum that arrives at it, (T, batch, *shape).

    Args:
        program: without learning and without loops of connections alone.
        sent: Input, drawn input and population -> what it sent, (T, batch, *shape).
    """
    wanted = {node.name for node in layers(program)}
    values: dict[str, Array] = {name: np.asarray(array, dtype=float) for name, array in sent.items()}
    found: dict[str, Array] = {}
    for node in program.nodes:
        if not isinstance(node, Connection | Sink):
            continue
        parts = [_late(_flat(values[edge.source]), edge.delay) for edge in program.edges_into(node.name)]
        if not parts:
            continue
        total = sum(parts[1:], parts[0])
        if isinstance(node, Sink):
            values[node.name] = total.reshape(*total.shape[:2], *node.shape)
            continue
        shape = node.given if node.given is not None else values[program.edges_into(node.name)[0].source].shape[2:]
        if node.name in wanted:
            found[node.name] = total.reshape(*total.shape[:2], *shape)
        values[node.name] = _through(node, total, shape)
    return found


def _through(node: Connection, x: Array, shape: tuple[int, ...]) -> Array:
    """What a connection makes of (T, batch, elements)."""
    steps, samples = x.shape[:2]
    y = np.zeros((steps, samples, int(np.prod(node.shape))))
    for late, matrix in node.map.parts(shape):
        y += _late((matrix @ x.reshape(-1, x.shape[2]).T).T.reshape(y.shape), late)
    bias = bias_vector(node)
    y = y if bias is None else y + bias
    if node.delay is not None:
        for late in np.unique(node.delay):
            kept = node.delay.reshape(-1) == late
            y[..., kept] = _late(y[..., kept], int(late))
    return y.reshape(steps, samples, *node.shape)


def _flat(array: Array) -> Array:
    return array.reshape(*array.shape[:2], -1)


def _late(array: Array, delay: int) -> Array:
    """What is sent, ``delay`` steps later; 0 before."""
    if not delay:
        return array
    moved = np.zeros_like(array)
    moved[delay:] = array[: len(array) - delay]
    return moved


def reaches(layer: Connection, shape: tuple[int, ...], weights_of_0: bool) -> NDArray[np.int64]:
    """For each element that arrives, the results it reaches; with ``weights_of_0`` by those weights too."""
    return fan_out(with_zeros(layer.map) if weights_of_0 else layer.map, shape)


def weights(layer: Connection) -> Array:
    """A layer's weights as they are stored."""
    of: Any = layer.map
    return np.asarray(of.weight)
