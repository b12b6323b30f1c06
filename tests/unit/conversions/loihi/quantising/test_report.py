"""The report: every number by hand, and its two tables."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.quantising.cone import Cone
from hasn.conversions.loihi.quantising.connect import Synapses, Weights
from hasn.conversions.loihi.quantising.equation import Equation
from hasn.conversions.loihi.quantising.plan import Registers
from hasn.conversions.loihi.quantising.report import PopulationReport, QuantisationReport, WeightReport, report_on
from hasn.conversions.loihi.quantising.simulate import Trace
from tests.unit.conversions.loihi.bundles import chip_graph

TWO = np.ones(2)
EQUATION = Equation(
    "n", (2,), keep_c=np.array([0.5, 0.25]), keep_v=np.array([0.75, 0.875]), gain=TWO, rate=(TWO, TWO),
    bias=np.array([0.5, -2.0]), offset=0 * TWO, threshold=np.array([3.0, 5.0]), initial=0 * TWO,
    volts=np.array([2.0, 0.5]),
)  # fmt: skip
REGISTERS = Registers(
    EQUATION, 128.0, du=np.array([2047, 3000]), dv=np.array([1024, 500]), vth=np.array([6, 10]),
    bias=np.array([64, -252]), v_init=np.array([0, 0]),
)  # fmt: skip
#: Four steps of two neurons: the float run spikes 3 times, the integer run 4 times, 2 of them together.
FLOAT = np.array([[[1], [0]], [[0], [1]], [[0], [0]], [[1], [0]]], dtype=float)
INTEGER = np.array([[[1], [1]], [[0], [1]], [[1], [0]], [[0], [0]]], dtype=float)
TRACES = (
    Trace(FLOAT, np.array([1.0, 2.0]), np.array([3.0, 4.0])),
    Trace(INTEGER, np.array([2.0**20, 2.0**21]), np.array([2.0**22, 2.0**19])),
)
WEIGHTS = Weights(
    np.array([[508, -4], [0, 0]]), 1, TWO, None, None, np.array([[509.0, -3.0], [0.0, 1.0]])
)  # fmt: skip


def report(registers: Registers = REGISTERS, weights: Weights = WEIGHTS, why: str = "") -> QuantisationReport:
    made = QuantisedNetwork(chip_graph(), "loihi1", 1e-3, input_scales={"input": 3.0})
    synapses = Synapses("n", {"w": weights}, {"in": weights}, {("m", 2): weights})
    return report_on(
        made, {"n": synapses}, {"n": registers}, {"n": TRACES[0]}, {"n": TRACES[1]}, {"n": Cone("n", (), why)}
    )


def population(**changes: Any) -> PopulationReport:
    return report(replace(REGISTERS, **changes)).populations[0]


def test_a_population() -> None:
    row = population()
    assert row == PopulationReport(
        node="n",
        scale=256.0,  # 128 units for half a volt
        groups=2,
        threshold_bits=4,  # 10
        decay_error=pytest.approx(12 / 512),  # dv = 500 stands for 512; du + 1 = 3001 for 3072 is 71 / 3072
        bias_error=4 / 256,
        current_use=2**21 / 2**23,
        voltage_use=0.5,
        float_spikes=3,
        integer_spikes=4,
        drift=3 / 5,
    )


def test_the_current_may_have_the_larger_decay_error() -> None:
    assert population(du=np.array([2047, 2047])).decay_error == pytest.approx(1024 / 3072)
    assert population(du=np.array([2303, 3071]), dv=np.array([1024, 512])).decay_error == pytest.approx(256 / 2048)
    # no current: 2 registers, and a voltage that keeps everything is judged against one unit of its register
    forever = replace(EQUATION, keep_c=None, keep_v=np.array([1.0, 0.5]))
    assert population(equation=forever, du=None, dv=np.array([0, 2048])).decay_error == 0.0
    assert population(equation=forever, du=None, dv=np.array([1, 2048])).decay_error == 1.0


def test_groups_are_of_du_dv_and_vth_together() -> None:
    same = {"du": np.array([5, 5]), "dv": np.array([7, 7]), "vth": np.array([9, 9])}
    assert population(**same).groups == 1
    for register in same:
        assert population(**{**same, register: np.array([3, 4])}).groups == 2
    assert population(du=None, dv=np.array([7, 7]), vth=None).groups == 1


def test_a_population_that_does_not_spike_has_no_spikes_to_compare() -> None:
    row = population(vth=None)
    assert (row.threshold_bits, row.float_spikes, row.integer_spikes, row.drift) == (0, 0, 0, None)
    assert row.voltage_use == 0.5


def test_a_bias_of_0_has_no_error() -> None:
    none = replace(EQUATION, bias=0 * TWO)
    assert population(equation=none, bias=np.array([0, 0])).bias_error == 0.0
    assert population(vth=np.array([131071, 3])).threshold_bits == 17


def test_weights() -> None:
    rows = report().weights
    assert [row.node for row in rows] == ["w", "in -> n", "m -> n"]
    assert rows[0] == WeightReport(
        node="w",
        target="n",
        exponent=1,
        bits=7,  # 254 takes 8, one of them the sign's
        levels=3,
        error=pytest.approx(np.sqrt((1 + 1 + 1) / (509**2 + 9 + 1))),
        largest_error=1 / 509,
        zeroed=1 / 3,
        composed="",
    )
    assert report(why="so").weights[2].composed == "so"


@pytest.mark.parametrize(
    ("integers", "exact", "bits", "zeroed", "error"),
    [
        ([255, 0], [255.0, 0.0], 8, 0.0, 0.0),
        ([-255, -1], [-255.0, -1.5], 8, 0.0, 0.5 / np.sqrt(255**2 + 2.25)),
        ([64, -64], [64.0, -60.0], 6, 0.0, 4 / np.sqrt(64**2 + 60**2)),
        ([1, 0], [1.0, 0.25], 1, 0.5, 0.25 / np.sqrt(1.0625)),
    ],
)
def test_bits_and_losses(integers: list[int], exact: list[float], bits: int, zeroed: float, error: float) -> None:
    row = report(weights=Weights(np.array(integers), 0, TWO, None, None, np.array(exact))).weights[0]
    assert (row.bits, row.zeroed) == (bits, zeroed)
    assert row.error == pytest.approx(error)


def test_the_tables_show_all_of_it() -> None:
    made = report(why="weights times weights")
    assert (made.target, made.input_scales) == ("loihi1", {"input": 3.0})
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in made.table().splitlines() if "│" in line]
    assert lines == [
        ["population", "units a volt", "groups", "bits of vth", "tau error", "bias error", "u used", "v used",
         "spikes (float)", "spikes (integer)", "drift"],
        ["n", "256", "2", "4", "2.34%", "1.56%", "25.0%", "50.0%", "3", "4", "60.00%"],
        ["weights", "into", "exponent", "bits", "levels", "rms error", "max error", "lost", "composed"],
        *[[name, "n", "1", "7", "3", "0.34%", "0.20%", "33.3%", "yes"] for name in ("w", "in -> n", "m -> n")],
    ]  # fmt: skip
    plain = report().table().splitlines()
    assert not any("yes" in line for line in plain)
    # names to the left, numbers to the right
    assert next(line for line in plain if "in -> n" in line).startswith("│ in -> n │ n ")
    assert next(line for line in plain if "256" in line).count("          256 │") == 1
    found = json.loads(json.dumps(made.to_dict()))
    assert found["populations"][0]["drift"] == 0.6
    assert found["weights"][1]["node"] == "in -> n"
    assert found["input_scales"] == {"input": 3.0}
