"""What the executables of precision "loihi" take as input: whole numbers of 24 bits, whose sums 32 bits hold."""

from __future__ import annotations

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, UnsupportedError
from hasn.integer_executable import _BLOCK, _integers
from hasn.testing.chip_graphs import DT, chip_node
from tests.graphs import chain

#: Places in data of three blocks and a part of one: in each, and at the ends.
PLACES = (0, _BLOCK - 1, _BLOCK, 2 * _BLOCK + 7, 3 * _BLOCK, 3 * _BLOCK + 4)


def data(place: int, value: float) -> np.ndarray:
    x = np.arange(3 * _BLOCK + 5) % 7 - 3.0
    x[place] = value
    return x.reshape(-1, 1)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", [70_001, -70_001, 2**23 - 1, 1 - 2**23])
def test_every_number_of_long_data_counts(place: int, value: int) -> None:
    whole, most = _integers("in", data(place, value), np.int32)
    assert most == abs(value)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(whole, data(place, value).reshape(-1))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("value", "words"), [(0.5, "integers"), (2.0**23, "24 bits"), (-(2.0**23), "24 bits")])
def test_what_is_no_integer_of_24_bits_is_named(place: int, value: float, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        _integers("in", data(place, value), np.int32)
    assert (caught.value.node, caught.value.got) == ("in", value)


@pytest.mark.parametrize("sign", [1, -1])
def test_input_whose_sums_32_bits_do_not_hold_is_refused(sign: int) -> None:
    """127 * 262144 is all that they hold beside u."""
    pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
    net = chain(nir.Linear(np.array([[127.0]])), chip_node((1,), dv=9, vth=99), given=(1,), result=(1,))
    executable = hasn.compile(net, "snntorch", precision="loihi", dt=DT)
    executable.run(np.full((3, 1), sign * 262_144.0))
    with pytest.raises(UnsupportedError, match="32 bits"):
        executable.run(np.full((3, 1), sign * 262_145.0))
