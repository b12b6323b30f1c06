"""Other tools, each with the same network built as its users would build it.

A file a tool. Those with neurons have ``network(spec, dtype) -> Peer`` and ``SURROGATE``, the name of their spike's
gradient in :data:`SURROGATES`; ``bare`` has the matrix products alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.network import Network

#: The tools that may be missing, and what pip calls them.
OPTIONAL = {"spikingjelly": "spikingjelly", "norse": "norse"}

#: Gradients of a spike: snnTorch's default (alpha 2), which SpikingJelly has too; and 1 / (1 + |v - threshold|)^2,
#: Norse's "super" (SuperSpike), as Norse has no atan.
SURROGATES: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "atan": lambda: surrogate.atan(alpha=2.0),
    "super": lambda: surrogate.fast_sigmoid(slope=1.0),
}


class Peer(nn.Module):
    """A tool's network: ``peer(x)`` takes (T, batch, *shape) and gives the last stage's spikes, always from rest.

    Attributes:
        scale: by which this tool's weights are larger than the network's.
    """

    scale = 1.0

    def start(self) -> None:
        """A stream at rest; not every tool streams."""
        raise NotImplementedError

    def step(self, x: Tensor) -> Tensor:
        """A step of the stream: (batch, *shape) to the last stage's spikes."""
        raise NotImplementedError

    def weights(self) -> list[nn.Parameter]:
        """Every stage's weights, biases and loop, in the network's order."""
        return list(self.parameters())

    def gradients(self) -> list[Tensor]:
        """By the network's own weights."""
        return [self.scale * weight.grad for weight in self.weights() if weight.grad is not None]


def found() -> tuple[dict[str, ModuleType], dict[str, str]]:
    """{tool: its module here} of those that work, and {tool: why not} of the others."""
    tools: dict[str, ModuleType] = {}
    missing: dict[str, str] = {}
    for name, package in OPTIONAL.items():
        try:
            version(package)
            tools[name] = import_module(f"benchmarks.peers.{name}")
        except PackageNotFoundError:
            missing[name] = f"not installed: `make bench` does that, or pip install -c constraints.txt {package}"
        except Exception as error:  # whatever a package may raise that does not fit the others
            missing[name] = f"installed, but its import fails: {type(error).__name__}: {error}"
    return tools, missing


def loop_of(weight: Tensor) -> nn.Linear:
    """A population's recurrence."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    with torch.no_grad():
        made.weight.copy_(weight)
    return made


def parameters_of(*modules: Any) -> list[nn.Parameter]:
    """Parameters of modules in order; None has none."""
    return [parameter for module in modules if module is not None for parameter in module.parameters()]


Build = Callable[[Network, torch.dtype], Peer]
