"""Delays over many steps at once: a run's past is put before its values, and the next run's past is kept."""

from __future__ import annotations

import torch
from torch import Tensor

from hasn.backends.snntorch.lines import DelayLine


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
