"""SpikingJelly in its multi-step mode: every layer takes all steps at once (``step_mode="m"``, on torch).

``LIFNode(tau=1/(1-beta), decay_input=False)`` with hard reset to 0 and the gradient through the reset computes
v <- v - v/tau + x: hasn's update, rounded otherwise. It spikes at v >= threshold; hasn at v > threshold. Recurrence:
the input's product for all steps, then a loop over single-step neurons, which is faster than SpikingJelly's
``LinearRecurrentContainer`` (that joins input and spikes to one vector twice as long at every step).
"""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from benchmarks.network import Network, as_torch
from benchmarks.peers import Peer, loop_of, parameters_of

SURROGATE = "atan"


class Looped(nn.Module):
    """A recurrent population: (T, batch, n) to spikes of the same shape, or a step of them."""

    def __init__(self, cell: nn.Module, weight: Tensor) -> None:
        super().__init__()
        self.cell, self.loop = cell, loop_of(weight)

    def forward(self, x: Tensor) -> Tensor:
        """All steps."""
        now = torch.zeros_like(x[0])
        every = []
        for given in x:
            now = self.cell(given + self.loop(now))
            every.append(now)
        return torch.stack(every)


class MultiStep(Peer):
    """The network in one of SpikingJelly's two modes."""

    def __init__(self, spec: Network, dtype: torch.dtype, mode: str = "m") -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for stage in spec.stages:
            maps = as_torch(stage.maps, kit=layer)
            cell = neuron.LIFNode(
                tau=1.0 / (1.0 - spec.beta),
                decay_input=False,
                v_threshold=spec.threshold,
                v_reset=0.0,
                surrogate_function=surrogate.ATan(alpha=2.0),
            )
            for module in (*maps, *(() if stage.loop is not None else (cell,))):
                functional.set_step_mode(module, mode)
            parts += [*maps, cell if stage.loop is None else Looped(cell, stage.loop)]
        self.body = nn.Sequential(*parts).to(dtype)

    def weights(self) -> list[nn.Parameter]:
        """In the network's order."""
        return parameters_of(*self.body)

    def forward(self, x: Tensor) -> Tensor:
        """(T, batch, *shape) to the last stage's spikes."""
        functional.reset_net(self.body)
        spikes: Tensor = self.body(x)
        return spikes

    def start(self) -> None:
        """At rest."""
        functional.reset_net(self.body)

    def step(self, x: Tensor) -> Tensor:
        """One step of the single-step mode."""
        spikes: Tensor = self.body(x)
        return spikes


def network(spec: Network, dtype: torch.dtype = torch.float32) -> MultiStep:
    """Multi-step mode."""
    return MultiStep(spec, dtype)


def stream(spec: Network, dtype: torch.dtype = torch.float32) -> MultiStep:
    """Single-step mode."""
    return MultiStep(spec, dtype, "s")
