"""A snnTorch module run step by step from rest, for a comparison with what it was converted to."""

from __future__ import annotations

import snntorch
import torch
from torch import Tensor, nn

from hasn.conversions.flow import Flow
from hasn.conversions.running import by_steps, given_to

_STATES = ("spk", "syn", "mem")


def rest(root: nn.Module) -> None:
    """Have every neuron as it was made."""
    for part in root.modules():
        for state in _STATES:
            if isinstance(part, snntorch.SpikingNeuron) and isinstance(getattr(part, state, None), Tensor):
                setattr(part, state, torch.zeros(0, device=getattr(part, state).device))


def run(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """{Input: (T, batch, *shape)} to {Output: (T, batch, *shape)}, of the module that ``flow`` followed."""

    def call(t: int, now: dict[str, Tensor]) -> object:
        batch = len(next(iter(now.values())))
        return root(*(now[name] if name in now else _state(root, flow, name, t, batch) for name in flow.arguments))

    return by_steps(flow, given_to(root, flow, inputs), call)


def _state(root: nn.Module, flow: Flow, argument: str, t: int, batch: int) -> Tensor | None:
    """What the argument is at this step: the neuron keeps what it gave in the last one."""
    if argument not in flow.states:
        return None
    path, name, shape = flow.states[argument]
    kept: Tensor = getattr(root.get_submodule(path), name)
    return kept if t else torch.zeros(batch, *shape, device=kept.device)
