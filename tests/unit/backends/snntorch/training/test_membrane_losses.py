"""Losses on the membrane of neurons that reset: values and gradients against an autograd loop written out here."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy as torch_entropy

import hasn
from hasn.backends.snntorch.training import cross_entropy, membrane
from hasn.backends.snntorch.training.fits import loss_of
from hasn.backends.snntorch.training.losses import Loss
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.score import Scorer
from hasn.errors import OptionError
from tests.unit.backends.snntorch.training.membrane_nets import recurrent
from tests.unit.backends.snntorch.training.task import CLASSES, DT, HIDDEN, lif, net, samples
from tests.unit.backends.snntorch.training.test_network_parts import options


class _Spike(torch.autograd.Function):
    """1[u > 0] with the derivative of snnTorch's atan (alpha 2), 1 / (1 + (pi u)^2)."""

    @staticmethod
    def forward(context: Any, u: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(u)
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        (u,) = context.saved_tensors
        return gradient / (1 + (torch.pi * u) ** 2)


def by_loop(graph: nir.NIRGraph, x: torch.Tensor, reset: str) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Spikes and potentials before the reset of the last layer, in float64, and the weights as leaves."""
    nodes = graph.nodes
    w1, b1, w2 = (
        torch.tensor(np.asarray(value), dtype=torch.float64, requires_grad=True)
        for value in (nodes["w1"].weight, nodes["w1"].bias, nodes["w2"].weight)
    )
    keep, gain, threshold = 1 - DT / 5.1e-3, DT / 5.1e-3 * 5.0, 0.97
    v = [torch.zeros(x.shape[1], n, dtype=torch.float64) for n in (HIDDEN, CLASSES)]
    spikes, potentials = [], []
    for now in x:
        drive = now @ w1.T + b1
        for i in (0, 1):
            u = keep * v[i] + gain * drive
            z = _Spike.apply(u - threshold)
            v[i] = u * (1 - z) if reset == "zero" else u - z * threshold
            if i == 0:
                drive = z @ w2.T
        spikes.append(z)
        potentials.append(u)
    return torch.stack(spikes), torch.stack(potentials), [w1, b1, w2]


def trained(graph: nir.NIRGraph, loss: Any, reset: str = "zero", **more: Any) -> tuple[TrainedNetwork, Scorer]:
    lowering = {"dt": None, "method": None, "reset": reset, "timing": None}
    network = TrainedNetwork(graph, {}, None, lowering, "float64", more)
    return network, Scorer(network, loss_of(loss, network.program), options())


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", ["max", "steps", "own"])
def test_the_loss_reads_the_potential_before_the_reset(kind: str, reset: str, engine: str) -> None:
    inputs, labels = samples(9)
    x, y = torch.tensor(inputs, dtype=torch.float64), torch.tensor(labels)
    spikes, u, leaves = by_loop(net(), x, reset)
    assert 0 < float(spikes.detach().mean()) < 1
    wanted = {
        "max": lambda: torch_entropy(u.amax(0), y),
        "steps": lambda: sum(torch_entropy(u[t], y) for t in range(len(u))) / len(u),
        "own": lambda: (u**2 * (1 + y.view(1, -1, 1))).mean(),
    }[kind]()
    wanted.backward()
    loss = {
        "max": membrane(),
        "steps": cross_entropy("steps", "membrane"),
        "own": Loss("own", lambda v, labels: (v**2 * (1 + labels.view(1, -1, 1))).mean(), None, reads="membrane"),
    }[kind]
    network, scorer = trained(net(), loss, reset, engine=engine)
    found = network.forward({"in": x})
    assert torch.equal(found.outputs, spikes)
    assert torch.allclose(found.membranes, u, rtol=0, atol=1e-14)  # rounding of a sum of 16 in float64
    value = scorer.loss.value(scorer._shown(found), y)
    value.backward()
    assert float(value.detach()) == pytest.approx(float(wanted.detach()), rel=1e-12)
    gradients = {tuple(p.shape): p.grad for p in network.parameters.values()}
    for leaf in leaves:
        assert float(leaf.grad.abs().sum()) > 0
        # snnTorch's surrogates hand a gradient on in float32, of which each step rounds once.
        assert torch.allclose(gradients[tuple(leaf.shape)], leaf.grad, rtol=1e-6, atol=1e-6)


def test_training_by_the_membrane_moves_a_readout_that_never_spikes() -> None:
    graph = net(last=lif(CLASSES, v_threshold=100.0))
    made = hasn.train(graph, samples(), epochs=4, loss="membrane", batch_size=16, learning_rate=1e-2)
    assert made.history[-1].loss < made.history[0].loss
    assert made.history[-1].accuracy is not None
    assert made.history[-1].rates["last"] == 0
    silent = hasn.train(graph, samples(), epochs=1, loss="rate", batch_size=16)
    assert silent.losses[0] == pytest.approx(np.log(3))


def test_accuracy_by_the_membrane_at_every_step_is_that_of_the_counts() -> None:
    """As in snnTorch's tutorial 5."""
    inputs, labels = samples(24)
    spikes, _, _ = by_loop(net(), torch.tensor(inputs, dtype=torch.float64), "zero")
    wanted = float((spikes.sum(0).argmax(1).numpy() == labels).mean())
    made = hasn.train(
        net(), (inputs, labels), epochs=1, batch_size=24, loss=cross_entropy("steps", "membrane"),
        learning_rate=1e-9, precision="float64",
    )  # fmt: skip
    assert made.history[0].accuracy == pytest.approx(wanted)


def test_neurons_in_a_cycle_behind_a_flatten_have_a_membrane_too() -> None:
    x = torch.tensor(samples(5)[0], dtype=torch.float64)
    found = {}
    for engine in ("fused", "steps"):
        network, _ = trained(recurrent(), membrane(), engine=engine)
        activity = network.forward({"in": x})
        activity.membranes.amax(0).sum().backward()
        found[engine] = [activity.membranes, *(p.grad for p in network.parameters.values())]
        assert torch.equal(activity.membranes > 0.97, activity.outputs > 0)
        assert 0 < float(activity.outputs.detach().mean()) < 1
    for fused, steps in zip(*found.values(), strict=True):
        assert torch.allclose(fused, steps, rtol=1e-12, atol=1e-14)
    graph = hasn.train(recurrent(), samples(12), epochs=1, loss=cross_entropy("max", "membrane")).graph
    assert not np.array_equal(graph.nodes["w"].weight, recurrent().nodes["w"].weight)


def test_what_has_no_membrane_is_refused_and_so_is_recomputing() -> None:
    threshold = net(last=nir.Threshold(np.ones(3)))
    with pytest.raises(OptionError, match=r"'out' loss: a loss reads a membrane potential.*Flatten"):
        hasn.train(threshold, samples(), epochs=1, loss=cross_entropy("max", "membrane"))
    with pytest.raises(OptionError, match=r"the membrane potentials that the loss reads are kept; got recompute=3"):
        hasn.train(net(), samples(), epochs=1, loss="membrane", recompute=3)
    for chosen, words in ((("sums",), "over"), (("sum", "spikes"), "of")):
        with pytest.raises(OptionError, match=f"no such {words}"):
            cross_entropy(*chosen)
