"""Which Lava process a population becomes, and that it computes what SEMANTICS says."""

import nir
import numpy as np
import pytest

import hasn
from tests.graphs import DT, Draw, graded, graph, inp, out, spikes
from tests.unit.backends.lava.nets import CUBA, LIF, agree, feed_forward, kinds, not_on_chip, some_spikes

pytestmark = pytest.mark.usefixtures("one_worker", "lava")


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_a_plain_network_is_all_stock_and_deployable(kind):
    """r and w_in differ between neurons: they are folded into the weights."""
    net = feed_forward(kind)
    with hasn.compile(net, "lava", dt=DT) as executable:
        recording = agree(net, some_spikes(), executable)
        assert kinds(executable) == {"a": "lif", "b": "lif", "input -> a": "dense", "a -> b": "dense"}
        assert [entry.node for entry in executable.deployable] == ["input", "a", "b", "a -> b", "input -> a"]
        assert not not_on_chip(executable)
        assert recording.shifts == {"input": 0, "a": 1, "b": 2}


def test_a_threshold_node_is_a_stock_lif_that_keeps_nothing():
    draw = Draw(2)
    nodes = {
        "input": inp(6),
        "w": draw.linear(5, 6),
        "th": nir.Threshold(np.full(5, 0.4)),
        "w2": draw.linear(4, 5),
        "a": draw.lif(4, **LIF),
        "output": out(4),
    }
    net = graph(nodes, "input > w > th > w2 > a > output")
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        assert kinds(executable)["th"] == "lif"
        assert not not_on_chip(executable)


def test_what_stock_lif_cannot_express_runs_on_a_process_of_ours_that_says_why():
    """One population for each reason, side by side."""
    draw = Draw(3)
    reasons = {
        "tau": ({"tau": draw.between(5e-3, 9e-3, (8,))}, "time constants differ"),
        "threshold": ({"v_threshold": draw.between(0.7, 1.1, (8,))}, "threshold differs"),
        "reset": ({"v_reset": 0.1}, "v_reset is not 0"),
        "leak": ({"v_leak": 0.2}, "a bias would act during the 1 step"),
        "start": ({"metadata": {"v_init": 0.3}}, "v_init is not 0"),
        "subtract": ({"metadata": {"reset": "subtract"}}, "reset by subtraction"),
    }
    populations = {name: draw.lif(8, **{**LIF, **fixed}) for name, (fixed, _) in reasons.items()}
    nodes = {"input": inp(6), "w": draw.linear(8, 6), **populations, "output": out(8)}
    net = graph(nodes, *(f"input > w > {name} > output" for name in populations))
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        found = not_on_chip(executable)
        for name, (_, why) in reasons.items():
            assert kinds(executable)[name] == "neurons"
            assert why in found[name]


def test_an_affine_bias_acts_from_step_0_on_though_its_target_runs_late():
    net = feed_forward("LIF")
    net.nodes["w2"] = Draw(4).affine(5, 8, bias=0.3)
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        assert "a bias would act during the 2 step(s)" in not_on_chip(executable)["b"]


def test_exact_cuba_reads_the_current_of_the_step_before():
    net = feed_forward("CubaLIF")
    with hasn.compile(net, "lava", dt=DT, method="exact") as executable:
        agree(net, some_spikes(), executable, method="exact")
        assert "method 'exact'" in not_on_chip(executable)["a"]


def test_an_unshifted_population_keeps_its_bias_in_stock_lif():
    """Delivered within the step nothing is shifted, and the bias can act from the first step on."""
    net = feed_forward("LIF", v_leak=0.3)
    net.nodes["w1"] = Draw(4).affine(8, 6, bias=0.2)
    with hasn.compile(net, "lava", dt=DT, delivery="in-step") as executable:
        agree(net, some_spikes(), executable)
        assert kinds(executable) == {"a": "lif", "b": "lif", "input -> a": "instant", "a -> b": "instant"}
        assert set(not_on_chip(executable)) == {"input -> a", "a -> b"}


def test_populations_that_do_not_spike_send_their_voltage():
    draw = Draw(6)
    nodes = {
        "input": inp(6),
        "w": draw.linear(5, 6),
        "li": draw.neuron("CubaLI", (5,), v_leak=0.1),
        "w2": draw.linear(4, 5),
        "a": draw.lif(4, **LIF),
        "output": out(4),
        "potential": out(5),
    }
    net = graph(nodes, "input > w > li > w2 > a > output", "li > potential")
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        why = not_on_chip(executable)
        assert "does not spike" in why["li"]
        assert "real numbers" in why["li -> a"]


def test_real_valued_inputs_reach_stock_connections_unrounded():
    net = feed_forward("LIF")
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, 3.0 * graded((6,), 50, 2), executable)


def test_several_inputs_and_outputs_of_unequal_depth():
    draw = Draw(8)
    nodes = {
        "left": inp(4),
        "right": inp(2, 3),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "wl": draw.linear(5, 4),
        "wr": draw.linear(3, 6),
        "a": draw.lif(5, **LIF),
        "wa": draw.linear(3, 5),
        "b": draw.neuron("CubaLIF", (3,), **CUBA, w_in=3.0),
        "deep": out(3),
        "shallow": out(5),
        "sum": out(3),
    }
    net = graph(nodes, "left > wl > a > wa > b > deep", "right > flat > wr > b", "a > shallow", "wa > sum", "wr > sum")
    x = {"left": spikes((4,), 50, 2, seed=1), "right": spikes((2, 3), 50, 2, seed=2)}
    with hasn.compile(net, "lava", dt=DT) as executable:
        recording = agree(net, x, executable)
    assert recording.outputs["sum"].shape == (50, 2, 3)


def test_a_large_matrix_becomes_sparse(monkeypatch):
    monkeypatch.setattr("hasn.backends.lava.connections.DENSE_ENTRIES", 45)
    net = feed_forward("LIF")
    net.nodes["w1"].weight[np.abs(net.nodes["w1"].weight) < 0.2] = 0.0
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        assert kinds(executable)["input -> a"] == "sparse"
        assert kinds(executable)["a -> b"] == "dense"
