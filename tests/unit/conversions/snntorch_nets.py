"""snnTorch networks as their users write them, each with an input that makes them fire: data for the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
snn = pytest.importorskip("snntorch", reason="the snntorch extra is not installed")
from torch import nn  # noqa: E402

DT = 1e-3
HIDDEN = {"init_hidden": True}


@dataclass(frozen=True)
class Net:
    """A network and its input: uniform numbers in 0..drive, (steps, batch, *shape)."""

    name: str
    build: Callable[[], Any]
    shape: tuple[int, ...] = (6,)
    drive: float = 2.0
    steps: int = 120
    batch: int = 3

    def made(self) -> Any:
        """The module, in evaluation, with seeded weights."""
        torch.manual_seed(sum(map(ord, self.name)))
        return self.build().eval()

    def input(self) -> Any:
        """The same numbers every time."""
        generator = torch.Generator().manual_seed(7)
        return self.drive * torch.rand(self.steps, self.batch, *self.shape, generator=generator)


def excited(*sizes: int, bias: bool = True) -> Any:
    """A Linear whose weights excite on the whole, so that the neurons behind it fire."""
    layer = nn.Linear(*sizes, bias=bias)
    with torch.no_grad():
        layer.weight.add_(0.6 / sizes[0])
    return layer


def hidden(kind: Any, *args: Any, **options: Any) -> Any:
    return kind(*args, **HIDDEN, **options)


def neuron_net(make: Callable[[], Any]) -> Callable[[], Any]:
    """6 inputs, 20 of the neurons, 8 of the neurons."""
    return lambda: nn.Sequential(excited(6, 20), make(), excited(20, 8), make())


def recurrent_net(kind: Any, *decays: float, **options: Any) -> Callable[[], Any]:
    """Recurrent neurons, all to all with a bias, then one to one."""

    def build() -> Any:
        first = hidden(kind, *decays, linear_features=20, **options)
        second = hidden(kind, *decays, V=torch.linspace(-0.4, 0.5, 8), all_to_all=False, **options)
        return nn.Sequential(excited(6, 20), first, excited(20, 8), second)

    return build


def conv_net(reset: str) -> Any:
    """Two convolutions with every argument torch has, pooling, and a readout."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(1, 2), groups=2),
        hidden(snn.Leaky, 0.8, threshold=0.4, reset_mechanism=reset),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, padding="same", bias=False),
        hidden(snn.Leaky, 0.9, threshold=0.3, reset_mechanism=reset),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.LazyLinear(5),
        hidden(snn.Leaky, 0.7, threshold=0.2, reset_mechanism=reset),
    )


def lazy(build: Callable[[], Any], shape: tuple[int, ...]) -> Callable[[], Any]:
    """Let a LazyLinear find its size, and forget what the neurons saw."""

    def made() -> Any:
        net = build()
        net(torch.zeros(1, *shape))
        return rested(net)

    return made


def conv1d_net() -> Any:
    return nn.Sequential(
        nn.Conv1d(2, 5, 3, stride=2, padding=2, dilation=2),
        hidden(snn.Synaptic, 0.6, 0.8, threshold=0.6, reset_mechanism="zero", reset_delay=False),
        nn.Flatten(),
        nn.LazyLinear(4),
        hidden(snn.Leaky, 0.9, threshold=0.3),
    )


def conv_loop() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        hidden(snn.RLeaky, 0.8, conv2d_channels=3, kernel_size=3, threshold=0.4),
        nn.Flatten(),
        nn.LazyLinear(4),
        hidden(snn.Leaky, 0.9, threshold=0.3),
    )


def per_neuron() -> Any:
    """Decays and thresholds of each neuron's own, some decays outside 0..1 where forward clamps them."""
    beta = torch.linspace(0.2, 0.97, 20)
    return nn.Sequential(
        excited(6, 20),
        hidden(snn.Leaky, beta, threshold=torch.linspace(0.5, 1.5, 20), learn_beta=True, learn_threshold=True),
        excited(20, 8),
        hidden(snn.Leaky, torch.full((8,), 1.3), threshold=torch.linspace(1, 3, 8)),
    )


