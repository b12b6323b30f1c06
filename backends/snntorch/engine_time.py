"""Delays over many steps at once: a run's past is put before its values, and the next run's past is kept."""

from __future__ import annotations

import torch
from torch import Tensor

from hasn.backends.snntorch.connections import DelayLine


def shifted(previous: Tensor, value: Tensor) -> Tensor:
    """``y[t] = value[t - 1]``, and ``previous`` at the first step; (T, batch, *shape)."""
    return torch.cat([previous.unsqueeze(0).to(value.dtype), value[:-1]])


def delayed(value: Tensor, line: DelayLine) -> Tensor:
    """``y[t] = value[t - steps]`` for each element, as :meth:`DelayLine.push` gives it; the line moves on."""
    longest, steps = line.distinct[-1], line.steps.to(value.device)
    past = line.past[:longest]
    missing = value.new_zeros(longest - len(past), *value.shape[1:])
    whole = torch.cat([missing, *(x.unsqueeze(0) for x in reversed(past)), value])
    due = torch.zeros_like(value)
    for n in line.distinct:
        due = torch.where(steps == n, whole[longest - n : longest - n + len(value)], due)
    known = min(len(past) + len(value), longest + 1)
    line.past = list(whole[len(whole) - known :].flip(0).unbind())  # newest first; flip copies, so `whole` can go
    return due
