"""Inputs of precision "loihi": whole numbers within 24 bits, and their largest, however many there are."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn import integer_executable as module
from hasn.errors import InputError, UnsupportedError
from hasn.integer_executable import IntegerExecutable, _integers
from hasn.program.integers.encode import chip_neuron
from hasn.signals import signals
from tests.graphs import DT, graph, inp, out

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


class Chip(IntegerExecutable):
    """Runs nothing: its inputs are what is tested."""

    backend = "chip"
    _run = _start_stream = _step = _end_stream = _state = _load_state = None  # type: ignore[assignment]


def chip(weight: int) -> Chip:
    """2 x 3 inputs, each with this weight, into one neuron."""
    neuron = chip_neuron((1,), dt=DT, du=None, dv=0, vth=100, bias=0, v_init=0)
    nodes = {
        "i": inp(2, 3),
        "f": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "w": nir.Linear(np.full((1, 6), float(weight))),
        "n": neuron,
        "o": out(1),
    }
    return Chip(hasn.lower(graph(nodes, " > ".join(nodes)), dt=DT))


def test_inputs_are_flat_whole_numbers_by_step_and_sample() -> None:
    made = chip(10)
    assert (made.precision, made.recordable) == ("loihi", ("spikes", "voltages", "currents"))
    data = np.arange(4 * 5 * 2 * 3).reshape(4, 5, 2, 3)
    found, largest = made._integers_and_largest(signals(made.program, -data), np.int32)
    assert (found["i"].dtype, found["i"].shape, largest) == (np.int32, (4, 5, 6), {"i": 119})
    assert found["i"][3, 4].tolist() == [-114, -115, -116, -117, -118, -119]
    alone = made._integer_inputs(signals(made.program, data[:, 0]))
    assert (alone["i"].dtype, alone["i"].shape) == (np.int64, (4, 1, 6))
    np.testing.assert_array_equal(alone["i"], data[:, :1].reshape(4, 1, 6))


def test_what_could_arrive_in_a_step_must_leave_room_in_32_bits() -> None:
    """Six inputs of weight 100: (2^31 - 2 * 2^23) / 64 = 33,292,288 units at most, 55,487 an input."""
    made = chip(100)
    data = np.zeros((1, 2, 3))
    data[0, 1, 1] = -55_487
    assert made._integer_inputs(signals(made.program, data))["i"].min() == -55_487
    data[0, 1, 1] = -55_488
    with pytest.raises(UnsupportedError, match=r"node 'n' weights: more input.*got 33292800; wanted at most 33292288"):
        made._integer_inputs(signals(made.program, data))
