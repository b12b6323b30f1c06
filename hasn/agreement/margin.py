"""How near a voltage was to its threshold, and what counts as a tie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hasn.program.fuse import Network, Relay
from hasn.program.model import Compare, Floats, Neurons, Source
from hasn.recording import Array, Recording

#: A tie is a distance to the threshold of at most this many units of rounding (of the coarser of the two
#: arithmetics), relative to the largest voltage of the node. The rounding error of a sum of n terms grows as sqrt(n)
#: units when errors are independent (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 2.6), and a
#: leaky voltage adds up some tens of such sums: 256 covers fan-ins of some thousand synapses, and is still 6e-14 in
#: float64.
TIE_UNITS = 256.0
_EPS = {"float64": float(np.finfo(np.float64).eps), "float32": float(np.finfo(np.float32).eps)}


class Margins:
    """Distances to thresholds in two recordings of one network."""

    def __init__(self, network: Network, inputs: Mapping[str, Array], one: Recording, other: Recording) -> None:
        self.network = network
        self.inputs = inputs
        self.one, self.other = one, other
        self.eps = max(_EPS.get(r.precision, _EPS["float64"]) for r in (one, other))
        self._scales: dict[str, float] = {}

    def tolerance(self, node: str) -> float:
        """Distance from the threshold, in volts, that rounding can explain at this node."""
        if node not in self._scales:
            population = self.network.by_name[node]
            threshold = getattr(population, "threshold", None)
            largest = 0.0 if threshold is None else float(np.abs(threshold).max(initial=0.0))
            for recording in (self.one, self.other):
                if node in recording.voltages:
                    largest = max(largest, float(np.abs(recording.voltages[node]).max(initial=0.0)))
            self._scales[node] = largest
        return TIE_UNITS * self.eps * self._scales[node]

    def is_tie(self, node: str, step: int, sample: int, neuron: int) -> bool:
        """Whether rounding alone explains that one of the two spiked here and the other did not.

        The one that was silent shows its voltage as the threshold saw it; and before this step both must have had the
        same voltage, to the same rounding.
        """
        population = self.network.by_name[node]
        tolerance = self.tolerance(node)
        if isinstance(population, Compare):
            theta = float(population.threshold.reshape(-1)[neuron])
            return abs(self._input(node, step, sample, neuron) - theta) <= tolerance
        if not isinstance(population, Neurons) or population.threshold is None:
            return False
        if node not in self.one.voltages or node not in self.other.voltages:
            return False
        theta = float(population.threshold.reshape(-1)[neuron])
        a, b = (
            r.voltages[node][:, sample].reshape(r.voltages[node].shape[0], -1)[:, neuron]
            for r in (self.one, self.other)
        )
        fired = bool(self.one.spikes[node][step, sample].reshape(-1)[neuron])
        silent = b if fired else a
        before = step == 0 or abs(float(a[step - 1]) - float(b[step - 1])) <= tolerance
        return before and abs(theta - float(silent[step])) <= tolerance

    def _input(self, node: str, step: int, sample: int, neuron: int) -> float:
        """The summed input of one element, computed from the reference's recording."""
        total = sum(float(value[neuron]) for onset, value in self.network.drives.get(node, {}).items() if step >= onset)
        for projection in self.network.into(node):
            if step >= projection.delay:
                row = projection.weights[[neuron], :]
                total += float((row @ self._sent(projection.source, step - projection.delay, sample)).item())
        return total

    def _sent(self, name: str, step: int, sample: int) -> Floats:
        """What a population sent, flat."""
        population = self.network.by_name[name]
        if isinstance(population, Source):
            value = self.inputs[name][step, sample]
        elif name in self.one.spikes:
            value = self.one.spikes[name][step, sample]
        elif isinstance(population, Relay):
            size = int(np.prod(population.shape))
            value = np.array([self._input(name, step, sample, i) for i in range(size)])
        else:
            value = self.one.voltages[name][step, sample]
        return np.asarray(value, dtype=np.float64).reshape(-1)
