"""What one spike can have caused: the neurons that feel whether it came, and from which step on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Network
from hasn.program.maps import Matrix
from hasn.program.model import Neurons

Bools = NDArray[np.bool_]


class Consequences:
    """Follows a spike through a network.

    It travels over every synapse whose weight is not 0 and takes that synapse's delay. Neurons feel it ever after; a
    Threshold or a sum, which has no state, only while it arrives.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.longest = max((projection.delay for projection in network.projections), default=0)
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
            self._synapses[name] = [(p.source, p.delay, p.weights.astype(bool)) for p in self.network.into(name)]
        return self._synapses[name]
