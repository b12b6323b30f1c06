"""Networks that learn on Lava's learning engine, on the double; on Lava itself: hasn/testing/test_engine.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.errors import NotFiniteError, OptionError, UnsupportedError
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, attach
from hasn.testing import reference
from hasn.testing.cases.engine import CASES
from hasn.testing.cases.learning import DT, dense, graph_of, lif, recurrent
from hasn.testing.engine import EngineLearner

RNG = np.random.default_rng


@pytest.mark.parametrize("name", CASES)
def test_the_order_is_the_engines(name: str, workers: list[Any]) -> None:
    """200 steps; spikes identical, weights to rounding, a batch is independent samples."""
    case = replace(CASES[name].case, steps=200)
    inputs = case.inputs()
    with hasn.compile(case.graph(), "lava", learning="engine") as executable:
        got = executable.run(inputs, record=("spikes", "weights", "voltages"))
    arrays = {key: x if case.batch is not None else x[:, np.newaxis] for key, x in inputs.items()}
    want = reference.run(case.graph(), arrays, DT, "euler", "zero", "synchronous", learner=EngineLearner)
    for node, spikes in want.spikes.items():
        np.testing.assert_array_equal(np.reshape(got.spikes[node], spikes.shape), spikes)
        scale = np.abs(want.voltages[node]).max()
        np.testing.assert_allclose(
            got.voltages[node].reshape(spikes.shape), want.voltages[node], rtol=0, atol=1e-9 * scale
        )
    for node, course in want.weights.items():
        np.testing.assert_allclose(got.series["weights"][node].reshape(course.shape), course, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", [name for name, made in CASES.items() if made.exact])
def test_two_steps_for_one_are_semantics(name: str, workers: list[Any]) -> None:
    case = replace(CASES[name].case, steps=200, batch=3)
    inputs = case.inputs()
    with hasn.compile(case.graph(), "lava", learning="engine-exact") as executable:
        got = executable.run(inputs, record=("spikes", "weights", "voltages"))
        assert all(cell.stock or cell.settings.get("bounds") for cell in executable.mapping.cells)
        assert executable.own_rule == got.own_rule == ""
    want = reference.run(case.graph(), inputs, DT, "euler", "zero", "synchronous")
    np.testing.assert_array_equal(got.spikes["cells"], want.spikes["cells"])
    np.testing.assert_allclose(got.voltages["cells"], want.voltages["cells"], rtol=0, atol=1e-9)
    course = want.weights["plastic"]
    np.testing.assert_allclose(got.series["weights"]["plastic"].reshape(course.shape), course, rtol=0, atol=1e-9)


def pair(times: tuple[int, int], rule: Any, learning: str = "engine") -> np.ndarray:
    """Course of the one weight from 0 for a source and a target that spike once each; the target is made to by a second
    input in its very step."""
    graph = graph_of(nir.Linear(np.zeros((1, 1))), lif(1), 1, 1, [("kick", "strong"), ("strong", "cells")],
                     kick=nir.Input(np.array([1])), strong=nir.Linear(np.array([[2.0]])))  # fmt: skip
    inputs = {"input": np.zeros((60, 1)), "kick": np.zeros((60, 1))}
    inputs["input"][times[0]] = inputs["kick"][times[1]] = 1.0
    with hasn.compile(attach(graph, "plastic", rule), "lava", learning=learning) as executable:
        got = executable.run(inputs, record=("spikes", "weights"))
    assert np.flatnonzero(got.spikes["cells"][:, 0]).tolist() == [times[1]]
    return got.series["weights"]["plastic"][:, 0, 0]


def test_a_pair_counts_what_semantics_says_and_potentiation_a_step_later(lava: str) -> None:
    """dw of each distance by hand; of a pair in one step nothing."""
    rule = STDP(0.01, 0.012, 10e-3, 20e-3)
    causal = pair((20, 25), rule)
    np.testing.assert_allclose(causal[-1], 0.01 * np.exp(-5 / 10), rtol=1e-12)
    assert (np.flatnonzero(np.diff(causal)) + 1).tolist() == [26]
    against = pair((25, 20), rule)
    np.testing.assert_allclose(against[-1], -0.012 * np.exp(-5 / 20), rtol=1e-12)
    assert (np.flatnonzero(np.diff(against)) + 1).tolist() == [25]
    np.testing.assert_allclose(pair((20, 20), rule), 0.0, atol=1e-17)


def test_a_pair_counts_in_its_own_step_with_two_steps_for_one(lava: str) -> None:
    rule = STDP(0.01, 0.012, 10e-3, 20e-3)
    causal = pair((20, 25), rule, "engine-exact")
    np.testing.assert_allclose(causal[-1], 0.01 * np.exp(-5 / 10), rtol=1e-12)
    assert (np.flatnonzero(np.diff(causal)) + 1).tolist() == [25]
    np.testing.assert_allclose(pair((20, 20), rule, "engine-exact"), 0.0, atol=1e-17)


def test_bounds_hold_at_every_step(workers: list[Any]) -> None:
    """0 is Lava's own bound, another one is ours; both stop a weight and let it go again."""
    for rule, kind in ((STDP(0.01, 0.05, w_min=0.0), True), (STDP(0.01, 0.05, w_min=0.0, w_max=0.6), False)):
        case = replace(CASES["pair"].case, build=dense(rule, 0.2, 0.5))
        with hasn.compile(case.graph(), "lava", learning="engine") as executable:
            course = executable.run(case.inputs(), record=("weights",)).series["weights"]["plastic"]
            (cell,) = (cell for cell in executable.mapping.cells if cell.kind == "learning_dense")
        assert cell.stock is kind
        assert course.min() == 0.0
        assert (course.max() == 0.6) is not kind
        assert np.any((course[:-1] == 0.0) & (course[1:] > 0.0))


