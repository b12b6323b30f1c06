"""Elastic weights and synaptic intelligence: their mathematics by hand, and that they keep an earlier task."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training.fisher import fisher
from hasn.backends.snntorch.training.network import Activity
from hasn.errors import InputError, OptionError
from hasn.training import ElasticWeights, SynapticIntelligence
from tests.unit.backends.snntorch.training.task import DT, lif, net, samples

INPUTS, HIDDEN, CLASSES, STEPS = 30, 40, 4, 10


def activity(**parameters: Any) -> Activity:
    """One of a network with these parameters."""
    return Activity(None, {}, 1, {}, torch.zeros(()), parameters={n: torch.as_tensor(p) for n, p in parameters.items()})


# --- elastic weights


def test_the_elastic_term() -> None:
    """3/2 (2 * 0.5^2 + 7 * 1^2 + 4 * 2^2), and its gradient 3 F (theta - theta*)."""
    term = ElasticWeights({"w": [1.0, 2.0], "b": [0.0]}, {"w": [2.0, 7.0], "b": [4.0]}, strength=3)
    w, b = torch.tensor([1.5, 1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)
    value = term(activity(w=w, b=b))
    assert float(value.detach()) == pytest.approx(1.5 * (0.5 + 7.0 + 16.0))
    value.backward()
    assert w.grad is not None
    assert b.grad is not None
    assert w.grad.tolist() == pytest.approx([3.0, -21.0])
    assert b.grad.tolist() == pytest.approx([24.0])


def softmax_network() -> tuple[nir.NIRGraph, np.ndarray]:
    """input -> w -> readout whose voltage after one step is w x: a softmax regression."""
    weight = np.array([[0.5, -0.2, 0.1], [0.0, 0.3, -0.4]])
    readout = nir.LI(np.full(2, DT), np.ones(2), np.zeros(2))
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": nir.Linear(weight),
        "cells": readout,
        "out": nir.Output(np.array([2])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT}), weight


X = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0], [0.0, 1.0, 1.0]])
Y = np.array([0, 1, 1])


def odds(weight: np.ndarray) -> np.ndarray:
    """(samples, classes)."""
    e = np.exp(X @ weight.T)
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def test_the_fisher_information_by_hand() -> None:
    """Of a softmax: mean p_c (1 - p_c) x_i^2 with the network's own probabilities."""
    graph, weight = softmax_network()
    anchor, found = fisher(graph, (X[np.newaxis], Y), loss="membrane", precision="float64")
    p = odds(weight)
    (name,) = found
    np.testing.assert_array_equal(anchor[name], weight)
    np.testing.assert_allclose(found[name], (p * (1 - p)).T @ X**2 / 3, rtol=1e-12)


def test_the_empirical_fisher_information_by_hand() -> None:
    """With the labels of the data: mean (p_c - y_c)^2 x_i^2."""
    graph, weight = softmax_network()
    _, found = fisher(graph, (X[np.newaxis], Y), loss="membrane", labels="data", precision="float64")
    error = odds(weight) - np.eye(2)[Y]
    np.testing.assert_allclose(found.popitem()[1], (error**2).T @ X**2 / 3, rtol=1e-12)


def test_batches_are_taken_sample_by_sample() -> None:
    """A gradient of a batch squared is no sum of squares."""
    graph, weight = softmax_network()
    batches = [(X[np.newaxis, :2], Y[:2]), (X[np.newaxis, 2:], Y[2:])]
    _, found = fisher(graph, batches, loss="membrane", precision="float64")
    p = odds(weight)
    np.testing.assert_allclose(found.popitem()[1], (p * (1 - p)).T @ X**2 / 3, rtol=1e-12)


