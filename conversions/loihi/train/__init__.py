"""Quantisation-aware training."""

from hasn.conversions.loihi.train.entry import trained
from hasn.conversions.loihi.train.training import Training

__all__ = ["Training", "trained"]
