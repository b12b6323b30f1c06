"""What is a tie and what is none: every condition of docs/semantics.md at its boundary.

All numbers are powers of two and sums of few, so that "exactly at the boundary" means just that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.recording import Recording
from tests import graphs
from tests.unit.agreement.known import Known, held

DT = graphs.DT
DOUBLE, SINGLE = 256 * 2.0**-52, 256 * 2.0**-23


def below(x: float) -> float:
    return float(np.nextafter(x, -np.inf))


def above(x: float) -> float:
    return float(np.nextafter(x, np.inf))


def world(reset: str = "zero", thresholds: tuple[float, ...] = (1.0, 0.5), v_reset: float = 0.0) -> Known:
    """Two IF neurons, each with an input of its own that is silent: 4 steps, 2 samples, all voltages 0."""
    n = len(thresholds)
    node = nir.IF(r=np.full(n, 1 / DT), v_threshold=np.array(thresholds), v_reset=np.full(n, v_reset))
    graph = graphs.graph({"input": graphs.inp(n), "if": node, "output": graphs.out(n)}, "input > if > output")
    return Known(graph, {"input": np.zeros((4, 2, n))}, reset=reset)


def shown(known: Known, fires: bool, voltages: dict[tuple[int, int, int], float], precision: str) -> Recording:
    """A recording with these voltages; neuron 0 of sample 0 fires or not in step 2."""
    plain = known.recording(precision)
    spikes, v = plain.spikes["if"].copy(), plain.voltages["if"].copy()
    spikes[2, 0, 0] = fires
    for place, volts in voltages.items():
        v[place] = volts
    return replace(plain, spikes={"if": spikes}, voltages={"if": v})


def verdict(
    silent: float | None = None,
    loud: float | None = None,
    *,
    before: tuple[float, float] = (0.0, 0.0),
    known: Known | None = None,
    precisions: tuple[str, str] = ("float64", "float64"),
    swap: bool = False,
    **elsewhere: float,
) -> Verdict:
    """Of a spike in step 2 that one is silent about, at ``silent`` volts; the one that fires shows ``loud`` volts.

    ``before`` are the two voltages one step earlier (silent's first), ``elsewhere_T_S_N`` silent's at another place.
    """
    known = known or world()
    more = {tuple(map(int, place.split("_")[1:])): volts for place, volts in elsewhere.items()}
    volts = {} if silent is None else {(2, 0, 0): silent}
    a = shown(known, False, {(1, 0, 0): before[0], **volts, **more}, precisions[0])  # type: ignore[dict-item]
    b = shown(known, True, {(1, 0, 0): before[1], (2, 0, 0): loud or 0.0}, precisions[1])
    return held(known, *((b, a) if swap else (a, b))).verdicts["b"]


def is_tie(*arguments: Any, **options: Any) -> bool:
    """Whether it is one, whoever is the reference."""
    found = [verdict(*arguments, **options, swap=swap) for swap in (False, True)]
    for one in found:
        assert (one.ties, one.differing, one.after_ties) in ((1, 0, 0), (0, 1, 0))
        assert one.first is not None
        assert one.first.tie == (one.ties == 1)
    assert found[0].ties == found[1].ties
    return found[0].ties == 1


@pytest.mark.parametrize(("precisions", "unit"), [
    (("float64", "float64"), DOUBLE),
    (("float32", "float64"), SINGLE),
    (("float64", "float32"), SINGLE),
    (("float32", "float32"), SINGLE),
    (("", "float64"), DOUBLE),
    (("loihi", "float64"), DOUBLE),
])  # fmt: skip
def test_256_units_of_rounding_of_the_coarser_arithmetic(precisions: tuple[str, str], unit: float) -> None:
    assert is_tie(1.0, precisions=precisions)
    assert is_tie(1.0 - unit, precisions=precisions)
    assert not is_tie(below(1.0 - unit), precisions=precisions)


def test_integers_have_no_ties() -> None:
    assert not is_tie(1.0, precisions=("loihi", "loihi"))


def test_a_voltage_over_the_threshold_may_have_been_rounded_up() -> None:
    """The largest voltage of the node is then this one: at 1 + d, the boundary is d = unit (1 + d)."""
    assert is_tie(1.0 + DOUBLE)
    assert not is_tie(1.0 + DOUBLE + 2.0**-51)


def test_before_it_both_had_the_same_voltage_to_the_same_rounding() -> None:
    assert is_tie(1.0, before=(0.5, 0.5 + DOUBLE))
    assert is_tie(1.0, before=(0.5 + DOUBLE, 0.5))
    assert not is_tie(1.0, before=(0.5, above(0.5 + DOUBLE)))
    assert not is_tie(1.0, before=(above(0.5 + DOUBLE), 0.5))
    assert not is_tie(1.0, before=(0.0, 0.5))


def test_what_was_two_steps_before_or_comes_after_does_not_matter() -> None:
    assert is_tie(1.0, elsewhere_0_0_0=0.25)
    assert is_tie(1.0, elsewhere_3_0_0=0.25)


def test_the_first_step_has_none_before() -> None:
    known = world()
    a, b = known.recording(), known.recording()
    a.voltages["if"][0, 1, 1] = 0.5
    a.voltages["if"][3, 1, 1] = 0.25  # the last step is not the one before the first
    b.spikes["if"][0, 1, 1] = True
    found = held(known, a, b).verdicts["b"]
    assert (found.ties, found.differing) == (1, 0)


@pytest.mark.parametrize("place", ["elsewhere_0_0_0", "elsewhere_3_1_0", "elsewhere_2_0_1"])
def test_relative_to_the_largest_voltage_of_the_node(place: str) -> None:
    """In any step, sample or neuron of either recording; -4 V as well as 4 V."""
    assert is_tie(1.0 - 4 * DOUBLE, **{place: -4.0})
    assert not is_tie(below(1.0 - 4 * DOUBLE), **{place: -4.0})
    assert is_tie(1.0 - 4 * DOUBLE, **{place: 4.0})


def test_the_thresholds_of_the_node_count_as_its_voltages() -> None:
    assert is_tie(1.0 - 2 * DOUBLE, known=world(thresholds=(1.0, 2.0)))
    assert not is_tie(below(1.0 - 2 * DOUBLE), known=world(thresholds=(1.0, 2.0)))
    assert is_tie(1.0 - 2 * DOUBLE, known=world(thresholds=(1.0, -2.0)))


def test_another_nodes_voltages_do_not_count() -> None:
    known = world()
    nodes = {**known.graph.nodes, "li": nir.LI(tau=np.ones(2), r=np.ones(2), v_leak=np.zeros(2))}
    wider = Known(graphs.graph(nodes, "input > if > output", "input > li"), known.inputs)
    a, b = wider.recording(), wider.recording()
    a.voltages["if"][2, 0, 0] = 1.0 - 2 * DOUBLE
    a.voltages["li"][2, 0, 0] = b.voltages["li"][2, 0, 0] = 4.0
    b.spikes["if"][2, 0, 0] = True
    assert held(wider, a, b).differing["b"] == 1


def test_each_neuron_has_its_own_threshold() -> None:
    """1 V is neuron 0's threshold and not neuron 1's."""
    known = world()
    for neuron, tie in ((0, 1), (1, 0)):
        a, b = known.recording(), known.recording()
        a.voltages["if"][2, 1, neuron] = 1.0
        b.spikes["if"][2, 1, neuron] = True
        assert held(known, a, b).ties["b"] == tie


def test_a_reset_by_subtraction_still_shows_the_voltage_of_the_one_that_fired() -> None:
    """v_reset is 1/4, so the jump is 3/4: at the threshold it leaves 1/4."""
    known = world("subtract", v_reset=0.25)
    assert is_tie(1.0, 0.25, known=known)
    assert is_tie(1.0, 0.25 + DOUBLE, known=known)
    assert not is_tie(1.0, 0.25 + 2 * DOUBLE, known=known)
    assert not is_tie(1.0, 0.5, known=known)
    assert not is_tie(1.0 - 2 * DOUBLE, 0.25, known=known)


def test_a_reset_to_a_value_hides_it() -> None:
    assert is_tie(1.0, 0.5)


def test_the_silent_one_is_looked_at_not_the_one_that_fired() -> None:
    assert not is_tie(0.25, 1.0)


@pytest.mark.filterwarnings("ignore:invalid value")  # inf - inf
def test_voltages_that_are_no_numbers_explain_nothing() -> None:
    assert not is_tie(np.nan)
    assert not is_tie(1.0, before=(np.nan, np.nan))
    assert not is_tie(1.0, before=(np.inf, np.inf))


@pytest.mark.parametrize("without", [(True, False), (False, True), (True, True)])
def test_without_voltages_no_tie_can_be_shown(without: tuple[bool, bool]) -> None:
    known = world()
    both = shown(known, False, {(2, 0, 0): 1.0}, "float64"), shown(known, True, {(2, 0, 0): 1.0}, "float64")
    a, b = (replace(r, voltages={}) if cut else r for r, cut in zip(both, without, strict=True))
    found = held(known, a, b).verdicts["b"]
    assert (found.ties, found.differing, found.max_voltage_error) == (0, 1, 0.0)
    assert found.first is not None
    assert set(found.first.voltages) == {label for label, cut in zip("ab", without, strict=True) if not cut}


# --- Threshold nodes


def summed(weights: list[float], theta: float, readout: bool = False) -> Known:
    """A Threshold over a sum of inputs that are 1, for 3 steps; ``readout``: of LI neurons that show their input."""
    n = len(weights)
    nodes: dict[str, nir.NIRNode] = {"input": graphs.inp(n)}
    if readout:
        nodes["li"] = nir.LI(tau=np.full(n, DT), r=np.ones(n), v_leak=np.zeros(n))
    nodes |= {"w": nir.Linear(np.array([weights])), "t": nir.Threshold(np.array([theta])), "output": graphs.out(1)}
    return Known(graphs.graph(nodes, " > ".join(nodes)), {"input": np.ones((3, 1, n))})


def flipped(recording: Recording, *places: tuple[int, ...]) -> Recording:
    spikes = recording.spikes["t"].copy()
    for place in places:
        spikes[place] ^= True
    return replace(recording, spikes={**recording.spikes, "t": spikes})


def test_for_a_threshold_what_arrives_stands_for_the_voltage() -> None:
    for theta, tie in ((0.75, 1), (0.75 + DOUBLE, 0), (0.75 - DOUBLE, 0)):
        known = summed([0.5, 0.25], theta)  # the largest that arrives is 0.75, which makes 0.75 DOUBLE the boundary
        assert held(known, known.recording(), flipped(known.recording(), (1, 0, 0))).ties["b"] == tie
    known = summed([0.5, 0.25], 0.75 + 0.5 * DOUBLE)
    assert held(known, known.recording(), flipped(known.recording(), (1, 0, 0))).ties["b"] == 1


def test_a_threshold_of_0_has_ties_too() -> None:
    known = summed([1.0, -1.0 + 2.0**-50], 0.0)
    known.inputs["input"][0, 0] = (1.0, 0.0)  # once 1 V arrives, else a sum that cancels but for 4 units
    assert held(known, known.recording(), flipped(known.recording(), (1, 0, 0))).ties["b"] == 1
    assert held(known, known.recording(), flipped(known.recording(), (0, 0, 0))).ties["b"] == 0


def test_a_threshold_forgets_a_tie_in_the_next_step() -> None:
    known = summed([0.5, 0.25], 0.75)
    known.inputs["input"][2] = 2.0
    found = held(known, known.recording(), flipped(known.recording(), (1, 0, 0), (2, 0, 0)))
    assert (found.ties["b"], found.after_ties["b"], found.differing["b"]) == (1, 0, 1)
    assert not found.ok


@pytest.mark.parametrize("odd", [0, 1])
def test_what_arrives_must_be_the_threshold_in_both(odd: int) -> None:
    """A voltage that is shown to a Threshold and is wrong in one recording is a difference, not a tie."""
    known = summed([1.0], 1.0, readout=True)
    both = [known.recording(), flipped(known.recording(), (1, 0, 0))]
    assert held(known, *both).ties["b"] == 1
    both[odd] = replace(both[odd], voltages={"li": both[odd].voltages["li"] * 1.25})
    found = held(known, *both)
    assert (found.ties["b"], found.differing["b"]) == (0, 1)


@pytest.mark.parametrize("odd", [0, 1])
def test_a_threshold_over_voltages_that_were_not_recorded_has_no_ties(odd: int) -> None:
    known = summed([1.0], 1.0, readout=True)
    both = [known.recording(), flipped(known.recording(), (1, 0, 0))]
    both[odd] = replace(both[odd], voltages={})
    found = held(known, *both)
    assert (found.ties["b"], found.differing["b"]) == (0, 1)


def test_samples_are_told_apart() -> None:
    """Each sample's sum at its own threshold crossing: 0.75 arrives in sample 1 alone."""
    known = summed([0.5, 0.25], 0.75)
    known.inputs["input"] = np.array([[[1.0, 0.0], [1.0, 1.0]]] * 3)
    for sample, tie in ((0, 0), (1, 1)):
        found = held(known, known.recording(), flipped(known.recording(), (2, sample, 0)))
        assert (found.ties["b"], found.differing["b"]) == (tie, 1 - tie)
    both = held(known, known.recording(), flipped(known.recording(), (2, 0, 0), (2, 1, 0)))
    assert (both.ties["b"], both.differing["b"]) == (1, 1)
