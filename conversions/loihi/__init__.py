"""Loihi: networks in the chip's integers.

``quantising``: :func:`hasn.quantise`, scales and rounding. ``train``: quantisation-aware training. ``export``: bundles
that Lava runs, NetX files, graphs in volts. ``placement``: which neuron on which core. ``profiles``: the chips.
"""

from hasn.conversions.loihi.placement import Placement, place
from hasn.conversions.loihi.reference import integer_population

__all__ = ["Placement", "integer_population", "place"]
