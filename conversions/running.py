"""A module run from rest, for a comparison with what it was converted to: a step a call, or all steps in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hasn.conversions.flow import Flow
from hasn.conversions.unroll import Loop, arranged, collected


def given_to(root: nn.Module, flow: Flow, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """{argument of forward: (T, batch, *shape)} where and as the module's own numbers are."""
    like = next((t for t in [*root.parameters(), *root.buffers()] if t.is_floating_point()), torch.zeros(0))
    return {flow.inputs[name]: x.to(device=like.device, dtype=like.dtype) for name, x in inputs.items()}


def by_steps(flow: Flow, given: dict[str, Tensor], call: Callable[[int, dict[str, Tensor]], Any]) -> dict[str, Tensor]:
    """{Output: (T, batch, *shape)}, where ``call`` takes (t, {argument: (batch, *shape)})."""
    kept: dict[str, list[Tensor]] = {name: [] for name in flow.returned}
    for t in range(len(next(iter(given.values())))):
        found = list(_returned(call(t, {name: x[t] for name, x in given.items()})))
        for name, (place, _) in flow.returned.items():
            kept[name].append(found[place])
    return {name: torch.stack(values) for name, values in kept.items()}


def looped(root: nn.Module, flow: Flow, loop: Loop, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """{Output: (T, batch, *shape)} of a module whose forward loops over all steps."""
    given = given_to(root, flow, inputs)
    found = list(_returned(root(*(arranged(x, loop.lies[name]) for name, x in given.items()))))
    whole = {name: collected(loop, found, place) for name, (place, _) in flow.returned.items()}
    return {name: value for name, value in whole.items() if value is not None}


def at_once(flow: Flow, given: dict[str, Tensor], call: Callable[[dict[str, Tensor]], Any]) -> dict[str, Tensor]:
    """{Output: (T, batch, *shape)}, where ``call`` takes {argument: all steps, as the module's frame has them}."""
    steps, batch = next(iter(given.values())).shape[:2]
    laid = {name: x if flow.tool.layout(flow.frame) == "time first" else x.transpose(0, 1) for name, x in given.items()}
    found = list(_returned(call({name: x.flatten(0, 1) if len(flow.frame) == 1 else x for name, x in laid.items()})))
    outputs = {}
    for name, (place, frame) in flow.returned.items():
        first = flow.tool.layout(frame) == "time first"
        value = found[place]
        whole = value.reshape(*((steps, batch) if first else (batch, steps)), *value.shape[len(frame) :])
        outputs[name] = whole if first else whole.transpose(0, 1)
    return outputs


def _returned(value: Any) -> Iterator[Any]:
    """What forward returns, in order: tensors, and a state of several (a named tuple) as one."""
    if isinstance(value, Tensor) or hasattr(value, "_fields"):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _returned(item)
