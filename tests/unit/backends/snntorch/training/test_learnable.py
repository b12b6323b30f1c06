"""Time constants, thresholds and delays: they are learned, stay valid, and are written to the graph exactly."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import OptionError
from tests.unit.backends.snntorch.training.task import DT, HIDDEN, lif, net, readout, samples, weights


def cuba(count: int) -> nir.CubaLIF:
    values = {"tau_syn": 3.1e-3, "tau_mem": 5.3e-3, "r": 4.0, "v_leak": 0.05, "v_threshold": 0.9, "v_reset": -0.1}
    return nir.CubaLIF(w_in=np.full(count, 2.0), **{name: np.full(count, value) for name, value in values.items()})


KINDS: dict[str, Any] = {
    "LIF": lambda: lif(HIDDEN),
    "LIF with a leak": lambda: lif(HIDDEN, v_leak=0.1, v_reset=0.05),
    "CubaLIF": lambda: cuba(HIDDEN),
    "LIF each its own": lambda: lif(HIDDEN, tau=np.linspace(3e-3, 9e-3, HIDDEN)),
}


def made(graph: nir.NIRGraph, learn: dict[str, str], method: str, reset: str, precision: str) -> TrainedNetwork:
    lowering = {"dt": None, "method": method, "reset": reset, "timing": "synchronous"}
    return TrainedNetwork(graph, learn, None, lowering, precision, {})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_graph_that_comes_back_is_the_network_that_was_trained(
    kind: str, method: str, reset: str, precision: str
) -> None:
    """Spikes and voltages of the trained module and of the compiled graph are equal, bit for bit.

    But for "exact" in float64, where torch's exponential and numpy's may differ in the last bit.
    """
    share = "neuron" if "own" in kind else "population"
    network = made(net(hidden=KINDS[kind]()), {"tau": share, "threshold": share}, method, reset, precision)
    inputs = torch.as_tensor(samples(24)[0])
    for raw in network.learnable.parameters.values():
        with torch.no_grad():
            raw += 0.3 * torch.randn(raw.shape, dtype=raw.dtype, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.forward({"in": inputs})
    trained = network.executable.run(inputs.numpy(), record=("spikes", "voltages"))
    graph = network.to_graph()
    again = hasn.compile(graph, precision=precision, method=method, reset=reset)
    recording = again.run(inputs.numpy(), record=("spikes", "voltages"))
    assert recording.spikes["hidden"].sum() > 50
    for name in ("hidden", "last"):
        np.testing.assert_array_equal(recording.spikes[name], trained.spikes[name])
        exact = (method, precision) != ("exact", "float64")
        np.testing.assert_allclose(recording.voltages[name], trained.voltages[name], rtol=0, atol=0 if exact else 1e-14)
    before, after = weights(net(hidden=KINDS[kind]())), weights(graph)
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert {key.split(".")[1] for key in changed} >= {"v_threshold"}
    assert any("tau" in key for key in changed)


def started(node: nir.NIRNode) -> nir.NIRNode:
    """With a voltage to begin with."""
    node.metadata["v_init"] = np.linspace(0.1, 0.4, HIDDEN)
    return node


#: Nodes of other kinds, and what can be learned of them.
OTHERS: dict[str, tuple[nir.NIRNode, nir.NIRNode, tuple[str, ...]]] = {
    "IF and LI": (nir.IF(np.full(HIDDEN, 180.0), np.full(HIDDEN, 0.97)), readout(3), ("tau", "threshold")),
    "CubaLI": (cuba(HIDDEN), nir.CubaLI(*(np.full(3, v) for v in (3.3e-3, 6.1e-3, 2.0, 0.1, 3.0))), ("tau",)),
    "a LIF that starts elsewhere": (started(lif(HIDDEN, v_reset=0.02)), lif(3), ("tau", "threshold")),
    "Threshold": (lif(HIDDEN), nir.Threshold(np.array([0.3, 0.5, 0.4])), ("threshold",)),
}


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize(("method", "reset"), [("euler", "zero"), ("exact", "subtract")])
def test_nodes_of_every_kind_come_back_as_they_were_trained(case: str, method: str, reset: str) -> None:
    """In float32, where numpy's and torch's exponentials of float64 round alike."""
    hidden, last, learn = OTHERS[case]
    network = made(net(hidden=hidden, last=last), dict.fromkeys(learn, "neuron"), method, reset, "float32")
    inputs = samples(24)[0]
    with torch.no_grad():
        for raw in network.learnable.parameters.values():
            raw += 0.3 * torch.randn(raw.shape, dtype=raw.dtype, generator=torch.Generator().manual_seed(1))
        activity = network.forward({"in": torch.as_tensor(inputs)})
    graph = network.to_graph()
    recording = hasn.compile(graph, precision="float32", method=method, reset=reset).run(inputs)
    np.testing.assert_array_equal(activity.outputs.numpy(), recording.output)
    assert recording.output.std() > 0.01
    for name, counts in activity.counts.items():
        np.testing.assert_array_equal(counts.numpy(), recording.spikes[name].sum(axis=0))
    before = weights(net(hidden=hidden, last=last)) | {"last.threshold": getattr(last, "threshold", None)}
    after = weights(graph) | {"last.threshold": getattr(graph.nodes["last"], "threshold", None)}
    moved = [key for key in after if not np.array_equal(before[key], after[key])]
    changed = {kind for kind in ("tau", "threshold") if any(kind in key for key in moved)}
    assert changed == set(learn)


@pytest.mark.parametrize("method", ["euler", "exact"])
def test_gradients_of_tau_and_threshold_are_those_of_differences(method: str) -> None:
    """A network without spikes is smooth in tau, so central differences say what the gradient must be."""
    learn = {"tau": "population"}
    graph = net(hidden=nir.CubaLI(**{k: v for k, v in vars(cuba(HIDDEN)).items() if k in
                ("tau_syn", "tau_mem", "r", "v_leak", "w_in")}), last=nir.LI(np.full(3, 6e-3), np.full(3, 3.0),
                np.zeros(3)))  # fmt: skip
    network = made(graph, learn, method, "zero", "float64")
    inputs = {"in": torch.as_tensor(samples(4)[0])}

    def value() -> torch.Tensor:
        return (network.forward(inputs).outputs ** 2).sum()

    value().backward()  # type: ignore[no-untyped-call]
    for name, raw in network.learnable.parameters.items():
        around = []
        for step in (1e-5, -2e-5):
            with torch.no_grad():
                raw += step
                around.append(float(value().detach()))
        with torch.no_grad():
            raw += 1e-5
        assert raw.grad is not None
        assert float(raw.grad) == pytest.approx((around[0] - around[1]) / 2e-5, rel=1e-6), name


def test_the_threshold_has_the_surrogates_gradient() -> None:
    """For one step it is minus that of the voltage, summed: both enter as v - threshold."""
    network = made(net(), {"threshold": "neuron"}, "euler", "zero", "float64")
    inputs = {"in": torch.as_tensor(samples(8)[0])[:1]}
    network.forward(inputs).counts["hidden"].sum().backward()
    raw = network.learnable.parameters["hidden.v_threshold"]
    bias = network.module.node("w1").bias
    gain = 5.0 * DT / 5.1e-3
    slope = torch.sigmoid(raw.detach())  # of softplus
    assert raw.grad is not None
    assert float(raw.grad.abs().sum()) > 0
    np.testing.assert_allclose((raw.grad / slope).numpy(), (-bias.grad / gain).numpy(), rtol=1e-12)


@pytest.mark.parametrize("learn", ["tau", "threshold", {"tau": "neuron", "threshold": "population"}])
def test_what_is_learned_changes_and_nothing_else(learn: Any) -> None:
    result = hasn.train(net(), samples(), epochs=2, learn=learn, learning_rate=5e-2)
    node = result.graph.nodes["hidden"]
    tau, threshold = np.asarray(node.tau), np.asarray(node.v_threshold)
    assert np.any(tau != 5.1e-3) == ("tau" in learn)
    assert np.any(threshold != 0.97) == ("threshold" in learn)
    assert (len(set(tau)) > 1) == isinstance(learn, dict)
    assert len(set(threshold)) == 1
    assert tau.shape == threshold.shape == (HIDDEN,)


@pytest.mark.parametrize("method", ["euler", "exact"])
def test_they_stay_valid_wherever_the_optimizer_goes(method: str) -> None:
    """Steps of 5 in the raw parameters: taus over decades, never below dt under Euler; thresholds above the reset."""
    graph = net(hidden=lif(HIDDEN, v_reset=0.2))
    result = hasn.train(
        graph, samples(), epochs=6, learn=("tau", "threshold"), learning_rate=5.0, optimizer="adam", method=method
    )
    for node in (result.graph.nodes["hidden"], result.graph.nodes["last"]):
        assert np.all(np.asarray(node.tau) > (DT if method == "euler" else 0))
        assert np.all(np.asarray(node.v_threshold) > np.asarray(node.v_reset))
    assert not [f for f in hasn.check(result.graph, dt=DT) if f.severity == "error"]


def test_a_threshold_node_learns_too() -> None:
    result = hasn.train(net(last=nir.Threshold(np.full(3, 0.5))), samples(), epochs=2, learn="threshold")
    assert np.all(np.asarray(result.graph.nodes["last"].threshold) != 0.5)


@pytest.mark.parametrize(
    ("graph", "learn", "words"),
    [
        (net(hidden=lif(HIDDEN, tau=np.linspace(3e-3, 9e-3, HIDDEN))), "tau", "node 'hidden' tau: the values differ"),
        (net(hidden=lif(HIDDEN, tau=DT)), {"tau": ["hidden"]}, "node 'hidden' tau: lies on its limit"),
        (net(), "delay", "learn: the graph has no delay"),
        (net(), "weights", "learn: no such learn; got 'weights'"),
        (net(hidden=nir.IF(np.full(HIDDEN, 200.0), np.ones(HIDDEN)), last=nir.IF(np.full(3, 200.0), np.ones(3))), "tau",
         "learn: the graph has no tau"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused(graph: nir.NIRGraph, learn: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(graph, samples(), epochs=1, learn=learn)
