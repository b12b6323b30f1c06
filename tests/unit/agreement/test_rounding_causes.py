"""When rounding is the cause and when it only looks so; integers; and what an earlier tie must not hide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.agreement import Divergence
from hasn.recording import Recording
from tests import graphs
from tests.unit.agreement.known import Known, held

DT = graphs.DT
Array = np.ndarray[Any, Any]
ADDED_UP = "float32 rounding has added up: until here the voltages agree to float32, and one crosses the threshold"
AGREE = "the voltages agree up to this step, so only the threshold or the recording of this spike differs"
UNEXPLAINED = "no other reset, method, bias, delay or rounding explains it"


def world(steps: int = 8, n: int = 2) -> Known:
    """IF neurons (R dt = 1, threshold 1 V) that get 1/8 V a step."""
    node = nir.IF(r=np.full(n, 1 / DT), v_threshold=np.ones(n), v_reset=np.zeros(n))
    graph = graphs.graph({"input": graphs.inp(n), "if": node, "output": graphs.out(n)}, "input > if > output")
    return Known(graph, {"input": np.full((steps, 1, n), 0.125)})


def first(one: Recording, other: Recording, known: Known | None = None) -> Divergence:
    found = held(known or world(), one, other).first_divergence("b")
    assert found is not None
    return found


def changed(recording: Recording, **arrays: dict[tuple[int, int], float]) -> Recording:
    """Spikes flipped and voltages set at (step, neuron) of sample 0."""
    spikes, volts = recording.spikes["if"].copy(), recording.voltages["if"].copy()
    for step, neuron in arrays.get("flip", {}):
        spikes[step, 0, neuron] ^= True
    for (step, neuron), value in arrays.get("volts", {}).items():
        volts[step, 0, neuron] = value
    return replace(recording, spikes={"if": spikes}, voltages={"if": volts})


# --- float32


def drift(precision: str) -> Recording:
    """0.1 V a step, added up in this arithmetic until it passes 800 V."""
    v = np.cumsum(np.full(8100, 0.1, dtype=precision), dtype=precision).astype(float)
    spikes = v > 800.0
    reset = int(np.flatnonzero(spikes)[0])
    v[reset:] -= v[reset]
    spikes[reset + 1 :] = False
    shape = (8100, 1, 1)
    plain = world(1, 1).recording(precision)
    return replace(plain, spikes={"if": spikes.reshape(shape)}, voltages={"if": v.reshape(shape)})


@pytest.mark.parametrize("order", [("float64", "float32"), ("float32", "float64")])
def test_float32_that_adds_up_is_called_so(order: tuple[str, str]) -> None:
    """8,000 additions of 0.1 in float32 drift by more than a tie allows (256 units, 3e-5), and by less than 1e-4."""
    node = nir.IF(r=np.array([1 / DT]), v_threshold=np.array([800.0]))
    graph = graphs.graph({"input": graphs.inp(1), "if": node, "output": graphs.out(1)}, "input > if > output")
    known = Known(graph, {"input": np.full((8100, 1, 1), 0.1)})
    found = first(drift(order[0]), drift(order[1]), known)
    assert (found.kind, found.tie, found.cause) == ("float32 rounding", False, ADDED_UP)


def near(distance: float, precision: str) -> Divergence:
    """Neuron 0 fires in step 3 in one, and is this far under the threshold in the other, of this precision."""
    a, b = world().recording(), world().recording(precision)
    return first(changed(a, flip={(3, 0): 1}, volts={(3, 0): 0.0}), changed(b, volts={(3, 0): 1 - distance}))


def test_within_1e_4_of_the_threshold_it_may_be_float32() -> None:
    assert near(0.99e-4, "float32").cause == ADDED_UP
    assert near(1.01e-4, "float32").kind == "unknown"


def test_just_1e_4_is_still_float32() -> None:
    """1 V from the threshold, where the node's largest voltage is 10,000 V."""
    a, b = changed(world().recording("float32"), flip={(3, 0): 1}), changed(world().recording(), volts={(3, 0): 0.0})
    for recording in (a, b):
        recording.voltages["if"][7, 0, 1] = 1e4
    assert first(a, b).cause == ADDED_UP


def test_the_distance_is_that_of_the_sample_that_differs() -> None:
    """In sample 1 the silent voltage is near the threshold, in sample 0 it is not; and the other way round."""
    for sample, cause in ((1, ADDED_UP), (0, f"the voltages part at this very step; {UNEXPLAINED}")):
        known = Known(world().graph, {"input": np.full((8, 2, 2), 0.125)})
        a, b = known.recording("float32"), known.recording()
        b.voltages["if"][3, 1, 0] = 1 - 5e-5
        a.voltages["if"][3, :, 0] = 0.0
        a.spikes["if"][3, sample, 0] = True
        assert first(a, b, known).cause == cause