CHAINS = (
    Net("leaky-subtract", neuron_net(lambda: hidden(snn.Leaky, 0.9))),
    # Driven far above the threshold: the membrane stays above it after the subtraction, for many steps.
    Net("leaky-subtract-strong", neuron_net(lambda: hidden(snn.Leaky, 0.6)), drive=20.0),
    Net("leaky-zero", neuron_net(lambda: hidden(snn.Leaky, 0.9, reset_mechanism="zero"))),
    Net("leaky-zero-now", neuron_net(lambda: hidden(snn.Leaky, 0.9, reset_mechanism="zero", reset_delay=False))),
    Net("leaky-none", neuron_net(lambda: hidden(snn.Leaky, 0.9, threshold=4.0, reset_mechanism="none")), drive=3.0),
    Net("leaky-no-leak", neuron_net(lambda: hidden(snn.Leaky, 1.0, threshold=2.5))),
    Net("leaky-no-memory", neuron_net(lambda: hidden(snn.Leaky, 0.0, threshold=0.5, reset_mechanism="zero"))),
    Net("per-neuron", per_neuron),
    Net("synaptic-subtract", neuron_net(lambda: hidden(snn.Synaptic, 0.8, 0.7))),
    Net("synaptic-subtract-strong", neuron_net(lambda: hidden(snn.Synaptic, 0.8, 0.9)), drive=20.0),
    Net(
        "synaptic-zero-now",
        neuron_net(lambda: hidden(snn.Synaptic, 0.8, 0.7, reset_mechanism="zero", reset_delay=False)),
    ),
    Net("synaptic-none", neuron_net(lambda: hidden(snn.Synaptic, 0.5, 0.7, threshold=4.0, reset_mechanism="none"))),
    Net("synaptic-no-leak", neuron_net(lambda: hidden(snn.Synaptic, 0.8, 1.0, threshold=9.0))),
    Net("synaptic-kept-current", neuron_net(lambda: hidden(snn.Synaptic, 1.0, 0.5, threshold=25.0)), steps=60),
    Net("lapicque-subtract", neuron_net(lambda: hidden(snn.Lapicque, R=2.0, C=3.0)), drive=6.0),
    Net("lapicque-beta", neuron_net(lambda: hidden(snn.Lapicque, beta=0.8, time_step=0.5, threshold=0.3)), drive=9.0),
    Net("rleaky-subtract", recurrent_net(snn.RLeaky, 0.85)),
    Net("rleaky-zero-now", recurrent_net(snn.RLeaky, 0.85, reset_mechanism="zero", reset_delay=False)),
    Net("rsynaptic-subtract", recurrent_net(snn.RSynaptic, 0.6, 0.85)),
    Net("conv-subtract", lazy(lambda: conv_net("subtract"), (2, 9, 8)), (2, 9, 8), steps=60),
    Net("conv-zero", lazy(lambda: conv_net("zero"), (2, 9, 8)), (2, 9, 8), steps=60),
    Net("conv1d-synaptic", lazy(conv1d_net, (2, 12)), (2, 12), steps=80),
    Net("conv-recurrent", lazy(conv_loop, (1, 5, 6)), (1, 5, 6), drive=3.0, steps=80),
)


def rested(module: Any) -> Any:
    """The same module with every hidden state empty, as it was made."""
    for part in module.modules():
        for state in ("spk", "syn", "mem"):
            if isinstance(part, snn.SpikingNeuron) and isinstance(getattr(part, state, None), torch.Tensor):
                setattr(part, state, torch.zeros(0))
    return module


def by_hand(module: Any, x: Any, spikes: Callable[[Any], Any] = lambda given: given) -> np.ndarray[Any, Any]:
    """What the module gives, stepped from rest: bool (T, batch, *shape)."""
    rested(module)
    with torch.no_grad():
        return torch.stack([spikes(module(sample)) for sample in x]).numpy() > 0
