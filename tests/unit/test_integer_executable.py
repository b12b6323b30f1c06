"""Inputs of precision "loihi": whole numbers within 24 bits, and their largest, however many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn import integer_executable as module
from hasn.errors import InputError
from hasn.integer_executable import _integers

MOST = 2**23 - 1


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
@pytest.mark.parametrize(
    ("values", "largest"),
    [([], 0), ([0], 0), ([0, 1, 1], 1), ([-3, 2], 3), ([2, -1], 2), ([MOST], MOST), ([-MOST, 5], MOST)],
)
def test_whole_numbers_are_taken_and_the_largest_is_known(values: list[int], largest: int, dtype: Any) -> None:
    found, most = _integers("i", np.array(values, dtype=float), dtype)
    assert (found.tolist(), most, found.dtype) == (values, largest, dtype)


def test_a_large_input_is_checked_block_by_block() -> None:
    """The largest may lie in any block, the last one short."""
    size = 2 * module._BLOCK + 100
    for place in (0, module._BLOCK - 1, module._BLOCK, size - 1):
        values = np.ones((2, size // 2))
        values.reshape(-1)[place] = -7
        found, most = _integers("i", values, np.int64)
        assert most == 7
        np.testing.assert_array_equal(found, values.reshape(-1))
        values.reshape(-1)[place] = 0.25
        with pytest.raises(InputError, match=r"node 'i' inputs: the chip takes integers; got 0\.25; wanted spikes 0/1"):
            _integers("i", values, np.int64)


@pytest.mark.parametrize("value", [MOST + 1, -MOST - 1, 2**40])
def test_what_24_bits_do_not_hold_is_named(value: int) -> None:
    with pytest.raises(InputError, match="beyond a graded spike's 24 bits") as caught:
        _integers("i", np.array([MOST, -MOST, value, 0], dtype=float), np.int64)
    assert (caught.value.node, caught.value.got, caught.value.wanted) == ("i", value, f"integers within +-{MOST}")
