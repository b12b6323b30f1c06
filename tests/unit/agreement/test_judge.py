"""What a judge counts and which difference it shows first, on recordings made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.agreement import Comparison, judge
from hasn.recording import Recording
from tests import graphs
from tests.unit.agreement.known import Known, held

DT = graphs.DT
Array = np.ndarray[Any, Any]


def world(batch: int = 3, steps: int = 6) -> Known:
    """Two populations of two IF neurons in a row and one beside them; all are silent, at 0 V."""

    def silent() -> nir.NIRNode:
        return nir.IF(r=np.full(2, 1 / DT), v_threshold=np.array([1.0, 0.5]))

    nodes = {"input": graphs.inp(2), "a": silent(), "b": silent(), "c": silent(), "output": graphs.out(2)}
    graph = graphs.graph(nodes, "input > a > b > output", "input > c")
    return Known(graph, {"input": np.zeros((steps, batch, 2))})


Flip = tuple[str, int, int, int]  # node, step, sample, neuron


def flipped(recording: Recording, *flips: Flip) -> Recording:
    spikes = {name: array.copy() for name, array in recording.spikes.items()}
    for node, *at in flips:
        spikes[node][tuple(at)] ^= True
    return replace(recording, spikes=spikes)


def order() -> list[str]:
    """The populations in the order of evaluation: "a" before "b", which it feeds."""
    return [step.name for step in world().program.nodes if step.name in "abc"]


def judged(*flips: Flip) -> Comparison:
    known = world()
    return held(known, known.recording(), flipped(known.recording(), *flips))


def place(found: Comparison) -> Flip:
    first = found.first_divergence("b")
    assert first is not None
    return (first.node, first.step, first.sample, *first.index)


def test_the_earliest_step_comes_first() -> None:
    last, first = order()[-1], order()[0]
    assert place(judged((first, 3, 0, 0), (last, 2, 2, 1))) == (last, 2, 2, 1)


def test_then_the_order_of_evaluation() -> None:
    assert order().index("a") < order().index("b")
    for before, after in ((0, 1), (1, 2), (0, 2)):
        nodes = order()[before], order()[after]
        assert place(judged((nodes[0], 2, 2, 1), (nodes[1], 2, 0, 0))) == (nodes[0], 2, 2, 1)


def test_then_the_sample() -> None:
    assert place(judged(("b", 2, 2, 0), ("b", 2, 1, 1))) == ("b", 2, 1, 1)


def test_then_the_neuron() -> None:
    assert place(judged(("b", 2, 1, 1), ("b", 2, 1, 0))) == ("b", 2, 1, 0)


def test_a_difference_is_shown_before_an_earlier_tie() -> None:
    known = world()
    one, other = known.recording(), flipped(known.recording(), ("a", 1, 0, 0), ("c", 4, 2, 1))
    one.voltages["a"][1, 0, 0] = 1.0
    found = held(known, one, other)
    assert (found.ties["b"], found.differing["b"], found.ok) == (1, 1, False)
    assert place(found) == ("c", 4, 2, 1)


def test_of_two_samples_differences_the_earlier_is_shown_whatever_ties_come_before() -> None:
    """Sample 0 ties in step 1 and differs in step 4; sample 1 only differs, in step 3."""
    known = world()
    one, other = known.recording(), flipped(known.recording(), ("a", 1, 0, 0), ("c", 4, 0, 1), ("c", 3, 1, 1))
    one.voltages["a"][1, 0, 0] = 1.0
    found = held(known, one, other)
    assert (found.ties["b"], found.differing["b"]) == (1, 2)
    assert place(found) == ("c", 3, 1, 1)


def test_of_several_ties_the_first_is_shown() -> None:
    known = world()
    one, other = known.recording(), flipped(known.recording(), ("b", 3, 0, 0), ("c", 2, 2, 1), ("a", 4, 1, 0))
    for node, step, sample, neuron, theta in (("b", 3, 0, 0, 1.0), ("c", 2, 2, 1, 0.5), ("a", 4, 1, 0, 1.0)):
        one.voltages[node][step, sample, neuron] = theta
    found = held(known, one, other)
    assert (found.ties["b"], found.ok) == (3, True)
    assert place(found) == ("c", 2, 2, 1)


def test_from_a_difference_on_nothing_in_its_sample_is_explained() -> None:
    """A tie before it is one, a tie after it is none; the other samples' ties are."""
    known = world()
    flips = (("c", 1, 0, 0), ("a", 2, 0, 1), ("c", 3, 0, 1), ("c", 3, 1, 1))
    one, other = known.recording(), flipped(known.recording(), *flips)
    one.voltages["c"][1, 0, 0], one.voltages["c"][3, :, 1] = 1.0, 0.5
    found = held(known, one, other)
    assert (found.ties["b"], found.differing["b"]) == (2, 2)
    assert place(found) == ("a", 2, 0, 1)