def test_samples_are_drawn_and_the_caller_s_generators_left_alone() -> None:
    graph, weight = softmax_network()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    p = odds(weight)
    each = [np.outer(p[n] * (1 - p[n]), X[n] ** 2) for n in range(3)]
    drawn = set()
    for seed in range(6):
        _, found = fisher(graph, (X[np.newaxis], Y), loss="membrane", precision="float64", samples=1, seed=seed)
        (value,) = found.values()
        drawn |= {n for n in range(3) if np.allclose(value, each[n], rtol=1e-9)}
    assert drawn == {0, 1, 2}
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_learned_beside_weights_has_a_fisher_information_too() -> None:
    _, found = fisher(net(), samples(6), learn=("tau",), samples=6)
    assert len(found) > len(fisher(net(), samples(6), samples=6)[1])
    assert all(np.any(value > 0) for value in found.values())


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"labels": "both"}, "labels"),
        ({"samples": 0}, "samples"),
        ({"loss": "count"}, "add up to 1"),
        ({"loss": lambda outputs, labels: outputs.mean()}, "add up to 1"),
    ],
)
def test_options_of_the_fisher_information(options: dict[str, Any], what: str) -> None:
    with pytest.raises(OptionError, match=what):
        fisher(net(), samples(2), **options)
    if "loss" in options:
        assert fisher(net(), samples(2), labels="data", **options)[1]


def test_a_loss_of_one_s_own() -> None:
    """A cross-entropy is one whatever it is called; where nobody knows the classes the model cannot be asked."""
    graph, weight = softmax_network()

    def own(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs[-1], labels)

    _, found = fisher(graph, (X[np.newaxis], Y), loss=own, precision="float64")
    p = odds(weight)
    np.testing.assert_allclose(found.popitem()[1], (p * (1 - p)).T @ X**2 / 3, rtol=1e-12)
    graph.nodes["also"] = nir.Output(np.array([2]))
    graph.edges = [*graph.edges, ("cells", "also")]
    with pytest.raises(OptionError, match="no classes"):
        fisher(graph, (X[np.newaxis], Y), loss=lambda outputs, labels: outputs["out"].mean())


def test_no_data_no_information() -> None:
    with pytest.raises(InputError):
        fisher(net(), [])


# --- synaptic intelligence


def followed(synaptic: SynapticIntelligence, theta: torch.Tensor, loss: Any, steps: int, rate: float) -> None:
    """Gradient descent under its eyes."""
    for _ in range(steps):
        theta.grad = None
        loss(theta).backward()
        synaptic.before({"w": theta})
        with torch.no_grad():
            theta -= rate * theta.grad
        synaptic.after({"w": theta})


A, B = torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64), torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)


def quadratic(theta: torch.Tensor) -> torch.Tensor:
    """Its third parameter does not matter."""
    return (0.5 * A * (theta - B) ** 2).sum()


def test_the_path_integral_is_the_decrease_of_the_loss() -> None:
    """Of a quadratic, parameter by parameter; the sum over finite updates is too large by half of rate a, at most."""
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    synaptic = SynapticIntelligence(strength=1.0, xi=0.1)
    synaptic.begin({"w": theta})
    followed(synaptic, theta, quadratic, 2000, 1e-3)
    before, after = (0.5 * A * (x - B) ** 2 for x in (torch.zeros(3), theta.detach()))
    assert synaptic.path["w"] == pytest.approx((before - after).numpy(), rel=2.5e-3)
    assert synaptic.path["w"][1] > 7.9  # nearly all of 8
    path, end = synaptic.path["w"], theta.detach().numpy().copy()
    synaptic.begin({"w": theta})
    assert synaptic.importance["w"] == pytest.approx(path / (end**2 + 0.1), rel=1e-12)
    assert synaptic.path["w"].tolist() == [0, 0, 0]
    moved = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    wanted = (synaptic.importance["w"] * (1 - end) ** 2).sum()
    assert float(synaptic(activity(w=moved))) == pytest.approx(wanted, rel=1e-12)


