"""A copy of a module that may be run and changed, the original left as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from hasn.conversions.refuse import refusal


def copied(module: nn.Module) -> nn.Module:
    """A deep copy, without the gradients' history of what a run left in the module.

    torch copies no tensor that an operation has made (a state of the last step, a weight that a hook computes), so
    these come as plain tensors of the same values.

    Raises:
        UnsupportedError: something in the module cannot be copied.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for tensor in _tensors(vars(part), set()):
            if not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
    try:
        made: nn.Module = copy.deepcopy(module, memo)
    except Exception as error:  # whatever the module's own parts raise
        raise refusal(
            "",
            None,
            f"the module cannot be copied: {error}",
            wanted="a module that copy.deepcopy takes",
            way_out="Take out of its attributes what cannot be copied (files, locks, generators).",
        ) from error
    return made


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Tensors in a module's attributes, in containers too; parts of their own are modules of their own."""
    if isinstance(value, Tensor):
        yield value
    elif id(value) in seen or isinstance(value, nn.Module):
        return
    elif isinstance(value, dict):
        seen.add(id(value))
        for item in value.values():
            yield from _tensors(item, seen)
    elif isinstance(value, list | tuple | set):
        seen.add(id(value))
        for item in value:
            yield from _tensors(item, seen)
