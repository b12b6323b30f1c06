"""How near a voltage was to its threshold, and what counts as a tie."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hasn.agreement.replay import Replay, seen
from hasn.program.fuse import Network
from hasn.program.model import Firing, Floats, Neurons, Threshold
from hasn.recording import Array, Recording

#: A tie is a distance to the threshold of at most this many units of rounding (of the coarser of the two
#: arithmetics), relative to the largest voltage of the node. The rounding error of a sum of n terms grows as sqrt(n)
#: units when errors are independent (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 2.6), and a
#: leaky voltage adds up some tens of such sums: 256 covers fan-ins of some thousand synapses, and is still 6e-14 in
#: float64.
TIE_UNITS = 256.0
_EPS = {"float64": float(np.finfo(np.float64).eps), "float32": float(np.finfo(np.float32).eps), "loihi": 0.0}

#: Numbers that differ by more than this, relative to the largest of their node, have not merely been rounded otherwise:
#: 1e-9 is what backends are held to in float64; float32 has 6e-8 and adds up some thousand roundings.
_APART = {"float64": 1e-9, "float32": 1e-4, "loihi": 0.0}


def apart(*recordings: Recording) -> float:
    """Relative difference of voltages or weights that rounding can explain."""
    return max(_APART.get(recording.precision, 1e-9) for recording in recordings)


class Margins:
    """Distances to thresholds in two recordings of one network."""

    def __init__(self, network: Network, inputs: Mapping[str, Array], one: Recording, other: Recording) -> None:
        self.network = network
        self.inputs = inputs
        self.one, self.other = one, other
        self.eps = max(_EPS.get(r.precision, _EPS["float64"]) for r in (one, other))
        self._scales: dict[str, float] = {}
        self._compared: tuple[tuple[str, int], list[Floats]] | None = None

    def is_tie(self, node: str, step: int, sample: int, neuron: int) -> bool:
        """Whether rounding alone explains that one of the two spiked here and the other did not.

        Both voltages must lie at the threshold as far as they are known; and before this step neurons must have had
        the same voltage, to the same rounding.
        """
        if self.eps == 0.0:
            return False  # integers: nothing is rounded differently
        near = self.gap(node, step, sample, neuron) <= TIE_UNITS * self.eps
        if not near or step == 0 or isinstance(self.network.by_name[node], Threshold):
            return near
        a, b = self._voltages(node, step - 1, sample, neuron)
        return abs(a - b) <= TIE_UNITS * self.eps * self._scale(node)

    def gap(self, node: str, step: int, sample: int, neuron: int) -> float:
        """Distance from the threshold at a spike that only one of the two has, as a part of the node's largest voltage.

        Of the two distances the larger. The one that was silent shows its voltage as the threshold saw it; the other
        shows it but for the jump of a reset by subtraction, and no longer after a reset to a value. A population whose
        condition reads more than its voltage, or whose neurons are held, is run again on what arrived; Threshold nodes
        have no voltage: what arrives stands for it. Both in the sample. NaN where it was not recorded.
        """
        population = self.network.by_name[node]
        if isinstance(population, Threshold):
            sums = self._both(population, sample)
            theta = float(population.threshold.reshape(-1)[neuron])
            distances = [float(arriving[step, neuron]) - theta for arriving in sums]
            scale = max(float(np.abs(values).max()) for values in sums)
        elif isinstance(population, Neurons) and population.spiking:
            distances = self._distances(population, step, sample, neuron)
            scale = self._scale(node)
        else:
            raise TypeError(f"{node} has no threshold")
        distance = float(np.max(np.abs(distances)))
        return distance / scale if scale > 0 else float(np.inf if distance else 0.0)

    def _distances(self, population: Neurons, step: int, sample: int, neuron: int) -> list[float]:
        """How far above the threshold both were, as far as the recordings show it."""
        firing = population.firing
        if firing is None or population.held is not None:
            return [float(seen[step, neuron]) for seen in self._both(population, sample)]
        theta = float(firing.threshold.reshape(-1)[neuron])
        return [voltage - theta for voltage in self._seen(population.name, firing, step, sample, neuron)]

    def _seen(self, node: str, firing: Firing, step: int, sample: int, neuron: int) -> list[float]:
        """The voltages that the threshold saw, as far as the recordings show them."""
        after = self._voltages(node, step, sample, neuron)
        fired = bool(self.one.spikes[node][step, sample].reshape(-1)[neuron])
        loud, silent = after if fired else after[::-1]
        if firing.reset == "zero":
            return [silent]
        return [silent, loud + float(firing.jump.reshape(-1)[neuron])]

    def _voltages(self, node: str, step: int, sample: int, neuron: int) -> list[float]:
        """Membrane potentials of both, after the reset; NaN where none were recorded."""
        return [
            float(r.voltages[node][step, sample].reshape(-1)[neuron]) if node in r.voltages else np.nan
            for r in (self.one, self.other)
        ]

    def _scale(self, node: str) -> float:
        """The largest voltage of a population, its thresholds included."""
        if node not in self._scales:
            threshold = getattr(self.network.by_name[node], "threshold", None)
            recorded = [r.voltages[node] for r in (self.one, self.other) if node in r.voltages]
            known = [array for array in (threshold, *recorded) if array is not None]
            self._scales[node] = max(float(np.abs(array).max(initial=0.0)) for array in known)
        return self._scales[node]

    def _both(self, population: Threshold | Neurons, sample: int) -> list[Floats]:
        """In a sample of both: what arrives at a Threshold node, or what the condition of a population compared with 0
        (by a run of its own). (steps, elements) each; the last is kept, for ties come in swarms."""
        key = (population.name, sample)
        if self._compared is None or self._compared[0] != key:
            self._compared = (key, [self._one(population, r, sample) for r in (self.one, self.other)])
        return self._compared[1]

    def _one(self, population: Threshold | Neurons, recording: Recording, sample: int) -> Floats:
        arriving = Replay(self.network, self.inputs, recording, sample, recording.steps).arriving(population.name)
        if isinstance(population, Threshold):
            return arriving
        return seen(population, arriving, recording.spikes[population.name][:, sample])