def test_a_tie_explains_what_it_reaches_and_nothing_else() -> None:
    """Neuron 0 of "a" reaches neuron 0 of "b"; each flip alone, beside the tie in step 2 of sample 1."""
    explained = [("a", 3, 1, 0), ("a", 5, 1, 0), ("b", 2, 1, 0), ("b", 5, 1, 0)]
    others = [("a", 2, 1, 1), ("a", 3, 1, 1), ("b", 2, 1, 1), ("b", 4, 1, 1), ("c", 4, 1, 0), ("a", 1, 1, 0),
              ("b", 1, 1, 0), ("b", 3, 0, 0), ("b", 3, 2, 0), ("a", 4, 2, 0)]  # fmt: skip
    known = world()
    for flip in explained + others:
        one, other = known.recording(), flipped(known.recording(), ("a", 2, 1, 0), flip)
        one.voltages["a"][2, 1, 0] = 1.0
        found = held(known, one, other)
        counts = (found.ties["b"], found.after_ties["b"], found.differing["b"], found.ok)
        earlier = flip[1] == 1  # then the tie comes after a difference
        assert counts == ((1, 1, 0, True) if flip in explained else (0, 0, 2, False) if earlier else (1, 0, 1, False))


# --- counts


def test_agreement_is_common_spikes_over_all_spikes() -> None:
    known = world()
    one = flipped(known.recording(), ("a", 1, 0, 0), ("a", 2, 0, 0), ("b", 3, 1, 1))
    other = flipped(known.recording(), ("a", 1, 0, 0), ("c", 2, 2, 0), ("b", 3, 1, 1), ("b", 4, 1, 1))
    assert held(known, one, other).agreement == {"a": 1.0, "b": 2 / 5}
    assert held(known, one, one).agreement["b"] == 1.0
    assert held(known, known.recording(), known.recording()).agreement["b"] == 1.0
    assert held(known, known.recording(), one).agreement["b"] == 0.0


def test_the_voltage_error_is_the_largest_of_any_node() -> None:
    known = world()
    one, other = known.recording(), known.recording()
    other.voltages["b"][5, 2, 1] = -0.75
    other.voltages["c"][0, 0, 0] = 0.5
    found = held(known, one, other)
    assert found.max_voltage_error == {"a": 0.0, "b": 0.75}
    assert held(known, other, one).max_voltage_error["b"] == 0.75
    assert found.ok  # floats may differ, and no spike does


@pytest.mark.parametrize("node", ["a", "b", "c"])
def test_a_voltage_that_is_no_number_is_no_small_error(node: str) -> None:
    known = world()
    other = known.recording()
    for name in other.voltages:
        other.voltages[name][0] = 0.5
    other.voltages[node][3, 1, 0] = np.nan
    assert np.isnan(held(known, known.recording(), other).max_voltage_error["b"])
    assert held(known, other, known.recording()).max_voltage_error["a"] == 0.0  # the reference agrees with itself


def test_only_what_both_have_recorded_is_compared() -> None:
    known = world()
    one, other = known.recording(), known.recording()
    other.voltages["a"][1] = 0.25
    other.voltages["b"][1] = 0.5
    assert held(known, one, replace(other, voltages={"a": other.voltages["a"]})).max_voltage_error["b"] == 0.25
    assert held(known, replace(one, voltages={"a": one.voltages["a"]}), other).max_voltage_error["b"] == 0.25
    few, many = (replace(one, currents={"a": np.full((6, 3, 2), u)}) for u in (1, 3))
    assert held(known, few, one).max_voltage_error["b"] == 0.0
    assert held(known, few, many).max_voltage_error["b"] == 2.0


