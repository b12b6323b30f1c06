"""How much work a run was: spikes and synaptic operations, the same count for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Network, has_spikes
from hasn.program.model import Source


def synaptic_operations(network: Network, values: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Synaptic operations that each population caused: its events times the synapses that each reaches.

    An event is a spike, or an Input's value that is not 0 (Merolla et al., Science 345, 2014, call one event at one
    synapse a synaptic operation). Populations that send real numbers at every step (I, LI, CubaLI, sums) are left
    out: their traffic is not events.

    Args:
        network: the composed form of the Program.
        values: population -> (T, batch, *shape) of what it sent.
    """
    counts: dict[str, int] = {}
    for population in network.populations:
        projections = network.out_of(population.name)
        if not projections or population.name not in values:
            continue
        if not (has_spikes(population) or isinstance(population, Source)):
            continue
        size = int(np.prod(population.shape))
        events = np.count_nonzero(values[population.name].reshape(-1, size), axis=0)
        fan_out = sum(np.bincount(p.weights.indices, minlength=size) for p in projections)
        counts[population.name] = int(events @ fan_out)
    return counts
