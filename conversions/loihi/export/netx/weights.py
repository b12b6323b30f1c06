"""What lava-dl's NetX makes of a weight matrix on its way to the chip: some it keeps, some it changes without a word.

Read from lava-dl 0.6.0 (``netx/utils.py``: ``optimize_weight_bits``) and lava-nc 0.10 (``utils/weightutils.py``, which
the ``fixed_pt`` Dense applies). NetX takes integers, in weight units, and chooses the exponent itself: the largest left
shift that 8 bits leave room for, undone by ``weight_exp = -shift`` behind the sum, and as few bits as the weights need:

    all < 0:   shift = floor(log2(256 / -min))
    all >= 0:  shift = floor(log2(255 / max))
    else:      shift = floor(log2(min(127 / max, 128 / -min))) + 1          (so also for what is negative or 0)
    bits = 8 - shift - (common factors of 2, at most 8) + (1 in the third case)

Lava then clips (to 255 for one sign, where "no weight above 0" counts as one sign; -256..255 for both) and drops the
lowest ``8 - bits`` bits of the magnitude, one more for both signs. So a matrix without positive weights comes out wrong
if its largest magnitude is a power of two (256 is clipped to 255), or where 0 occurs and an odd magnitude above 128
does. Exponents above 0 do not occur: a weight above 8 bits is clipped, or shifted by a negative number.
"""

from __future__ import annotations

import numpy as np

from hasn.program.integers.model import Integers
from hasn.program.model import Floats

_BITS, _MOST = 8, 255


def as_read(weights: Integers, recurrent: Integers | None = None) -> tuple[Floats, ...] | None:
    """The weights by which a NetX dense layer acts, or None where 8 bits cannot hold them and its shifts are undefined.

    Args:
        weights: (outputs, inputs), in weight units; no layer's are all 0.
        recurrent: (outputs, outputs): NetX chooses shift and bits for both together, Lava the sign mode for each.

    Returns:
        What becomes of ``weights``, and of ``recurrent`` if it is given.
    """
    given = (weights,) if recurrent is None else (weights, recurrent)
    together = np.concatenate(given, axis=1)
    high, low = int(together.max()), int(together.min())
    shift = _shift(high, low)
    bits = _BITS - shift - _factors_of_two(together) + (low < 0 <= high)
    if shift < 0 or bits > _BITS:
        return None
    return tuple(_held(matrix, shift, bits) for matrix in given)


def _held(weights: Integers, shift: int, bits: int) -> Floats:
    """Clipped and truncated by Lava; times ``2**-shift``, which it undoes behind the sum (downwards)."""
    high, low = int(weights.max()), int(weights.min())
    both = low < 0 < high
    dropped = _BITS - bits + both
    if both:
        held = np.clip(weights << shift, -_MOST - 1, _MOST) >> dropped << dropped
    else:
        held = np.minimum(np.abs(weights) << shift, _MOST) >> dropped << dropped
        held = held if high > 0 else -held
    return np.asarray(held * 2.0**-shift)


def _shift(high: int, low: int) -> int:
    if high < 0:
        room = 256 / -low
    elif low >= 0:
        room = 255 / high
    else:
        return int(np.floor(np.log2(min(127 / high if high else np.inf, 128 / -low)))) + 1
    return int(np.floor(np.log2(room)))


def _factors_of_two(weights: Integers) -> int:
    common = int(np.bitwise_or.reduce(np.abs(weights), axis=None))
    return min((common & -common).bit_length() - 1, _BITS)