def test_its_own_pull_is_no_part_of_the_path() -> None:
    """In the second task the loss that decreases is the task's alone."""
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    synaptic = SynapticIntelligence(strength=0.5, xi=0.1)
    synaptic.begin({"w": theta})
    followed(synaptic, theta, quadratic, 500, 1e-3)
    synaptic.begin({"w": theta})
    start = theta.detach().clone()

    def other(x: torch.Tensor) -> torch.Tensor:
        return (2.0 * (x + B) ** 2).sum()

    followed(synaptic, theta, lambda x: other(x) + synaptic(activity(w=x)), 500, 1e-4)
    decrease = (2.0 * (start + B) ** 2 - 2.0 * (theta.detach() + B) ** 2).numpy()
    assert synaptic.path["w"] == pytest.approx(decrease, rel=2e-3)
    pulled = theta.detach().clone()
    free = start.clone().requires_grad_()
    for _ in range(500):
        (gradient,) = torch.autograd.grad(other(free), free)
        free = (free - 1e-4 * gradient).detach().requires_grad_()
    assert np.all((pulled - start).abs()[:2].numpy() < (free.detach() - start).abs()[:2].numpy())
    assert float(pulled[2].detach()) == pytest.approx(float(free[2].detach()))  # did not matter


def test_a_share_below_zero_counts_as_none() -> None:
    theta = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    synaptic = SynapticIntelligence(1.0, 1.0)
    synaptic.begin({"w": theta})
    followed(synaptic, theta, lambda x: (x**2).sum(), 1, -0.1)  # uphill
    assert synaptic.path["w"][0] == pytest.approx(-2 * 0.2)
    synaptic.begin({"w": theta})
    assert synaptic.importance["w"] == 0


def test_importances_add_up_over_tasks_and_a_task_can_begin_anew() -> None:
    theta = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    synaptic, wanted = SynapticIntelligence(1.0, 1.0), 0.0
    for _ in range(2):
        synaptic.begin({"w": theta})
        followed(synaptic, theta, lambda x: (x - 1).sum() ** 2, 1, 0.1)
        start = theta.detach().clone()
        synaptic.begin({"w": theta})
        wanted += 0.2 * 2 / (0.2**2 + 1) if wanted == 0 else 0.16 * 1.6 / (0.16**2 + 1)
        assert synaptic.importance["w"][0] == pytest.approx(wanted, rel=1e-12)
        followed(synaptic, theta, lambda x: (x - 1).sum() ** 2, 3, 0.1)
        with torch.no_grad():
            theta.copy_(start)  # a training that was stopped, and is started again


def test_clipping_and_training_leave_the_path_whole() -> None:
    """Through hasn.train: all shares together are the decrease of the loss, gradients clipped or not."""
    for clip in (None, 0.05):
        synaptic = SynapticIntelligence()
        graph, _ = softmax_network()
        data = [(np.repeat(X[np.newaxis], 2, axis=1), np.tile(Y, 2))]
        found = hasn.train(
            graph, data, epochs=60, loss="membrane", optimizer="sgd", learning_rate=0.02, clip=clip,
            precision="float64", regularisers=[synaptic],
        )  # fmt: skip
        gone = found.losses[0] - found.losses[-1]
        assert gone > 0.03
        assert sum(path.sum() for path in synaptic.path.values()) == pytest.approx(gone, rel=0.05)  # 59 of 60 updates


# --- two tasks


