"""NIR's loosely typed parameters (int, array of one, pair, bytes) as plain Python values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import ParameterError


def array_of(value: Any) -> NDArray[Any] | None:
    """``value`` as an array; None where numpy makes none of it (lists of unequal length, a thing that refuses)."""
    try:
        return np.asarray(value)
    except Exception:  # whatever the value's own conversion raises
        return None


def numbers(value: Any) -> NDArray[Any] | None:
    """``value`` as an array of real numbers; None where it is none."""
    array = array_of(value)
    return array if array is not None and array.dtype.kind in "biuf" else None


def text(value: Any) -> str | None:
    """A string that HDF5 may have turned into bytes or an array of one; None where it is no string."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf8", errors="replace")
    return str(value) if isinstance(value, str) else None


def single(value: Any) -> int:
    """An integer that may come as an array of one.

    Raises:
        ParameterError: it is not one whole number.
    """
    array = array_of(value)
    if array is None or array.size != 1 or array.dtype.kind not in "iuf" or float(array.item()) % 1 != 0:
        raise ParameterError("is not one whole number", got=repr(value), wanted="an integer")
    return int(array.item())


def pair(value: Any, dims: int) -> tuple[int, ...]:
    """One integer for every spatial dimension.

    Raises:
        ParameterError: neither one integer nor one for each dimension.
    """
    array = array_of(value)
    if array is None or array.dtype.kind not in "iuf" or array.size not in (1, dims) or np.any(array % 1 != 0):
        raise ParameterError(
            "is neither one integer nor one for each dimension", got=repr(value), wanted=f"1 or {dims} integers"
        )
    flat = [int(n) for n in array.reshape(-1)]
    return tuple(flat * dims) if len(flat) == 1 else tuple(flat)


def pads(value: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Zeros (before, after) each spatial dimension; 'same' puts the odd one behind, as torch does.

    Raises:
        ParameterError: a word that is neither 'same' nor 'valid'.
    """
    word = text(value)
    if word is None:
        return tuple((n, n) for n in pair(value, len(kernel)))
    if word == "valid":
        return tuple((0, 0) for _ in kernel)
    if word != "same":
        raise ParameterError(
            "unknown padding", parameter="padding", got=repr(word), wanted="'same', 'valid' or integers"
        )
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)
