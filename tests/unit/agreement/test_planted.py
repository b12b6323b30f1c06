"""Planted differences, ties and their consequences in random networks: the judge says exactly what was planted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hasn.agreement import Comparison
from tests.unit.agreement.known import Known, Spot, held
from tests.unit.agreement.planting import Planting, Truth, largest_difference
from tests.unit.agreement.random_runs import known_runs, same_every_time

DOUBLE = ("float64", "float64")
PRECISIONS = (DOUBLE, ("float64", "float32"), ("float32", "float64"), ("loihi", "loihi"))
#: What a sample may hold.
PLANS = (
    "nothing",
    "differences",
    "tie",
    "tie and differences",
    "tie and differences",
    "two ties",
    "two ties",
    "too far",
    "parted before",
)


class Planter:
    """Carries out a plan for each sample and keeps the truth."""

    def __init__(self, known: Known, precisions: tuple[str, str], rng: np.random.Generator) -> None:
        self.planting, self.rng, self.truth = Planting(known, precisions), rng, Truth()

    def some(self, spots: list[Spot], most: int) -> list[Spot]:
        """Up to ``most`` of them."""
        count = int(self.rng.integers(0, most + 1))
        return [spots[i] for i in self.rng.permutation(len(spots))[:count]]

    def plan(self, sample: int, what: str) -> None:
        """Plant in one sample."""
        spots = self.planting.spots(sample)
        tied = self.planting.tied(sample)
        ties = [spot for spot in spots if self.planting.has_voltage(spot)] + tied * (1 + len(spots) // 4)
        if what == "nothing" or not spots:
            return
        if what == "differences" or not ties:
            self.flip(self.some(spots, 3))
        elif what in ("too far", "parted before"):
            self.almost(spots, [spot for spot in ties if spot not in tied], what)
        else:
            self.ties(spots, ties, what)

    def flip(self, spots: list[Spot]) -> None:
        for spot in spots:
            self.planting.flip(spot)
        self.truth.differing += spots

    def almost(self, spots: list[Spot], ties: list[Spot], what: str) -> None:
        """What looks like a tie of a neuron and is none, and spikes that it would have explained."""
        if not ties:
            return
        tie = ties[self.rng.integers(len(ties))]
        felt = self.planting.known.felt(tie)
        caused = [s for s in spots if s != tie and felt[s.node][s.step, s.neuron]]
        self.flip(self.some(caused, 2))
        early = tie.step == 0 or what == "too far"
        self.planting.near(tie, 1.2 if early else 0.5, 0.0 if early else self.rng.choice([-1.2, 1.2]))
        self.truth.differing.append(tie)

    def ties(self, spots: list[Spot], ties: list[Spot], what: str) -> None:
        """One or two ties with consequences, perhaps differences that are none of them."""
        first = ties[self.rng.integers(len(ties))]
        found, felt = [first], self.planting.known.felt(first)
        if what == "two ties":
            others = [s for s in ties if not felt[s.node][s.step, s.neuron]]
            for second in self.some(others, 1):
                again = self.planting.known.felt(second)
                if not again[first.node][first.step, first.neuron]:
                    found.append(second)
                    felt = {node: felt[node] | again[node] for node in felt}
        near = {(s.node, s.step - back, s.neuron) for s in found for back in (0, 1)}
        free = [s for s in spots if (s.node, s.step, s.neuron) not in near]
        caused = self.some([s for s in free if felt[s.node][s.step, s.neuron]], 4)
        apart = [s for s in free if not felt[s.node][s.step, s.neuron]]
        unrelated = self.some(apart, 2) if what == "tie and differences" else []
        for spot in caused + unrelated:
            self.planting.flip(spot)
        for spot in found:
            self.planting.near(spot, self.rng.choice([0.0, 0.5, 0.9, -0.9]), self.rng.choice([0.0, -0.8, 0.8]))
        self.settle(found, caused, unrelated)

    def settle(self, ties: list[Spot], caused: list[Spot], unrelated: list[Spot]) -> None:
        """The truth: ties explain nothing once there was a difference that is no consequence of theirs."""
        place = self.planting.place
        start = min(map(place, unrelated), default=(1 << 60,))
        if self.planting.rounding == 0.0 or start < min(map(place, ties)):
            self.truth.differing += ties + caused + unrelated
            return
        self.truth.ties += ties
        self.truth.after += len(caused)
        self.truth.differing += unrelated


@same_every_time(50)
@given(known_runs(st.integers(2, 12), ties=True))
def test_what_was_planted_is_found(known: Known) -> None:
    rng = np.random.default_rng(known.shape[0])
    for precisions in PRECISIONS:
        planter = Planter(known, precisions, rng)
        for sample in range(known.shape[1]):
            planter.plan(sample, rng.choice(PLANS))
        one, other = planter.planting.recordings()
        found = held(known, one, other)
        check_counts(found, planter)
        check_first(found, planter)


def check_counts(found: Comparison, planter: Planter) -> None:
    truth, planting = planter.truth, planter.planting
    assert found.differing == {"a": 0, "b": len(truth.differing)}
    assert found.ties == {"a": 0, "b": len(truth.ties)}
    assert found.after_ties == {"a": 0, "b": truth.after}
    assert found.ok == (not truth.differing)
    sets = [
        {(node, *at) for node, array in spikes.items() for at in np.argwhere(array).tolist() for at in [tuple(at)]}
        for spikes in planting.spikes
    ]
    either = len(sets[0] | sets[1])
    assert found.agreement == {"a": 1.0, "b": len(sets[0] & sets[1]) / either if either else 1.0}
    assert found.max_voltage_error == {"a": 0.0, "b": largest_difference(*planting.voltages)}


def check_first(found: Comparison, planter: Planter) -> None:
    truth, planting = planter.truth, planter.planting
    first = found.first_divergence("b")
    if not truth.differing + truth.ties:
        assert first is None
        return
    spot = min(truth.differing or truth.ties, key=planting.place)
    at = planting.at(spot)
    assert first is not None
    assert (first.node, first.index, first.sample, first.step) == (spot.node, at[2:], spot.sample, spot.step)
    assert (first.reference, first.backend) == ("a", "b")
    assert first.spiked == {label: planting.spikes[i][spot.node][at] for i, label in enumerate("ab")}
    has = planting.has_voltage(spot)
    shown = {label: planting.voltages[i][spot.node][at] for i, label in enumerate("ab") if has}
    assert first.voltages == shown
    assert first.threshold == planting.known.threshold(spot.node)[at[2:]]
    assert first.tie == (not truth.differing)
    assert (first.kind == "tie") == first.tie