def test_in_float64_nothing_adds_up_so_far() -> None:
    assert near(0.99e-4, "float64").kind == "unknown"
    assert near(1e-9, "float64").kind == "unknown"


def test_far_from_the_threshold_float32_is_no_excuse() -> None:
    """The spike alone differs, at half a volt."""
    found = first(world().recording(), changed(world().recording("float32"), flip={(3, 1): 1}))
    assert (found.kind, found.cause, found.voltages) == ("unknown", AGREE, {"a": 0.5, "b": 0.5})


def test_voltages_that_part_before_the_spike_are_no_rounding_even_near_the_threshold() -> None:
    a = changed(world().recording(), flip={(3, 0): 1}, volts={(3, 0): 0.0})
    b = changed(world().recording("float32"), volts={(2, 0): 0.25, (3, 0): 1 - 5e-5})
    assert first(a, b).cause == f"the voltages part first at node 'if' step 2; {UNEXPLAINED}"


@pytest.mark.parametrize("order", [("float64", "float32"), ("float32", "float64")])
def test_a_changed_rule_is_named_in_float32_too(order: tuple[str, str]) -> None:
    known = Known(graphs.small_net(), {"input": graphs.spikes((6,), 40, 2)})
    wrong = Known(known.graph, known.inputs, reset="subtract").recording(order[1])
    rounded = {name: array.astype(np.float32).astype(float) for name, array in wrong.voltages.items()}
    assert first(known.recording(order[0]), replace(wrong, voltages=rounded), known).kind == "reset"


# --- the first place at which voltages part


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-9), ("float32", 1e-4), ("", 1e-9)])
def test_voltages_part_when_they_differ_by_more_than_rounding(precision: str, tolerance: float) -> None:
    """The largest voltage is 1 V; a spike is flipped in step 5, at 3/4 V."""
    a = world().recording()
    for factor, cause in ((0.99, AGREE), (1.01, f"the voltages part first at node 'if' step 2; {UNEXPLAINED}")):
        v = 0.375 - factor * tolerance
        assert first(a, changed(world().recording(precision), flip={(5, 1): 1}, volts={(2, 0): v})).cause == cause


@pytest.mark.parametrize("loud", [0, 1])
def test_rounding_is_relative_to_the_largest_voltage_of_either(loud: int) -> None:
    """One of the two shows -4 V in step 7; 3e-9 V are then rounding, 5e-9 V are not."""
    for difference, step in ((3e-9, 7), (5e-9, 2)):
        both = [world().recording(), changed(world().recording(), flip={(5, 1): 1}, volts={(2, 0): 0.375 - difference})]
        both[loud].voltages["if"][7, 0, 0] = -4.0
        assert first(*both).cause == f"the voltages part first at node 'if' step {step}; {UNEXPLAINED}"


def test_they_part_at_the_first_step_and_there_at_the_first_node_in_order() -> None:
    draw = graphs.Draw(2)
    nodes = [draw.linear(3, 4), draw.lif(3), draw.linear(2, 3), draw.lif(2), draw.linear(2, 2), draw.lif(2)]
    known = Known(graphs.chain(*nodes, given=(4,), result=(2,)), {"input": graphs.spikes((4,), 20, 2)})
    for places, said in (
        ({"n2": 7, "n4": 4, "n6": 4}, "node 'n4' step 4"),
        ({"n2": 4, "n4": 4, "n6": 9}, "node 'n2' step 4"),
        ({"n4": 5, "n6": 3}, "node 'n6' step 3"),
        ({"n4": 12}, "node 'n4' step 12"),  # the step of the spike, in another node
    ):
        a, b = known.recording(), known.recording()
        for node, step in places.items():
            b.voltages[node][step:, 1, -1] += 0.25
        b.voltages["n2"][0, 0] += 0.25  # in the other sample, where no spike differs
        b.spikes["n6"][12, 1, 0] ^= True
        assert first(a, b, known).cause == f"the voltages part first at {said}; {UNEXPLAINED}"


def test_what_is_recorded_long_after_does_not_hide_the_rule() -> None:
    """Only some steps behind the first difference are looked at: there, the other resets by subtraction."""
    graph, x = graphs.small_net(), graphs.spikes((6,), 90, 1)
    known = Known(graph, {"input": x})
    wrong = Known(graph, {"input": x}, reset="subtract").recording()
    for name in wrong.voltages:
        wrong.voltages[name][70:] = 5.0
    found = first(known.recording(), wrong, known)
    assert found.step < 40
    assert found.kind == "reset"


# --- integers


