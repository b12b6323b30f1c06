"""A budget holds a run by homeostasis, lets it go again, and says what it did; and as a term of the loss."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.energy import Budget, EnergyCost, estimate
from hasn.errors import OptionError
from hasn.nodes import SparseLinear
from tests.graphs import Draw, chain, graph, inp, out
from tests.unit.energy.runs import made

PJ = 1e-12
near = partial(pytest.approx, rel=1e-9, abs=0)
D = Draw(2)


def lif(n: int, v_leak: float = 0.0, threshold: float = 0.15) -> nir.LIF:
    return nir.LIF(tau=np.full(n, 10e-3), r=np.ones(n), v_leak=np.full(n, v_leak), v_threshold=np.full(n, threshold))


def busy() -> nir.NIRGraph:
    """30 inputs onto 120 neurons, a synapse each, whose spikes reach 200 each: their own spikes are what costs."""
    rng = np.random.default_rng(0)
    first = np.zeros((120, 30))
    first[np.arange(120), np.arange(120) % 30] = rng.uniform(0.6, 1.2, 120)
    net = chain(nir.Linear(first), lif(120), nir.Linear(rng.normal(0.05, 0.1, (200, 120))), lif(200), given=(30,),
                result=(200,))  # fmt: skip
    net.metadata["dt"] = 1e-3
    return net


def run(net: nir.NIRGraph, x: Any, budget: Budget) -> tuple[nir.NIRGraph, np.ndarray[Any, Any]]:
    """The graph at the end of a run under a budget, and watts of each piece."""
    found = hasn.control.run(net, x, [budget], record={"outputs": []})
    assert [action.changed != () for action in found.log] == list(
        np.diff([1.0, *(decision.scale for decision in budget.log)]) != 0
    )
    return found.graph, np.array([decision.watts for decision in budget.log])


def test_it_holds_under_an_input_that_triples_and_lets_go() -> None:
    rng = np.random.default_rng(1)
    rate = np.repeat([0.1, 0.3, 0.1], [200, 1800, 800])[:, np.newaxis, np.newaxis]
    x = rng.random((2800, 6, 30)) < rate
    net = busy()
    _, calm = run(net, x[:200], Budget(1.0))
    _, wild = run(net, x[200:400], Budget(1.0))
    assert wild.mean() > 2 * calm.mean()  # what it would do
    budget = Budget(1.15 * calm.mean())
    end, watts = run(net, x, budget)
    scales = np.array([decision.scale for decision in budget.log])
    assert watts[2] > 2 * budget.per_second  # before it was looked at
    assert np.abs(watts[14:20] / budget.per_second - 1).max() < 0.05  # held, twelve calls later
    assert (scales[:2] == 1).all()
    assert (scales[14:20] > 1.5).all()
    assert not any(decision.at_limit for decision in budget.log)
    assert [decision.step for decision in budget.log] == list(range(100, 2801, 100))
    # and recovers, to the last bit
    assert (scales[-2:] == 1).all()
    assert watts[-2:].mean() == pytest.approx(calm.mean(), rel=0.05)
    assert np.array_equal(end.nodes["n2"].v_threshold, net.nodes["n2"].v_threshold)
    assert np.array_equal(end.nodes["n1"].weight, net.nodes["n1"].weight)


def call(budget: Budget, net: nir.NIRGraph, joules: float) -> nir.NIRGraph | None:
    """One call after a piece that cost so much (TrueNorth: 26 pJ an operation)."""
    events = round(joules / (26 * PJ))
    work = hasn.counts.Operations(30, events, 600, 0, events, 0)
    return budget(net, made(connections={"w": work}, samples=1), 10 * (len(budget.log) + 1))


def test_one_call_by_hand() -> None:
    """0.26 W for 0.1 W allowed: the scale becomes 2.6^0.3. Then the mean of 0.26 and 0.52 W, 3.9 times too much."""
    net = chain(nir.Linear(np.ones((2, 3))), lif(2, v_leak=0.05, threshold=0.25), given=(3,), result=(2,))
    budget = Budget(0.1, "truenorth", smoothing=0.5)
    assert call(budget, net, 0.26 * 10e-3) is net
    scale = 2.6**0.3
    assert net.nodes["n2"].v_threshold == near(0.05 + 0.2 * scale)  # measured from rest
    assert call(budget, net, 0.52 * 10e-3) is net
    scale *= 3.9**0.3
    assert net.nodes["n2"].v_threshold == near(0.05 + 0.2 * scale)
    first, second = budget.log
    assert (first.watts, first.running, first.scale) == near((0.26, 0.26, 2.6**0.3))
    assert (second.watts, second.running, second.scale) == near((0.52, 0.39, scale))
    assert net.nodes["n1"].weight == near(1.0)
    # silence: the scale falls by its gain until the network is as it was
    for _ in range(60):
        call(budget, net, 0.0)
    assert np.array_equal(net.nodes["n2"].v_threshold, np.full(2, 0.25))
    assert call(budget, net, 0.0) is None


def test_gain_is_that_of_what_stands_behind_an_input() -> None:
    nodes = {
        "i": inp(3), "a": nir.Linear(np.full((2, 3), 0.5)), "n": lif(2), "b": nir.Linear(np.ones((2, 2))), "m": lif(2),
        "s": SparseLinear(csr_array(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))), "o": out(2),
    }  # fmt: skip
    net = graph(nodes, "i > a > n > b > m > o", "i > s > m")
    budget = Budget(0.1, "truenorth", by="gain")
    assert call(budget, net, 0.26 * 10e-3) is net
    scale = 2.6**0.3
    assert net.nodes["a"].weight == near(0.5 / scale)
    assert sorted(net.nodes["s"].weight.data) == near([1 / scale, 2 / scale])
    assert np.array_equal(net.nodes["b"].weight, np.ones((2, 2)))
    assert np.array_equal(net.nodes["n"].v_threshold, np.full(2, 0.15))
    straight = graph({"i": inp(2), "n": lif(2), "o": out(2)}, "i > n > o")
    with pytest.raises(OptionError, match="by: no weights stand behind an Input; got 'gain'; wanted 'threshold'"):
        call(Budget(0.1, "truenorth", by="gain"), straight, 1.0)
    stored = SparseLinear(csr_array(np.array([[3, 1]], dtype=np.int8)), scale=0.1, dtype="int8")
    whole = graph({"i": inp(2), "s": stored, "n": lif(1), "o": out(1)}, "i > s > n > o")
    call(Budget(0.1, "truenorth", by="gain"), whole, 0.26 * 10e-3)
    assert np.array_equal(stored.data, [3, 1])
    assert whole.nodes["s"].weight.data == pytest.approx([0.3 / scale, 0.1 / scale], rel=1e-6)  # float32


def test_what_others_change_is_kept() -> None:
    """Somebody doubles a threshold between two calls: from then on that is what the scale is of."""
    net = chain(nir.Linear(np.ones((2, 3))), lif(2, threshold=0.2), given=(3,), result=(2,))
    budget = Budget(0.1, "truenorth", smoothing=1.0)
    call(budget, net, 0.2 * 10e-3)
    net.nodes["n2"].v_threshold = net.nodes["n2"].v_threshold * 2
    call(budget, net, 0.2 * 10e-3)
    assert net.nodes["n2"].v_threshold == near(0.4 * 4**0.3)


def test_another_run_begins_anew() -> None:
    """The same budget for two runs of one graph does the same twice; a run that goes on is held on."""
    rng = np.random.default_rng(1)
    net, x = busy(), rng.random((400, 2, 30)) < 0.3
    budget = Budget(60e-6)
    one = hasn.control.run(net, x, [budget])
    two = hasn.control.run(net, x, [budget])
    scales = [decision.scale for decision in budget.log]
    assert scales[0] > 1
    assert scales[:4] == scales[4:]
    assert np.array_equal(one.graph.nodes["n2"].v_threshold, two.graph.nodes["n2"].v_threshold)
    halves = Budget(60e-6)
    first = hasn.control.run(net, x[:200], [halves])
    hasn.control.run(first.graph, x[200:], [halves], state=first.state)
    assert [decision.scale for decision in halves.log] == scales[:4]


def test_it_says_when_it_can_do_no_more() -> None:
    net = chain(nir.Linear(np.ones((2, 3))), lif(2), given=(3,), result=(2,))
    budget = Budget(1e-6, "truenorth", most=2.0)
    for _ in range(2):
        call(budget, net, 0.2 * 10e-3)
    assert [(d.scale, d.at_limit) for d in budget.log] == [(2.0, True), (2.0, True)]
    assert call(budget, net, 0.2 * 10e-3) is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"per_second": 0.0}, "per_second: makes no sense; got 0.0; wanted a number > 0"),
        ({"per_second": math.inf}, "per_second"),
        ({"per_second": math.nan}, "per_second"),
        ({"per_second": "1"}, "per_second: makes no sense; got '1'"),
        ({"gain": 0.0}, "gain: makes no sense; got 0.0; wanted a number > 0 and <= 1"),
        ({"gain": 1.5}, "gain"),
        ({"smoothing": 0.0}, "smoothing"),
        ({"smoothing": 1.1}, "smoothing"),
        ({"most": 1.0}, "most: makes no sense; got 1.0; wanted a number > 1"),
        ({"every": 0}, "every: no number of steps; got 0"),
        ({"every": 2.0}, "every"),
        ({"every": True}, "every"),
        ({"by": "luck"}, "by: nothing to turn; got 'luck'; wanted 'threshold' or 'gain'"),
        ({"profile": "loihi2"}, "its constants are unknown, so no budget can be held; got 'loihi2'"),
        ({"profile": "none"}, "there is no such profile"),
    ],
)
def test_a_budget_that_makes_no_sense(how: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Budget(**{"per_second": 1.0, **how})


# --- as a term of the loss


def activity() -> Any:
    torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
    counts = {"a": torch.tensor([[1.0, 2.0], [3.0, 0.0]], requires_grad=True), "b": torch.tensor([[4.0], [0.0]])}
    return SimpleNamespace(counts=counts, fan_out={"a": torch.tensor([10, 20]), "b": torch.tensor([0])}, steps=5)


def test_joules_an_inference() -> None:
    import torch

    batch = activity()
    operations = (1 * 10 + 2 * 20, 3 * 10)  # of the two samples
    found = EnergyCost("truenorth", weight=1e9)(batch)
    assert float(found.detach()) == pytest.approx(1e9 * 26 * PJ * sum(operations) / 2, rel=1e-6)
    (gradient,) = torch.autograd.grad(found, batch.counts["a"])
    assert gradient.numpy() == pytest.approx(1e9 * 26 * PJ / 2 * np.array([[10, 20], [10, 20]]), rel=1e-6)


def test_spikes_and_vesicles_of_tissue() -> None:
    atp = 50e3 / 6.02214076e23
    found = float(EnergyCost("attwell-laughlin-2001", weight=1e9, release_probability=0.5)(activity()).detach())
    assert found == pytest.approx(1e9 * atp * (10 * 3.84e8 + 80 * 0.5 * 163821) / 2, rel=1e-5)
    memory = EnergyCost("cmos45-snn-memory").prices
    assert memory == near((0.0, 5.9 * PJ))


def test_what_is_under_the_budget_is_free() -> None:
    """50 and 30 operations; 40 of them are free: the first sample is a quarter over."""
    batch = activity()
    found = EnergyCost("truenorth", weight=2.0, per_inference=40 * 26 * PJ)(batch)
    assert float(found.detach()) == pytest.approx(2.0 * 0.25 / 2, rel=1e-5)
    assert float(EnergyCost("truenorth", per_inference=60 * 26 * PJ)(batch).detach()) == 0


def test_training_pays_for_spikes() -> None:
    pytest.importorskip("torch", reason="the snntorch extra is not installed")
    rng = np.random.default_rng(0)
    net = chain(nir.Linear(rng.normal(0.8, 0.5, (20, 8))), lif(20), nir.Linear(rng.normal(0.3, 0.5, (3, 20))), lif(3),
                given=(8,), result=(3,))  # fmt: skip
    x, labels = rng.random((20, 24, 8)) < 0.3, np.arange(24) % 3
    cost = EnergyCost("truenorth", weight=1e11)
    trained = hasn.train(net, (x, labels), epochs=3, dt=1e-3, seed=1, learning_rate=0.05, regularisers=[cost]).graph
    plain = hasn.train(net, (x, labels), epochs=3, dt=1e-3, seed=1, learning_rate=0.05).graph
    spent = [estimate(hasn.compile(g, dt=1e-3).run(x), "truenorth").by_node()["n3"] for g in (trained, plain)]
    assert spent[0] < 0.9 * spent[1]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"per_inference": 0.0}, "per_inference: makes no sense; got 0.0; wanted joules > 0"),
        ({"per_inference": math.nan}, "per_inference"),
        ({"per_inference": "1"}, "per_inference"),
        ({"weight": -1.0}, "weight: makes no sense; got -1.0; wanted a number > 0"),
        ({"weight": math.nan}, "weight"),
        ({"release_probability": 1.1}, "release_probability: makes no sense; got 1.1; wanted 0 to 1"),
        ({"profile": "spinnaker1"}, "there is no such account; got ''; wanted Sharp 2012, Hoeppner 2019, van Albada"),
        ({"profile": "cmos45-ann"}, "nothing in it grows with spikes; got 'cmos45-ann'"),
        ({"profile": "loihi2"}, "nothing in it grows with spikes"),
    ],
)
def test_a_penalty_that_makes_no_sense(how: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        EnergyCost(**how)


def test_an_account_is_one_of_several() -> None:
    assert EnergyCost("spinnaker1", account="Sharp 2012").prices == near((0.0, 43e-9))
