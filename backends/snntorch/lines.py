"""Values under way: what a connection remembers of the steps before, a step at a time or over many."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor


class Line:
    """Values under way at a connection; one for each run.

    Args:
        length: past values that the next step may need.
        past: values of the steps before, newest first.
    """

    def __init__(self, length: int, past: list[Tensor] | None = None) -> None:
        self.length = length
        self.past: list[Tensor] = list(past or [])

    def take(self, x: Tensor) -> None:
        """This step's value."""
        self.past.insert(0, x)
        del self.past[self.length + 1 :]

    def with_past(self, past: list[Tensor]) -> Self:
        """A line like this one with other values under way."""
        new = copy.copy(self)
        new.past = list(past)
        return new


class DelayLine(Line):
    """``y[t] = x[t - steps]`` for each element, 0 before the start; one for each run.

    Learned delays are whole numbers forwards. Backwards, dy[t]/d(steps) is taken as the slope of x around t - steps,
    ``(x[t - steps - 1] - x[t - steps + 1]) / 2``, and ``x[t - 1] - x[t]`` where steps is 0 (Shrestha and Orchard,
    SLAYER, NeurIPS 2018, section 3.2: the gradient by a delay is that of the delayed signal by time, negative).

    Args:
        steps: whole numbers of steps, of the shape of x without its batch.
        past: values under way, newest first.
        learned: the same numbers as a floating tensor that takes gradients; ``steps`` is not read then.
    """

    def __init__(self, steps: Any, past: list[Tensor] | None = None, learned: Tensor | None = None) -> None:
        self.learned = learned
        self.steps = torch.as_tensor(steps) if learned is None else learned.detach().round().long().cpu()
        self.distinct = sorted(set(self.steps.reshape(-1).tolist()))
        super().__init__(int(self.distinct[-1]) + (learned is not None), past)

    def push(self, x: Tensor) -> Tensor:
        """Take this step's value, give what is due."""
        self.take(x)
        return self.due(lambda n: self.past[n] if n < len(self.past) else torch.zeros_like(x), x)

    def due(self, ago: Callable[[int], Tensor], like: Tensor) -> Tensor:
        """What is due, if ``ago(n)`` is the value of n steps before."""
        due, slope = torch.zeros_like(like), torch.zeros_like(like)
        for n in self.distinct:
            chosen = (self.steps == n).to(like.device)
            due = torch.where(chosen, ago(n), due)
            if self.learned is not None:
                rise = (ago(n + 1) - ago(n - 1)) / 2 if n else ago(1) - ago(0)
                slope = torch.where(chosen, rise.detach(), slope)
        if self.learned is None:
            return due
        return due + (self.learned - self.learned.detach()).to(like) * slope


def shifted(previous: Tensor, value: Tensor) -> Tensor:
    """``y[t] = value[t - 1]``, and ``previous`` at the first step; (T, batch, *shape)."""
    return torch.cat([previous.unsqueeze(0).to(value.dtype), value[:-1]])


def delayed(value: Tensor, line: DelayLine) -> Tensor:
    """``y[t] = value[t - steps]`` for each element, as :meth:`DelayLine.push` gives it; the line moves on."""
    length = min(line.length, len(line.past) + len(value))  # a run keeps no more steps than there have been
    past = line.past[:length]
    missing = value.new_zeros(length - len(past), *value.shape[1:])
    whole = torch.cat([missing, *(x.unsqueeze(0) for x in reversed(past)), value])
    nothing = torch.zeros_like(value[:1]).expand_as(value)
    due = line.due(lambda n: whole[length - n : length - n + len(value)] if n <= length else nothing, value)
    known = min(len(past) + len(value), length + 1)
    line.past = list(whole[len(whole) - known :].flip(0).unbind())  # newest first; flip copies, so `whole` can go
    return due
