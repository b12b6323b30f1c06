"""Rounding to the chip's grids: weights, biases, decays. Every choice is an option of :func:`hasn.quantise`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import OptionError
from hasn.program.integers.model import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA,
    DECAY_BITS,
    DECAY_MAX,
    MIXED_MAX,
    SIGNED_MAX,
    WEIGHT_EXPONENT_MAX,
    Integers,
)
from hasn.program.model import Floats

ROUNDINGS = ("nearest", "truncate", "stochastic")


@dataclass(frozen=True)
class Rounding:
    """How weights are rounded.

    Attributes:
        how: "nearest"; "truncate": towards 0, as a shift of the magnitude does; "stochastic": up or down with the
            chance that keeps the mean (Gupta, Agrawal, Gopalakrishnan & Narayanan, ICML 2015), drawn with ``seed``.
        weight_bits: 2..8, one of them the sign where both occur; fewer leave the low bits of the mantissa 0, as the
            chip's ``num_weight_bits`` does.
        seed: of the stochastic rounding.
        largest_exponent: 0..7, of the weights; NetX's files have 0 alone.
    """

    how: str = "nearest"
    weight_bits: int = 8
    seed: int = 0
    largest_exponent: int = WEIGHT_EXPONENT_MAX
    _rng: np.random.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.how not in ROUNDINGS:
            raise OptionError(
                "unknown rounding", parameter="rounding", got=repr(self.how), wanted=" or ".join(ROUNDINGS)
            )
        for name, low, high in (("weight_bits", 2, 8), ("largest_exponent", 0, WEIGHT_EXPONENT_MAX)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise OptionError("no such number", parameter=name, got=value, wanted=f"{low}..{high}")
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    def whole(self, values: Floats) -> Floats:
        """``values`` as whole numbers."""
        if self.how == "truncate":
            return np.trunc(values)
        if self.how == "stochastic":
            return np.floor(values + self._rng.random(values.shape))
        return np.rint(values)

    def weights(self, values: Floats) -> tuple[Integers, int]:
        """(integers ``mantissa << exponent``, exponent) nearest to real weights in weight units.

        Args:
            values: of one connection; the largest must fit (see :func:`largest_weight`).
        """
        exponent, quantum, most = grid(values, self.weight_bits)
        rounded = np.clip(self.whole(values / quantum) * quantum, -most, most)
        return rounded.astype(np.int64), exponent


def grid(values: Any, bits: int = 8) -> tuple[int, int, int]:
    """(exponent, quantum, largest value) of the finest grid that reaches the largest of ``values``.

    Mantissas of both signs are even. Rounding may clip the largest weight by at most half a quantum.
    """
    both = bool(np.any(values > 0) and np.any(values < 0))
    largest = float(np.abs(values).max())
    step = (1 << (8 - bits)) * (2 if both else 1)
    most = (MIXED_MAX if both else SIGNED_MAX) // step * step
    exponent = 0
    while largest > (most + step / 2) * 2**exponent and exponent < WEIGHT_EXPONENT_MAX:
        exponent += 1
    return exponent, step << exponent, most << exponent


def largest_weight(bits: int, exponent: int) -> float:
    """The largest weight, in weight units, that fits with an exponent (for weights of both signs)."""
    step = 2 << (8 - bits)
    return float((MIXED_MAX // step * step) << exponent)


#: The largest bias, in voltage units.
LARGEST_BIAS = float((BIAS_MANTISSA - 1) << BIAS_EXPONENT_MAX)


def biases(values: Floats) -> Integers:
    """Each value as mantissa (13 bits signed) times the smallest power of two that fits."""
    exponent = np.zeros(values.shape)
    for _ in range(BIAS_EXPONENT_MAX):
        exponent += np.abs(np.rint(values / 2.0**exponent)) > BIAS_MANTISSA - 1
    return np.asarray(np.rint(values / 2.0**exponent) * 2.0**exponent, dtype=np.int64)


def decays(keep: Floats, offset: int = 0) -> Integers:
    """Registers of decays that keep ``keep`` of a state each step: ``round(4096 (1 - keep)) - offset``, 0..4095."""
    steps: NDArray[np.float64] = np.rint((1.0 - keep) * (1 << DECAY_BITS)) - offset
    return np.clip(steps, 0, DECAY_MAX).astype(np.int64)
