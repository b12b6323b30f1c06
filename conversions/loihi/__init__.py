"""Loihi: networks in the chip's integers."""

from hasn.conversions.loihi.reference import integer_population

__all__ = ["integer_population"]