def network(seed: int) -> nir.NIRGraph:
    rng = np.random.default_rng(seed)
    nodes = {
        "in": nir.Input(np.array([INPUTS])),
        "w1": nir.Linear(rng.normal(0.05, 0.3, (HIDDEN, INPUTS))),
        "hidden": lif(HIDDEN),
        "w2": nir.Linear(rng.normal(0.1, 0.3, (CLASSES, HIDDEN))),
        "last": lif(CLASSES),
        "out": nir.Output(np.array([CLASSES])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


def task(seed: int, count: int, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes around one pattern of rates for each class, the inputs in an order."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).random((CLASSES, INPUTS)) ** 2
    labels = rng.integers(0, CLASSES, count)
    spikes = rng.random((STEPS, count, INPUTS)) < patterns[labels]
    return spikes[..., order].astype(np.float32), labels


def accuracy(graph: nir.NIRGraph, data: tuple[np.ndarray, np.ndarray]) -> float:
    with hasn.compile(graph, "snntorch", precision="float32") as executable:
        counts = executable.run(data[0]).output.sum(axis=0)
    return float((counts.argmax(axis=1) == data[1]).mean())


def test_what_was_learned_first_is_kept() -> None:
    """Two tasks on the same outputs: half of what plain training forgets at most, and the second is learned all the
    same."""
    orders = np.arange(INPUTS), np.random.default_rng(7).permutation(INPUTS)
    first, second = (task(seed, 400, order) for seed, order in zip((1, 3), orders, strict=True))
    held = [task(seed, 300, order) for seed, order in zip((2, 4), orders, strict=True)]
    how: dict[str, Any] = {"batch_size": 40, "learning_rate": 1e-2, "epochs": 6}
    synaptic = SynapticIntelligence(1.0, 1e-2)
    graph = hasn.train(network(0), first, regularisers=[synaptic], **how).graph
    elastic = ElasticWeights.of(graph, first, strength=1000.0, samples=60)
    begun, lost = accuracy(graph, held[0]), {}
    assert begun > 0.98
    for name, terms in (("plain", []), ("elastic", [elastic]), ("synaptic", [synaptic])):
        ended = hasn.train(graph, second, regularisers=terms, **how).graph
        lost[name] = begun - accuracy(ended, held[0])
        assert accuracy(ended, held[1]) > 0.95, name
    assert lost["plain"] > 0.15
    assert lost["elastic"] <= lost["plain"] / 2
    assert lost["synaptic"] <= lost["plain"] / 2


# --- what is refused


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "1"])
def test_numbers_that_make_no_sense(value: Any) -> None:
    for made in (
        lambda: ElasticWeights({}, {}, value),
        lambda: ElasticWeights.of(net(), samples(2), strength=value),
        lambda: SynapticIntelligence(strength=value),
        lambda: SynapticIntelligence(xi=value),
    ):
        with pytest.raises(OptionError, match="no such value"):
            made()
    with pytest.raises(OptionError, match="xi"):
        SynapticIntelligence(xi=0.0)


def test_parameters_of_another_network() -> None:
    elastic = ElasticWeights.of(net(), samples(2), strength=1.0, samples=2)
    synaptic = SynapticIntelligence()
    hasn.train(net(), samples(4), epochs=1, regularisers=[synaptic])
    for term in (elastic, synaptic):
        with pytest.raises(OptionError, match="not those of the task before"):
            hasn.train(net(), samples(4), epochs=1, learn=("tau",), regularisers=[term])
        with pytest.raises(OptionError, match="not those of the task before"):
            hasn.train(network(0), task(0, 4, np.arange(INPUTS)), epochs=1, regularisers=[term])


def test_checkpoints(tmp_path: Path) -> None:
    """Elastic weights are known by their numbers; a path that is not kept there is refused."""
    graph, data = net(), samples(8)
    one = ElasticWeights.of(graph, data, strength=1.0, samples=4)
    other = ElasticWeights(one.anchor, {name: value * 2 for name, value in one.fisher.items()}, 1.0)
    how: dict[str, Any] = {"checkpoint": tmp_path / "c.pt", "resume": True}
    hasn.train(graph, data, epochs=1, regularisers=[one], **how)
    again = ElasticWeights(one.anchor, one.fisher, 1.0)
    assert len(hasn.train(graph, data, epochs=2, regularisers=[again], **how).history) == 2
    with pytest.raises(OptionError, match="regularisers"):
        hasn.train(graph, data, epochs=3, regularisers=[other], **how)
    with pytest.raises(OptionError, match="got SynapticIntelligence"):
        hasn.train(graph, data, epochs=1, regularisers=[SynapticIntelligence()], checkpoint=tmp_path / "d.pt")


def test_what_is_frozen_is_no_part_of_a_task() -> None:
    """The same freeze= for the Fisher information and for the training after it; another one is refused."""
    elastic = ElasticWeights.of(net(), samples(6), strength=1.0, samples=6, freeze="w2")
    assert set(elastic.fisher) == {"nodes.w1.weight", "nodes.w1.bias"}
    held = hasn.train(net(), samples(6), epochs=1, regularisers=[elastic], freeze="w2").graph
    np.testing.assert_array_equal(held.nodes["w2"].weight, net().nodes["w2"].weight.astype(np.float32))
    with pytest.raises(OptionError, match="with the same learn= and freeze="):
        hasn.train(net(), samples(6), epochs=1, regularisers=[elastic])
