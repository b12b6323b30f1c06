"""The chip's grids, by hand: weights, biases, decays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi.quantising.rounding import (
    LARGEST_BIAS,
    Rounding,
    biases,
    decays,
    grid,
    largest_weight,
)
from hasn.errors import OptionError

HALVES = np.array([-2.5, -1.5, -0.7, -0.3, 0.0, 0.3, 0.7, 1.5, 2.5])


def test_nearest_takes_the_even_of_two_and_truncate_goes_towards_0() -> None:
    assert Rounding("nearest").whole(HALVES).tolist() == [-2, -2, -1, 0, 0, 0, 1, 2, 2]
    assert Rounding("truncate").whole(HALVES).tolist() == [-2, -1, 0, 0, 0, 0, 0, 1, 2]


def test_stochastic_keeps_the_mean_of_either_sign() -> None:
    """4,000 draws: the standard error of a mean is below 0.008, and 0.04 are allowed."""
    values = np.repeat([-1.8, -0.3, 0.25, 2.0], 4000)
    drawn = Rounding("stochastic", seed=3).whole(values).reshape(4, -1)
    assert [sorted(set(row)) for row in drawn.tolist()] == [[-2, -1], [-1, 0], [0, 1], [2]]
    assert drawn.mean(axis=1) == pytest.approx([-1.8, -0.3, 0.25, 2.0], abs=0.04)
    assert np.array_equal(Rounding("stochastic", seed=3).whole(values).reshape(4, -1), drawn)
    assert not np.array_equal(Rounding("stochastic", seed=4).whole(values).reshape(4, -1), drawn)


@pytest.mark.parametrize(
    ("values", "bits", "found"),
    [
        ([255.0], 8, (0, 1, 255)),
        ([255.5], 8, (0, 1, 255)),  # half a quantum may be clipped
        ([255.6], 8, (1, 2, 510)),
        ([-255.0, -3.0], 8, (0, 1, 255)),
        ([510.0, 1.0], 8, (1, 2, 510)),
        ([511.1], 8, (2, 4, 1020)),
        ([254.0, -1.0], 8, (0, 2, 254)),
        ([3.0, -255.0], 8, (0, 2, 254)),
        ([3.0, -255.1], 8, (1, 4, 508)),
        ([248.0], 4, (0, 16, 240)),
        ([248.1], 4, (1, 32, 480)),
        ([192.0, -1.0], 2, (0, 128, 128)),
        ([193.0, -1.0], 2, (1, 256, 256)),
        ([-224.0, 240.0], 4, (0, 32, 224)),
        ([0.0, 0.0], 8, (0, 1, 255)),
        ([0.0, 5.0], 8, (0, 1, 255)),  # 0 has no sign
        ([0.0, -5.0], 8, (0, 1, 255)),
        ([1e9], 8, (7, 128, 32640)),
    ],
)
def test_the_finest_grid_that_reaches_the_largest(values: list[float], bits: int, found: tuple[int, int, int]) -> None:
    assert grid(np.array(values), bits) == found


def test_weights_are_multiples_of_the_quantum_and_clipped() -> None:
    integers, exponent = Rounding().weights(np.array([255.5, 3.5, 0.4]))
    assert (integers.tolist(), exponent, integers.dtype) == ([255, 4, 0], 0, np.int64)
    integers, exponent = Rounding().weights(np.array([[-255.0, 2.9], [600.0, 5.9]]))
    assert (integers.tolist(), exponent) == ([[-256, 0], [600, 8]], 2)
    integers, exponent = Rounding(weight_bits=3).weights(np.array([-223.9, 100.0]))
    assert (integers.tolist(), exponent) == ([-192, 128], 0)
    integers, _ = Rounding("truncate").weights(np.array([-7.9, 7.9]))
    assert integers.tolist() == [-6, 6]


@pytest.mark.parametrize(
    ("bits", "exponent", "largest"), [(8, 0, 254), (8, 7, 254 << 7), (7, 0, 252), (4, 1, 224 << 1), (2, 0, 128)]
)
def test_the_largest_weight_of_both_signs(bits: int, exponent: int, largest: float) -> None:
    assert largest_weight(bits, exponent) == largest


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (4095.4, 4095), (4096.0, 4096), (4097.0, 4096), (4099.0, 4100), (-4095.0, -4095), (-4097.0, -4096),
        (8191.0, 8192), (8189.0, 8188), (100_001.3, 100_000), (LARGEST_BIAS, 524_160), (-LARGEST_BIAS, -524_160),
        (0.4, 0), (-0.6, -1),
    ],
)  # fmt: skip
def test_a_bias_takes_the_finest_exponent_that_holds_it(value: float, held: int) -> None:
    """13 bits signed: 4096 is no mantissa, so above 4095 biases are even, above 8190 multiples of 4, and so on."""
    found = biases(np.array([1.0, value]))
    assert (found.tolist(), found.dtype) == ([1, held], np.int64)


@pytest.mark.parametrize(
    ("keep", "offset", "register"),
    [
        (1.0, 0, 0), (1.0, 1, 0), (0.0, 0, 4095), (0.0, 1, 4095), (0.75, 0, 1024), (0.75, 1, 1023),
        (1 - 1 / 4096, 0, 1), (1 - 1 / 4096, 1, 0), (1 - 1.6 / 4096, 0, 2), (-1.0, 0, 4095),
    ],
)  # fmt: skip
def test_decay_registers(keep: float, offset: int, register: int) -> None:
    found = decays(np.array([0.5, keep]), offset)
    assert (found.tolist(), found.dtype) == ([2048 - offset, register], np.int64)


@pytest.mark.parametrize(
    ("options", "parameter", "got", "wanted"),
    [
        ({"how": "up"}, "rounding", "'up'", "nearest or truncate or stochastic"),
        ({"weight_bits": 1}, "weight_bits", 1, "2..8"),
        ({"weight_bits": 9}, "weight_bits", 9, "2..8"),
        ({"weight_bits": True}, "weight_bits", True, "2..8"),
        ({"weight_bits": 4.0}, "weight_bits", 4.0, "2..8"),
        ({"largest_exponent": -1}, "largest_exponent", -1, "0..7"),
        ({"largest_exponent": 8}, "largest_exponent", 8, "0..7"),
        ({"largest_exponent": False}, "largest_exponent", False, "0..7"),
    ],
)
def test_what_is_no_rounding(options: dict[str, Any], parameter: str, got: object, wanted: str) -> None:
    with pytest.raises(OptionError) as error:
        Rounding(**options)
    assert (error.value.parameter, error.value.got, error.value.wanted) == (parameter, got, wanted)


def test_the_ends_of_both_ranges_are_taken_and_the_default_is_the_whole_chip() -> None:
    for options in ({"weight_bits": 2}, {"weight_bits": 8}, {"largest_exponent": 0}, {"largest_exponent": 7}):
        assert {name: getattr(Rounding(**options), name) for name in options} == options
    assert (Rounding().how, Rounding().weight_bits, Rounding().largest_exponent) == ("nearest", 8, 7)
