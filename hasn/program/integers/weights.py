"""Integer weights as the chip holds them: 8-bit mantissas with an exponent; several connections where 8 are few."""

from __future__ import annotations

import numpy as np

from hasn.program.integers.model import MIXED_MAX, SIGNED_MAX, WEIGHT_EXPONENT_MAX, Integers, WeightPart
from hasn.program.maps import Matrix

#: Connections between the same two populations that hasn makes of one.
MOST_PARTS = 16


def weight_parts(weights: Matrix) -> tuple[WeightPart, ...]:
    """Connections whose weights add up to ``weights``.

    The first takes as many of the highest bits as 8 bits hold, the next what is left of it, and so on: one is enough
    for what :func:`hasn.quantise` makes. Odd weights of both signs are split by sign: mantissas of mixed sign are even.

    Args:
        weights: scipy.sparse.csr_array of integers; not changed.

    Raises:
        OverflowError: a weight (its argument) is so large that it would take more than ``MOST_PARTS`` connections.
    """
    parts: list[WeightPart] = []
    left = _of(weights, weights.data.astype(np.int64))
    while left.nnz:
        mixed = _mixed(left.data)
        limit = MIXED_MAX if mixed else SIGNED_MAX
        exponent = _exponent(left.data, limit)
        if len(parts) == MOST_PARTS:
            raise OverflowError(int(weights.data[np.abs(weights.data).argmax()]))
        if mixed and exponent == 0 and np.any(left.data % 2):
            parts += [WeightPart(_of(left, sign(left.data, 0)), 0) for sign in (np.maximum, np.minimum)]
            break
        drop = exponent + mixed
        magnitude = np.minimum(np.abs(left.data), limit << exponent)
        kept = np.sign(left.data) * (magnitude >> drop << drop)
        parts.append(WeightPart(_of(left, kept >> exponent), exponent))
        left = _of(left, left.data - kept)
    return tuple(parts)


def _of(pattern: Matrix, values: Integers) -> Matrix:
    """A matrix with the places of ``pattern`` and other values; zeros left out."""
    made = pattern.copy()
    made.data = values
    made.eliminate_zeros()
    return made


def _exponent(values: Integers, limit: int) -> int:
    """The smallest exponent with which the largest weight fits, or the largest there is."""
    largest, exponent = int(np.abs(values).max()), 0
    while (largest >> exponent) > limit and exponent < WEIGHT_EXPONENT_MAX:
        exponent += 1
    return exponent


def _mixed(values: Integers) -> bool:
    return bool(np.any(values > 0) and np.any(values < 0))
