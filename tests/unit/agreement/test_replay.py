"""A population run again on what a recording shows of its sources: as the reference ran it, and under changed rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hasn.agreement.replay import Replay, voltages
from hasn.program.model import Neurons, Threshold
from tests import graphs
from tests.unit.agreement.known import Known
from tests.unit.agreement.random_runs import known_runs, same_every_time

DT = graphs.DT
Array = np.ndarray[Any, Any]


@same_every_time(25)
@given(known_runs(st.integers(1, 12)))
def test_replayed_a_population_does_what_it_did(known: Known) -> None:
    """Voltages of neurons, and what Threshold nodes saw, in every sample of random networks."""
    steps, batch = known.shape
    for sample in range(batch):
        replay = Replay(known.network, known.inputs, known.recording(), sample, steps)
        for spec in known.program.of(Neurons, Threshold):
            found, wanted = replay.arriving(spec.name), known.seen.get(spec.name)
            if isinstance(spec, Neurons):
                found, wanted = voltages(spec, found), known.wanted.voltages[spec.name]
            assert wanted is not None
            scale = max(1.0, known.wanted.scale)
            # float64: a replay of a few steps of sums over at most 24 elements
            np.testing.assert_allclose(found, wanted[:, sample].reshape(steps, -1), rtol=0, atol=1e-11 * scale)


def arriving(*paths: str, x: list[float], name: str = "t", recorded: bool = True, **how: Any) -> list[float]:
    """What arrives at a Threshold of one element: of the Input, a bias, a leaky sum, a delay, a readout, another."""
    nodes: dict[str, nir.NIRNode] = {
        "input": graphs.inp(1),
        "w": nir.Affine(np.array([[0.3]]), np.array([10.0])),
        "loop": nir.Scale(np.array([0.5])),
        "first": nir.Scale(np.array([0.5])),
        "delay": nir.Delay(np.array([2 * DT])),
        "li": nir.LI(tau=np.array([2 * DT]), r=np.array([1.0]), v_leak=np.array([0.0])),
        "s": nir.Threshold(np.array([0.5])),
        "t": nir.Threshold(np.array([100.0])),
        "output": graphs.out(1),
    }
    used = {node.strip() for path in paths for node in path.split(">")} | {"output"}
    graph = graphs.graph({name: node for name, node in nodes.items() if name in used}, *paths, "t > output")
    known = Known(graph, {"input": np.array([[[0.0], [v]] for v in x])})
    recording = known.recording() if recorded else replace(known.recording(), voltages={}, spikes={})
    return [
        round(float(v), 9)
        for v in Replay(known.network, known.inputs, recording, 1, len(x)).arriving(name, **how)[:, 0]
    ]


def halved(weights: Array) -> Array:
    return weights / 2


X = [1.0, 2.0, 0.0, 4.0]


def test_inputs_biases_and_delays() -> None:
    assert arriving("input > t", x=X) == X
    assert arriving("input > w > t", x=X) == [10.3, 10.6, 10.0, 11.2]
    assert arriving("input > delay > t", x=X) == [0.0, 0.0, 1.0, 2.0]
    assert arriving("input > w > delay > t", x=X) == [0.0, 0.0, 10.3, 10.6]
    assert arriving("input > delay > t", x=X[:2]) == [0.0, 0.0]


def test_inputs_alone_come_late() -> None:
    assert arriving("input > t", x=X, inputs_late=1) == [0.0, 1.0, 2.0, 0.0]
    assert arriving("input > w > t", x=X, inputs_late=3) == [10.0, 10.0, 10.0, 10.3]
    assert arriving("input > delay > t", x=X, inputs_late=1) == [0.0, 0.0, 0.0, 1.0]
    assert arriving("input > s > t", x=X, inputs_late=1) == [1.0, 1.0, 0.0, 1.0]
    assert arriving("input > t", x=X, inputs_late=4) == [0.0] * 4


def test_without_its_bias() -> None:
    assert arriving("input > w > t", x=X, with_drive=False) == [0.3, 0.6, 0.0, 1.2]


def test_with_other_weights() -> None:
    assert arriving("input > w > t", x=X, rounding=halved) == [10.15, 10.3, 10.0, 10.6]
    assert arriving("input > w > t", x=X) == [10.3, 10.6, 10.0, 11.2]  # the network's own are not changed


def test_a_stateless_loop_sums_step_by_step() -> None:
    """y[t] = (x[t] + y[t-1]) / 2."""
    assert arriving("input > loop > t", "loop > loop", x=X) == [0.5, 1.25, 0.625, 2.3125]
    assert arriving("input > loop > t", "loop > loop", x=X, inputs_late=1) == [0.0, 0.5, 1.25, 0.625]


def test_stateless_loops_in_a_row_pass_on_in_the_same_step() -> None:
    """The first as above; y[t] = (first[t] + y[t-1]) / 2 behind it."""
    found = arriving("input > first > loop > t", "first > first", "loop > loop", x=X)
    assert found == [0.25, 0.75, 0.6875, 1.5]
    assert arriving("input > loop > first > t", "first > first", "loop > loop", x=X) == found


def test_a_bias_in_a_stateless_loop() -> None:
    """y[t] = 0.3 x[t] + 10 + y[t-3], the feedback edge's own step and the delay's two."""
    assert arriving("input > w > t", "w > delay > w", x=X) == [10.3, 10.6, 10.0, round(0.3 * (4.0 + 10.3) + 10.0, 9)]


def test_weights_in_a_stateless_loop_are_rounded_too() -> None:
    """Halved are the weights from the Input and back (1/2 each); the loop's value reaches the Threshold by 1."""
    half = arriving("input > loop > t", "loop > loop", x=X, rounding=lambda w: np.where(w == 0.5, 0.25, w))
    assert half == [0.25, 0.5625, 0.140625, 1.03515625]


def test_an_output_that_is_read_on_passes_on_what_it_sums() -> None:
    assert arriving("input > output", "li > output > t", "input > li", x=X) == [1.5, 3.25, 0.625, 6.3125]


def test_spikes_of_thresholds_and_voltages_of_readouts_are_sent() -> None:
    assert arriving("input > s > t", x=[0.4, 0.6, 0.5, 2.0]) == [0.0, 1.0, 0.0, 1.0]
    assert arriving("input > li > t", x=X) == [0.5, 1.25, 0.625, 2.3125]


def test_what_was_not_recorded_is_not_known() -> None:
    assert np.isnan(arriving("input > li > t", x=X, recorded=False)).all()
    assert np.isnan(arriving("input > s > delay > t", x=X, recorded=False)).tolist() == [False, False, True, True]
    assert arriving("input > t", "input > s", x=X, recorded=False) == X
