"""Rules as data: what they say, what they refuse, and each one's known signature, on snnTorch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.errors import GraphError, InputError, OptionError, ParameterError, UnsupportedError
from hasn.nodes import SparseLinear
from hasn.plasticity import BCM, STDP, InhibitorySTDP, Oja, RewardSTDP, Rule, Trace, TripletSTDP, attach, detach
from hasn.plasticity.formula import products

DT = 1e-3


def follower(inputs: int, outputs: int, weight: Any) -> nir.NIRGraph:
    """Cells that spike where the input "teacher" does, whatever the plastic connection brings (it is too weak)."""
    cells = nir.LIF(
        np.full(outputs, DT), np.ones(outputs), np.zeros(outputs), np.full(outputs, 50.0), np.zeros(outputs)
    )
    nodes = {
        "input": nir.Input(np.array([inputs])),
        "teacher": nir.Input(np.array([outputs])),
        "force": nir.Linear(100.0 * np.eye(outputs)),
        "fc1": nir.Linear(np.full((outputs, inputs), float(weight))),
        "cells": cells,
        "output": nir.Output(np.array([outputs])),
    }
    edges = [("input", "fc1"), ("fc1", "cells"), ("teacher", "force"), ("force", "cells"), ("cells", "output")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


def learned(rule: Rule, pre: list[int], post: list[int], steps: int = 400, start: float = 0.5) -> float:
    """The change of a weight when its source spikes at these steps, and its target at those."""
    x, y = np.zeros((steps, 1)), np.zeros((steps, 1))
    x[pre], y[post] = 1.0, 1.0
    with hasn.compile(attach(follower(1, 1, start), "fc1", rule)) as executable:
        got = executable.run({"input": x, "teacher": y})
        assert np.flatnonzero(got.spikes["cells"]).tolist() == sorted(post)
        return float(executable.weights("fc1")[0, 0]) - start


# --- signatures


@pytest.mark.parametrize("apart", [-60, -20, -1, 0, 1, 20, 60])
def test_the_window_of_stdp(apart: int) -> None:
    """dw = a_plus exp(-dt/tau_plus) for a source before its target, -a_minus exp(dt/tau_minus) for one behind it."""
    rule = STDP(0.01, 0.02, 15e-3, 30e-3)
    wanted = 0.0
    if apart:
        wanted = 0.01 * math.exp(-apart / 15) if apart > 0 else -0.02 * math.exp(apart / 30)
    assert learned(rule, [100], [100 + apart]) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_pairs_all_to_all_and_nearest() -> None:
    """Two spikes of a source before one of its target: both count, or the last alone."""
    near, far = math.exp(-5 / 20), math.exp(-15 / 20)
    assert learned(STDP(0.01, 0.0), [90, 100], [105]) == pytest.approx(0.01 * (near + far), rel=1e-12)
    assert learned(STDP(0.01, 0.0, pairs="nearest"), [90, 100], [105]) == pytest.approx(0.01 * near, rel=1e-12)


def test_soft_bounds_scale_with_what_is_left() -> None:
    rule = STDP(0.1, 0.1, w_min=0.2, w_max=1.0, dependence="multiplicative")
    assert learned(rule, [100], [110]) == pytest.approx(0.1 * (1.0 - 0.5) * math.exp(-0.5), rel=1e-12)
    assert learned(rule, [110], [100]) == pytest.approx(-0.1 * (0.5 - 0.2) * math.exp(-0.5), rel=1e-12)


def test_hard_bounds_hold() -> None:
    trains = list(range(10, 390, 10)), list(range(12, 390, 10))
    assert learned(STDP(0.5, 0.0, w_min=0.0, w_max=0.7), *trains) == pytest.approx(0.2)
    assert learned(STDP(0.0, 0.5, w_min=0.1, w_max=0.7), *trains) == pytest.approx(-0.4)


#: Changes after 60 pairs 10 ms apart, source first, at a rate in Hz, and their standard errors: the data of Sjostrom,
#: Turrigiano & Nelson 2001 that Pfister & Gerstner 2006 fit.
SJOSTROM = {0.1: (-0.04, 0.05), 10: (0.14, 0.1), 20: (0.29, 0.14), 40: (0.53, 0.11), 50: (0.56, 0.26)}


def test_triplets_depend_on_the_rate_as_in_the_cortex() -> None:
    """Pairing at +10 ms potentiates more the faster it goes on, and at -10 ms depresses slowly, potentiates fast."""
    rates = (1, 10, 20, 40, 50)  # at 1 Hz all traces are as gone as at 0.1 Hz: 5 pairs there count for 60
    x, y = np.zeros((2, 6600, 10, 1))
    for i, (rate, sign) in enumerate((rate, sign) for sign in (1, -1) for rate in rates):
        first = 200 + round(1 / (rate * DT)) * np.arange(5 if rate == 1 else 60)
        x[first, i], y[first + sign * 10, i] = 1.0, 1.0
    with hasn.compile(attach(follower(1, 1, 0.5), "fc1", TripletSTDP())) as executable:
        got = executable.run({"input": x, "teacher": y})
        np.testing.assert_array_equal(got.spikes["cells"], y)
        change = (executable.weights("fc1")[:, 0, 0] - 0.5).reshape(2, 5) * [12, 1, 1, 1, 1]
    for found, (wanted, error) in zip(change[0], SJOSTROM.values(), strict=True):
        assert abs(found - wanted) < 2 * error
    assert np.all(np.diff(change[0]) > 0)
    assert change[1, :3].max() < 0 < 0.1 < change[1, -1]


def test_oja_finds_the_first_principal_component() -> None:
    rng = np.random.default_rng(1)
    angle = 0.6
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    x = (rng.standard_normal((6000, 2)) * [2.0, 0.5]) @ turn.T
    unit = nir.LI(np.full(1, DT), np.ones(1), np.zeros(1))
    nodes = {"input": nir.Input(np.array([2])), "fc1": nir.Linear(np.array([[0.3, -0.4]])), "unit": unit}
    nodes["output"] = nir.Output(np.array([1]))
    edges = [("input", "fc1"), ("fc1", "unit"), ("unit", "output")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    with hasn.compile(attach(graph, "fc1", Oja(2e-3))) as executable:
        executable.run(x)
        weight = executable.weights("fc1")[0]
    between = math.degrees(math.acos(abs(weight @ turn[:, 0]) / np.linalg.norm(weight)))
    assert between < 5
    assert np.linalg.norm(weight) == pytest.approx(1.0, abs=0.05)


def test_a_late_reward_goes_to_the_right_synapse() -> None:
    """The distal reward problem: pairs at one synapse are rewarded half a second later, pairs at the other are not."""
    rng = np.random.default_rng(2)
    steps = 20_000
    x, y, reward = np.zeros((steps, 2)), np.zeros((steps, 2)), np.zeros(steps)
    for start in range(100, steps - 1000, 1000):
        which = rng.integers(2)
        x[start, which], y[start + 5, which] = 1.0, 1.0
        if which == 0:
            reward[start + 300 + rng.integers(200)] = 1.0
    rule = RewardSTDP(0.1, 0.1, tau_eligibility=0.3)
    with hasn.compile(attach(follower(2, 2, 0.5), "fc1", rule)) as executable:
        executable.run({"input": x, "teacher": y}, modulators={"reward": reward})
        change = executable.weights("fc1") - 0.5
    assert change[0, 0] > 0.1
    assert abs(change[1, 1]) < 0.1 * change[0, 0]


@pytest.mark.parametrize("favoured", [0, 1])
def test_bcm_chooses_one_of_two_patterns(favoured: int) -> None:
    """From nearly equal weights, the cell comes to answer one pattern alone, the one that it answered a little better.

    Both drive it at first; with a threshold that did not slide, both would win or both would lose.
    """
    rng = np.random.default_rng(4)
    patterns = np.array([[0.2] * 5 + [0.0] * 5, [0.0] * 5 + [0.2] * 5])
    x = np.concatenate([rng.random((200, 10)) < patterns[i % 2] for i in range(50)]).astype(float)
    cells = nir.LIF(np.full(1, 20e-3), np.full(1, 20.0), np.zeros(1), np.ones(1), np.zeros(1))
    weight = 0.08 + 0.02 * rng.random((1, 10))
    weight[0, 5 * favoured : 5 * favoured + 5] += 0.01
    nodes = {"input": nir.Input(np.array([10])), "fc1": nir.Linear(weight), "cells": cells}
    nodes["output"] = nir.Output(np.array([1]))
    edges = [("input", "fc1"), ("fc1", "cells"), ("cells", "output")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    rule = BCM(4e-4, tau_rate=50e-3, tau_threshold=0.4, rate=40.0, w_min=0.0, w_max=2.0)
    with hasn.compile(attach(graph, "fc1", rule)) as executable:
        got = executable.run(x).spikes["cells"].reshape(25, 2, 200).sum(2)
    assert got[:3].min() > 0
    assert got[-5:, favoured].min() > 8
    assert got[-5:, 1 - favoured].max() == 0


def test_inhibition_holds_the_rate() -> None:
    """Vogels et al. 2011: inhibition that learns brings the target to its rate, from above and from below."""
    rng = np.random.default_rng(5)
    for drive in (0.08, 0.16):
        cells = nir.LIF(np.full(1, 20e-3), np.full(1, 20.0), np.zeros(1), np.ones(1), np.zeros(1))
        nodes = {
            "input": nir.Input(np.array([20])),
            "inhibition": nir.Input(np.array([20])),
            "excite": nir.Linear(np.full((1, 20), 0.12)),
            "fc1": nir.Linear(np.full((1, 20), -0.01)),
            "cells": cells,
            "output": nir.Output(np.array([1])),
        }
        edges = [("input", "excite"), ("excite", "cells"), ("inhibition", "fc1"), ("fc1", "cells"), ("cells", "output")]
        graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
        rule = InhibitorySTDP(-1e-2, rate=8.0, w_max=0.0)
        inputs = {name: (rng.random((20_000, 20)) < drive).astype(float) for name in ("input", "inhibition")}
        with hasn.compile(attach(graph, "fc1", rule)) as executable:
            got = executable.run(inputs)
        rate = got.spikes["cells"][8_000:].sum() / 12.0
        assert rate == pytest.approx(8.0, rel=0.15), drive


# --- as data


def test_a_rule_survives_a_file(tmp_path: Path) -> None:
    rule = replace(RewardSTDP(w_min=-1.0, w_max=2.0), every=3, batch_learning="mean")
    graph = attach(follower(2, 2, 0.5), "fc1", rule)
    hasn.save(graph, tmp_path / "net.nir")
    loaded = hasn.lower(hasn.load(tmp_path / "net.nir")).learning["fc1"]
    assert loaded == hasn.lower(graph).learning["fc1"]
    assert (loaded.every, loaded.shared, loaded.low, loaded.high) == (3, True, -1.0, 2.0)
    assert nir.read(tmp_path / "net.nir").nodes["fc1"].weight.shape == (2, 2)  # other tools read the file


def test_the_callers_graph_stays() -> None:
    graph = follower(1, 1, 0.5)
    made = attach(graph, "fc1", STDP())
    assert "plasticity" not in graph.nodes["fc1"].metadata
    assert "plasticity" not in detach(made, "fc1").nodes["fc1"].metadata
    assert "plasticity" in made.nodes["fc1"].metadata


def test_to_nir_has_what_was_learned() -> None:
    graph = attach(follower(1, 1, 0.5), "fc1", STDP(0.1, 0.1))
    x, y = np.zeros((50, 1)), np.zeros((50, 1))
    x[10], y[15] = 1.0, 1.0
    with hasn.compile(graph) as executable:
        executable.run({"input": x, "teacher": y})
        made = executable.to_nir()
    assert made.nodes["fc1"].weight[0, 0] == pytest.approx(0.5 + 0.1 * math.exp(-5 / 20), rel=1e-12)
    assert graph.nodes["fc1"].weight[0, 0] == 0.5


def test_samples_that_part_have_no_graph() -> None:
    graph = attach(follower(1, 1, 0.5), "fc1", STDP(0.1, 0.1))
    x = np.zeros((50, 2, 1))
    x[10, 0] = x[20, 1] = 1.0
    y = np.zeros((50, 2, 1))
    y[25] = 1.0
    with hasn.compile(graph) as executable:
        executable.run({"input": x, "teacher": y})
        with pytest.raises(OptionError, match=r"fc1.*2 samples has learned weights of its own.*batch_learning='mean'"):
            executable.to_nir()


def test_a_formula_is_a_sum_of_products() -> None:
    found = {p.names: p.factor for p in products("a*x*post - (b + 2)*y*pre/4 + x*x**2", {"a": 3.0, "b": 4.0}, "")}
    assert found == {("post", "x"): 3.0, ("pre", "y"): -1.5, ("x", "x", "x"): 1.0}


@pytest.mark.parametrize(
    "text", ["x / y", "exp(x)", "x if y else z", "x < y", "'x'", "x ** 0.5", "x +", "", "True * x", "(" * 500]
)
def test_other_formulas_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="not a sum of products"):
        Rule(text, traces={"x": Trace("pre", 1.0), "y": Trace("post", 1.0)})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"update": "x * post"}, r"reads what is not defined; got 'x'.*trace, a constant or a modulator"),
        (
            {"update": "post", "traces": {"x": Trace("z", 1.0)}},
            r"x.feed: the formula reads what is not defined; got 'z'",
        ),
        ({"update": "w_max - w"}, r"a bound that is not there; got 'w_max'.*Give w_max"),
        ({"update": "post", "traces": {"pre": Trace("post", 1.0)}}, r"the trace's name is taken; got 'pre'"),
        ({"update": "k * post", "constants": {"k": math.nan}}, r"k: not a number"),
        ({"update": "post", "w_min": 1.0, "w_max": 0.0}, r"the bounds leave no weight; got 1.0 .. 0.0"),
        ({"update": "x", "traces": {"x": Trace("pre", 0.0)}}, r"x.tau: no time constant; got 0.0"),
        ({"update": "post", "every": 0}, r"every: no number of steps; got 0"),
        ({"update": "post", "batch_learning": "sum"}, r"no such learning; got 'sum'"),
        ({"update": "a", "traces": {"a": Trace("b", 1.0), "b": Trace("a", 1.0)}}, r"feed each other in a ring"),
        ({"update": "k * 1e300 * 1e300", "constants": {"k": 1.0}}, r"factor is not finite"),
    ],
)
def test_rules_without_meaning_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Rule(**fields)


def test_what_does_not_fit_the_graph_is_found() -> None:
    sparse = SparseLinear(csr_array(np.eye(2)), dtype="int8")
    delayed = follower(1, 1, 0.5)
    delayed.nodes["late"] = nir.Delay(np.array([2e-3]))
    delayed.edges = [e for e in delayed.edges if e != ("fc1", "cells")] + [("fc1", "late"), ("late", "cells")]
    silent = follower(1, 1, 0.5)
    silent.nodes["cells"] = nir.LI(np.full(1, DT), np.ones(1), np.zeros(1))
    eight = follower(2, 2, 0.5)
    eight.nodes["fc1"] = sparse
    cases = [
        (attach(follower(1, 1, 3.0), "fc1", STDP(w_min=0.0, w_max=1.0)), ParameterError, r"leave out 1 of 1 weights"),
        (attach(follower(1, 1, 0.5), "cells", STDP()), ParameterError, r"cells.*this node cannot learn; got LIF"),
        (attach(delayed, "fc1", STDP()), GraphError, r"feeds one population.*got edges to late.*before the connection"),
        (attach(silent, "fc1", STDP()), GraphError, r"reads post, and 'cells' does not spike"),
        (attach(eight, "fc1", STDP()), ParameterError, r"floating numbers; got int8.*float32"),
        (
            attach(follower(1, 1, 0.5), "fc1", RewardSTDP(modulator="teacher")),
            GraphError,
            r"name of a node; got 'teacher'",
        ),
    ]
    for graph, kind, message in cases:
        (found,) = [f for f in hasn.check(graph) if f.severity == "error"]
        with pytest.raises(kind, match=message):
            hasn.compile(graph)
        assert found.node in ("fc1", "cells")


def test_metadata_that_are_no_rule_are_named() -> None:
    for broken in ({"update": 3}, {"nonsense": 1}, "text", {"update": "q * pre"}, {"update": "pre", "every": "x"}):
        graph = follower(1, 1, 0.5)
        graph.nodes["fc1"].metadata["plasticity"] = broken
        (found,) = [f for f in hasn.check(graph) if f.severity == "error"]
        assert (found.node, found.parameter) == ("fc1", "metadata['plasticity']")


def test_modulators_are_asked_for_and_no_others() -> None:
    x = {"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}
    with hasn.compile(attach(follower(1, 1, 0.5), "fc1", RewardSTDP())) as executable:
        with pytest.raises(InputError, match=r"modulator is not supplied; got 'reward'.*modulators="):
            executable.run(x)
        with pytest.raises(InputError, match=r"no rule reads such a modulator; got 'novelty'"):
            executable.run(x, modulators={"reward": np.zeros(5), "novelty": np.zeros(5)})
        with pytest.raises(InputError, match=r"modulators\['reward'\].*got \(4,\)"):
            executable.run(x, modulators={"reward": np.zeros(4)})
        with pytest.raises(InputError, match=r"modulators\['reward'\].*got \(3,\)"):
            executable.run({**x, "reward": np.zeros(3)})  # beside the inputs, as in a file
    with hasn.compile(follower(1, 1, 0.5)) as executable, pytest.raises(InputError, match="no rule reads"):
        executable.run(x, modulators={"reward": np.zeros(5)})


def test_what_cannot_learn_yet_says_so() -> None:
    graph = attach(follower(1, 1, 0.5), "fc1", STDP())
    with pytest.raises(UnsupportedError, match=r"fc1.*no integers here yet"):
        hasn.compile(graph, precision="loihi")
    with pytest.raises(UnsupportedError, match=r"fc1.*not trained by gradients.*detach"):
        hasn.train(graph, {"inputs": np.zeros((4, 5, 1, 1)), "labels": np.zeros(4)}, epochs=1)


def test_weights_are_asked_for_by_name() -> None:
    with hasn.compile(attach(follower(1, 1, 0.5), "fc1", STDP())) as executable:
        with pytest.raises(OptionError, match=r"no connection of that name learns; got 'force'.*wanted fc1"):
            executable.weights("force")
        with pytest.raises(OptionError, match=r"weights"):
            executable.run({"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}, record={"weights": ["force"]})
    with hasn.compile(follower(1, 1, 0.5)) as executable, pytest.raises(OptionError, match="weights"):
        executable.run({"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}, record=("weights",))
