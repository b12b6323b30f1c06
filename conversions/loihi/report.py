"""What quantising did: per node scale, bits, saturation, weight error, expected drift."""

from __future__ import annotations


class QuantisationReport:
    """Being written."""
