"""A connection as one convolution that NetX can say: with integer weights, between two populations in 3-D."""

from __future__ import annotations

from typing import Any

import numpy as np

from hasn.program.integers.model import (
    ALIGN_BITS,
    STATE_LIMIT,
    IntegerNetwork,
    IntegerPopulation,
    IntegerProjection,
)
from hasn.program.maps import Convolution, Identity, Pooling
from hasn.program.model import Connection, Neurons

#: Lava's convolutions keep kernel, stride, padding, dilation and groups in int8.
INT8 = 127


def window_of(
    network: IntegerNetwork, population: IntegerPopulation, hop: IntegerProjection, grid: tuple[int, ...]
) -> Convolution | None:
    """The connection as one convolution with integer weights, if it is one that NetX can say; else it becomes dense."""
    step = _single_step(network, population.name)
    if step is None or len(grid) != 3 or len(population.shape) != 3 or step.shape != population.shape:
        return None
    if len(hop.parts) != 1 or hop.parts[0].weight_exp or int(abs(hop.weights).sum(axis=1).max()) >= STATE_LIMIT:
        return (
            None  # Lava's Conv clamps sums to 24 bits, and NetX gives it the weights as they are: 8 bits, no exponent
        )
    neurons = network.network.by_name[population.name]
    gain = neurons.rows[0].gain if isinstance(neurons, Neurons) else None
    if gain is None or np.ptp(gain):
        return None
    made = _as_convolution(step.map, float(np.ravel(gain)[0]) / (1 << ALIGN_BITS), grid[0])
    return made if made is not None and abs(made.matrix(grid) - hop.weights).sum() == 0 else None


def _as_convolution(how: Any, factor: float, channels: int) -> Convolution | None:
    if isinstance(how, Pooling):
        value = factor / float(np.prod(how.kernel)) if how.mean else factor
        kernel, ones = np.full((channels, 1, *how.kernel), value), (1,) * len(how.kernel)
        made = Convolution(np.rint(kernel), None, how.stride, how.pads, ones, channels)
    elif isinstance(how, Convolution) and len(how.stride) == 2:
        made = Convolution(np.rint(how.weight * factor), None, how.stride, how.pads, how.dilation, how.groups)
    else:
        return None
    largest = max(*made.weight.shape[2:], *made.stride, *made.dilation, *np.ravel(made.pads).tolist(), made.groups)
    return made if largest <= INT8 and all(low == high for low, high in made.pads) else None


def _single_step(network: IntegerNetwork, name: str) -> Connection | None:
    """The only step with a map of its own on the only way into a population."""
    program = network.network.program
    found: list[Connection] = []
    while len(edges := program.edges_into(name)) == 1:
        step = program.node(edges[0].source)
        if not isinstance(step, Connection):
            return found[0] if len(found) == 1 else None
        if not isinstance(step.map, Identity):
            found.append(step)
        name = step.name
    return None
