"""A snnTorch module run step by step from rest, for a comparison with what it was converted to."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from hasn.conversions.snntorch.flow import Flow
from hasn.conversions.snntorch.unroll import Loop, arranged, collected
from hasn.conversions.verify import Source

_STATES = ("spk", "syn", "mem")


def source(root: nn.Module, flow: Flow, loop: Loop | None) -> Source:
    """The module that ``flow`` followed, ready to run: a copy, at rest."""
    tool = f"snnTorch {version('snntorch')}"
    if loop is None:
        return Source(tool, root, lambda inputs: _run(root, flow, inputs), flow.places, batch=flow.batch)
    places = {name: place for name, place in flow.places.items() if place.path not in loop.whole}
    same = frozenset(name for name, argument in flow.inputs.items() if loop.lies[argument] == "constant")
    numbers: dict[str, Any] = {"steps": loop.steps, "constant": same, "batch": flow.batch}
    return Source(tool, root, lambda inputs: _run_loop(root, flow, loop, inputs), places, **numbers)


def rest(root: nn.Module) -> nn.Module:
    """The module with every neuron as it was made."""
    for part in root.modules():
        for state in _STATES:
            if isinstance(part, snntorch.SpikingNeuron) and isinstance(getattr(part, state, None), Tensor):
                setattr(part, state, torch.zeros(0, device=getattr(part, state).device))
    return root


def _given(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Argument of forward -> (T, batch, *shape), of the module's type and on its device."""
    like = next((t for t in [*root.parameters(), *root.buffers()] if t.is_floating_point()), torch.zeros(0))
    return {flow.inputs[name]: x.to(device=like.device, dtype=like.dtype) for name, x in inputs.items()}


def _run_loop(root: nn.Module, flow: Flow, loop: Loop, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """All steps in one call."""
    given = _given(root, flow, inputs)
    found = list(_tensors(root(*(arranged(x, loop.lies[name]) for name, x in given.items()))))
    whole = {name: collected(loop, found, place) for name, place in flow.returned.items()}
    return {name: value for name, value in whole.items() if value is not None}


def _run(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    given = _given(root, flow, inputs)
    steps, batch = next(iter(given.values())).shape[:2]
    kept: dict[str, list[Tensor]] = {name: [] for name in flow.returned}
    for t in range(steps):
        sample = [given[name][t] if name in given else _state(root, flow, name, t, batch) for name in flow.arguments]
        found = list(_tensors(root(*sample)))
        for name, place in flow.returned.items():
            kept[name].append(found[place])
    return {name: torch.stack(values) for name, values in kept.items()}


def _state(root: nn.Module, flow: Flow, argument: str, t: int, batch: int) -> Tensor | None:
    """What the argument is at this step: the neuron keeps what it gave in the last one."""
    if argument not in flow.states:
        return None
    path, name, shape = flow.states[argument]
    kept: Tensor = getattr(root.get_submodule(path), name)
    return kept if t else torch.zeros(batch, *shape, device=kept.device)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what forward returns, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)