@pytest.mark.parametrize(
    ("low", "high", "why"),
    [
        (-1.0, 1.0, ""),
        (0.0, 1.0, ""),
        (-np.inf, 0.9, "weights of -inf .. 0.9; the chip's end at 0 or go as far to both sides"),
        (-0.5, 1.0, "weights of -0.5 .. 1; the chip's end at 0 or go as far to both sides"),
    ],
)
def test_what_the_chip_has_of_bounds(low: float, high: float, why: str) -> None:
    graph = dense(STDP(w_min=low, w_max=high))(RNG(0))
    with hasn.compile(graph, "lava", learning="engine") as executable:
        (cell,) = (cell for cell in executable.mapping.cells if cell.kind == "learning_dense")
        assert cell.why_not == why
        assert executable.delivery == "retimed"


def changed(build: Any, **nodes: Any) -> nir.NIRGraph:
    graph = build(RNG(0))
    graph.nodes.update(nodes)
    return graph


def between(node: Any) -> nir.NIRGraph:
    """input -> node -> plastic."""
    graph = changed(dense(STDP()), before=node)
    graph.edges = [edge for edge in graph.edges if edge[1] != "plastic"] + [("input", "before"), ("before", "plastic")]
    return graph


def skipping() -> nir.NIRGraph:
    """The source feeds the target directly and over another population, which takes a step more."""
    graph = changed(dense(STDP()), to=nir.Linear(np.ones((3, 12))), more=lif(3), on=nir.Linear(np.ones((5, 3))))
    graph.edges += [("input", "to"), ("to", "more"), ("more", "on"), ("on", "cells")]
    return graph


def summed() -> nir.NIRGraph:
    graph = changed(dense(STDP()), other=nir.Input(np.array([12])))
    graph.edges += [("other", "plastic")]
    return graph


