"""detach_reset: gradients against autograd loops written out here, and against snnTorch's own network."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import snntorch
import torch
from torch import nn

import hasn
from hasn.backends.snntorch.scan import Scanner
from hasn.conversions.snntorch import from_snntorch
from hasn.errors import OptionError

DT, STEPS, BATCH = 1e-3, 12, 3
SLOPES: dict[str, Any] = {
    "atan": lambda u: 1 / (1 + (np.pi * u) ** 2),
    "fast_sigmoid": lambda u: 1 / (25 * u.abs() + 1) ** 2,
    "triangular": lambda u: torch.where(u >= 0, -1.0, 1.0),
}


def spike(u: torch.Tensor, slope: Any) -> torch.Tensor:
    """1[u > 0], whose gradient is slope(u)."""
    z = (u > 0).to(u.dtype)
    return z + (u - u.detach()) * slope(u.detach())


def graph_of(kind: str, reset: str) -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    if kind == "LIF":
        node: Any = nir.LIF(np.full(5, 4e-3), np.full(5, 4.0), np.full(5, 0.1), np.full(5, 0.9), np.full(5, 0.2))
    else:
        node = nir.CubaLIF(
            tau_syn=np.full(5, 3e-3), tau_mem=np.full(5, 4e-3), r=np.full(5, 4.0), v_leak=np.full(5, 0.1),
            v_threshold=np.full(5, 0.9), v_reset=np.full(5, 0.2), w_in=np.full(5, 2.0),
        )  # fmt: skip
    node.metadata["reset"] = reset
    nodes = {
        "in": nir.Input(np.array([4])), "w": nir.Linear(rng.normal(0.3, 0.5, (5, 4))), "n": node,
        "out": nir.Output(np.array([5])),
    }  # fmt: skip
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


X = torch.rand(STEPS, BATCH, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
OUT = torch.randn(STEPS, BATCH, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def by_loop(kind: str, reset: str, slope: Any, weight: torch.Tensor, x: torch.Tensor, detach: bool) -> torch.Tensor:
    """Spikes of :func:`graph_of`, by the equations of the semantics page."""
    v, c, spikes = torch.zeros(BATCH, 5, dtype=torch.float64), torch.zeros(BATCH, 5, dtype=torch.float64), []
    for now in x:
        given = now @ weight.T
        if kind != "LIF":
            c = c + DT / 3e-3 * (-c + 2.0 * given)
            given = c
        v = v + DT / 4e-3 * (0.1 - v + 4.0 * given)
        z = spike(v - 0.9, slope)
        spikes.append(z)
        at = z.detach() if detach else z
        v = v * (1 - at) + 0.2 * at if reset == "zero" else v - at * 0.7
    return torch.stack(spikes)


@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
@pytest.mark.parametrize("name", SLOPES)
def test_no_gradient_flows_through_the_reset(name: str, kind: str, reset: str, engine: str) -> None:
    gradients = {}
    for detach in (True, False):
        weight = torch.tensor(graph_of(kind, reset).nodes["w"].weight, requires_grad=True)
        x = X.clone().requires_grad_()
        spikes = by_loop(kind, reset, SLOPES[name], weight, x, detach)
        assert 0.1 < float(spikes.detach().mean()) < 0.9
        (spikes * OUT).sum().backward()
        made = hasn.compile(
            graph_of(kind, reset), backend="snntorch", precision="float64", surrogate=name, engine=engine,
            detach_reset=detach,
        ).module  # fmt: skip
        given = X.clone().requires_grad_()
        found = made(given)
        assert torch.equal(found, spikes.detach())
        (found * OUT).sum().backward()
        # snnTorch's surrogates, which the step loop calls, hand a gradient on in float32.
        loose = {"rtol": 1e-5, "atol": 1e-5} if engine == "steps" else {"rtol": 1e-11, "atol": 1e-12}
        assert torch.allclose(made.node("w").weight.grad, weight.grad, **loose)
        assert torch.allclose(given.grad, x.grad, **loose)
        gradients[detach] = weight.grad
    assert not torch.allclose(gradients[True], gradients[False], rtol=1e-2)


def test_the_kernel_does_it_also_from_states_and_to_states() -> None:
    """A run in two halves, whose state passes a gradient on, has the gradients of the whole."""
    for reset in ("zero", "subtract"):
        made = hasn.compile(
            graph_of("CubaLIF", reset), backend="snntorch", precision="float64", detach_reset=True
        ).module  # fmt: skip
        population = made.population("n")
        assert Scanner(population)._found is not None
        drive = torch.randn(STEPS, BATCH, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 2
        found = []
        for cut in (STEPS, 5):
            x = drive.clone().requires_grad_()
            first = Scanner(population)(x[:cut], population.initial(BATCH))
            output, states = first.output, first.states
            if cut < STEPS:
                second = Scanner(population)(x[cut:], states)
                output, states = torch.cat([output, second.output]), second.states
            ((output * OUT).sum() + sum((s**2).sum() for s in states)).backward()
            found.append(x.grad)
        assert torch.allclose(found[0], found[1], rtol=1e-12, atol=1e-13)


def test_the_gradients_are_snntorchs_own() -> None:
    """snnTorch's default: subtract, a step late, with the spikes of the reset detached."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 6), snntorch.Leaky(beta=0.8, init_hidden=True),
        nn.Linear(6, 3), snntorch.Leaky(beta=0.7, threshold=0.6, init_hidden=True),
    )  # fmt: skip
    for layer in (net[0], net[2]):
        layer.weight.data.mul_(2).add_(0.1)
    graph = from_snntorch(copy.deepcopy(net), input_shape=(4,), dt=DT)
    for neuron in (net[1], net[3]):
        neuron.reset_mem()
    theirs = torch.stack([net(now) for now in X.float()])
    assert 0.05 < float(theirs.detach().mean()) < 0.95
    (theirs * OUT[..., :3]).sum().backward()
    ours = {}
    for detach in (True, False):
        module = hasn.compile(graph, backend="snntorch", precision="float32", detach_reset=detach).module
        found = module(X)
        assert torch.equal(found, theirs.detach())
        (found * OUT[..., :3]).sum().backward()
        ours[detach] = [p.grad for p in module.parameters()]
    for own, other, wanted in zip(ours[True], ours[False], [p.grad for p in net.parameters()], strict=True):
        assert torch.allclose(own, wanted, rtol=1e-4, atol=1e-4)  # sums of float32
        assert not torch.allclose(other, wanted, rtol=1e-2, atol=1e-2)


