"""Every way of leading into a population: the integers and the graph in volts have the float graph's coefficients."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.errors import UnsupportedError
from tests.graphs import inp, out
from tests.unit.conversions.loihi.nets import DT, lif, spikes
from tests.unit.conversions.loihi.quantising.folds import quantised
from tests.unit.conversions.loihi.quantising.wirings import CHAINS, N3, TOPOLOGIES, Nodes, lin, net, real


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_keeps_its_coefficients(name: str) -> None:
    float_graph, inputs = CHAINS[name]
    if name == "threshold":
        float_graph.nodes["n1"] = nir.Threshold(N3 / 5)
    made = quantised(float_graph, inputs)
    assert made.input_scales["input"] == pytest.approx(
        1.0 if np.all(inputs == np.rint(inputs)) else 127 / np.abs(inputs).max()
    )


#: In hardware time the composed matrix is a step late, and the bias that would stand in its node is not.
EARLY = {
    "several factors behind one node": ("a", 0, "the weights of w act with several factors"),
    "a bias without input into a current": ("b", 0, "a node without input adds its bias"),
    "a composed loop": ("a", 0, "weights are multiplied with weights: x, y"),
    "composed, late, into a current": ("a", 2, "weights are multiplied with weights: x, y"),
}


@pytest.mark.parametrize("timing", ["synchronous", "hardware"])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_graph_keeps_its_coefficients_and_delays(name: str, timing: str) -> None:
    float_graph, inputs = TOPOLOGIES[name]
    if timing == "hardware" and name in EARLY:
        node, late, why = EARLY[name]
        with pytest.raises(UnsupportedError) as error:
            quantised(float_graph, inputs, timing=timing)
        assert (error.value.node, error.value.parameter) == (node, "bias")
        assert error.value.message == f"a bias that comes {late} step(s) late through composed nodes ({why})"
        assert error.value.way_out == "Put neurons between the nodes."
        return
    quantised(float_graph, inputs, timing=timing)


def kinds(made: nir.NIRGraph) -> dict[str, str]:
    return {name: type(node).__name__ for name, node in made.nodes.items()}


def of(name: str) -> QuantisedNetwork:
    float_graph, inputs = (CHAINS | TOPOLOGIES)[name]
    return quantised(float_graph, inputs)


def test_what_is_put_in_between_and_what_stays() -> None:
    """Names and kinds of the graphs that are made: a user finds the nodes of the float graph under their names."""
    assert kinds(of("direct beside weights").graph) == {
        "input": "Input", "w": "Linear", "input_a": "Scale", "a": "LIF", "oa": "Output"}  # fmt: skip
    assert "input_a_" in of("direct, name taken").graph.nodes
    assert kinds(of("names that are taken").graph)["w_b__"] == "Linear"
    late = of("composed, late").graph
    assert kinds(late) == {"input": "Input", "a": "LIF", "oa": "Output", "input_a": "Linear", "input_a_late": "Delay"}
    np.testing.assert_allclose(late.nodes["input_a_late"].delay, np.full(3, 3 * DT))
    assert kinds(of("composed, late, into a current").graph)["input_a"] == "Affine"
    assert kinds(of("composed from a grid").graph)["input_flat_n3"] == "Flatten"
    means = of("convolution, mean behind")
    assert (kinds(means.graph)["n1"], kinds(means.dequantised())["n1"]) == ("SumPool2d", "AvgPool2d")
    np.testing.assert_array_equal(means.graph.nodes["n2"].scale, np.ones((2, 2, 2)))
    np.testing.assert_array_equal(means.dequantised().nodes["n2"].scale, np.full((2, 2, 2), 3.0))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weights times weights", "weights are multiplied with weights: n0, n1"),
        ("pool behind weights, gains of their own", ""),
        ("shared weights, gains of either sign", "the neurons weigh their input differently"),
        ("inputs of several scales through one node", "the weights of w act with several factors"),
        ("several factors behind one node", "the weights of w act with several factors"),
        ("weighted and not, through one node", "weighted and unweighted input comes through f"),
        ("a bias without input into a current", "a node without input adds its bias"),
        ("a bias without input", ""),
        ("convolution, gains of their own", ""),
        ("scale of each, gains of their own", ""),
        ("convolution, sums", ""),
    ],
)
def test_why_a_connection_is_composed(name: str, why: str) -> None:
    reasons = {row.composed for row in of(name).report().weights}
    assert any(why in reason for reason in reasons) if why else reasons == {""}


def test_a_file_without_the_float_graph_scales_what_an_input_sends_to_neurons() -> None:
    """The Scale behind an Input takes no name that there is, and no Output shows what it gives."""
    nodes: Nodes = {"input": inp(3), "input_scale": lin(3, 3), "a": lif(3), "oa": out(3), "ob": out(3)}
    made = quantised(net(nodes, "input > input_scale > a > oa", "input > ob"), real(3))
    read = QuantisedNetwork.of_graph(made.with_metadata()).dequantised()
    assert kinds(read) == {**kinds(made.graph), "input_scale_": "Scale"}
    np.testing.assert_allclose(read.nodes["input_scale_"].scale, np.full(3, made.input_scales["input"]))
    assert set(read.edges) == {
        ("input", "input_scale_"), ("input_scale_", "input_scale"), ("input_scale", "a"), ("a", "oa"), ("input",
            "ob")}  # fmt: skip
    quantised(net(nodes, "input > input_scale > a > oa", "input > ob"), spikes(3))  # a scale of 1 needs no node
