"""What the calls of a traced forward give: signals of a graph, and states that are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx

from hasn.conversions.tool import Frame
from hasn.program.model import Shape


@dataclass(frozen=True)
class Signal:
    """The sum of what some nodes give."""

    sources: tuple[str, ...]
    shape: Shape
    frame: Frame


@dataclass(frozen=True)
class State:
    """A neuron's state: an argument of forward (``path`` empty), a tensor of zeros, or what a neuron gives."""

    path: str = ""
    name: str = ""
    signal: Signal | None = None  # where NIR has it as a signal


@dataclass(frozen=True)
class Lost:
    """What a refused call gives: no node's values, and their shape where it can be told, so that the walk goes on."""

    signal: Signal | None = None


class Unfollowed(Exception):
    """Nothing can be said of a call, as something before it was refused."""


class Size:
    """Something of a tensor's shape or kind: only ``x.view(x.size(0), -1)`` and ``.to(x.device)`` ask for it."""


def reframed(value: Any, path: str, wanted: Frame, given: Frame) -> Any:
    """Stands in a traced forward where the frame of a tensor changes; never run."""
    raise NotImplementedError(path)


def leaves(value: Any) -> list[fx.Node]:
    """The calls in what forward returns."""
    if isinstance(value, fx.Node):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in leaves(item)] if isinstance(value, list | tuple) else []
