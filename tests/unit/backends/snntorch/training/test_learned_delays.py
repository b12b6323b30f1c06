"""Learned delays: their gradient is the one that is documented, they stay whole, and they solve what weights cannot."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import hasn
from hasn.backends.snntorch.training.network import TrainedNetwork
from tests.unit.backends.snntorch.training.task import DT

INPUTS, STEPS = 12, 40


def ordered(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One spike of each input, one after the other from the first on (class 1) or from the last on (class 0)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    spikes = np.zeros((STEPS, count, INPUTS), np.float32)
    for sample, label in enumerate(labels):
        times = np.arange(INPUTS)[:: 1 if label else -1] + rng.integers(0, 8)
        spikes[times, sample, np.arange(INPUTS)] = 1
    return spikes, labels


def net(steps: Any = 6, last: nir.NIRNode | None = None) -> nir.NIRGraph:
    """12 inputs, each with a delay, into 2 neurons that forget within two steps."""
    one = np.ones(2)
    nodes = {
        "in": nir.Input(np.array([INPUTS])),
        "late": nir.Delay(np.zeros(INPUTS) + np.asarray(steps) * DT),
        "w": nir.Affine(np.random.default_rng(1).normal(0.25, 0.05, (2, INPUTS)), np.zeros(2)),
        "last": last or nir.LIF(one * 1.6e-3, one * 1.6, one * 0, one, one * 0),
        "out": nir.Output(np.array([2])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


def made(graph: nir.NIRGraph, recompute: int | None = None, **options: Any) -> TrainedNetwork:
    lowering = {"dt": None, "method": "euler", "reset": "zero", "timing": "synchronous"}
    return TrainedNetwork(graph, {"delay": "neuron"}, recompute, lowering, "float64", options)


def test_they_solve_a_task_of_time_that_weights_alone_do_not() -> None:
    found = {}
    for learn in ((), {"delay": "neuron"}):
        options: dict[str, Any] = {"batch_size": 16, "learning_rate": 3e-3, "learn": learn}
        found[bool(learn)] = hasn.train(net(), ordered(64, 1), epochs=40, validation=ordered(200, 2), **options)
    accuracy = {learned: result.history[-1].validation_accuracy for learned, result in found.items()}
    assert accuracy[True] == 1.0
    assert accuracy[False] is not None
    assert accuracy[False] < 0.7
    steps = np.asarray(found[True].graph.nodes["late"].delay) / DT
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert len(set(steps.round())) > 3


@pytest.mark.parametrize("options", [{}, {"engine": "steps"}, {"recompute": 7}], ids=str)
def test_the_gradient_is_the_slope_of_the_signal(options: dict[str, Any]) -> None:
    """Of the documented formula, in numpy, for delays of 0, 1 and more."""
    steps = np.arange(INPUTS) % 4
    graph = net(steps, nir.LI(np.ones(2) * 3e-3, np.ones(2), np.zeros(2)))
    network = made(graph, **options)
    rng = np.random.default_rng(3)
    x, weighs = rng.normal(size=(STEPS, 5, INPUTS)), rng.normal(size=(STEPS, 5, 2))
    outputs = network.forward({"in": torch.as_tensor(x)}).outputs
    (outputs * torch.as_tensor(weighs)).sum().backward()
    # Back through v <- v + (x - v) dt / tau and W, by hand.
    to_v, to_late = np.zeros((5, 2)), np.zeros_like(x)
    for t in reversed(range(STEPS)):
        to_v = weighs[t] + to_v * (1 - DT / 3e-3)
        to_late[t] = (to_v * DT / 3e-3) @ graph.nodes["w"].weight
    padded = np.concatenate([np.zeros((5, 5, INPUTS)), x])
    wanted = np.zeros(INPUTS)
    for i, n in enumerate(steps):
        ago = {k: padded[5 - k : 5 - k + STEPS, :, i] for k in (n - 1, n, n + 1) if k >= 0}
        slope = (ago[n + 1] - ago[n - 1]) / 2 if n else ago[1] - ago[0]
        wanted[i] = (to_late[:, :, i] * slope).sum()
    raw = network.learnable.parameters["late.delay"]
    assert raw.grad is not None
    np.testing.assert_allclose(raw.grad.numpy() / 100, wanted, rtol=1e-10)


def test_the_graph_that_comes_back_is_the_network_that_was_trained() -> None:
    network = made(net())
    raw = network.learnable.parameters["late.delay"]
    with torch.no_grad():
        raw += torch.linspace(-0.1, 0.2, INPUTS, dtype=raw.dtype)  # -4 to 26 steps: none is below 0
    x = (np.random.default_rng(4).random((STEPS, 24, INPUTS)) < 0.3).astype(np.float32)
    trained = network.forward({"in": torch.as_tensor(x)}).outputs.detach().numpy()
    graph = network.to_graph()
    steps = np.asarray(graph.nodes["late"].delay) / DT
    np.testing.assert_allclose(steps, np.clip(np.round(6 + np.linspace(-10, 20, INPUTS)), 0, None), atol=1e-9)
    assert 0.05 < trained.mean() < 0.95
    for backend in ("snntorch", "brian2"):
        np.testing.assert_array_equal(hasn.compile(graph, backend).run(x).output, trained)
