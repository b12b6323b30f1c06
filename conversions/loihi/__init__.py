"""Loihi: networks in the chip's integers."""

from hasn.conversions.loihi.placement import Placement, place
from hasn.conversions.loihi.reference import integer_population

__all__ = ["Placement", "integer_population", "place"]
