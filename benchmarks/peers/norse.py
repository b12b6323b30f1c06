"""Norse: ``LIFBoxCell`` (no synaptic current) stepped over time, the linear maps on all steps at once.

Its update is v <- v + dt tau_mem_inv (x - v): an input weighs 1 - beta, so the weights are larger by 1 / (1 - beta). It
has no atan; its gradient of a spike is "super", 1 / (1 + |v - threshold|)^2, and hasn is given the same where gradients
are compared. Norse's own ``Lift`` is not used: it takes steps as ``x[t]``, whose way back fills an array of all steps
at every step, quadratic in T (four times snnTorch's loop in the convolution here). Recurrence: a loop, too, as
Norse's recurrent cells have a synaptic current.
"""

from __future__ import annotations

from typing import Any

import torch
from norse.torch import LIFBoxCell, LIFBoxParameters
from torch import Tensor, nn

from benchmarks.network import Network, as_torch
from benchmarks.peers import Peer, loop_of, parameters_of

SURROGATE = "super"


class Stepped(Peer):
    """Stage by stage over all steps."""

    def __init__(self, spec: Network, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = 1.0 / (1.0 - spec.beta)
        beta, zero, threshold = torch.tensor([spec.beta, 0.0, spec.threshold], dtype=dtype)
        parameters = LIFBoxParameters(tau_mem_inv=1 - beta, v_leak=zero, v_th=threshold, v_reset=zero, method="super")
        self.maps, self.cells, self.loops = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stage in spec.stages:
            maps = as_torch(stage.maps, self.scale)
            self.maps.append(maps[0] if len(maps) == 1 else nn.Sequential(*maps))
            self.cells.append(LIFBoxCell(parameters, dt=1.0))
            self.loops.append(nn.Identity() if stage.loop is None else loop_of(self.scale * stage.loop))
        self.recurrent = [stage.loop is not None for stage in spec.stages]
        self.to(dtype)

    def weights(self) -> list[nn.Parameter]:
        """In the network's order."""
        return parameters_of(*(m for pair in zip(self.maps, self.loops, strict=True) for m in pair))

    def forward(self, x: Tensor) -> Tensor:
        """(T, batch, *shape) to the last stage's spikes."""
        for maps, cell, loop, recurrent in zip(self.maps, self.cells, self.loops, self.recurrent, strict=True):
            drive = maps(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            x = self._stepped(cell, loop if recurrent else None, drive)
        return x

    @staticmethod
    def _stepped(cell: Any, loop: Any, drive: Tensor) -> Tensor:
        now, state, every = torch.zeros_like(drive[0]), None, []
        for given in drive:
            now, state = cell(given if loop is None else given + loop(now), state)
            every.append(now)
        return torch.stack(every)


def network(spec: Network, dtype: torch.dtype = torch.float32) -> Stepped:
    """The maps over all steps, cells step by step."""
    return Stepped(spec, dtype)
