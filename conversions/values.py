"""A tool's numbers as one float64 for each neuron."""

from __future__ import annotations

from typing import Any

import numpy as np

from hasn.conversions.refuse import refusal
from hasn.program.model import Shape


def spread(value: Any, parameter: str, path: str, shape: Shape) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A tensor or a number as one float64 for each neuron."""
    array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    try:
        values: np.ndarray[Any, np.dtype[np.float64]] = np.broadcast_to(array.astype(np.float64), shape).copy()
    except ValueError:
        raise refusal(
            path, parameter, "is not one value for each neuron", got=array.shape, wanted=f"a number or shape {shape}"
        ) from None
    return values


def just_below(threshold: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The threshold of ``v > ...`` that is ``v >= threshold`` for the float32 voltages these tools have."""
    below: np.ndarray[Any, np.dtype[np.float32]] = np.nextafter(threshold.astype(np.float32), np.float32(-np.inf))
    return below.astype(np.float64)
