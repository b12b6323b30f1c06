"""What the parts of a running torch module give, heard by hooks; neurons' spikes are replaced by what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from hasn.conversions.refuse import refusal

#: How a part's values lie: one step a call, or all steps in one, time or the batch first (perhaps as one axis).
Layout: TypeAlias = Literal["steps", "time first", "batch first"]


@dataclass(frozen=True)
class Place:
    """Which value of which module a node stands for.

    Attributes:
        path: the module's, as ``named_modules`` has it.
        call: which of the module's calls within a step, where it is called several times.
        part: which of what it gives, where that is a tuple.
        layout: how its values lie.
    """

    path: str
    call: int = 0
    part: int = 0
    layout: Layout = "steps"


class Heard:
    """Hooks on a module's parts, of which each notes what its part gives, call by call.

    Args:
        module: whose parts; it is changed, so give a copy.
        places: node -> where its values are.
        forced: node -> (T, batch, *shape) that goes on in place of what the part gives.
        shapes: node -> shape, without time and batch.
        steps, batch: T and the samples.
    """

    def __init__(
        self,
        module: nn.Module,
        places: Mapping[str, Place],
        forced: Mapping[str, Tensor],
        shapes: Mapping[str, tuple[int, ...]],
        steps: int,
        batch: int,
    ) -> None:
        self._places, self._forced, self._shapes = places, forced, shapes
        self._steps, self._batch = steps, batch
        self._found: dict[str, list[Tensor]] = {name: [] for name in places}
        self._count: dict[str, int] = {}
        self._nodes: dict[str, list[str]] = {}
        for name, place in places.items():
            self._nodes.setdefault(place.path, []).append(name)
        modules = dict(module.named_modules())
        self._hooks = [modules[path].register_forward_hook(self._hook(path)) for path in self._nodes]

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    def values(self) -> dict[str, Tensor]:
        """Node -> (T, batch, *shape) in float64, for the nodes whose module was called.

        Raises:
            UnsupportedError: a module gives no tensor of the node's shape, or is not called once a step.
        """
        return {name: self._whole(name, found) for name, found in self._found.items() if found}

    def _hook(self, path: str) -> Callable[[nn.Module, Any, Any], Any]:
        nodes = self._nodes[path]
        each = 1 + max(self._places[name].call for name in nodes)

        def hear(module: nn.Module, given: Any, output: Any) -> Any:
            step, call = divmod(self._count.get(path, 0), each)
            self._count[path] = self._count.get(path, 0) + 1
            for name in nodes:
                place = self._places[name]
                if place.call == call:
                    output = self._heard(name, place, step, output)
            return output

        return hear

    def _heard(self, name: str, place: Place, step: int, output: Any) -> Any:
        """Note the node's value; what goes on."""
        parts = list(output) if isinstance(output, tuple | list) else [output]
        value = parts[place.part]
        if not isinstance(value, Tensor):
            raise refusal(place.path, None, "gives no tensor", got=type(value).__name__)
        self._found[name].append(value.detach().cpu().to(torch.float64, copy=True))
        if name not in self._forced:
            return output
        parts[place.part] = _laid(self._forced[name], place.layout, step, value)
        return tuple(parts) if isinstance(output, tuple | list) else parts[0]

    def _whole(self, name: str, found: list[Tensor]) -> Tensor:
        shape, (steps, batch) = self._shapes[name], (self._steps, self._batch)
        layout = self._places[name].layout
        try:
            if layout == "steps":
                if len(found) not in (1, steps):  # once: the same at every step
                    raise ValueError(f"{len(found)} calls")
                return torch.stack([value.reshape(batch, *shape) for value in found]).expand(steps, batch, *shape)
            (value,) = found
            if layout == "time first":
                return value.reshape(steps, batch, *shape)
            return value.reshape(batch, steps, *shape).transpose(0, 1)
        except (ValueError, RuntimeError) as error:
            raise refusal(
                self._places[name].path,
                None,
                "its values are not those of one node at each step",
                got=f"{len(found)} calls, the first one gives {tuple(found[0].shape)}",
                wanted=f"{steps} steps of {batch} samples of shape {shape}",
                way_out="Pass verify=False to convert without a comparison.",
            ) from error


def _laid(forced: Tensor, layout: Layout, step: int, like: Tensor) -> Tensor:
    """The forced values as the part would have given them."""
    if layout == "steps":
        wanted = forced[min(step, len(forced) - 1)]
    else:
        wanted = forced if layout == "time first" else forced.transpose(0, 1)
    return wanted.reshape(like.shape).to(dtype=like.dtype, device=like.device)
