"""Whether modules are as they were when something was made of them, at a cost that a step of a stream can bear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hasn.backends.snntorch.neurons import KEPT
from hasn.backends.snntorch.plain import is_plain


class Watch:
    """Tensors, submodules, hooks and own forwards of some modules, as they are when they are added."""

    def __init__(self) -> None:
        self._modules: list[nn.Module] = []
        self._slots: list[tuple[Any, str]] = []
        self._held: list[Any] = []
        self._tensors: list[Tensor] = []
        self._versions: list[int] = []
        self._parameters: list[Tensor] = []
        self._addresses: list[int] = []
        self._values: list[tuple[Callable[[], Tensor], Tensor]] = []

    def add(self, *modules: nn.Module) -> None:
        """Note what they hold, but for what snnTorch's neurons keep of the last run."""
        for module in modules:
            self._modules.append(module)
            for holder in (module._parameters, module._buffers, module._modules):
                self._slots += [(holder, name) for name in holder if name not in KEPT]
            self._parameters += [value for value in module._parameters.values() if value is not None]
        self._held = [id(holder[name]) for holder, name in self._slots]
        self._kept = [holder[name] for holder, name in self._slots]  # alive, so that no id is used again
        self._tensors = [value for value in self._kept if isinstance(value, Tensor)]
        self._versions = [tensor._version for tensor in self._tensors]
        self._addresses = [parameter.data_ptr() for parameter in self._parameters]

    def add_value(self, found: Callable[[], Tensor]) -> None:
        """Note what a function of the modules gives."""
        self._values.append((found, found().clone()))

    def unchanged(self) -> bool:
        """Whether they hold the same, as torch counts changes: not what was written past its count, through .data."""
        return (
            [id(holder.get(name)) for holder, name in self._slots] == self._held
            and [tensor._version for tensor in self._tensors] == self._versions
            and [parameter.data_ptr() for parameter in self._parameters] == self._addresses
            and is_plain(*self._modules)
        )

    def same_values(self) -> bool:
        """Whether the functions give the same, however the modules were written to."""
        return all(torch.equal(found(), before) for found, before in self._values)
