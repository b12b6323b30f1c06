"""Warnings of nodes that nothing reaches: they give zeros on every backend, which is no agreement."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.nodes.drawn import NoiseInput, PoissonInput
from hasn.nodes.sparse import SparseLinear
from hasn.plasticity import STDP, attach
from tests import graphs


def lif(metadata: dict[str, Any] | None = None, **changes: Any) -> nir.LIF:
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{name: np.full(2, value) for name, value in values.items()}, metadata=metadata or {})


def warned(graph: nir.NIRGraph) -> dict[str, str]:
    """Node -> message of each warning about it."""
    findings = hasn.check(graph, dt=1e-3)
    assert {finding.severity for finding in findings} <= {"warning"}
    return {finding.node: finding.message for finding in findings}


def chain(middle: nir.NIRNode, *paths: str) -> nir.NIRGraph:
    nodes = {"i": graphs.inp(2), "w": nir.Linear(np.eye(2)), "n": middle, "o": graphs.out(2)}
    return graphs.graph(nodes, *paths)


def test_nothing_is_said_of_a_graph_whose_nodes_are_all_reached() -> None:
    assert warned(chain(lif(), "i > w > n > o", "n > n")) == {}


def test_each_node_that_nothing_reaches_is_named_and_the_output_too() -> None:
    found = warned(chain(lif(), "i > w", "n > o"))
    assert set(found) == {"n", "o"}
    assert found["n"] == "nothing reaches it, so it stays silent"
    assert found["o"] == "nothing reaches it, so it gives zeros"


def test_a_loop_does_not_reach_itself() -> None:
    assert set(warned(chain(lif(), "i > w", "n > n", "n > o"))) == {"n", "o"}


def test_without_edges_nothing_is_reached_and_the_input_leads_nowhere() -> None:
    found = warned(chain(lif()))
    assert set(found) == {"i", "w", "n", "o"}
    assert found["i"] == "no edge leads out of this Input, so its values go nowhere"


@pytest.mark.parametrize(
    "alone",
    [
        lif(v_leak=2.0),
        lif(v_threshold=-1.0, v_reset=-2.0),
        lif({"v_init": 3.0}),
        nir.Affine(np.eye(2), np.array([0.0, 1.0])),
        nir.Threshold(np.array([1.0, -1.0])),
        PoissonInput(np.full(2, 50.0), np.ones(2), seed=1),
        NoiseInput(np.zeros(2), np.ones(2), seed=1),
        NoiseInput(np.ones(2), np.zeros(2), seed=1),
    ],
    ids=lambda node: type(node).__name__,
)
def test_a_node_with_a_drive_of_its_own_reaches_what_follows(alone: nir.NIRNode) -> None:
    assert warned(chain(alone, "i > w", "n > o")) == {}


def test_a_bias_of_zero_is_no_drive() -> None:
    assert set(warned(chain(nir.Affine(np.eye(2), np.zeros(2)), "i > w", "n > o"))) == {"n", "o"}


@pytest.mark.parametrize(
    ("closed", "parameter"),
    [
        (nir.Linear(np.zeros((2, 2))), "weight"),
        (nir.Affine(np.zeros((2, 2)), np.zeros(2)), "weight"),
        (nir.Scale(np.zeros(2)), "scale"),
        (SparseLinear(csr_array((2, 2))), "weight"),
    ],
    ids=lambda node: type(node).__name__,
)
def test_what_lets_nothing_pass_is_named_and_reaches_nothing(closed: nir.NIRNode, parameter: str) -> None:
    graph = chain(lif(), "i > w > n > o")
    graph.nodes["w"] = closed
    findings = {finding.node: finding for finding in hasn.check(graph, dt=1e-3)}
    assert set(findings) == {"w", "n", "o"}
    assert (findings["w"].parameter, findings["w"].message) == (parameter, "is all 0, so nothing passes it")
    assert findings["n"].message == "nothing reaches it, so it stays silent"


def test_one_weight_is_enough_and_a_bias_goes_past_weights_of_zero() -> None:
    graph = chain(lif(), "i > w > n > o")
    graph.nodes["w"] = nir.Linear(np.array([[0.0, 0.0], [1e-9, 0.0]]))
    assert warned(graph) == {}
    graph.nodes["w"] = nir.Affine(np.zeros((2, 2)), np.ones(2))
    assert set(warned(graph)) == {"w"}


def test_neurons_that_take_nothing_in_stay_silent_unless_they_leak_upwards() -> None:
    values = {"tau_mem": 0.01, "tau_syn": 0.005, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, "w_in": 0}
    for leak, named in ((0.0, {"n", "o"}), (2.0, {"n"})):
        arrays = {name: np.full(2, float(value)) for name, value in {**values, "v_leak": leak}.items()}
        assert set(warned(chain(nir.CubaLIF(**arrays), "i > w > n > o"))) == named


@pytest.mark.parametrize(
    ("drawn", "parameter"),
    [
        (PoissonInput(np.zeros(2), np.ones(2), seed=1), "rate"),
        (PoissonInput(np.full(2, 50.0), np.zeros(2), seed=1), "weight"),
        (NoiseInput(np.zeros(2), np.zeros(2), seed=1), "std"),
    ],
)
def test_a_drawn_input_of_zeros_reaches_nothing(drawn: nir.NIRNode, parameter: str) -> None:
    graph = chain(lif(), "i > w > n > o")
    graph.nodes["i"] = drawn
    findings = [f for f in hasn.check(graph, dt=1e-3) if f.node == "i"]
    assert [(f.parameter, f.message) for f in findings] == [(parameter, "is all 0, so it gives zeros")]
    assert {"n", "o"} <= set(warned(graph))


def test_a_weight_of_zero_that_learns_lets_something_pass() -> None:
    graph = chain(lif(), "i > w > n > o")
    graph.nodes["w"] = nir.Linear(np.zeros((2, 2)))
    assert "n" in warned(graph)
    assert "n" not in warned(attach(graph, "w", STDP()))


def test_inside_a_nested_graph_the_node_has_its_flat_name() -> None:
    inner = graphs.graph({"i": graphs.inp(2), "n": lif(), "o": graphs.out(2)}, "i > n")
    graph = graphs.graph({"x": graphs.inp(2), "g": inner, "y": graphs.out(2)}, "x > g > y")
    assert set(warned(graph)) == {"g.o", "y"}
