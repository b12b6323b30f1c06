"""Spikes that come some steps late or early: a latency that was not taken out, an input that is late, or neither."""

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

Array = np.ndarray[Any, Any]
T, DT = 12, graphs.DT
#: Trains of 12 steps without a period, so that only one shift fits; silent at both ends.
TRAINS = {"p": "000101100000", "q": "000011010000", "r": "000110100000"}


def known(**trains: str) -> Known:
    """An Input each, shown by a Threshold of this name: two samples, of which the first is silent."""
    nodes: dict[str, nir.NIRNode] = {}
    for name in trains:
        nodes |= {f"in_{name}": graphs.inp(1), name: nir.Threshold(np.array([0.5])), f"out_{name}": graphs.out(1)}
    inputs = {f"in_{name}": np.array([[[0.0], [float(c)]] for c in train]) for name, train in trains.items()}
    return Known(graphs.graph(nodes, *(f"in_{n} > {n} > out_{n}" for n in trains)), inputs)


def shown(world: Known, **trains: str) -> Recording:
    """A recording of these trains in sample 1."""
    spikes = {name: np.array([[[False], [c == "1"]] for c in train]) for name, train in trains.items()}
    return replace(world.recording(), spikes={**world.recording().spikes, **spikes})


def late(train: str, steps: int) -> str:
    """Early if ``steps`` is negative; silent where it is not known."""
    return "0" * steps + train[:-steps] if steps > 0 else train[-steps:] + "0" * -steps


def first(world: Known, **trains: str) -> Divergence:
    found = held(world, shown(world), shown(world, **trains)).first_divergence("b")
    assert found is not None
    assert not found.tie
    return found


NO_RULE = "the voltages agree up to this step, so only the threshold or the recording of this spike differs"


@pytest.mark.parametrize("steps", [1, 2, 3, -1, -2, -3])
def test_one_nodes_latency_is_a_shift(steps: int) -> None:
    found = first(known(**TRAINS), q=late(TRAINS["q"], steps))
    way = f"{steps} step(s) late" if steps > 0 else f"{-steps} step(s) early"
    assert found.kind == "shift"
    assert found.cause == (
        f"a shift: the same spikes come {way} at node 'q' ('q' {steps:+d}): "
        "an input that arrives late, or a latency not taken out"
    )


@pytest.mark.parametrize("steps", [4, -4])
def test_more_than_three_steps_are_not_looked_for(steps: int) -> None:
    train = "000001100000"
    found = first(known(p=train), p=late(train, steps))
    assert (found.kind, found.cause) == ("unknown", NO_RULE)


def test_several_latencies_are_all_told() -> None:
    found = first(known(**TRAINS), p=late(TRAINS["p"], 1), q=late(TRAINS["q"], 3), r=late(TRAINS["r"], -2))
    assert found.kind == "shift"
    assert "come 2 step(s) early at node 'r' ('p' +1, 'q' +3, 'r' -2): an" in found.cause


def test_all_nodes_alike_are_a_late_input() -> None:
    found = first(known(**TRAINS), **{name: late(train, 2) for name, train in TRAINS.items()})
    assert found.kind == "late input"
    said = "a shift of all nodes alike, as from an input that arrives late: the same spikes come 2 step(s) late at node"
    assert found.cause.startswith(said)


def test_all_but_one_alike_are_not() -> None:
    assert first(known(**TRAINS), p=late(TRAINS["p"], 2), q=late(TRAINS["q"], 2)).kind == "shift"


def test_no_input_arrives_early() -> None:
    found = first(known(**TRAINS), **{name: late(train, -1) for name, train in TRAINS.items()})
    assert found.kind == "shift"
    assert "come 1 step(s) early at node 'p' ('p' -1, 'q' -1, 'r' -1)" in found.cause


def test_of_a_single_node_nobody_knows_whether_its_input_was_late() -> None:
    found = first(known(p=TRAINS["p"]), p=late(TRAINS["p"], 2))
    assert found.kind == "shift"


def test_a_node_that_never_spikes_is_not_shifted() -> None:
    silent = "0" * T
    found = first(known(**TRAINS, s=silent), **{name: late(train, 1) for name, train in TRAINS.items()})
    assert found.kind == "shift"
    assert "'s'" not in found.cause


def test_a_train_so_even_that_a_shift_would_not_show_is_not_shifted() -> None:
    found = first(known(**TRAINS, s="1" * T), p=late(TRAINS["p"], 1))
    assert "at node 'p' ('p' +1): an" in found.cause


def test_a_late_train_is_silent_before_it() -> None:
    """Each spike of the reference comes a step late, but there is one more, in step 0."""
    found = first(known(p=TRAINS["p"], q=TRAINS["q"]), p="1" + late(TRAINS["p"], 1)[1:])
    assert found.kind == "unknown"


