"""The scale of a population: the largest at which everything fits, and the best of the octave below it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi.quantising import plan
from hasn.conversions.loihi.quantising.equation import Equation
from hasn.conversions.loihi.quantising.plan import Registers, registers
from hasn.conversions.loihi.quantising.rounding import Rounding
from hasn.conversions.loihi.quantising.simulate import Trace
from hasn.errors import ParameterError

ONE = np.ones(2)
LIMIT = 2**23 - 1


def equation(**changes: Any) -> Equation:
    """Two neurons of 1 V threshold; all else small."""
    given = {
        "name": "n", "shape": (2,), "keep_c": None, "keep_v": 0.75 * ONE, "gain": ONE, "rate": None, "bias": 0 * ONE,
        "offset": 0 * ONE, "threshold": ONE, "initial": 0 * ONE, "volts": ONE,
    }  # fmt: skip
    return Equation(**{**given, **changes})


def reached(current: Any = 0.0, voltage: Any = 0.0) -> Trace:
    return Trace(np.zeros(1), np.asarray(current) * ONE, np.asarray(voltage) * ONE)


def chosen(
    e: Equation | None = None,
    trace: Trace | None = None,
    headroom: float = 1.0,
    rounding: Rounding | None = None,
    **weights: Any,
) -> Registers:
    connections = {name: np.atleast_2d(value) for name, value in (weights or {"w": [1e-2, 1e-2]}).items()}
    return registers(e or equation(), connections, trace or reached(), rounding or Rounding(), headroom)


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        # 17 bits of threshold at 64 units, and nothing else is near its end
        ({}, 131071 * 64.0),
        ({"e": equation(threshold=np.array([0.25, 4.0]))}, 131071 * 16.0),
        # currents and voltages within 24 bits, in the equation's own unit of voltage, headroom to spare
        ({"trace": reached(current=[3.0, 40.0])}, LIMIT / 40),
        ({"trace": reached(voltage=[50.0, 3.0], current=2.0)}, LIMIT / 50),
        ({"trace": reached(voltage=50.0), "headroom": 3.0}, LIMIT / 150),
        ({"trace": reached(voltage=[50.0, 30.0]), "e": equation(volts=np.array([5.0, 0.5]))}, LIMIT / 60),
        # the initial voltage, of either sign, knows no headroom
        ({"e": equation(initial=np.array([2.0, -64.0])), "headroom": 3.0}, LIMIT / 64),
        # a bias has a mantissa of 4095 at most and an exponent of 7
        ({"e": equation(bias=np.array([0.5, -2.0]))}, 4095 * 128 / 2.0),
        # weights: 254 << 7 units of 64, of the strongest connection; fewer where exponents are
        ({"v": [0.5, -0.5], "w": [3.0, -20.0]}, 254 * 128 * 64 / 20.0),
        ({"w": [1.0, 20.0], "rounding": Rounding(largest_exponent=0)}, 254 * 64 / 20.0),
        ({"w": [1.0, -20.0], "rounding": Rounding(weight_bits=4, largest_exponent=2)}, 224 * 4 * 64 / 20.0),
    ],
)
def test_the_scale_lies_in_the_octave_below_what_fits(options: dict[str, Any], limit: float) -> None:
    scale = chosen(**options).scale
    assert limit / 2 < scale <= limit


@pytest.mark.parametrize("limit", [2.0 * 64, 137.0 * 64, 3e5, 131071 * 64.0])
def test_a_threshold_and_weights_of_a_simple_ratio_are_exact(limit: float) -> None:
    """Weights of 1/2 and 3/8 of the threshold: there is a scale at which nothing is rounded, and it is taken."""
    made = chosen(trace=reached(voltage=LIMIT / limit), w=[0.5, -0.375])
    rounded, _ = Rounding().weights(np.array([0.5, -0.375]) * made.scale / 64)
    if limit > 1000:
        assert (rounded / (made.scale / 64)).tolist() == pytest.approx([0.5, -0.375], rel=1e-12)
    assert made.vth is not None
    assert (made.vth * 64 / made.scale).tolist() == pytest.approx([1.0, 1.0], rel=1e-12)


def test_of_equal_scales_the_larger_is_taken() -> None:
    """A lone weight of 1 and no threshold: every whole scale is exact."""
    made = chosen(equation(threshold=None), reached(voltage=LIMIT / 200.5 / 64), w=[1.0, 1.0])
    assert made.scale == 200 * 64
    assert made.vth is None


def test_the_error_weighs_every_connection_and_the_threshold_alike() -> None:
    """By hand at scale 64: weights 10.25 and 3 lose 1/16 of 114.0625, the threshold of 1.5 loses 1/4 of 2.25."""
    e, lone = equation(threshold=np.array([1.5])), {"w": np.array([10.25, 3.0])}
    assert plan._error(e, lone, 64.0, 8) == pytest.approx(0.0625 / 114.0625 + 0.25 / 2.25)
    both = {**lone, "v": np.array([-7.0, 4.0])}  # of both signs: even, so -7 becomes -8 (or -6)
    assert plan._error(equation(threshold=None), both, 64.0, 8) == pytest.approx(0.0625 / 114.0625 + 1 / 65)
    assert plan._error(equation(threshold=0 * ONE), lone, 64.0, 8) == pytest.approx(0.0625 / 114.0625)
    one = equation(threshold=np.array([1.5, 0.0]))
    assert plan._error(one, lone, 64.0, 8) == pytest.approx(0.0625 / 114.0625 + 0.25 / 2.25)
    clipped = {"w": np.array([255.5, 1.0])}
    assert plan._error(equation(threshold=None), clipped, 64.0, 8) == pytest.approx(0.25 / (255.5**2 + 1))
    coarse = {"w": np.array([240.0, 9.0])}  # steps of 16
    assert plan._error(equation(threshold=None), coarse, 64.0, 4) == pytest.approx(49 / (240**2 + 81))


def test_large_connections_are_judged_by_a_sample_with_both_extremes() -> None:
    small = np.arange(plan.SAMPLE).reshape(2, -1)
    assert plan._sample(small).shape == (plan.SAMPLE,)
    large = np.ones((4, plan.SAMPLE))
    large[1, 7], large[3, 3] = 99.0, -88.0
    found = plan._sample(large)
    assert found.size <= plan.SAMPLE + 2
    assert found.size > plan.SAMPLE // 2
    assert (found.max(), found.min()) == (99.0, -88.0)


def test_candidates_lie_within_the_octave_and_hold_the_whole_numbers_of_the_threshold() -> None:
    e, weights = equation(), {"w": np.array([0.5, 0.3])}
    found = plan._candidates(e, weights, 100.7 * 64)
    assert len(found) > plan.CANDIDATES / 2
    assert all(100.7 * 32 < scale <= 100.7 * 64 for scale in found)
    assert {51 * 64.0, 77 * 64.0, 100 * 64.0} <= set(found)
    # so that the largest weight is whole: 1/2 V is 26 .. 50 units
    assert {52 * 64.0, 100 * 64.0} <= set(found)
    assert plan._candidates(e, {}, 100.7 * 64) == [64.0 * k for k in range(51, 101)]
    low = equation(threshold=np.array([0.5, 0.5]))
    assert plan._candidates(low, {}, 100.7 * 64) == [128.0 * k for k in range(26, 51)]
    several = plan._candidates(equation(threshold=np.array([1.0, 2.0])), {}, 100.7 * 64)
    assert len(several) == plan.CANDIDATES
    assert several == sorted(several)
    assert several[-1] == pytest.approx(100.7 * 64)
    assert several[0] == pytest.approx(100.7 * 64 * 2 ** -(95 / 96))
    # a threshold of less than one unit has no whole number: the even grid of scales stands in
    assert plan._candidates(e, {}, 0.9 * 64) == pytest.approx([0.9 * 64 * 2 ** -(i / 96) for i in range(95, -1, -1)])
    assert plan._candidates(equation(threshold=0 * ONE), {}, 64.0) == plan._candidates(
        equation(threshold=None), {}, 64.0
    )


def test_scales_at_which_the_largest_weight_is_whole() -> None:
    """1 V at up to 100 units a volt: 64 .. 100 units, and below that halves, of which there are as many an octave."""
    several = equation(threshold=np.array([1.0, 2.0]))
    even = set(plan._candidates(several, {}, 100.0 * 64))
    found = set(plan._candidates(several, {"w": np.array([-1.0, 0.25])}, 100.0 * 64))
    assert found - even == {64.0 * k for k in range(64, 101)} - even | {32.0 * k for k in range(101, 128)} - even
    assert {64.0 * 100, 32.0 * 101} <= found


@pytest.mark.parametrize(
    ("values", "bits", "lost"),
    [
        ([0.49, 0.1], 8, True), ([0.5, 0.1], 8, False), ([-0.99, 0.3], 8, True), ([-1.0, 0.3], 8, False),
        ([7.9, 1.0], 4, True), ([8.0, 1.0], 4, False),
    ],
)  # fmt: skip
def test_weights_are_lost_where_not_even_the_largest_is_half_a_quantum(
    values: list[float], bits: int, lost: bool
) -> None:
    given = {"w": np.array(values)}
    if not lost:
        plan._refuse_lost(equation(), given, 64.0, Rounding(weight_bits=bits))
        return
    with pytest.raises(ParameterError, match="its weights are lost beside"):
        plan._refuse_lost(equation(), given, 64.0, Rounding(weight_bits=bits))


def test_registers_at_the_scale() -> None:
    """The scale is 64 * 4095 / 2 or less for the bias; all registers follow from it."""
    made = chosen(
        equation(
            keep_c=np.array([0.5, 0.25]), keep_v=np.array([0.75, 1.0]), bias=np.array([0.125, -2.0]),
            initial=np.array([-3.0, 0.1]), volts=np.array([2.0, 4.0]), threshold=np.array([1.0, 1.5]),
        ),
        w=[0.5, -0.25],
    )  # fmt: skip
    assert made.du is not None
    assert (made.du.tolist(), made.dv.tolist()) == ([2047, 3071], [1024, 0])
    assert made.bias.tolist() == pytest.approx([0.125 * made.scale, -2.0 * made.scale], abs=64)
    assert made.v_init.tolist() == [round(-3.0 * made.scale), round(0.1 * made.scale)]
    assert made.vth is not None
    assert made.vth.tolist() == [round(made.scale / 64), round(1.5 * made.scale / 64)]
    assert made.units_a_volt.tolist() == [made.scale / 2, made.scale / 4]


def test_what_no_scale_brings_into_the_registers() -> None:
    with pytest.raises(ParameterError, match="all weights are zero") as error:
        chosen(v=[1.0, 1.0], w=[0.0, 0.0])
    assert (error.value.node, error.value.parameter, error.value.way_out) == ("w", "weight", "Leave the node out.")
    # 254 << 7 units of 1000 V leave 1/4 of a unit for a threshold of 1 / 2000 of... that, and nothing rounds to it
    with pytest.raises(ParameterError, match="the threshold is lost in rounding beside its inputs") as error:
        chosen(equation(threshold=np.array([1e-3, 1.0])), w=[1e5, 1e5])
    assert (error.value.node, error.value.parameter, error.value.got) == ("n", "v_threshold", 1e-3)
    assert float(str(error.value.wanted).split()[2]) == pytest.approx(1e5 / 255 / 128, rel=0.6)
    assert chosen(equation(threshold=0 * ONE), w=[1.0, 1.0]).vth.tolist() == [0, 0]  # a threshold of 0 is not lost


def test_a_connection_far_below_the_others_is_lost() -> None:
    """The weaker may be 2**-17 of the threshold's ... but not less than half of its own quantum."""
    with pytest.raises(
        ParameterError, match="its weights are lost beside the threshold and the other inputs of n"
    ) as error:
        chosen(trace=reached(voltage=20.0), tiny=[1e-7, -1e-7], big=[1.0, -1.0])
    e = error.value
    assert (e.node, e.parameter) == ("tiny", "weight")
    assert "at most 1e-07 V" in str(e.got)
    quantum = 2 * 64 / (LIMIT / 20)  # of both signs: even
    wanted = float(str(e.wanted).split()[2])
    assert quantum / 2 <= wanted <= quantum
    chosen(trace=reached(voltage=20.0), tiny=[2.0 * wanted, -wanted], big=[1.0, -1.0])
