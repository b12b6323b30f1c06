"""Whether a module is called as its class says: hooks and an instance's own forward may change what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hasn.backends.snntorch.copies import copied, settled


def hooks(module: nn.Module) -> list[Mapping[int, Any]]:
    """Where those are kept who want to see every call of the module."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [getattr(module, name) for name in names]


def is_plain(*modules: nn.Module) -> bool:
    """Whether no hook and no forward of an instance's own stands in the way of doing their work without a call."""
    return not any(any(hooks(module)) or "forward" in vars(module) for module in modules)


@torch.no_grad()
def altered(module: nn.Module, *given: Any) -> str | None:
    """What of a module's hooks and own forwards changes what it gives for an input, or None: they only look.

    Weights that torch computes anew at every call are no change: a copy without hooks has them too.
    """
    with_all = settled(copied(module))
    if is_plain(*with_all.modules()):
        return None
    without, found = settled(copied(module)), []
    for path, part in without.named_modules():
        if not is_plain(part):
            found.append(f"'{path}'" if path else type(part).__name__)
        vars(part).pop("forward", None)
        for kept in hooks(part):
            kept.clear()  # type: ignore[attr-defined]
    one, other = (_tensors(each(*given)) for each in (with_all, without))
    same = len(one) == len(other) and all(map(torch.equal, one, other))
    return None if same else ", ".join(found)


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for item in items for tensor in _tensors(item)]
