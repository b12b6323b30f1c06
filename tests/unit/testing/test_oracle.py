"""The oracle of precision "loihi" itself, by numbers worked out by hand from the rules of docs/loihi.md."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.testing.cases.chip import CHIP_CASES, HALF
from hasn.testing.chip_graphs import DT, chip_node
from hasn.testing.graphs import chain
from hasn.testing.integers import IntegerTraces, interpret

TOP = 2**23


def run(name: str) -> IntegerTraces:
    case = CHIP_CASES[name]
    graph, inputs = case.build()
    return interpret(graph, inputs, timing=case.timing)


def test_currents() -> None:
    """du = 0 keeps 4095/4096, du = 4094 keeps 1/4096, du = 4095 nothing; 2**23 stays, -2**23 becomes 2**23."""
    kept = run("currents_that_turn_round").u["spiking"][:, 0].T
    assert kept[0].tolist() == [TOP, TOP, 64 - TOP, TOP, TOP - 2048, -4096, 320 - 4095]
    assert kept[1].tolist() == [TOP, TOP, 64 - TOP, 448 - 2047, TOP, 2048, 0]
    assert kept[2].tolist() == [TOP, 64 - TOP, TOP, 64 - TOP, TOP - 64, 0, 0]


def test_a_turn_that_is_too_little() -> None:
    x = [HALF, 3 * HALF, 3 * HALF, -5 * HALF, 0, 2, 9, -HALF]
    assert CHIP_CASES["currents_that_do_not_come_back"].build()[1]["input"][:, 0, 0].tolist() == x
    u = run("currents_that_do_not_come_back").u["pop"][:3, 0, 0]
    first = TOP * 2595 // 4096 + 3 * TOP - 2 * TOP  # du = 1500
    assert u.tolist() == [TOP, first, first * 2595 // 4096 + 3 * TOP - 2 * TOP]


def test_thresholds() -> None:
    """No current, nothing of v decays, 64 vth = 6400: +100, 0, +1, -300, +400, +101, +100 units of 64."""
    found = run("thresholds_met_by_input")
    assert found.v["bare"][:, 0, 0].tolist() == [6400, 6400, 0, -19200, 6400, 0, 6400]
    assert found.spikes["bare"][:, 0, 0].tolist() == [False, False, True, False, False, True, False]


def test_voltages_without_input() -> None:
    found = run("voltages_at_the_ends")
    v, silent = found.v["pop"][:4, 0].T, found.v["read"][:4, 0].T
    assert v[0].tolist() == [1 - TOP] * 4
    assert found.clips["pop"][:4, 0, 0].tolist() == [False, True, True, True]
    assert v[2].tolist() == [6400, 0, 1, 2]
    assert v[3].tolist() == [-1, 0, 0, 0]
    assert found.spikes["pop"][:4, 0, 3].tolist() == [False, False, True, True]
    assert v[6].tolist() == [-1, 0, 0, 0]
    assert v[7].tolist() == [0, 0, 0, 0]  # 8191/4096 goes to 1, which spikes
    assert found.spikes["pop"][0, 0, 7]
    assert v[8].tolist() == [-1, 0, 0, 0]
    assert v[9].tolist() == [-2, -1, 0, 0]
    assert silent[0].tolist() == [131071 * 64, 0, 1, 2]  # the highest threshold resets what sends no spikes


@pytest.mark.parametrize(("bias", "current", "voltage"), [(1 / 64, 0, 4096), (4097.0, 64 * 4097, 64 * 4097 + 4095)])
def test_where_a_connections_bias_goes(bias: float, current: int, voltage: int) -> None:
    """A bias register of 4095 takes 1 more (2048 << 1), and u shows nothing of it; it cannot take 64 * 4097 more."""
    affine, node = nir.Affine(np.zeros((1, 1)), np.array([bias])), chip_node((1,), dv=0, vth=131071, bias=4095)
    found = interpret(chain(affine, node, given=(1,), result=(1,)), {"input": np.zeros((2, 1, 1))}, dt=DT)
    assert found.u["n2"].reshape(-1).tolist() == [current, current]
    assert found.v["n2"].reshape(-1).tolist() == [voltage, 2 * voltage]


def test_what_is_off_the_grid_has_no_meaning() -> None:
    net = chain(nir.Linear(np.array([[0.5]])), chip_node((1,), dv=9, vth=5), given=(1,), result=(1,))
    with pytest.raises(ValueError, match="synaptic input is no integer"):
        interpret(net, {"input": np.ones((2, 1, 1))}, dt=DT)
