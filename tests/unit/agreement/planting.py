"""Two recordings of one run into which differences and ties are put by hand, and what a judge must say of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import nir
import numpy as np

from hasn.recording import Recording
from tests.unit.agreement.known import Array, Known, Spot

#: Units of rounding (docs/semantics.md, "what counts as a tie") of the coarser arithmetic.
ROUNDING = {"float64": 256 * 2.0**-52, "float32": 256 * 2.0**-23}
Place = tuple[int, int, int, int]


@dataclass
class Truth:
    """What was planted: the differing spikes in each sample's order, the ties, what the ties explain."""

    differing: list[Spot] = field(default_factory=list)
    ties: list[Spot] = field(default_factory=list)
    after: int = 0


class Planting:
    """Copies of a known run, made to differ.

    Args:
        known: the run.
        precisions: in which the two are said to have been made.
    """

    def __init__(self, known: Known, precisions: tuple[str, str] = ("float64", "float64")) -> None:
        self.known, self.precisions = known, precisions
        self.spikes = [known.recording().spikes for _ in precisions]
        self.voltages = [known.recording().voltages for _ in precisions]
        self.rounding = max(ROUNDING[p] for p in precisions) if "loihi" not in precisions else 0.0

    def recordings(self) -> tuple[Recording, Recording]:
        """The reference's, the other's."""
        one, other = (
            replace(self.known.recording(precision), spikes=spikes, voltages=voltages)
            for precision, spikes, voltages in zip(self.precisions, self.spikes, self.voltages, strict=True)
        )
        return one, other

    def at(self, spot: Spot) -> tuple[int, ...]:
        """Where a spot lies in an array (T, batch, *shape)."""
        shape = self.known.threshold(spot.node).shape
        return (spot.step, spot.sample, *(int(i) for i in np.unravel_index(spot.neuron, shape)))

    def place(self, spot: Spot) -> Place:
        """Its place in the order in which differences are looked for."""
        order = [step.name for step in self.known.program.nodes].index(spot.node)
        return spot.step, order, spot.sample, spot.neuron

    def fired(self, spot: Spot) -> bool:
        """Whether the run spiked there."""
        return bool(self.spikes[0][spot.node][self.at(spot)])

    def margin(self, spot: Spot) -> float:
        """How far what the threshold saw was from it."""
        at = self.at(spot)
        return abs(float(self.known.seen[spot.node][at] - self.known.threshold(spot.node)[at[2:]]))

    def tolerance(self, spot: Spot) -> float:
        """The largest distance from the threshold that is a tie, in volts."""
        largest = max(float(np.abs(v[spot.node]).max()) for v in self.voltages)
        return self.rounding * max(float(np.abs(self.known.threshold(spot.node)).max()), largest)

    def flip(self, spot: Spot) -> None:
        """A spike that only one of the two has, a quarter of a volt or more from the threshold if it is a neuron's."""
        at, node = self.at(spot), spot.node
        if node in self.voltages[0] and self.fired(spot):
            self.voltages[1][node][at] = self.known.threshold(node)[at[2:]] - 0.25
        self.spikes[1][node][at] ^= True

    def near(self, spot: Spot, distance: float, before: float = 0.0) -> None:
        """A spike that only one of the two has, a neuron's voltage at ``distance`` from the threshold.

        Args:
            spot: where; a Threshold's must be one of :meth:`tied`.
            distance: in tolerances of a tie.
            before: difference of the voltages one step earlier, in tolerances.
        """
        at, node = self.at(spot), spot.node
        self.spikes[1][node][at] ^= True
        if not self.has_voltage(spot):
            return
        tolerance = self.tolerance(spot)
        theta = float(self.known.threshold(node)[at[2:]])
        silent, loud = (0, 1) if self.spikes[1][node][at] else (1, 0)
        self.voltages[silent][node][at] = theta - distance * tolerance
        self.voltages[loud][node][at] = self.after_reset(spot, theta + distance * tolerance)
        if spot.step:
            self.voltages[1][node][(at[0] - 1, *at[1:])] = self.voltages[0][node][(at[0] - 1, *at[1:])]
            self.voltages[1][node][(at[0] - 1, *at[1:])] += before * tolerance

    def after_reset(self, spot: Spot, v: float) -> float:
        """A voltage over the threshold, once reset (SEMANTICS, "Neurons")."""
        node = self.known.nodes[spot.node]
        at = self.at(spot)[2:]
        if node.metadata.get("reset", self.known.options["reset"]) == "zero":
            return float(node.v_reset[at])
        return float(v - (node.v_threshold[at] - node.v_reset[at]))

    def everywhere(self, sample: int) -> list[Spot]:
        """All spots of a sample."""
        return [
            Spot(node, int(step), sample, int(neuron))
            for node, seen in self.known.seen.items()
            for step, neuron in np.ndindex(seen.shape[0], int(np.prod(seen.shape[2:])))
        ]

    def spots(self, sample: int) -> list[Spot]:
        """Those where a flipped spike is a difference and no accident of rounding."""
        return [spot for spot in self.everywhere(sample) if self.margin(spot) > 1e-3]

    def tied(self, sample: int) -> list[Spot]:
        """Those of Threshold nodes where rounding decides."""
        return [s for s in self.everywhere(sample) if not self.has_voltage(s) and self.margin(s) < 1e-14]

    def has_voltage(self, spot: Spot) -> bool:
        """Whether it is a neuron, and no Threshold."""
        return not isinstance(self.known.nodes[spot.node], nir.Threshold)


def largest_difference(one: dict[str, Array], other: dict[str, Array]) -> float:
    """Of any two numbers."""
    return max((abs(a - b) for n in one for a, b in zip(one[n].flat, other[n].flat, strict=True)), default=0.0)
