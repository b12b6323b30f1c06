"""SpikingJelly networks by way of its exporter: its own simulation and hasn's give the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hasn.errors import UnsupportedError
from tests.unit.conversions.foreign_runs import drive, excite, require_same_spikes

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
jelly = pytest.importorskip(
    "spikingjelly.activation_based.nir_exchange",
    reason="SpikingJelly 2 is not installed: pip install 'hasn[spikingjelly]'",
)
from spikingjelly.activation_based import functional, layer, neuron, surrogate  # noqa: E402
from torch import nn  # noqa: E402

from hasn.conversions.spikingjelly import from_spikingjelly  # noqa: E402

DT = 1e-3

NEURONS: dict[str, tuple[Callable[[], Any], float]] = {  # neuron, scale of the input
    "if": (lambda: neuron.IFNode(v_threshold=1.5), 2.0),
    "if reset": (lambda: neuron.IFNode(v_threshold=1.5, v_reset=0.3), 2.0),
    "if soft": (lambda: neuron.IFNode(v_threshold=1.5, v_reset=None), 2.0),
    "lif": (lambda: neuron.LIFNode(tau=4.0, v_threshold=0.6), 3.0),
    "lif reset": (lambda: neuron.LIFNode(tau=4.0, v_threshold=0.5, v_reset=-0.1), 5.0),
    "lif whole input": (lambda: neuron.LIFNode(tau=4.0, decay_input=False), 2.0),
    "lif soft": (lambda: neuron.LIFNode(tau=4.0, v_threshold=0.4, v_reset=None), 6.0),
    "plif": (lambda: neuron.ParametricLIFNode(init_tau=3.0, v_threshold=0.6, decay_input=True), 3.0),
    "cuba": (lambda: neuron.CUBALIFNode(c_decay=0.6, v_decay=0.8, v_threshold=2.5), 1.0),
    "cuba soft": (lambda: neuron.CUBALIFNode(c_decay=0.6, v_decay=0.8, v_threshold=2.5, v_reset=None), 1.0),
}


def net_of(make: Callable[[], Any]) -> Any:
    torch.manual_seed(6)
    return excite(nn.Sequential(layer.Linear(6, 7), make(), layer.Linear(7, 5, bias=False), make())).eval()


@pytest.mark.parametrize("name", NEURONS)
@pytest.mark.parametrize("mode", ["s", "m"])
def test_same_spikes(name: str, mode: str) -> None:
    make, high = NEURONS[name]
    net, x = net_of(make), drive(200, 3, 6, high=high)
    functional.set_step_mode(net, mode)
    given = torch.as_tensor(x)
    graph = from_spikingjelly(net, given if mode == "m" else given[0], DT)
    functional.reset_net(net)
    with torch.no_grad():
        wanted = net(given) if mode == "m" else torch.stack([net(sample) for sample in given])
    require_same_spikes(graph, x, wanted.numpy() > 0)


def test_a_convolutional_net_with_integer_weights_that_meet_their_threshold() -> None:
    """v >= v_threshold: with whole numbers the membrane meets it all the time."""
    net = nn.Sequential(
        layer.Conv2d(1, 2, 3, padding=1, bias=False),
        neuron.IFNode(v_threshold=3.0),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(18, 4, bias=False),
        neuron.IFNode(v_threshold=2.0, v_reset=None),
    )
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        net[0].weight.copy_(torch.randint(-1, 3, net[0].weight.shape, generator=generator).float())
        net[4].weight.copy_(torch.randint(-1, 3, net[4].weight.shape, generator=generator).float())
    x = (drive(60, 2, 1, 6, 6) > 1.4).astype(np.float32)
    graph = from_spikingjelly(net, torch.as_tensor(x[0]), DT)
    functional.reset_net(net)
    with torch.no_grad():
        wanted = torch.stack([net(sample) for sample in torch.as_tensor(x)]).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_the_callers_network_is_not_changed() -> None:
    net = net_of(NEURONS["lif soft"][0])
    graph = from_spikingjelly(net, torch.rand(2, 6), DT)
    assert net[1].v_reset is None
    assert graph.nodes["_1"].metadata["reset"] == "subtract"
    assert "metadata['reset']: subtract" in graph.metadata["repairs"]


REFUSED = {
    "variant": ("exporter|no neuron", lambda: neuron.EIFNode()),
    "graded": ("spiking=False", lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False))),
    "pool": ("exporter", lambda: layer.MaxPool1d(2)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    words, make = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        from_spikingjelly(nn.Sequential(layer.Linear(6, 7), make()), torch.rand(2, 6), DT)
