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
from benchmarks.signatures import (
    DT,
    SJOSTROM,
    balance,
    component,
    distal_reward,
    follower,
    learned,
    selectivity,
    triplets,
)
from hasn.errors import GraphError, InputError, OptionError, ParameterError, UnsupportedError
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, RewardSTDP, Rule, Trace, attach, detach
from hasn.plasticity.formula import formula


def plain(inputs: int, outputs: int) -> nir.NIRGraph:
    """The network of the experiments, without a rule."""
    return detach(follower(inputs, outputs, 0.5, STDP()), "fc1")


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


def test_triplets_depend_on_the_rate_as_in_the_cortex() -> None:
    """Pairing at +10 ms potentiates more the faster it goes on, and at -10 ms depresses slowly, potentiates fast."""
    _rates, change = triplets()
    for found, (wanted, error) in zip(change[0], SJOSTROM.values(), strict=True):
        assert abs(found - wanted) < 2 * error
    assert np.all(np.diff(change[0]) > 0)
    assert change[1, :3].max() < 0 < 0.1 < change[1, -1]


def test_oja_finds_the_first_principal_component() -> None:
    course, first = component()
    lengths = np.linalg.norm(course, axis=1)
    between = np.degrees(np.arccos(np.abs(course @ first) / lengths))
    assert between[0] > 60
    assert between[3000:].max() < 5
    assert lengths[-1] == pytest.approx(1.0, abs=0.05)


def test_a_late_reward_goes_to_the_right_synapse() -> None:
    """The distal reward problem: pairs at one synapse are rewarded half a second later, pairs at the other are not."""
    course, _rewards = distal_reward()
    change = course[-1] - 0.5
    assert change[0] > 0.1
    assert abs(change[1]) < 0.1 * change[0]


@pytest.mark.parametrize("favoured", [0, 1])
def test_bcm_chooses_one_of_two_patterns(favoured: int) -> None:
    """From nearly equal weights, the cell comes to answer one pattern alone, the one that it answered a little better.

    Both drive it at first; with a threshold that did not slide, both would win or both would lose.
    """
    spikes = selectivity(favoured)
    assert spikes[:3].min() > 0
    assert spikes[-5:, favoured].min() > 8
    assert spikes[-5:, 1 - favoured].max() == 0


@pytest.mark.parametrize("drive", [0.08, 0.16])
def test_inhibition_holds_the_rate(drive: float) -> None:
    """Vogels et al. 2011: inhibition that learns brings the target to its rate, whatever drives it."""
    rates = balance(drive)
    assert rates[0] > 10
    assert rates[8:].mean() == pytest.approx(8.0, rel=0.15)


# --- as data


def test_a_rule_survives_a_file(tmp_path: Path) -> None:
    rule = replace(RewardSTDP(w_min=-1.0, w_max=2.0), every=3, batch_learning="mean")
    graph = follower(2, 2, 0.5, rule)
    hasn.save(graph, tmp_path / "net.nir")
    loaded = hasn.lower(hasn.load(tmp_path / "net.nir")).learning["fc1"]
    assert loaded == hasn.lower(graph).learning["fc1"]
    assert (loaded.every, loaded.shared, loaded.low, loaded.high) == (3, True, -1.0, 2.0)
    assert nir.read(tmp_path / "net.nir").nodes["fc1"].weight.shape == (2, 2)  # other tools read the file


def test_the_callers_graph_stays() -> None:
    graph = plain(1, 1)
    made = attach(graph, "fc1", STDP())
    assert "plasticity" not in graph.nodes["fc1"].metadata
    assert "plasticity" not in detach(made, "fc1").nodes["fc1"].metadata
    assert "plasticity" in made.nodes["fc1"].metadata


def test_to_nir_has_what_was_learned() -> None:
    graph = follower(1, 1, 0.5, STDP(0.1, 0.1))
    x, y = np.zeros((50, 1)), np.zeros((50, 1))
    x[10], y[15] = 1.0, 1.0
    with hasn.compile(graph) as executable:
        executable.run({"input": x, "teacher": y})
        made = executable.to_nir()
    assert made.nodes["fc1"].weight[0, 0] == pytest.approx(0.5 + 0.1 * math.exp(-5 / 20), rel=1e-12)
    assert graph.nodes["fc1"].weight[0, 0] == 0.5


def test_samples_that_part_have_no_graph() -> None:
    graph = follower(1, 1, 0.5, STDP(0.1, 0.1))
    x = np.zeros((50, 2, 1))
    x[10, 0] = x[20, 1] = 1.0
    y = np.zeros((50, 2, 1))
    y[25] = 1.0
    with hasn.compile(graph) as executable:
        executable.run({"input": x, "teacher": y})
        with pytest.raises(OptionError, match=r"fc1.*2 samples has learned weights of its own.*batch_learning='mean'"):
            executable.to_nir()


def test_a_formula_is_a_sum_of_products() -> None:
    found = {
        p.names: p.factor for p in formula("a*x*post - (b + 2)*y*pre/4 + x*x**2", {"a": 3.0, "b": 4.0}, "").products
    }
    assert found == {("post", "x"): 3.0, ("pre", "y"): -1.5, ("x", "x", "x"): 1.0}


@pytest.mark.parametrize(
    "text", ["x / y", "exp(x)", "x if y else z", "x < y", "'x'", "x ** 0.5", "x +", "", "True * x", "(" * 500]
)
def test_other_formulas_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="not a sum of products"):
        Rule(text, traces={"x": Trace("pre", 1.0), "y": Trace("post", 1.0)})


