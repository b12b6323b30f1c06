"""Placement: the neurons of a quantised network on the cores of a chip."""

from hasn.conversions.loihi.placement.placing import place
from hasn.conversions.loihi.placement.result import Baseline, Placement, Sent

__all__ = ["Baseline", "Placement", "Sent", "place"]
