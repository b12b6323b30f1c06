"""Graphs to snnTorch modules: what becomes a Sequential and with which neurons, and why another graph does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.graphs import Draw, graph, inp, out
from tests.unit.conversions.snntorch_nets import DT, by_hand, snn, torch

from hasn.conversions.snntorch import to_snntorch  # isort: skip
from torch import nn  # isort: skip

REST = {"v_leak": np.zeros(4), "v_reset": np.zeros(4)}
X = (np.random.default_rng(8).random((120, 2, 3)) < 0.5).astype(np.float32)


def lif(**fixed: Any) -> nir.NIRNode:
    return Draw(2).neuron("LIF", (4,), **{**REST, **fixed})


def cuba(**fixed: Any) -> nir.NIRNode:
    return Draw(2).neuron("CubaLIF", (4,), **{**REST, **fixed})


def net(nodes: dict[str, Any], *paths: str) -> nir.NIRGraph:
    """An Input of 3 and weights, "in" and "w", then what is given."""
    return graph({"in": inp(3), "w": Draw(1).linear(4, 3, mean=0.5), "out": out(4), **nodes}, *paths, dt=DT)


def looped(neuron: nir.NIRNode, loop: nir.NIRNode, **more: Any) -> nir.NIRGraph:
    return net({"n": neuron, "l": loop, **more}, "in > w > n > out", "n > l > n")


# --- chains


def conv_loop(**changes: Any) -> nir.NIRGraph:
    """A 3 x 3 kernel over (2, 4, 5), fed back to its own neurons."""
    given: dict[str, Any] = {"stride": 1, "padding": (1, 1), "dilation": 1, "groups": 1, "input_shape": (4, 5)}
    kernel = Draw(3).weight(2, 2 // changes.get("groups", 1), *changes.pop("kernel", (3, 3)), mean=0.02, spread=0.1)
    one = np.ones((2, 4, 5))
    neuron = nir.LIF(tau=5e-3 * one, r=5 * one, v_leak=0 * one, v_threshold=0.9 * one, v_reset=0 * one)
    return graph(
        {"in": inp(2, 4, 5), "n": neuron, "out": out(2, 4, 5),
         "l": nir.Conv2d(weight=kernel, bias=np.zeros(2), **{**given, **changes})},
        "in > n > out", "n > l > n", dt=DT,
    )  # fmt: skip


def thresholded() -> nir.NIRGraph:
    tau = np.full(4, 5e-3)
    leaky = nir.LI(tau=tau, r=np.full(4, 5.0), v_leak=np.zeros(4))
    return net({"n": leaky, "z": nir.Threshold(np.array([2.5, 3.5, 4.5, 3.0]))}, "in > w > n > z > out")


def thresholded_loop() -> nir.NIRGraph:
    made = thresholded()
    made.nodes["l"] = Draw(3).linear(4, 4, mean=-0.1)
    made.edges += [("z", "l"), ("l", "n")]
    return made


def biased_loop() -> nir.NIRGraph:
    constant = nir.Affine(np.zeros((4, 4)), np.array([0.3, 0.0, -0.2, 0.1]))
    made = looped(lif(), Draw(3).linear(4, 4, mean=-0.1), c=constant)
    made.edges += [("w", "c"), ("c", "n")]
    return made


def nested() -> nir.NIRGraph:
    inner = graph({"input": inp(4), "n": lif(), "output": out(4)}, "input > n > output")
    return net({"block": inner}, "in > w > block > out")


CHAINS: dict[str, tuple[Callable[[], nir.NIRGraph], list[str]]] = {  # graph, kinds of its layers
    "lif": (lambda: net({"n": lif()}, "in > w > n > out"), ["Linear", "Scale", "Leaky"]),
    "one for one": (lambda: net({"n": lif(tau=5e-3, r=5.0)}, "in > w > n > out"), ["Linear", "Leaky"]),
    "current": (lambda: net({"n": cuba()}, "in > w > n > out"), ["Linear", "Scale", "Synaptic"]),
    "threshold": (thresholded, ["Linear", "Leaky"]),
    "threshold in a loop": (thresholded_loop, ["Linear", "RLeaky"]),
    "matrix": (lambda: looped(lif(), Draw(3).linear(4, 4, mean=-0.1)), ["Linear", "Scale", "RLeaky"]),
    "one to one": (lambda: looped(lif(), nir.Scale(np.array([-0.3, 0.2, 0.1, -0.5]))), ["Linear", "Scale", "RLeaky"]),
    "bias": (biased_loop, ["Linear", "Scale", "RLeaky"]),
    "convolution": (conv_loop, ["RLeaky"]),
    "nested": (nested, ["Linear", "Scale", "Leaky"]),
}


def data(made: nir.NIRGraph) -> Any:
    shape = tuple(made.nodes["in"].input_type["input"].tolist())
    return X if shape == (3,) else (np.random.default_rng(8).random((60, 2, *shape)) < 0.5).astype(np.float32)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_a_sequential_with_its_spikes(name: str) -> None:
    make, kinds = CHAINS[name]
    x = data(make())
    wanted = hasn.compile(make(), precision="float32").run(x).outputs["out"] > 0
    assert 0.03 < wanted.mean() < 0.97
    module = to_snntorch(make(), sequential=True)
    assert [type(layer).__name__ for layer in module] == kinds
    np.testing.assert_array_equal(by_hand(module, torch.as_tensor(x)), wanted)


def test_names_are_those_of_the_nodes_where_torch_takes_them() -> None:
    named = {"a.b": lif(), "a_b": Draw(5).linear(4, 4), "forward": lif(), "append": Draw(6).linear(4, 4), "z": lif()}
    made = net(named, "in > w > a.b > a_b > forward > append > z > out")
    assert list(dict(to_snntorch(made, sequential=True).named_children())) == [
        "w", "a_b_scale", "a_b", "a_b_", "forward_scale", "forward_", "append_", "z_scale", "z"]  # fmt: skip


def test_only_the_last_neuron_gives_its_states_and_all_have_the_surrogate() -> None:
    surrogate = snn.surrogate.fast_sigmoid()
    made = net({"n": lif(), "v": Draw(5).linear(4, 4), "m": cuba()}, "in > w > n > v > m > out")
    module = to_snntorch(made, sequential=True, output=True, spike_grad=surrogate)
    neurons = [part for part in module if isinstance(part, snn.SpikingNeuron)]
    assert [part.output for part in neurons] == [False, True]
    assert all(part.spike_grad is surrogate for part in neurons)
    assert len(module(torch.as_tensor(X[0]))) == 3
    assert not any(getattr(part, "output", False) for part in to_snntorch(made, sequential=True))
    whole = to_snntorch(made, sequential=False)
    assert not isinstance(whole, nn.Sequential)
    double = to_snntorch(made, dtype=torch.float64)
    assert {p.dtype for p in double.parameters()} == {torch.float64}


# --- what is no chain of snnTorch's


def two_inputs() -> nir.NIRGraph:
    return net({"in2": inp(3), "w2": Draw(4).linear(4, 3), "n": lif()}, "in > w > n > out", "in2 > w2 > n")


def branched() -> nir.NIRGraph:
    return net({"n": lif(), "v": Draw(4).linear(4, 4), "m": lif()}, "in > w > n > v > m > out", "w > m")


def late() -> nir.NIRGraph:
    return net({"d": nir.Delay(np.full(4, 2 * DT)), "n": lif()}, "in > w > d > n > out")


def beside() -> nir.NIRGraph:
    made = net({"n": lif(), "o": lif()}, "in > w > n > out")
    return made


def started(**metadata: Any) -> nir.NIRGraph:
    node = lif()
    node.metadata = metadata
    return net({"n": node}, "in > w > n > out")


def wide_loop() -> nir.NIRGraph:
    """Over two neurons."""
    made = net(
        {"n": lif(), "v": Draw(4).linear(4, 4), "m": lif(), "b": Draw(5).linear(4, 4)}, "in > w > n > v > m > out"
    )
    made.edges += [("m", "b"), ("b", "n")]
    return made


NO_CHAINS: dict[str, tuple[Callable[[], nir.NIRGraph], str, str | None, str]] = {  # graph, node, parameter, words
    "two inputs": (two_inputs, "(the module)", None, "has not one Input and one Output"),
    "branch": (branched, "w", None, "branches or loops here"),
    "beside": (beside, "(the module)", None, "lie beside the way"),
    "wide loop": (wide_loop, "m", None, "branches or loops here"),
    "delay": (late, "d", "delay", "torch has no layer that waits"),
    "leak": (lambda: net({"n": lif(v_leak=0.1)}, "in > w > n > out"), "n", "v_leak", "leak to 0"),
    "start": (lambda: started(v_init=np.full(4, 0.3)), "n", "metadata['v_init']", "start at 0"),
    "short tau": (lambda: net({"n": lif(tau=0.9 * DT)}, "in > w > n > out"), "n", "tau", "between 0 and 1"),
    "short tau_mem": (lambda: net({"n": cuba(tau_mem=0.9 * DT)}, "in > w > n > out"), "n", "tau", "between 0 and 1"),
    "short tau_syn": (lambda: net({"n": cuba(tau_syn=0.9 * DT)}, "in > w > n > out"), "n", "tau", "between 0 and 1"),
    "negative": (lambda: net({"n": lif(v_threshold=-0.1)}, "in > w > n > out"), "n", "v_threshold", "at rest"),
    "reset": (lambda: net({"n": lif(v_reset=0.1)}, "in > w > n > out"), "n", "reset", "no such reset"),
    "subtract": (lambda: started(reset="subtract"), "n", "reset", "no such reset"),
    "recurrent current": (lambda: looped(cuba(), Draw(3).linear(4, 4)), "n", "reset", "no such reset"),
    "late bias": (lambda: looped(lif(), Draw(3).affine(4, 4)), "l", "bias", "acts from the second step on"),
    "strided": (lambda: conv_loop(dilation=2, padding=(2, 2)), "l", None, "centred convolution"),
    "groups": (lambda: conv_loop(groups=2), "l", None, "centred convolution"),
    "threshold alone": (lambda: net({"z": nir.Threshold(np.full(4, 0.5))}, "in > w > z > out"), "z", None,
                        "a Threshold that no integrator feeds"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_CHAINS)
def test_a_graph_that_is_no_chain_runs_as_a_whole_and_says_why(name: str) -> None:
    make, node, parameter, words = NO_CHAINS[name]
    with pytest.raises(UnsupportedError, match=words) as error:
        to_snntorch(make(), sequential=True)
    assert (error.value.node, error.value.parameter) == (node, parameter)
    module = to_snntorch(make())
    assert not isinstance(module, nn.Sequential)
    x = torch.as_tensor(data(make()))
    given = {"in": x, "in2": x} if name == "two inputs" else x
    wanted = hasn.compile(make(), precision="float32").run(given).outputs["out"]
    with torch.no_grad():
        np.testing.assert_array_equal(module(given).numpy(), wanted)


def test_a_loop_of_two_steps_is_none_of_snntorchs() -> None:
    made = net({"n": lif(), "l": Draw(3).linear(4, 4), "d": nir.Delay(np.full(4, DT))}, "in > w > n > out",
               "n > l > d > n")  # fmt: skip
    with pytest.raises(UnsupportedError, match="branches or loops here"):
        to_snntorch(made, sequential=True)


def test_the_shortest_tau_is_a_step() -> None:
    made = net({"n": lif(tau=DT)}, "in > w > n > out")
    assert float(to_snntorch(made, sequential=True)[-1].beta) == 0.0


def test_a_capacitor_that_was_changed_is_none() -> None:
    """A Lapicque's R, C and time_step come back where the node still has their leak and gain."""
    said = {"snntorch": "Lapicque", "snntorch_R": 2.0, "snntorch_C": 3.0, "snntorch_time_step": 1.0}
    keep = 1 - 1 / 6
    for change, kind in ((1.0, "Lapicque"), (1.001, "Leaky")):
        for tau, r in ((change, 1.0), (1.0, change)):
            node = nir.LIF(tau=np.full(4, tau * DT / (1 - keep)), r=np.full(4, 2.0 * r * tau), v_leak=np.zeros(4),
                           v_threshold=np.ones(4), v_reset=np.full(4, 1 - 1 / keep))  # fmt: skip
            node.metadata = {**said, "reset": "subtract"}
            if kind == "Leaky" and tau != 1.0:
                node.v_reset = np.full(4, 1 - 1 / (1 - DT / node.tau[0]))
            module = to_snntorch(net({"n": node}, "in > w > n > out"), sequential=True)
            assert type(module[-1]).__name__ == kind
    assert (float(to_snntorch(net({"n": _lapicque(said)}, "in > w > n > out"))[-1].C)) == 3.0
    for missing in ("snntorch_R", "snntorch_C", "snntorch_time_step"):
        fewer = {key: value for key, value in said.items() if key != missing}
        assert isinstance(to_snntorch(net({"n": _lapicque(fewer)}, "in > w > n > out"))[-1], snn.Leaky)


def _lapicque(metadata: dict[str, Any]) -> nir.NIRNode:
    keep = 1 - 1 / 6
    node = nir.LIF(tau=np.full(4, 6 * DT), r=np.full(4, 2.0), v_leak=np.zeros(4), v_threshold=np.ones(4),
                   v_reset=np.full(4, 1 - 1 / keep))  # fmt: skip
    node.metadata = {**metadata, "reset": "subtract"}
    return node
