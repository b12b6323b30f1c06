"""Populations as processes, by hand: stock LIF where it has the equation, ours where not, and the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.backends.lava.neurons import population_cell
from hasn.program.fuse import Relay
from hasn.program.model import Neurons, Row, Source, Threshold
from tests.populations import fires, silent

ZERO = np.zeros(2)


def two(*values: float) -> Any:
    """A value for each of two neurons."""
    return np.array(values * 2 if len(values) == 1 else values)


KEEP = Row("v", (("v", two(0.75)),), two(0.25, 0.5))
LIF = fires(Neurons("n", (2,), ("v",), (KEEP,), {"v": ZERO}), 0.5)
CURRENT = Row("c", (("c", two(0.8)),), two(0.5, 0.25))
VOLTAGE = Row("v", (("v", two(0.9)), ("c", two(0.5, 0.125))))
CUBA = replace(LIF, states=("c", "v"), rows=(CURRENT, VOLTAGE), initial={"c": ZERO, "v": ZERO})
COMPARE = Threshold("t", (2,), two(0.5))


def test_a_lif_s_numbers() -> None:
    """v <- 0.75 v + gain x + bias: dv = 0.25, the gain goes into the weights and into what is added to the input."""
    biased = replace(LIF, rows=(replace(KEEP, bias=two(0.125, 0.5)),))
    cell = population_cell(biased, {0: two(1.0, 2.0)}, 0, stock=True)
    assert (cell.kind, cell.stock, cell.why_not, cell.size) == ("lif", True, "", 2)
    assert cell.settings == {"du": 1.0, "dv": 0.25, "vth": 0.5, "onset": 0, "drives": []}
    assert cell.arrays.keys() == {"bias_mant"}
    np.testing.assert_array_equal(cell.arrays["bias_mant"], [0.25 * 1 + 0.125, 0.5 * 2 + 0.5])
    np.testing.assert_array_equal(cell.input_scale, [0.25, 0.5])


def test_a_late_lif_without_a_bias_is_stock_and_knows_when_it_starts() -> None:
    cell = population_cell(LIF, {}, 3, stock=True)
    assert cell.settings == {"du": 1.0, "dv": 0.25, "vth": 0.5, "onset": 3, "drives": []}
    assert cell.arrays == {}


def test_a_lif_that_takes_no_input_has_weights_of_0() -> None:
    deaf = replace(LIF, rows=(replace(KEEP, gain=None),))
    np.testing.assert_array_equal(population_cell(deaf, {}, 0, stock=True).input_scale, ZERO)


def test_a_cuba_lif_s_numbers() -> None:
    """c <- 0.8 c + g x; v <- 0.9 v + h c + b: u = h c, so both gains go into the weights and b stays what it is."""
    biased = replace(CUBA, rows=(CURRENT, replace(VOLTAGE, bias=two(0.25, 2.0))))
    cell = population_cell(biased, {}, 0, stock=True)
    assert cell.settings["du"] == pytest.approx(0.2, rel=1e-15)
    assert cell.settings["dv"] == pytest.approx(0.1, rel=1e-15)
    np.testing.assert_array_equal(cell.input_scale, [0.5 * 0.5, 0.25 * 0.125])
    np.testing.assert_array_equal(cell.arrays["bias_mant"], [0.25, 2.0])


def test_a_compare_s_numbers() -> None:
    cell = population_cell(COMPARE, {0: two(0.0, 2.0)}, 0, stock=True)
    assert cell.settings == {"du": 1.0, "dv": 1.0, "vth": 0.5, "onset": 0, "drives": []}
    np.testing.assert_array_equal(cell.arrays["bias_mant"], [0.0, 2.0])
    assert cell.input_scale is None


def rows(*made: Row) -> Neurons:
    """A CubaLIF with another update."""
    return replace(CUBA, rows=made)


#: (population, drives, steps that it runs late) -> the words of the reason.
REASONS: dict[str, tuple[Any, Any, int, str]] = {
    "silent": (silent(LIF), {}, 0, "it does not spike"),
    "subtract": (fires(LIF, 0.5, "subtract", 0.5), {}, 0, "reset by subtraction"),
    "v_reset": (fires(LIF, 0.5, "zero", two(0.1, -0.3)), {}, 0, "v_reset is not 0 (up to -0.3)"),
    "exact": (rows(VOLTAGE, CURRENT), {}, 0, "(method 'exact')"),
    "nothing is kept": (replace(LIF, rows=(Row("v", (), two(1.0)),)), {}, 0, "not that of a leaky integrator"),
    "another state": (replace(LIF, rows=(replace(KEEP, terms=(("c", two(0.5)),)),)), {}, 0, "not that of a leaky"),
    "two terms": (replace(LIF, rows=(replace(KEEP, terms=KEEP.terms * 2),)), {}, 0, "not that of a leaky integrator"),
    "three rows": (rows(CURRENT, VOLTAGE, VOLTAGE), {}, 0, "not that of a leaky integrator"),
    "the voltage takes the input": (rows(CURRENT, replace(VOLTAGE, gain=two(1.0))), {}, 0, "not that of a leaky"),
    "a constant current": (rows(replace(CURRENT, bias=two(1.0)), VOLTAGE), {}, 0, "not that of a leaky integrator"),
    "the current reads v": (rows(replace(CURRENT, terms=VOLTAGE.terms), VOLTAGE), {}, 0, "not that of a leaky"),
    "no current": (rows(CURRENT, replace(VOLTAGE, terms=KEEP.terms)), {}, 0, "not that of a leaky integrator"),
    "tau": (replace(LIF, rows=(replace(KEEP, terms=(("v", two(0.5, 0.75)),)),)), {}, 0, "time constants differ"),
    "tau_syn": (rows(replace(CURRENT, terms=(("c", two(0.5, 0.75)),)), VOLTAGE), {}, 0, "time constants differ"),
    "tau_mem": (
        rows(CURRENT, replace(VOLTAGE, terms=(("v", two(0.5, 0.75)), ("c", two(1.0))))), {}, 0, "time constants differ",
    ),
    "threshold": (fires(LIF, two(0.5, 0.6)), {}, 0, "threshold differs"),
    "v_init": (replace(LIF, initial={"v": two(0.25, -0.75)}), {}, 0, "v_init is not 0 (up to -0.75)"),
    "driven current": (CUBA, {0: two(0.0, 1.0)}, 0, "a constant input drives the synaptic current"),
    "late leak": (replace(LIF, rows=(replace(KEEP, bias=two(1.0)),)), {}, 2, "during the 2 step(s) that it runs late"),
    "late drive": (LIF, {0: two(0.0, 1.0)}, 3, "a bias would act during the 3 step(s) that it runs late"),
    "late spikes": (fires(LIF, two(-0.1)), {}, 4, "a threshold below 0 would spike during the 4 step(s)"),
    "late constant": (LIF, {0: two(1.0), 5: two(0.0, 1.0)}, 0, "through a Delay starts later than step 0"),
    "compare threshold": (replace(COMPARE, threshold=two(0.5, 0.6)), {}, 0, "threshold differs"),
    "compare late drive": (COMPARE, {0: two(0.0, 1.0)}, 1, "a bias would act during the 1 step(s)"),
    "compare late spikes": (replace(COMPARE, threshold=two(-0.1)), {}, 1, "a threshold below 0 would spike"),
    "compare constant": (COMPARE, {1: two(1.0)}, 0, "through a Delay starts later than step 0"),
    "relay": (Relay("r", (2,)), {}, 0, "a sum of real numbers without a neuron"),
}  # fmt: skip


@pytest.mark.parametrize("stock", [True, False])
@pytest.mark.parametrize("case", list(REASONS))
def test_what_stock_lif_has_not_is_ours_and_says_why(case: str, stock: bool) -> None:
    population, drives, shift, words = REASONS[case]
    cell = population_cell(population, drives, shift, stock)
    assert words in cell.why_not
    assert cell.kind == {Neurons: "neurons", Threshold: "compare", Relay: "relay"}[type(population)]
    assert not cell.stock
    assert cell.input_scale is None
    assert (cell.settings["onset"], cell.size) == (shift, 2)
    assert [first for first, _ in cell.settings["drives"]] == list(drives)
    for first, name in cell.settings["drives"]:
        np.testing.assert_array_equal(cell.arrays[name], drives[first])


@pytest.mark.parametrize(
    ("population", "drives", "shift"),
    [
        (fires(LIF, two(-0.1)), {}, 0),
        (fires(LIF, ZERO), {}, 2),
        (LIF, {0: ZERO, 3: ZERO}, 2),
        (CUBA, {0: ZERO}, 0),
        (replace(CUBA, rows=(CURRENT, replace(VOLTAGE, bias=two(1.0)))), {}, 0),
        (replace(COMPARE, threshold=two(-0.1)), {}, 0),
        (COMPARE, {}, 2),
    ],
)
def test_what_only_looks_like_a_reason_is_stock(population: Any, drives: Any, shift: int) -> None:
    cell = population_cell(population, drives, shift, stock=True)
    assert (cell.kind, cell.why_not) == ("lif", "")
    ours = population_cell(population, drives, shift, stock=False)
    assert (ours.stock, ours.why_not) == (False, "every cell of a stream is a process of ours")


def test_the_update_of_a_process_of_ours_is_the_program_s_row_by_row() -> None:
    population = replace(
        fires(CUBA, 0.5, "subtract", 0.25), shape=(1, 2), initial={"c": ZERO, "v": two(0.5)}, held=np.array([3, 0]),
        rows=(CURRENT, replace(VOLTAGE, bias=np.float64(3.0), before=True)),
    )  # fmt: skip
    cell = population_cell(population, {2: two(1.0)}, 1, stock=True)
    assert cell.settings == {
        "states": ["c", "v"],
        "rows": [
            {"state": "c", "terms": [["c", "row0.c"]], "gain": "row0.gain", "bias": None, "before": False},
            {
                "state": "v",
                "terms": [["v", "row1.v"], ["c", "row1.c"]],
                "gain": None,
                "bias": "row1.bias",
                "before": True,
            },
        ],
        "condition": {"terms": [["v", "condition.v"]], "constant": "condition.constant"},
        "resets": [{"state": "v", "terms": [["v", "reset0.v"]], "gain": None, "bias": "reset0.bias", "before": False}],
        "held": "held",
        "onset": 1,
        "drives": [[2, "drive.2"]],
    }
    wanted = {
        "initial.c": [0, 0],
        "initial.v": [0.5, 0.5],
        "row0.c": [0.8, 0.8],
        "row0.gain": [0.5, 0.25],
        "row1.v": [0.9, 0.9],
        "row1.c": [0.5, 0.125],
        "row1.bias": [3, 3],
        "condition.v": [1, 1],
        "condition.constant": [-0.5, -0.5],
        "reset0.v": [1, 1],
        "reset0.bias": [-0.25, -0.25],
        "held": [3, 0],
        "drive.2": [1, 1],
    }
    assert {name: array.tolist() for name, array in cell.arrays.items()} == wanted


def test_a_population_that_does_not_spike_has_neither_condition_nor_resets() -> None:
    cell = population_cell(silent(LIF), {}, 0, stock=True)
    assert (cell.settings["condition"], cell.settings["resets"]) == (None, [])


def test_an_input_is_no_process() -> None:
    with pytest.raises(TypeError, match="x is no population"):
        population_cell(Source("x", (2,)), {}, 0, stock=True)