def test_other_neurons_and_learned_coefficients_are_looped() -> None:
    """A refractory neuron, and a time constant that is learned: fused equals the step loop."""
    held = graph_of("LIF", "zero")
    held.nodes["n"].metadata["refractory"] = 2e-3
    for graph, learn in ((held, {}), (graph_of("CubaLIF", "subtract"), {"learn": ("tau", "threshold")})):
        losses = {}
        for engine in ("fused", "steps"):
            for detach in (True, False):
                made = hasn.train(
                    graph, (X.numpy(), [0, 1, 2]), epochs=4, optimizer="sgd", learning_rate=0.1, precision="float64",
                    engine=engine, detach_reset=detach, loss=lambda z, y: (z.sum(0) - 2).pow(2).mean(), **learn,
                )  # fmt: skip
                losses[engine, detach] = np.asarray(made.graph.nodes["w"].weight)
        assert np.allclose(losses["fused", True], losses["steps", True], rtol=1e-5, atol=1e-5)
        assert not np.allclose(losses["fused", True], losses["fused", False], atol=1e-4)


def test_it_can_be_set_and_unset_and_is_refused_where_nothing_trains() -> None:
    module = hasn.compile(graph_of("LIF", "zero"), backend="snntorch", precision="float64").module
    gradients = []
    for detach in (False, True, False):
        module.detach_reset = detach
        assert module.detach_reset is detach
        module.zero_grad()
        (module(X) * OUT).sum().backward()
        gradients.append(module.node("w").weight.grad.clone())
    assert torch.allclose(gradients[0], gradients[2], rtol=1e-9)
    assert not torch.allclose(gradients[0], gradients[1], rtol=1e-2)
    with pytest.raises(OptionError, match="detach_reset: no such value; got 1; wanted True or False"):
        hasn.compile(graph_of("LIF", "zero"), backend="snntorch", detach_reset=1)
    with pytest.raises(OptionError, match="detach_reset: precision 'loihi' computes in integers"):
        hasn.compile(graph_of("LIF", "zero"), backend="snntorch", precision="loihi", detach_reset=True)
