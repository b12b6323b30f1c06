"""Loihi: networks in the chip's integers.

``quantising``: :func:`hasn.quantise`, scales and rounding. ``train``: quantisation-aware training. ``export``: bundles
that Lava runs, NetX files, graphs in volts. ``placement``: which neuron on which core. ``profiles``: the chips.
``zero_reset``: what a reset to zero costs a graph that resets by subtraction.
"""

from hasn.conversions.loihi.placement import Placement, place
from hasn.conversions.loihi.reference import integer_population
from hasn.conversions.loihi.zero_reset import ZeroReset, zero_reset

__all__ = ["Placement", "ZeroReset", "integer_population", "place", "zero_reset"]