def real() -> nir.NIRGraph:
    return between(nir.LI(np.full(12, 20e-3), np.ones(12), np.zeros(12)))


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (
            skipping(),
            r"has no delays; got 1 step\(s\) beside its own, so that 'cells' gets all at its time; wanted none",
        ),
        (between(nir.Scale(np.full(12, 0.5))), "gets spikes; got input; wanted one population's, without weights"),
        (between(nir.Affine(np.eye(12), np.ones(12))), "gets spikes; got input and a bias; wanted one population's"),
        (between(nir.Delay(np.full(12, 2e-3))), ""),
        (summed(), "gets spikes; got input, other; wanted one population's"),
        (real(), "gets spikes; got real numbers from 'before'; wanted a population that spikes"),
        (
            attach(graph_of(SparseLinear(csr_array(np.ones((5, 12)))), lif(5), 12, 5), "plastic", STDP()),
            "got Sparse; wanted a dense",
        ),
    ],
    ids=["skip", "scale", "bias", "delay", "two sources", "real", "sparse"],
)
def test_connections_that_the_engine_does_not_have(graph: nir.NIRGraph, said: str) -> None:
    """A Delay before it is the source's own lateness, and fits where nothing else hurries."""
    if not said:
        hasn.compile(graph, "lava", learning="engine").close()
        return
    with pytest.raises(UnsupportedError, match=said) as raised:
        hasn.compile(graph, "lava", learning="engine")
    assert raised.value.node == "plastic"
    assert "learning='process'" in str(raised.value.way_out)


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "pair-unlike": "node 'cells': two steps for one need neurons that only decay in between; got every cell",
        "pair-to-0": "node 'cells': two steps for one need neurons that only decay in between; got a bias would act",
        "pair-loop": r"node 'loop' .* has no delays; got 1 step\(s\) beside its own",
        "two-layers": "node 'second' .* epochs in one place; got 'cells', which another layer makes 1 steps late",
    }.items(),
)
def test_what_two_steps_for_one_do_not_have(name: str, said: str) -> None:
    assert not CASES[name].exact
    with pytest.raises(UnsupportedError, match=said):
        hasn.compile(CASES[name].case.graph(), "lava", learning="engine-exact")


@pytest.mark.parametrize(
    "target",
    [
        nir.CubaLIF(*(np.full(5, value) for value in (5e-3, 20e-3, 20.0, 0.0, 1.0, 0.0, 1.0))),
        lif(5, -0.1),
        nir.LIF(np.full(5, 20e-3), np.full(5, 20.0), np.zeros(5), np.ones(5), np.full(5, 0.5)),
    ],
    ids=["current", "threshold below 0", "reset"],
)
def test_neurons_that_would_do_something_in_between(target: Any) -> None:
    graph = dense(STDP(), target=target)(RNG(0))
    with pytest.raises(UnsupportedError, match="node 'cells': two steps for one need neurons that only decay"):
        hasn.compile(graph, "lava", learning="engine-exact")


def test_options() -> None:
    graph = recurrent(STDP())(RNG(0))
    with pytest.raises(
        OptionError, match=r"learning: unknown learning; got 'chip'; wanted process or engine or engine-exact"
    ):
        hasn.compile(graph, "lava", learning="chip")
    with pytest.raises(OptionError, match=r"delivery: Lava's learning connections take a step; got 'in-step'"):
        hasn.compile(graph, "lava", learning="engine", delivery="in-step")
    still = hasn.plasticity.detach(graph, "loop")
    with hasn.compile(still, "lava", learning="engine", delivery="in-step") as executable:
        assert executable.own_rule == ""


@pytest.mark.filterwarnings("ignore:.*encountered")
def test_numbers_that_leave_their_range_are_named(workers: list[Any]) -> None:
    """A membrane's, and a weight's alone."""
    graph = dense(STDP(1e308, 0.0), target=lif(5))(RNG(0))
    graph.nodes["plastic"].weight[...] = 1e308
    with hasn.compile(graph, "lava", learning="engine") as executable, pytest.raises(NotFiniteError, match="'cells'"):
        executable.run(np.ones((20, 12)))
    graph = dense(STDP(1e308, 0.0))(RNG(0))
    with hasn.compile(graph, "lava", learning="engine") as executable, pytest.raises(NotFiniteError, match="'plastic'"):
        executable.run(np.repeat([[1.0], [1.0], [1.0], [0.0], [0.0]], 12, axis=1))
