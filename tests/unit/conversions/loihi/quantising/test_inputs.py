"""Scales of Inputs: what is taken as it is, and what becomes a graded spike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi.profiles import LOIHI1, LOIHI2
from hasn.conversions.loihi.quantising.inputs import input_scales, scaled
from hasn.errors import InputError, OptionError, UnsupportedError
from hasn.signals import Signals


def given(**values: Any) -> Signals:
    arrays = {name: np.array(value, dtype=float).reshape(-1, 1, 1) for name, value in values.items()}
    steps = max((len(a) for a in arrays.values()), default=0)
    return Signals(arrays, steps, 1, True)


@pytest.mark.parametrize(
    ("values", "bits", "scale"),
    [
        ([0, 1, 1], 8, 1.0),
        ([0, 0, 7], 8, 1.0),
        ([-3, 1], 8, 1.0),
        ([2**23 - 1, 1], 8, 1.0),
        ([2**23, 1], 8, 127 / 2**23),  # a whole number, but one that 24 bits do not hold
        ([1 - 2**23], 8, 1.0),
        ([-(2**23)], 8, 127 / 2**23),
        ([0.5, 0.25], 8, 254.0),
        ([0.5, -2.5], 8, 127 / 2.5),
        ([0.5], 2, 2.0),
        ([0.5], 24, (2**23 - 1) / 0.5),
    ],
)
def test_the_scale_of_an_input(values: list[float], bits: int, scale: float) -> None:
    assert input_scales(given(x=values), LOIHI2, bits) == {"x": scale}


def test_every_input_has_a_scale_of_its_own() -> None:
    """An Input that is silent in the calibration is taken as it is."""
    signals = given(a=[0, 1, 0], b=[0.25, 0, 0], c=[0, 0, 0])
    scales = input_scales(signals, LOIHI2, 8)
    assert scales == {"a": 1.0, "b": 508.0, "c": 1.0}
    found = scaled({**signals.values, "b": np.array([0.2461, -0.2461])}, scales)
    assert found["a"].ravel().tolist() == [0, 1, 0]
    assert found["b"].tolist() == [125, -125]


def test_loihi_1_takes_spikes_alone() -> None:
    assert input_scales(given(x=[0, 1]), LOIHI1, 8) == {"x": 1.0}
    for values, got in (([0, 1, 2], 2.0), ([1, -1], -1.0), ([1, 0, 0.5], 0.5)):
        with pytest.raises(UnsupportedError, match="loihi1 has no graded spikes") as error:
            input_scales(given(spikes=[0, 1, 1], x=values), LOIHI1, 8)
        assert (error.value.node, error.value.parameter, error.value.got) == ("x", "calibrate", got)
        assert "loihi2" in str(error.value.way_out)


@pytest.mark.parametrize("bits", [1, 25, 8.0, True])
def test_bits_that_no_graded_spike_has(bits: Any) -> None:
    with pytest.raises(OptionError, match=r"no such number of bits; got .*; wanted 2\.\.24") as error:
        input_scales(given(x=[0, 1]), LOIHI2, bits)
    assert (error.value.parameter, error.value.got) == ("input_bits", bits)


def test_data_that_say_nothing() -> None:
    with pytest.raises(InputError, match="no Input") as error:
        input_scales(given(), LOIHI2, 8)
    assert error.value.parameter == "calibrate"
    with pytest.raises(InputError, match=r"all zero.*typical inputs") as error:
        input_scales(given(x=[0, 0], y=[0, 0]), LOIHI2, 8)
    assert error.value.parameter == "calibrate"
