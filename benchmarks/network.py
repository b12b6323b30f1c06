"""The networks that are measured, as data: every tool builds the same one from this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import TypeAlias

import torch
from torch import Tensor, nn

#: Seconds of a step in the NIR graph; it changes nothing that is measured.
DT = 1e-3


@dataclass(frozen=True)
class Dense:
    """y = W x + b; weight (outputs, inputs)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Convolution:
    """Cross-correlation, stride 1; weight (outputs, inputs, k, k)."""

    weight: Tensor
    bias: Tensor
    padding: int


@dataclass(frozen=True)
class AveragePool:
    """Means of ``size`` x ``size`` blocks."""

    size: int


@dataclass(frozen=True)
class Flat:
    """All dimensions but the batch become one."""


Map: TypeAlias = Dense | Convolution | AveragePool | Flat


@dataclass(frozen=True)
class Stage:
    """Linear maps, one after the other, and the population that they feed.

    Attributes:
        maps: of the stage before (or the input) to this population.
        shape: of the population.
        loop: weights (n, n) of its spikes of the step before onto itself, or None.
    """

    maps: tuple[Map, ...]
    shape: tuple[int, ...]
    loop: Tensor | None = None


@dataclass(frozen=True)
class Network:
    """Stages of leaky integrate-and-fire neurons, at rest (0) before the first step:

        v <- beta v + x;  z = 1[v > threshold];  v <- 0 where z

    Attributes:
        shape: of the input at a step.
        stages: in order.
        beta, threshold: of all neurons.
    """

    shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    beta: float = 0.9
    threshold: float = 1.0


def dense(sizes: Sequence[int], seed: int = 0) -> Network:
    """All to all. Weights are torch's usual ones times 4: with them every layer spikes at inputs of 20 %."""
    torch.manual_seed(seed)
    return Network((sizes[0],), tuple(Stage((_dense(a, b, 4.0),), (b,)) for a, b in pairwise(sizes)))


def convolution(size: int, channels: Sequence[int], classes: int, seed: int = 0) -> Network:
    """Two polarities of size x size pixels; 3 x 3 kernels, means of 2 x 2 between the layers, a dense readout.

    Gains (6, then 12 after a mean of four) by which every layer spikes at inputs of 5 %.
    """
    torch.manual_seed(seed)
    stages: list[Stage] = []
    before: tuple[Map, ...] = ()
    for inputs, outputs in pairwise((2, *channels)):
        made = nn.Conv2d(inputs, outputs, 3, padding=1)
        gain = 12.0 if before else 6.0
        maps = (*before, Convolution(gain * made.weight.detach(), made.bias.detach(), 1))  # type: ignore[union-attr]
        stages.append(Stage(maps, (outputs, size, size)))
        before, size = (AveragePool(2),), size // 2
    maps = (*before, Flat(), _dense(channels[-1] * size * size, classes, 12.0))
    return Network((2, *stages[0].shape[1:]), (*stages, Stage(maps, (classes,))))


def recurrent(inputs: int, hidden: int, outputs: int, seed: int = 0) -> Network:
    """One population whose spikes come back to all of it a step later, and a dense readout."""
    torch.manual_seed(seed)
    loop = torch.randn(hidden, hidden) / hidden**0.5
    first = Stage((_dense(inputs, hidden, 3.0),), (hidden,), loop)
    return Network((inputs,), (first, Stage((_dense(hidden, outputs, 4.0),), (outputs,))))


def spikes(network: Network, steps: int, batch: int, rate: float, seed: int = 1) -> Tensor:
    """Random input, (steps, batch, *shape), of zeros and ones in float32."""
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *network.shape, generator=source) < rate).float()


def as_torch(maps: Sequence[Map], scale: float = 1.0, kit: ModuleType | None = None) -> list[nn.Module]:
    """Torch's modules of some maps.

    Args:
        maps: a stage's.
        scale: by which weights and biases are multiplied.
        kit: who has ``Linear``, ``Conv2d``, ``AvgPool2d`` and ``Flatten``; default: ``torch.nn``.
    """
    kit = kit or nn
    made: list[nn.Module] = []
    for one in maps:
        if isinstance(one, AveragePool):
            made.append(kit.AvgPool2d(one.size))
        elif isinstance(one, Flat):
            made.append(kit.Flatten())
        else:
            outputs, inputs = one.weight.shape[:2]
            module: nn.Module
            if isinstance(one, Dense):
                module = kit.Linear(inputs, outputs)
            else:
                module = kit.Conv2d(inputs, outputs, one.weight.shape[-1], padding=one.padding)
            with torch.no_grad():
                module.weight.copy_(scale * one.weight)  # type: ignore[operator]
                module.bias.copy_(scale * one.bias)  # type: ignore[operator]
            made.append(module)
    return made


def _dense(inputs: int, outputs: int, gain: float) -> Dense:
    made = nn.Linear(inputs, outputs)
    return Dense(gain * made.weight.detach(), gain * made.bias.detach())
