"""SpikingJelly networks by their modules: its own simulation and hasn's give the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hasn.errors import InputError, UnsupportedError
from tests.unit.conversions.foreign_runs import drive, excite, require_same_spikes

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
jelly = pytest.importorskip(
    "spikingjelly.activation_based.neuron",
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
    net, x = net_of(make), drive(120, 3, 6, high=high)
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
    assert graph.nodes["1"].metadata["reset"] == "subtract"


@pytest.mark.parametrize(
    ("norm", "mode"), [("BatchNorm", "s"), ("BatchNorm", "m"), ("ThresholdDependentBatchNorm", "m")]
)
def test_batch_normalisation_dropout_and_a_grouped_convolution(norm: str, mode: str) -> None:
    torch.manual_seed(8)
    depends = (1.0, 1.0) if norm.startswith("Threshold") else ()
    norms = [getattr(layer, f"{norm}2d")(*depends, 4), getattr(layer, f"{norm}1d")(*depends, 5)]
    with torch.no_grad():
        for part in norms:
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.05, 0.2)
            part.bias.uniform_(0.2, 0.6)
    net = nn.Sequential(
        layer.Conv2d(2, 4, 3, bias=False, groups=2), norms[0], neuron.LIFNode(tau=3.0), layer.Dropout(0.5),
        layer.AvgPool2d(2), layer.Flatten(), nn.Dropout(), layer.Linear(16, 5), norms[1], neuron.IFNode(),
    ).eval()  # fmt: skip
    functional.set_step_mode(net, mode)
    x = drive(100, 2, 2, 6, 6)
    given = torch.as_tensor(x)
    graph = from_spikingjelly(net, given if mode == "m" else given[0], DT)
    functional.reset_net(net)
    with torch.no_grad():
        wanted = net(given) if mode == "m" else torch.stack([net(sample) for sample in given])
    require_same_spikes(graph, x, wanted.numpy() > 0)


def test_containers_and_torch_layers_over_sequences() -> None:
    torch.manual_seed(4)
    net = nn.Sequential(
        layer.SeqToANNContainer(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.AvgPool2d(2)),
        neuron.LIFNode(tau=2.0, v_threshold=0.2, step_mode="m"),
        nn.Flatten(2),
        layer.MultiStepContainer(nn.Linear(12, 8), neuron.IFNode(v_threshold=1.4)),
        layer.StepModeContainer(False, "m", nn.Linear(8, 5)),
        neuron.IFNode(v_threshold=2.3, step_mode="m"),
    ).eval()
    x = drive(80, 2, 1, 6, 6, high=3.0)
    graph = from_spikingjelly(excite(net), torch.as_tensor(x), DT)
    functional.reset_net(net)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x)).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_a_residual_block_of_ones_own() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.sn1 = layer.Linear(6, 6), neuron.IFNode(v_threshold=0.6)
            self.fc2, self.sn2 = layer.Linear(6, 6), neuron.IFNode(v_threshold=0.6)

        def forward(self, x: Any) -> Any:
            first = self.sn1(self.fc1(x))
            return self.sn2(self.fc2(first) + first)

    torch.manual_seed(4)
    net = Block().eval()
    x = drive(80, 2, 6, high=3.0)
    graph = from_spikingjelly(net, torch.as_tensor(x[0]), DT)
    functional.reset_net(net)
    with torch.no_grad():
        wanted = torch.stack([net(sample) for sample in torch.as_tensor(x)]).numpy() > 0
    require_same_spikes(graph, x, wanted)


REFUSED: dict[str, tuple[str, Callable[[], Any]]] = {
    "variant": ("'1': EIFNode cannot be said", lambda: neuron.EIFNode()),
    "subclass": ("'1': KLIFNode cannot be said", lambda: neuron.KLIFNode()),
    "graded": ("spiking=False", lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False))),
    "pool": (r"'1': MaxPool1d cannot be said.*stride", lambda: layer.MaxPool1d(2)),
    "adaptive": (r"'1': AdaptiveAvgPool2d cannot.*AvgPool2d", lambda: layer.AdaptiveAvgPool2d(1)),
    "training": (r"'1' training: dropout draws.*eval\(\)", lambda: layer.Dropout(0.5).train()),
    "voting": ("'1': VotingLayer cannot", lambda: layer.VotingLayer(7)),
    "steps": (r"'1': IFNode gets another.*set_step_mode", lambda: nn.Sequential(neuron.IFNode(step_mode="m"))[0]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    words, make = REFUSED[name]
    first = neuron.IFNode() if name == "steps" else layer.Linear(6, 7)
    with pytest.raises(UnsupportedError, match=words):
        from_spikingjelly(nn.Sequential(first, make()), torch.rand(2, 6), DT)


def test_a_sample_of_one_step_for_a_network_of_many() -> None:
    net = net_of(NEURONS["if"][0])
    functional.set_step_mode(net, "m")
    with pytest.raises(InputError, match=r"sample: .*\(time, batch, \*shape\); got \(2, 6\).*'1' \(IFNode\)"):
        from_spikingjelly(net, torch.rand(2, 6), DT)
    image = nn.Sequential(layer.Conv2d(1, 2, 3), neuron.IFNode())
    functional.set_step_mode(image, "m")
    with pytest.raises(UnsupportedError, match=r"'0' weight: .*read as \(time, batch, 6, 6\)"):
        from_spikingjelly(image, torch.rand(2, 1, 6, 6), DT)
    functional.set_step_mode(image, "s")
    with pytest.raises(UnsupportedError, match=r"'0' weight: .*read as \(batch, 2, 1, 6, 6\).*set_step_mode"):
        from_spikingjelly(image, torch.rand(4, 2, 1, 6, 6), DT)
