"""Copies of torch modules that may be run and changed; weights that a forward pass computes anew, as it would."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from hasn.errors import UnsupportedError

#: Forward pre-hooks of torch's own that set a weight before every call, and where each has the weight's name.
_RECOMPUTING: Mapping[type, str] = {BasePruningMethod: "_tensor_name", WeightNorm: "name", SpectralNorm: "name"}


def recomputes(hook: object) -> bool:
    """Whether a forward pre-hook is one that :func:`settled` knows: pruning, old weight_norm or spectral_norm."""
    return isinstance(hook, tuple(_RECOMPUTING))


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
        for part in module.modules():
            if hasattr(type(part), "__deepcopy__"):
                _plainly(part, memo)
        made: nn.Module = copy.deepcopy(module, memo)
    except Exception as error:  # whatever the module's own parts raise
        raise UnsupportedError(
            f"{type(module).__name__} cannot be copied: {error}",
            wanted="a module that copy.deepcopy takes",
            way_out="Take out of its attributes what cannot be copied (files, locks, generators).",
        ) from error
    return made


def _plainly(part: nn.Module, memo: dict[int, Any]) -> None:
    """A copy of all attributes, where a class's own copy would be a fresh instance without its hooks (Sinabs')."""
    if id(part) not in memo:
        made = type(part).__new__(type(part))
        memo[id(part)] = made
        state = {name: value for name, value in vars(part).items() if name != "_compiled_call_impl"}
        made.__dict__.update(copy.deepcopy(state, memo))


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Tensors in a module's attributes, in containers too; parts of their own are modules of their own."""
    if isinstance(value, Tensor):
        yield value
    elif id(value) in seen or isinstance(value, nn.Module):
        return
    elif isinstance(value, dict | list | tuple | set):
        seen.add(id(value))
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item, seen)
    elif hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in ("builtins", "torch"):
        seen.add(id(value))
        yield from _tensors(vars(value), seen)


def pruned(module: nn.Module) -> list[str]:
    """Paths of the parts whose weight has a mask of torch.nn.utils.prune."""

    def masked(part: nn.Module) -> bool:
        hooks = part._forward_pre_hooks.values()
        return any(isinstance(hook, BasePruningMethod) and hook._tensor_name == "weight" for hook in hooks)

    return [path for path, part in module.named_modules() if masked(part)]


@torch.no_grad()
def settled(module: nn.Module) -> nn.Module:
    """The same module, with every weight that its forward pass would compute anew as a parameter of that value.

    Parametrizations, pruning masks and old-style weight and spectral norms are taken out. Give a copy.
    """
    for part in module.modules():
        for key, hook in list(part._forward_pre_hooks.items()):
            kept = next((where for kind, where in _RECOMPUTING.items() if isinstance(hook, kind)), None)
            if kept is not None:
                hook(part, ())  # as the next call would, in the order of the hooks
                _fix(part, str(getattr(hook, kept)))
                del part._forward_pre_hooks[key]
        if parametrize.is_parametrized(part):
            values = {name: getattr(part, name) for name in part.parametrizations}  # type: ignore[union-attr]
            # Not remove_parametrizations: the copy shares its class with the original, which would lose its own.
            part.__class__ = type(part).__mro__[1]
            del part.parametrizations
            for name, value in values.items():
                _fix(part, name, value)
    return module


def _fix(part: nn.Module, name: str, value: Tensor | None = None) -> None:
    """The weight as a parameter of its own."""
    found = (getattr(part, name) if value is None else value).detach().clone()
    if hasattr(part, name):
        delattr(part, name)
    part.register_parameter(name, nn.Parameter(found, requires_grad=False))


def is_recomputed(module: nn.Module) -> bool:
    """Whether some weight of the module or its parts is computed at the forward pass, in a way that torch knows."""
    return any(
        parametrize.is_parametrized(part) or any(map(recomputes, part._forward_pre_hooks.values()))
        for part in module.modules()
    )
