"""How near a voltage was to its threshold, and what counts as a tie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hasn.agreement.replay import Replay
from hasn.program.fuse import Network
from hasn.program.model import Compare, Neurons
from hasn.recording import Array, Recording

#: A tie is a distance to the threshold of at most this many units of rounding (of the coarser of the two
#: arithmetics), relative to the largest voltage of the node. The rounding error of a sum of n terms grows as sqrt(n)
#: units when errors are independent (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 2.6), and a
#: leaky voltage adds up some tens of such sums: 256 covers fan-ins of some thousand synapses, and is still 6e-14 in
#: float64.
TIE_UNITS = 256.0
_EPS = {"float64": float(np.finfo(np.float64).eps), "float32": float(np.finfo(np.float32).eps), "loihi": 0.0}


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
        if self.eps == 0.0:
            return False  # integers: nothing is rounded differently
        population = self.network.by_name[node]
        tolerance = self.tolerance(node)
        if isinstance(population, Compare):
            theta = float(population.threshold.reshape(-1)[neuron])
            arriving = Replay(self.network, self.inputs, self.one, sample, step + 1).arriving(node)
            return abs(float(arriving[step, neuron]) - theta) <= tolerance
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
