"""Quantisation-aware training."""

from hasn.conversions.loihi.train.training import Training, trained

__all__ = ["Training", "trained"]