def test_integers_say_where_they_first_part() -> None:
    a = world().recording("loihi")
    b = changed(world().recording("loihi"), flip={(5, 1): 1}, volts={(3, 0): 0.5 + 2.0**-40})
    found = first(a, b)
    said = "the integers part first at node 'if' step 3: one of the two does not follow the chip's rules"
    assert (found.kind, found.cause) == ("integer arithmetic", said)


def test_integers_whose_voltages_agree_part_at_the_spike() -> None:
    found = first(world().recording("loihi"), changed(world().recording("loihi"), flip={(5, 1): 1}))
    said = "the integers part at this spike: one of the two does not follow the chip's rules"
    assert (found.kind, found.cause) == ("integer arithmetic", said)


@pytest.mark.parametrize("order", [("float64", "loihi"), ("loihi", "float32")])
def test_integers_against_floats_are_quantised(order: tuple[str, str]) -> None:
    found = first(world().recording(order[0]), changed(world().recording(order[1]), flip={(5, 1): 1}))
    said = "the chip's decays round towards 0 at every step; the float network does not"
    assert (found.kind, found.cause) == ("quantisation", said)


# --- ties


@pytest.mark.parametrize(("precisions", "rounding"), [
    (("float64", "float64"), "rounding"),
    (("float64", "float32"), "float32 rounding"),
    (("float32", "float64"), "float32 rounding"),
    (("loihi", "float64"), "rounding"),
])  # fmt: skip
def test_a_tie_says_so(precisions: tuple[str, str], rounding: str) -> None:
    a, b = (world().recording(precision) for precision in precisions)
    found = first(changed(a, volts={(3, 0): 1.0}), changed(b, flip={(3, 0): 1}))
    said = f"a tie: the voltage lies within {rounding} of the threshold, so the order of summation decides"
    assert (found.kind, found.tie, found.cause) == ("tie", True, said)


def with_a_tie(steps: int = 40) -> tuple[Known, Recording, Recording]:
    """Neuron 0 ties in step 2, and from there on shows another voltage."""
    known = world(steps)
    a = changed(known.recording(), volts={(2, 0): 1.0})
    b = changed(known.recording(), flip={(2, 0): 1}, volts={(step, 0): 0.0625 for step in range(2, steps)})
    return known, a, b


def test_what_a_tie_explains_is_not_where_voltages_part() -> None:
    known, a, b = with_a_tie()
    found = first(a, changed(b, flip={(5, 1): 1}), known)
    assert (found.step, found.index, found.tie, found.cause) == (5, (1,), False, AGREE)


def test_nor_what_an_earlier_tie_explains() -> None:
    """Both neurons of three have tied, one after the other; the third differs."""
    known = world(40, 3)
    a = changed(known.recording(), volts={(2, 0): 1.0, (4, 1): 1.0})
    apart = {(step, n): 0.0625 for n, start in ((0, 2), (1, 4)) for step in range(start, 40)}
    b = changed(known.recording(), flip={(2, 0): 1, (4, 1): 1, (5, 2): 1}, volts=apart)
    found = first(a, b, known)
    assert (found.step, found.index, found.cause) == (5, (2,), AGREE)


def test_after_a_tie_the_other_neurons_rule_is_still_found() -> None:
    """Neuron 1 of the other does not reset; the same population's neuron 0 has tied before."""
    known, a, b = with_a_tie()
    fires = np.flatnonzero(known.recording().spikes["if"][:, 0, 1])
    assert fires[0] == 8  # 9/8 V
    later = {(step, 1): 1 for step in range(9, 40) if not known.recording().spikes["if"][step, 0, 1]}
    found = first(a, changed(b, flip=later, volts={(step, 1): (step + 1) / 8 for step in range(8, 40)}), known)
    assert (found.step, found.kind, found.cause) == (
        9,
        "reset",
        "a different reset: it does not reset at all (node 'if')",
    )


def test_after_a_tie_float32_may_still_add_up() -> None:
    known, a, b = with_a_tie()
    b = replace(changed(b, flip={(6, 1): 1}, volts={(6, 1): 0.0}), precision="float32")
    found = first(changed(a, volts={(6, 1): 1 - 9e-5}), b, known)
    assert (found.step, found.index, found.cause) == (6, (1,), ADDED_UP)


def test_a_tie_in_another_sample_hides_nothing() -> None:
    known = Known(world().graph, {"input": np.full((8, 2, 2), 0.125)})
    a, b = known.recording(), known.recording()
    a.voltages["if"][2, 1, 0], b.spikes["if"][2, 1, 0] = 1.0, True
    b.voltages["if"][3:, 0, 0] += 0.25
    b.spikes["if"][6, 0, 0] = b.spikes["if"][7, 1, 1] = True
    found = first(a, b, known)
    assert (found.step, found.sample, found.cause) == (
        6,
        0,
        f"the voltages part first at node 'if' step 3; {UNEXPLAINED}",
    )
