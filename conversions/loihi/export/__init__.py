"""Quantised networks for the chip: bundles (what Lava runs), NetX files, and graphs in volts."""