def test_one_more_spike_is_no_shift() -> None:
    assert first(known(**TRAINS), q=late(TRAINS["q"], 1)[:-1] + "1").kind == "unknown"


def test_of_two_shifts_that_fit_the_late_one_is_told() -> None:
    """Every other step: a step late, or a step early."""
    found = first(known(p="101010101010"), p="010101010101")
    assert "come 1 step(s) late at node 'p' ('p' +1)" in found.cause


def test_the_other_samples_trains_do_not_count() -> None:
    """Sample 0 is silent in both, and flipped nowhere: the shift is sample 1's."""
    world = known(**TRAINS)
    a, b = shown(world), shown(world, p=late(TRAINS["p"], 1))
    b.spikes["q"][5, 0] = True
    found = held(world, a, b).first_divergence("b")
    assert found is not None
    assert (found.kind, found.sample) == ("shift", 1)


# --- beside a rule that is replayed


def populations(bias: float) -> Known:
    """Two LIF populations in a row, with or without a bias."""
    draw = graphs.Draw(3)
    nodes = (draw.affine(4, 6, bias=bias), draw.lif(4, v_leak=0.0), draw.linear(3, 4), draw.lif(3, v_leak=0.0))
    return Known(graphs.chain(*nodes, given=(6,), result=(3,)), {"input": graphs.spikes((6,), 30, 2)})


def moved(recording: Recording, by: dict[str, int]) -> Recording:
    """The recording as it would look if some nodes' latency had not been taken out."""

    def one(array: Array, steps: int) -> Array:
        return np.concatenate([np.zeros_like(array[:steps]), array[: len(array) - steps]])

    spikes = {node: one(array, by.get(node, 0)) for node, array in recording.spikes.items()}
    voltages = {node: one(array, by.get(node, 0)) for node, array in recording.voltages.items()}
    return replace(recording, spikes=spikes, voltages=voltages)


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_a_latency_beats_the_late_input_that_would_explain_the_first_population(bias: float) -> None:
    world = populations(bias)
    found = held(world, world.recording(), moved(world.recording(), {"n2": 1, "n4": 2})).first_divergence("b")
    assert found is not None
    assert found.kind == "shift"
    assert "('n2' +1, 'n4' +2)" in found.cause


def test_all_alike_behind_a_late_input_are_told_as_such() -> None:
    world = populations(0.0)
    found = held(world, world.recording(), moved(world.recording(), {"n2": 2, "n4": 2})).first_divergence("b")
    assert found is not None
    assert (found.kind, "a shift of all nodes alike" in found.cause) == ("late input", True)


def test_with_a_bias_a_late_input_is_no_shift() -> None:
    world = populations(0.6)
    x = world.inputs["input"]
    late_run = Known(world.graph, {"input": np.concatenate([0 * x[:1], x[:-1]])})
    found = held(world, world.recording(), late_run.recording()).first_divergence("b")
    assert found is not None
    assert (found.kind, found.cause) == (
        "late input",
        "an input that arrives 1 step(s) late: it saw it 1 step(s) after the Program (node 'n2')",
    )


@pytest.mark.parametrize(("steps", "kind"), [(3, "shift"), (2, "late input"), (-3, "late input")])
@pytest.mark.parametrize("way", [1, -1])
def test_a_train_that_happens_to_look_shifted_does_not_hide_a_late_input(steps: int, kind: str, way: int) -> None:
    """A readout that saw its input 3 steps late; the Threshold behind it cannot be less late than that."""
    li = nir.LI(tau=np.array([4 * DT]), r=np.array([1.0]), v_leak=np.array([0.0]))
    nodes = {"input": graphs.inp(1), "li": li, "t": nir.Threshold(np.array([0.6])), "output": graphs.out(1)}
    x = np.array([[[float(c)]] for c in "000001111110000000000000"])  # 0.6 is passed in step 8
    world = Known(graphs.graph(nodes, "input > li > t > output"), {"input": x})
    train = "".join("01"[int(s)] for s in world.recording().spikes["t"].flat)
    assert train.count("1") > 3
    wrong = Known(world.graph, {"input": np.concatenate([0 * x[:3], x[:-3]])}).recording()
    wrong = replace(wrong, spikes={"t": np.array([[[c == "1"]] for c in late(train, steps)])})
    both = (world.recording(), wrong)
    found = held(world, *both[::way]).first_divergence("b")
    assert found is not None
    assert found.kind == kind, found.cause
    if kind == "late input":
        who = "it" if way == 1 else "the reference"
        assert found.cause.endswith(f": {who} saw it 3 step(s) after the Program (node 'li')")
