"""The oracle of precision "loihi" itself, by numbers worked out by hand from the rules of docs/loihi.md."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.testing.cases.chip import CHIP_CASES, HALF
from hasn.testing.chip_graphs import DT, chip_node
from hasn.testing.graphs import chain
from hasn.testing.integers import (
    HIGHEST,
    IntegerTraces,
    Registers,
    Step,
    decayed,
    fits_register,
    interpret,
    step,
    whole,
)

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


@pytest.mark.parametrize(
    ("bias", "fits"),
    [
        (0, True), (4095, True), (-4096, True), (4096, True), (4097, False), (-4097, False), (8190, True), (8192, True),
        (4095 * 128, True), (4095 * 128 + 64, False), (4096 * 128, False), (-4096 * 128, True), (-4097 * 128, False),
    ],
)  # fmt: skip
def test_a_bias_is_13_bits_with_a_sign_times_a_power_up_to_7(bias: int, fits: bool) -> None:
    assert fits_register(bias) == fits


@pytest.mark.parametrize(
    ("x", "amount", "left"),
    [(100, 0, 100), (-100, 0, -100), (100, 4096, 0), (4096, 1, 4095), (-4096, 1, -4095), (3, 2048, 1), (-3, 2048, -1),
     (1, 1, 0), (-1, 1, 0), (0, 1, 0)],
)  # fmt: skip
def test_what_decays_is_cut_towards_0(x: int, amount: int, left: int) -> None:
    assert decayed(x, amount) == left


@pytest.mark.parametrize(
    ("registers", "u", "v", "x", "wanted"),
    [
        # du = 4095: the current is the input alone, a unit is 64
        (Registers(4095, 0, 10, 0), 999, 7, 3, Step(192, 199, False, False, False)),
        (Registers(4095, 0, 10, -5), 0, 0, 10, Step(640, 635, False, False, False)),
        (Registers(4095, 0, 10, 0), 0, 0, 10, Step(640, 640, False, False, False)),  # not over the threshold
        (Registers(4095, 0, 10, 1), 0, 0, 10, Step(640, 0, True, False, False)),
        (Registers(0, 4096, 10, 0), 4096, 9999, 0, Step(4095, 0, True, False, False)),
        (Registers(0, 4096, 64, 0), 4096, 9999, 0, Step(4095, 4095, False, False, False)),
        # the ends of u: 2**23 stays, one unit more turns round; -2**23 is 2**23
        (Registers(4095, 4096, HIGHEST, 0), 0, 0, 2**17, Step(TOP, 0, True, False, True)),
        (Registers(4095, 4096, HIGHEST, 0), 0, 0, 2**17 + 1, Step(64 - TOP, 64 - TOP, False, True, False)),
        (Registers(4095, 4096, HIGHEST, 0), 0, 0, -(2**17), Step(TOP, 0, True, True, True)),
        (Registers(4095, 4096, HIGHEST, 0), 0, 0, 1 - 2**17, Step(64 - TOP, 64 - TOP, False, False, False)),
        # the ends of v
        (Registers(4095, 0, HIGHEST, -1), 0, 1 - TOP, 0, Step(0, 1 - TOP, False, False, True)),
        (Registers(4095, 0, HIGHEST, -1), 0, 2 - TOP, 0, Step(0, 1 - TOP, False, False, False)),
        (Registers(4095, 0, HIGHEST, 1), 0, HIGHEST * 64 - 1, 0, Step(0, HIGHEST * 64, False, False, False)),
        (Registers(4095, 0, HIGHEST, 1), 0, HIGHEST * 64, 0, Step(0, 0, True, False, False)),
    ],
)
def test_a_step_of_a_neuron(registers: Registers, u: int, v: int, x: int, wanted: Step) -> None:
    assert step(registers, u, v, x) == wanted


def test_numbers_are_whole_to_the_rounding_of_float64() -> None:
    found = whole("x", [1.00009, -2.99995, 0.0])
    assert found.tolist() == [1, -3, 0]
    assert found.dtype == np.int64
    for value in (1.0002, 0.9998, 0.5):
        with pytest.raises(ValueError, match="x is no integer"):
            whole("x", value)


def test_a_graph_without_inputs_runs_its_steps_and_one_with_dt_of_its_own() -> None:
    """A bias of 100 and nothing decays: 100, 200, 0 (300 is over 4 * 64), 100."""
    node = chip_node((1,), dv=0, vth=4, bias=100)
    net = nir.NIRGraph({"n": node, "o": nir.Output(np.array([1]))}, [("n", "o")], metadata={"dt": DT}, type_check=False)
    found = interpret(net, {}, steps=4)
    assert found.v["n"].reshape(-1).tolist() == [100, 200, 0, 100]
    assert found.outputs["o"].reshape(-1).tolist() == [0, 0, 1, 0]
    assert found.resets["n"].reshape(-1).tolist() == [False, False, True, False]
    assert not found.wraps["n"].any()


@pytest.mark.parametrize("kind", [nir.I, nir.IF])
def test_neurons_without_leak_take_64_units_of_input_and_keep_them(kind: type) -> None:
    """R dt = 64; no current of their own, no decay of v."""
    given = {"r": np.array([64 / DT])}
    if kind is nir.IF:
        given |= {"v_threshold": np.array([128.0]), "v_reset": np.zeros(1)}
    found = interpret(chain(kind(**given), given=(1,), result=(1,)), {"input": np.ones((4, 1, 1))}, dt=DT)
    fired = kind is nir.IF
    assert found.v["n1"].reshape(-1).tolist() == ([64, 128, 0, 64] if fired else [64, 128, 192, 256])
    assert found.u["n1"].reshape(-1).tolist() == [64] * 4
    assert list(found.spikes) == (["n1"] if fired else [])
    assert found.outputs["output"].reshape(-1).tolist() == ([0, 0, 1, 0] if fired else [64, 128, 192, 256])


def test_a_current_that_the_voltage_does_not_take_whole_is_refused() -> None:
    node = chip_node((1,), du=9, dv=1024)
    node.r = 2 * node.r
    with pytest.raises(ValueError, match="the current does not go to the voltage as it is"):
        interpret(chain(node, given=(1,), result=(1,)), {"input": np.ones((2, 1, 1))}, dt=DT)
    node = chip_node((1,), du=9, dv=1024)
    node.v_leak = node.v_leak + 1.0  # a quarter a step
    with pytest.raises(ValueError, match="bias is no integer"):
        interpret(chain(node, given=(1,), result=(1,)), {"input": np.ones((2, 1, 1))}, dt=DT)
