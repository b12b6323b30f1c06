"""Every backend runs every case: the same spikes as the reference, and voltages equal to rounding.

Cases that only repeat another take turns (:func:`hasn.testing.matrix.in_turn`).
"""

from __future__ import annotations

import numpy as np
import pytest

from hasn.testing.cases import CASES
from hasn.testing.judge import TOLERANCE, assert_same, tolerance
from hasn.testing.matrix import Cell, expected, in_turn, parametrise


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        parametrise(metafunc, "run", in_turn(metafunc.config))


def test_spikes_and_voltages_are_those_of_the_reference(cell: Cell) -> None:
    case = CASES[cell.name]
    with cell.compiled() as executable:
        found = executable.run(case.inputs(), record=("spikes", "voltages"))
    assert_same(found, expected(cell.name), tolerance(cell.precision, case.steps))


@pytest.mark.parametrize("name", CASES)
def test_the_case_says_something(name: str) -> None:
    """Every spiking node fires, none saturates, and no voltage is so near its threshold that float32 may decide."""
    wanted = expected(name)
    for node, spikes in wanted.spikes.items():
        rate = float(np.mean(spikes))
        assert 0.005 <= rate <= 0.95, f"{node} fires in {rate:.2%} of its neuron-steps"
    least = tolerance("float32", CASES[name].steps) if CASES[name].float32 else 10 * TOLERANCE
    for node, margin in wanted.margins.items():
        largest = float(np.max(np.abs(wanted.voltages[node]))) if node in wanted.voltages else 1.0
        assert margin > least * max(1.0, largest), f"{node} comes within {margin:.1e} of its threshold"
