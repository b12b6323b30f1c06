"""What a walk knows behind a call that was refused, and how all refusals of a network become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from hasn.conversions.refuse import refusal
from hasn.conversions.signals import Lost, Signal
from hasn.errors import HasnError, UnsupportedError


def lost(node: fx.Node, module: nn.Module | None, signal: Signal, instead: Lost) -> Lost:
    """The shape of what a call of ``signal`` gives, found by a call on zeros; ``instead`` where that fails.

    Args:
        node: the call.
        module: what is called, if one is.
        signal: what it is called with.
        instead: what is known if it cannot be called.
    """
    given = torch.zeros(*(1 for _ in signal.frame), *signal.shape)
    called: Callable[..., Any]
    try:
        with torch.no_grad():
            if module is not None:
                made = module(given.to(next(module.parameters(), given)))
            else:
                called = getattr(torch.Tensor, node.target) if isinstance(node.target, str) else node.target
                made = called(given, *node.args[1:], **node.kwargs)
    except Exception:  # it raises whatever it raises: nothing is known behind it
        return instead
    made = made[0] if isinstance(made, tuple | list) and made else made
    ahead = len(signal.frame)
    if not isinstance(made, Tensor) or made.ndim <= ahead or made.shape[:ahead] != given.shape[:ahead]:
        return instead
    return Lost(Signal((), tuple(made.shape[ahead:]), signal.frame))


def joined(refused: Sequence[HasnError]) -> UnsupportedError:
    """The first refusal, with the others behind its way out, a line each; a way out is said once."""
    each = {(error.node, error.parameter, error.message): error for error in reversed(refused)}  # a layer called twice
    first, *others = reversed(each.values())
    said, lines = {first.way_out, None}, []
    for error in others:
        where = " ".join(filter(None, (f"{error.node!r}", error.parameter)))
        lines.append(f"{where}: {error.message}" + ("" if error.way_out in said else f". {error.way_out}"))
        said.add(error.way_out)
    way_out = " ".join(filter(None, (first.way_out, "Refused as well:" if lines else "")))
    return refusal(
        first.node or "",
        first.parameter,
        first.message,
        got=first.got,
        wanted=first.wanted,
        way_out="\n  ".join((way_out, *lines)),
    )
