"""Populations that never or always spike: named, with a gain that mends it; and weights set by it."""

from __future__ import annotations

import warnings
from typing import Any

import nir
import numpy as np
import pytest

import hasn
import hasn.models
from hasn.activity import feeding, gain_for
from hasn.errors import OptionError
from hasn.ir.structure import flatten
from tests.unit.backends.snntorch.training.calls import recurrent
from tests.unit.backends.snntorch.training.task import net, samples

INPUTS, LABELS = samples(16, steps=20)


def faint(factor: float, name: str = "w1") -> nir.NIRGraph:
    """The task's net with weights of one connection times a factor."""
    graph = net()
    graph.nodes[name].weight = graph.nodes[name].weight * factor
    if name == "w1":
        graph.nodes[name].bias = graph.nodes[name].bias * factor
    return graph


def rate_of(graph: nir.NIRGraph, name: str) -> float:
    return float(hasn.compile(graph).run(INPUTS).spikes[name].mean())


def doubtful(graph: nir.NIRGraph) -> dict[str, Any]:
    return {found.node: found for found in hasn.check(graph, inputs=INPUTS) if "on these inputs" in found.message}


def test_what_lives_is_not_named() -> None:
    assert doubtful(net()) == {}
    assert [f for f in hasn.check(net()) if f.severity == "error"] == []


def test_a_dead_population_and_what_it_leaves_silent() -> None:
    """w1 1000 times too faint: hidden is dead and the gain some 1000; the last one's own gain helps nothing."""
    found = doubtful(faint(1e-3))
    assert set(found) == {"hidden", "last"}
    hidden, last = found["hidden"], found["last"]
    assert (hidden.severity, hidden.message) == ("warning", "never spikes on these inputs (20 steps)")
    assert hidden.repair.startswith("Multiply the weights of w1 by ")
    gain = float(hidden.repair.split(" by ")[1].split(" (")[0])
    assert rate_of(faint(1e-3 * gain), "hidden") == pytest.approx(0.1, abs=0.02)
    assert "No gain of its weights changes that: look at what comes before it." in last.repair


@pytest.mark.parametrize("dead", [8, 9])
def test_a_population_most_of_which_is_dead(dead: int) -> None:
    """Of 16; half is no more than half. One sample without a batch counts as one with."""
    graph = net()
    graph.nodes["w1"].weight[:dead], graph.nodes["w1"].bias[:dead] = 0.0, 0.0
    graph.nodes["w1"].weight[dead:] = 1.0
    for inputs in (INPUTS, INPUTS[:, 0], {"in": INPUTS}):
        found = {f.node: f for f in hasn.check(graph, inputs=inputs) if "on these inputs" in f.message}
        assert ("hidden" in found) is (dead > 8)
        if dead > 8:
            assert (found["hidden"].severity, found["hidden"].message[:30]) == (
                "note",
                "9 of 16 neurons never spike on",
            )


def test_a_saturated_population() -> None:
    graph = net()
    graph.nodes["w1"].weight = np.full((16, 12), 500.0)
    graph.nodes["w1"].bias = np.full(16, 1000.0)
    found = doubtful(graph)["hidden"]
    assert found.message == "spikes at every step on these inputs (20 steps)"
    assert 0 < float(found.repair.split(" by ")[1].split(" (")[0]) < 0.1


def test_the_recurrence_is_not_scaled() -> None:
    assert feeding(flatten(recurrent()), "hidden") == ["w1"]
    assert feeding(flatten(net()), "last") == ["w2"]


def test_a_gain_is_none_where_none_brings_the_rate() -> None:
    assert gain_for(faint(0.0), INPUTS, "hidden", 0.1) is None


@pytest.mark.parametrize("make", [lambda: faint(1e-3), lambda: faint(300.0), lambda: faint(1e-4, "w2"), recurrent])
def test_weights_are_set_to_a_rate(make: Any) -> None:
    """All populations; the rate is a step function of the gain, 3 neurons in 20 steps of 16 samples: to a tenth."""
    graph = make()
    before = graph.nodes["w1"].weight.copy()
    made = hasn.models.initialise(graph, INPUTS, rate=0.15)
    for name in ("hidden", "last"):
        assert rate_of(made, name) == pytest.approx(0.15, abs=0.02)
    np.testing.assert_array_equal(graph.nodes["w1"].weight, before)
    assert doubtful(made) == {}
    ratio = made.nodes["w1"].weight / before
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-12)  # one gain
    assert made.metadata["dt"] == graph.metadata["dt"]


def test_a_rate_by_population() -> None:
    made = hasn.models.initialise(net(), INPUTS, rate={"last": 0.3})
    assert rate_of(made, "last") == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(made.nodes["w1"].weight, net().nodes["w1"].weight)


def test_rates_that_cannot_be() -> None:
    for rate, words in (
        ({"nobody": 0.1}, "rate: no such spiking population; got 'nobody'; wanted hidden, last"),
        (1.0, r"node 'hidden' rate: no such rate; got 1.0; wanted 0 < rate < 1"),
        (float("nan"), "no such rate"),
    ):
        with pytest.raises(OptionError, match=words):
            hasn.models.initialise(net(), INPUTS, rate=rate)
    with pytest.raises(OptionError, match="node 'hidden' rate: no gain of its weights brings the population"):
        hasn.models.initialise(faint(0.0), INPUTS)


def test_training_warns_once_of_a_population_that_stays_silent() -> None:
    with pytest.warns(RuntimeWarning, match=r"^last never spiked in epoch 1; hasn\.check\(graph, inputs=x\)") as said:
        hasn.train(faint(1e-4, "w2"), (INPUTS, LABELS), epochs=3, learning_rate=1e-9)
    assert len([w for w in said if "never spiked" in str(w.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hasn.train(net(), (INPUTS, LABELS), epochs=2)
    full = net()
    full.nodes["w1"].bias = np.full(16, 1000.0)
    with pytest.warns(RuntimeWarning, match="hidden spiked at every step in epoch 1"):
        hasn.train(full, (INPUTS, LABELS), epochs=1)
