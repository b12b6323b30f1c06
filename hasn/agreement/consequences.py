"""What one spike can have caused: the neurons that feel whether it came, and from which step on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hasn.program.fuse import Network, Plastic
from hasn.program.learning import arriving, listed, sizes
from hasn.program.maps import Matrix
from hasn.program.model import Neurons

Bools = NDArray[np.bool_]


class Consequences:
    """Follows a spike through a network.

    It travels over every synapse that learns or whose weight is not 0, and takes that synapse's delay. Neurons feel it
    ever after; a Threshold or a sum, which has no state, only while it arrives.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        late = [int(listed(plastic.map).late.max(initial=0)) for plastic in network.plastic]
        self.longest = max((projection.delay for projection in network.projections), default=0) + max(late, default=0)
        self._synapses: dict[str, list[tuple[str, int, Matrix]]] = {}

    def of(self, node: str, neuron: int, steps: int) -> dict[str, Bools]:
        """Population -> (steps, elements): who feels a spike of ``neuron`` (flat), itself among them.

        Row 0 is the step of the spike.
        """
        populations = self.network.populations
        felt = {p.name: np.zeros((steps, int(np.prod(p.shape))), dtype=bool) for p in populations}
        unchanged = 0
        for t in range(steps):
            for population in populations:
                now = felt[population.name][t]
                if t == 0 and population.name == node:
                    now[neuron] = True
                if t > 0 and isinstance(population, Neurons):
                    now |= felt[population.name][t - 1]
                for source, delay, synapses in self._into(population.name):
                    if delay <= t:
                        now |= synapses @ felt[source][t - delay]
            still = t > 0 and all(np.array_equal(rows[t], rows[t - 1]) for rows in felt.values())
            unchanged = unchanged + 1 if still else 0
            if unchanged > self.longest:  # nothing under way any more: it stays so
                for rows in felt.values():
                    rows[t:] = rows[t]
                break
        return felt

    def _into(self, name: str) -> list[tuple[str, int, Matrix]]:
        """(source, delay, which elements it reaches) of a population; made once."""
        if name not in self._synapses:
            learn = [way for plastic in self.network.plastic if plastic.target == name for way in _ways(plastic)]
            fixed = [(p.source, p.delay, p.weights.astype(bool)) for p in self.network.into(name)]
            self._synapses[name] = [*fixed, *learn]
        return self._synapses[name]


def _ways(plastic: Plastic) -> Iterator[tuple[str, int, Matrix]]:
    """(source, delay, which elements it reaches) of a connection that learns: a weight of 0 may grow."""
    synapses, size = listed(plastic.map), sizes(plastic.map)["post"][0]
    for delay in np.unique(synapses.late):
        there = synapses.late == delay
        places = synapses.post[there], synapses.pre[there]
        shape = size, arriving(plastic.map)[0]
        yield plastic.name, int(delay), csr_array((np.ones(len(places[0]), dtype=bool), places), shape=shape)
