"""What the chip's Inputs take: spikes and integers as they are, real numbers as graded spikes at a scale."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hasn.conversions.loihi.profiles import Profile
from hasn.errors import InputError, OptionError, UnsupportedError
from hasn.program.model import Floats
from hasn.signals import Signals


def input_scales(given: Signals, chip: Profile, bits: int) -> dict[str, float]:
    """Input -> factor: 1 for spikes and integers, else such that the largest value fills ``bits`` bits with a sign.

    Args:
        given: calibration data.
        chip: says whether spikes may be graded.
        bits: of real-valued Inputs.

    Raises:
        InputError: all data are zero, or there is no Input.
        UnsupportedError: the chip's spikes are not graded and the data are no spikes.
        OptionError: no such number of bits.
    """
    most = chip.graded_spike_bits
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 24:
        raise OptionError("no such number of bits", parameter="input_bits", got=bits, wanted="2..24")
    if not given.values:
        raise InputError("the graph has no Input: there is nothing to calibrate with", parameter="calibrate")
    if not any(np.any(value) for value in given.values.values()):
        raise InputError(
            "the calibration data are all zero: they do not say how far currents and voltages go",
            parameter="calibrate",
            wanted="typical inputs, as strong as they get",
        )
    scales = {}
    for name, value in given.values.items():
        spikes = bool(np.all((value == 0) | (value == 1)))
        if most <= 1 and not spikes:
            raise UnsupportedError(
                f"{chip.name} has no graded spikes, and the data are not 0 and 1",
                node=name,
                parameter="calibrate",
                got=float(value[(value != 0) & (value != 1)][0]),
                way_out="Encode the input as spikes, or quantise for loihi2.",
            )
        whole = bool(np.all(value == np.rint(value))) and np.abs(value).max() < 2 ** (most - 1)
        scales[name] = 1.0 if spikes or whole else (2 ** (bits - 1) - 1) / float(np.abs(value).max())
    return scales


def scaled(values: Mapping[str, Floats], scales: Mapping[str, float]) -> dict[str, Floats]:
    """``round(scale * x)`` for every Input."""
    return {name: np.asarray(np.rint(value * scales[name])) for name, value in values.items()}
