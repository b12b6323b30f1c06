"""Populations made by hand: a threshold and a jump in place of a spike condition and rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from hasn.program.model import Firing, Neurons


def fires(spec: Neurons, threshold: Any, reset: Literal["zero", "subtract"] = "zero", jump: Any = 0.0) -> Neurons:
    """``spec`` with ``z = 1[v > threshold]``, and ``v <- jump`` ("zero") or ``v <- v - jump`` ("subtract") where z."""
    theta, by = (np.zeros(spec.shape) + value for value in (threshold, jump))
    firing = Firing(theta, reset, by)
    return replace(spec, condition=firing.condition, resets=firing.resets)


def silent(spec: Neurons) -> Neurons:
    """``spec`` without a threshold."""
    return replace(spec, condition=None, resets=())
