"""Receptive fields: the weights of each neuron as an image, all in one grid."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hasn.errors import InputError

#: Grey of the lines between fields.
_LINE = 190.0


def field_grid(weights: ArrayLike, side: int, columns: int | None = None) -> NDArray[np.float64]:
    """One picture of all neurons, row by row, with a pixel of NaN between two of them.

    Args:
        weights: (neurons, side * side).
        side: pixels of a field's side.
        columns: fields in a row; default: about as many as rows.

    Returns:
        (rows * (side + 1) - 1, columns * (side + 1) - 1); NaN where there is no neuron.

    Raises:
        InputError: the weights are no images of that side.
    """
    array = np.asarray(weights, dtype=np.float64)
    if array.ndim != 2 or not len(array) or array.shape[1] != side * side:
        raise InputError(
            "no receptive fields", parameter="weights", got=array.shape, wanted=f"(neurons, {side * side})"
        )
    across = math.ceil(math.sqrt(len(array))) if columns is None else columns
    down = -(-len(array) // across)
    grid = np.full((down * (side + 1), across * (side + 1)), np.nan)
    for n, field in enumerate(array.reshape(-1, side, side)):
        row, column = (side + 1) * (n // across), (side + 1) * (n % across)
        grid[row : row + side, column : column + side] = field
    return grid[:-1, :-1]


def draw_fields(weights: ArrayLike, side: int, path: Path) -> None:
    """Write the grid as a grey PNG, two pixels across and down for each weight: white is 0, the largest is black."""
    from PIL import Image

    grid = field_grid(weights, side)
    bright = 255 * (1 - grid / (np.nanmax(grid) or 1.0))
    grey = np.where(np.isnan(grid), _LINE, bright).round().astype(np.uint8)
    Image.fromarray(grey.repeat(2, axis=0).repeat(2, axis=1)).save(path, format="PNG", optimize=True)