def test_a_short_text_is_no_product_that_fills_memory() -> None:
    """Fifteen powers of powers would be a product of a thousand million names."""
    assert [len(p.names) for p in formula("((x ** 4) ** 4) ** 4", {}, "").products] == [64]
    for text in ("(" * 15 + "x" + ") ** 4" * 15, "((x ** 4) ** 4) ** 4 * x"):
        with pytest.raises(OptionError, match="not a sum of products") as caught:
            formula(text, {}, "w")
        assert str(caught.value.__cause__) == "a product of more than 64 names"


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
        ({"update": "x", "traces": {"x": Trace("pre", 1.0, start="w")}}, r"x.start: no such start; got 'w'"),
        ({"update": "0", "transmits": "w"}, r"transmits: a synapse cannot send this; got w;.*Multiply it with pre"),
        ({"update": "0", "transmits": "w * pre * v"}, r"cannot send this; got pre v w;.*Feed a trace with v"),
        ({"update": "0", "transmits": "pre * pos(w)"}, r"cannot send this"),
        ({"update": "0", "transmits": "r * w * pre", "modulators": ("r",)}, r"Feed a trace with r"),
        ({"update": "pos(v, w)"}, r"not a sum of products"),
        ({"update": "pos(q)"}, r"reads what is not defined; got 'q'"),
        ({"update": "post", "constants": {"pos": 1.0}}, r"the constant's name is taken; got 'pos'"),
        ({"update": "k * 1e300 * 1e300", "constants": {"k": 1.0}}, r"factor is not finite"),
    ],
)
def test_rules_without_meaning_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Rule(**fields)


def test_what_does_not_fit_the_graph_is_found() -> None:
    sparse = SparseLinear(csr_array(np.eye(2)), dtype="int8")
    delayed = plain(1, 1)
    delayed.nodes["late"] = nir.Delay(np.array([2e-3]))
    delayed.edges = [e for e in delayed.edges if e != ("fc1", "cells")] + [("fc1", "late"), ("late", "cells")]
    silent = plain(1, 1)
    silent.nodes["cells"] = nir.LI(np.full(1, DT), np.ones(1), np.zeros(1))
    eight = plain(2, 2)
    eight.nodes["fc1"] = sparse
    cases = [
        (follower(1, 1, 3.0, STDP(w_min=0.0, w_max=1.0)), ParameterError, r"leave out 1 of 1 weights"),
        (attach(plain(1, 1), "cells", STDP()), ParameterError, r"cells.*this node cannot learn; got LIF"),
        (attach(delayed, "fc1", STDP()), GraphError, r"feeds one population.*got edges to late.*before the connection"),
        (attach(silent, "fc1", STDP()), GraphError, r"reads post, and 'cells' does not spike"),
        (attach(eight, "fc1", STDP()), ParameterError, r"floating numbers; got int8.*float32"),
        (
            follower(1, 1, 0.5, RewardSTDP(modulator="teacher")),
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
        graph = plain(1, 1)
        graph.nodes["fc1"].metadata["plasticity"] = broken
        (found,) = [f for f in hasn.check(graph) if f.severity == "error"]
        assert (found.node, found.parameter) == ("fc1", "metadata['plasticity']")


def test_modulators_are_asked_for_and_no_others() -> None:
    x = {"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}
    with hasn.compile(follower(1, 1, 0.5, RewardSTDP())) as executable:
        with pytest.raises(InputError, match=r"modulator is not supplied; got 'reward'.*modulators="):
            executable.run(x)
        with pytest.raises(InputError, match=r"no rule reads such a modulator; got 'novelty'"):
            executable.run(x, modulators={"reward": np.zeros(5), "novelty": np.zeros(5)})
        with pytest.raises(InputError, match=r"modulators\['reward'\].*got \(4,\)"):
            executable.run(x, modulators={"reward": np.zeros(4)})
        with pytest.raises(InputError, match=r"modulators\['reward'\].*got \(3,\)"):
            executable.run({**x, "reward": np.zeros(3)})  # beside the inputs, as in a file
    with hasn.compile(plain(1, 1)) as executable, pytest.raises(InputError, match="no rule reads"):
        executable.run(x, modulators={"reward": np.zeros(5)})


def test_what_cannot_learn_yet_says_so() -> None:
    graph = follower(1, 1, 0.5, STDP())
    with pytest.raises(UnsupportedError, match=r"fc1.*no integers here yet"):
        hasn.compile(graph, precision="loihi")
    with pytest.raises(UnsupportedError, match=r"fc1.*not trained by gradients.*detach"):
        hasn.train(graph, {"inputs": np.zeros((4, 5, 1, 1)), "labels": np.zeros(4)}, epochs=1)


def test_weights_are_asked_for_by_name() -> None:
    with hasn.compile(follower(1, 1, 0.5, STDP())) as executable:
        with pytest.raises(OptionError, match=r"no connection of that name learns; got 'force'.*wanted fc1"):
            executable.weights("force")
        with pytest.raises(OptionError, match=r"weights"):
            executable.run({"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}, record={"weights": ["force"]})
    with hasn.compile(plain(1, 1)) as executable, pytest.raises(OptionError, match="weights"):
        executable.run({"input": np.zeros((5, 1)), "teacher": np.zeros((5, 1))}, record=("weights",))