@pytest.mark.parametrize("steps", [0, 1])
def test_a_network_without_thresholds_and_a_run_without_steps(steps: int) -> None:
    li = nir.LI(tau=np.full(2, 2 * DT), r=np.ones(2), v_leak=np.zeros(2))
    known = Known(graphs.chain(li, given=(2,), result=(2,)), {"input": np.ones((1, 1, 2))})
    cut = {name: array[:steps] for name, array in known.recording().voltages.items()}
    one = replace(known.recording(), voltages=cut)
    other = replace(one, voltages={name: array + 0.25 for name, array in cut.items()})
    found = held(known, one, other)
    assert (found.differing["b"], found.agreement["b"], found.max_voltage_error["b"]) == (0, 1.0, 0.25 * steps)
    assert found.first_divergence("b") is None
    assert found.ok


def test_spikes_without_a_step_agree() -> None:
    known = world()
    silent = {name: array[:0] for name, array in known.recording().spikes.items()}
    empty = replace(known.recording(), spikes=silent, voltages={})
    found = held(known, empty, empty)
    assert (found.differing["b"], found.agreement["b"], found.ok) == (0, 1.0, True)


def test_each_label_is_held_against_the_reference_not_against_the_first() -> None:
    known = world()
    plain, wrong = known.recording(), flipped(known.recording(), ("c", 2, 0, 0))
    made = {"x": wrong, "y": plain, "z": plain}
    found = judge(known.program, known.network, known.inputs, made, "y", {"w": "not installed"})
    assert found.differing == {"x": 1, "y": 0, "z": 0}
    assert (found.reference, found.skipped, list(found.recordings)) == ("y", {"w": "not installed"}, ["x", "y", "z"])
    first = found.first_divergence("x")
    assert first is not None
    assert (first.reference, first.backend, first.spiked) == ("y", "x", {"y": False, "x": True})
    assert found.first_divergence("y") is None
    assert found.first_divergence("z") is None
    assert judge(known.program, known.network, known.inputs, made, "x").differing == {"x": 0, "y": 1, "z": 1}
    assert judge(known.program, known.network, known.inputs, made, "x").skipped == {}


def test_what_is_shown_is_of_the_neuron_that_differs() -> None:
    """A population of shape (2, 3): its place, both voltages, and its own threshold."""
    thresholds = np.arange(1.0, 7.0).reshape(2, 3)
    node = nir.IF(r=np.full((2, 3), 1 / DT), v_threshold=thresholds)
    known = Known(graphs.chain(node, given=(2, 3), result=(2, 3)), {"input": np.zeros((4, 2, 2, 3))})
    one, other = known.recording(), flipped(known.recording(), ("n1", 2, 1, 1, 0))  # type: ignore[arg-type]
    one.voltages["n1"][2, 1, 1, 0], other.voltages["n1"][2, 1, 1, 0] = 0.25, 0.5
    first = held(known, one, other).first_divergence("b")
    assert first is not None
    assert (first.node, first.index, first.sample, first.step, first.threshold) == ("n1", (1, 0), 1, 2, 4.0)
    assert first.voltages == {"a": 0.25, "b": 0.5}
    assert first.spiked == {"a": False, "b": True}


def test_a_neuron_without_dimensions() -> None:
    """It stands by itself: no Input has such a shape."""
    one = nir.LIF(*(np.array(x) for x in (5e-3, 1.0, 0.9, 0.5)))
    graph = graphs.graph({"input": graphs.inp(1), "output": graphs.out(1), "lif": one}, "input > output")
    known = Known(graph, {"input": np.zeros((3, 2, 1))})
    first = held(known, known.recording(), flipped(known.recording(), ("lif", 2, 1))).first_divergence("b")  # type: ignore[arg-type]
    assert first is not None
    assert (first.index, first.sample, first.step, first.threshold) == ((), 1, 2, 0.5)
