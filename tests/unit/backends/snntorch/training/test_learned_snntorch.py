"""What snnTorch's default neurons learn goes back to snnTorch: the reset follows beta and the threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

import hasn
from hasn.conversions.snntorch import from_snntorch, to_snntorch
from tests.unit.backends.snntorch.training.task import DT, samples


def module(kind: str) -> nn.Sequential:
    torch.manual_seed(2)
    neurons: dict[str, Any] = {
        "Leaky": lambda: snntorch.Leaky(beta=0.8, threshold=0.7, init_hidden=True),
        "Synaptic": lambda: snntorch.Synaptic(alpha=0.6, beta=0.8, threshold=0.7, init_hidden=True),
        "zero": lambda: snntorch.Leaky(beta=0.8, threshold=0.7, reset_mechanism="zero", init_hidden=True),
    }
    return nn.Sequential(nn.Linear(12, 16), neurons[kind](), nn.Linear(16, 3), neurons[kind]())


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "zero"])
@pytest.mark.parametrize("learn", ["tau", "threshold", ("tau", "threshold")])
def test_learned_neurons_go_back(kind: str, learn: Any) -> None:
    graph = from_snntorch(module(kind), input_shape=(12,), dt=DT)
    inputs, labels = samples()
    trained = hasn.train(graph, (inputs, labels), epochs=3, learning_rate=3e-2, learn=learn).graph
    node, before = trained.nodes["1"], graph.nodes["1"]
    tau = "tau" if hasattr(node, "tau") else "tau_mem"
    assert bool(getattr(node, tau)[0] != getattr(before, tau)[0]) is ("tau" in learn)
    assert bool(abs(node.v_threshold[0] - before.v_threshold[0]) > 1e-6) is ("threshold" in learn)
    beta = 1 - DT / getattr(node, tau)
    if kind != "zero":
        assert np.allclose(node.v_reset, node.v_threshold - node.v_threshold / beta, rtol=1e-12)
    back = to_snntorch(trained, sequential=True)
    neuron = next(layer for layer in back if isinstance(layer, snntorch.SpikingNeuron))
    assert float(neuron.threshold.flatten()[0]) == pytest.approx(node.v_threshold[0], rel=1e-6)
    assert float(neuron.beta.flatten()[0]) == pytest.approx(beta[0], rel=1e-6)
    assert neuron.reset_mechanism == ("zero" if kind == "zero" else "subtract")
    with torch.no_grad():
        theirs = torch.stack([back(torch.tensor(now)) for now in inputs]).numpy()
    ours = next(iter(hasn.compile(trained, "snntorch", precision="float32").run(inputs).outputs.values()))
    assert 0.01 < ours.mean() < 0.99
    assert np.mean(theirs != ours) < 2e-3  # ties within float32's rounding alone
