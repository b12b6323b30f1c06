"""Paths, factors and real weights of small programs, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.conversions.loihi.quantising.cone import Cone, cone_into, has_weights, shares_rows, uniform
from hasn.conversions.loihi.quantising.connect import Real, Synapses, Weights, real_weights, rounded
from hasn.conversions.loihi.quantising.equation import Equation, equation_of
from hasn.conversions.loihi.quantising.rounding import Rounding
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.model import Connection
from tests.graphs import inp, out
from tests.unit.conversions.loihi.nets import DT, chain, cuba, lif
from tests.unit.conversions.loihi.quantising.wirings import conv, flat, net, pool

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])
KEEP = True


def read(graph: nir.NIRGraph, name: str, keep_bias: bool = KEEP, gain: Any = None, **scales: float) -> Any:
    """(cone, equation, real weights) of a population."""
    program = lower(graph)
    network = fuse(program)
    equation = equation_of(network.by_name[name], None)  # type: ignore[arg-type]
    if gain is not None:
        equation = replace(equation, gain=np.asarray(gain, dtype=float))
    cone = cone_into(program, name, equation.gain, scales, keep_bias)
    return cone, equation, real_weights(cone, equation, network, scales, keep_bias)


def test_a_path_has_its_source_its_weights_and_its_factors() -> None:
    made = chain((1, 8, 8), pool(nir.AvgPool2d), conv(2, 1, 4), pool(nir.SumPool2d), pool(nir.AvgPool2d, 1),
                 flat(2, 1, 1), nir.Scale(np.full(2, 3.0)), lif(2))  # fmt: skip
    cone, _, _ = read(made, "n6")
    (path,) = cone.paths
    assert (path.source, path.end) == ("input", "n5")
    assert [step.name for step in path.steps] == ["n0", "n1", "n2", "n3", "n4", "n5"]
    assert [step.name for step in path.weighted] == ["n1"]
    assert [step.name for step in path.behind] == ["n2", "n3", "n4", "n5"]
    assert path.factor == pytest.approx(3 / 4)  # a mean of 4 before the weights; behind them a sum, and times 3
    assert path.factor_behind == 3.0
    assert list(cone.steps) == [step.name for step in path.steps]
    direct, _, _ = read(chain((2,), lif(2)), "n0")
    assert (direct.paths[0].end, direct.paths[0].steps, direct.paths[0].factor) == ("input", (), 1.0)
    only, _, _ = read(chain((2,), nir.Scale(np.full(2, 0.25)), lif(2)), "n1")
    assert (only.paths[0].end, only.paths[0].factor, only.paths[0].factor_behind) == ("n0", 0.25, 0.25)


@pytest.mark.parametrize(
    ("node", "weighted"),
    [
        (nir.Scale(np.array([2.0, 2.0])), False),
        (nir.Scale(np.array([2.0, 2.5])), True),
        (nir.Linear(np.ones((2, 2))), True),
        (nir.Affine(np.ones((2, 2)), np.ones(2)), True),
        (flat(2), False),
    ],
)
def test_what_has_weights_of_its_own(node: nir.NIRNode, weighted: bool) -> None:
    (step,) = lower(chain((2,), node, lif(2))).of(Connection)
    assert has_weights(step) is weighted


def test_uniform() -> None:
    assert uniform(np.array([[2.0, 2.0]]))
    assert not uniform(np.array([2.0, 2.0, 3.0]))
    assert uniform(5.0)


def test_dense_weights_and_their_bias_take_rows_share_and_what_is_behind() -> None:
    """Gain 2 and 3; an input scale of 8; a mean factor of 5 behind: the bias knows no input scale."""
    made = net({"input": inp(2), "w": nir.Affine(ROWS, np.array([10.0, 20.0])), "s": nir.Scale(np.full(2, 5.0)),
                "n": cuba(2), "o": out(2)}, "input > w > s > n > o")  # fmt: skip
    _, _, found = read(made, "n", gain=[2.0, 2.0], input=8.0)
    real = found["node", "w", 0]
    np.testing.assert_allclose(real.values, ROWS * 2 * 5 / 8)
    np.testing.assert_allclose(np.broadcast_to(real.to_volts, (2, 2)), np.full((2, 2), 2 * 5 / 8))
    np.testing.assert_allclose(real.bias, np.array([10.0, 20.0]) * 2 * 5)
    np.testing.assert_allclose(real.bias_to_volts, [10.0, 10.0])
    _, _, none = read(made, "n", keep_bias=False, gain=[2.0, 2.0])
    assert none["node", "w", 0].bias is None
    rows = net({"input": inp(2), "w": nir.Affine(ROWS, np.array([10.0, 20.0])), "n": cuba(2), "o": out(2)},
               "input > w > n > o")  # fmt: skip
    _, _, found = read(rows, "n", gain=[2.0, 3.0], input=8.0)
    real = found["node", "w", 0]
    np.testing.assert_allclose(real.values, ROWS * [[2.0], [3.0]] / 8)
    np.testing.assert_allclose(real.bias, [20.0, 60.0])


def test_a_kernel_takes_one_gain_and_its_bias_no_share() -> None:
    made = net({"input": inp(1, 6, 6), "p": pool(nir.AvgPool2d, 1), "c": conv(2, 1, 6, bias=True),
                "s": pool(nir.AvgPool2d), "f": flat(2, 2, 2), "n": cuba(8), "o": out(8)},
               "input > p > c > s > f > n > o")  # fmt: skip
    cone, _, found = read(made, "n", gain=np.full(8, 3.0), input=8.0)
    node = made.nodes["c"]
    real = found["node", "c", 0]
    np.testing.assert_allclose(real.values, node.weight * 3 / 4 / 8)
    assert real.to_volts.shape == (2, 1, 1, 1)
    np.testing.assert_allclose(real.bias, node.bias * 3 / 4)
    np.testing.assert_allclose(real.bias_to_volts, [0.75, 0.75])
    assert not shares_rows(cone, np.full(8, 3.0))
    assert shares_rows(cone, np.arange(1.0, 9.0))


def test_scales_and_direct_edges() -> None:
    made = chain((2,), nir.Scale(np.array([2.0, 5.0])), lif(2))
    _, _, found = read(made, "n1", gain=[3.0, 4.0], input=10.0)
    np.testing.assert_allclose(found["node", "n0", 0].values, [0.6, 2.0])
    np.testing.assert_allclose(found["node", "n0", 0].to_volts, [0.3, 0.4])
    _, _, found = read(chain((2,), nir.Scale(np.full(2, 6.0)), lif(2)), "n1", gain=[3.0, 4.0], input=10.0)
    real = found["direct", "n0", 0]
    np.testing.assert_allclose(real.values, [1.8, 2.4])
    np.testing.assert_allclose(real.to_volts, [1.8, 2.4])


def test_a_composed_matrix_takes_rows_input_scale_and_the_constant_with_it() -> None:
    made = net({"input": inp(2), "w": nir.Affine(ROWS, np.array([10.0, 20.0])), "v": nir.Linear(np.array([[1.0, 1.0]])),
                "n": cuba(1), "o": out(1)}, "input > w > v > n > o")  # fmt: skip
    cone, _, found = read(made, "n", gain=[2.0], input=8.0)
    assert cone.why_composed == "weights are multiplied with weights: w, v"
    real = found["composed", "input", 0]
    np.testing.assert_allclose(real.values, [[4.0 * 2 / 8, 6.0 * 2 / 8]])
    np.testing.assert_allclose(real.to_volts, [[0.25]])
    np.testing.assert_allclose(real.bias, [60.0])
    np.testing.assert_allclose(real.bias_to_volts, [2.0])
    _, _, found = read(made, "n", keep_bias=False, gain=[2.0])
    assert found["composed", "input", 0].bias is None


def test_rounding_keeps_what_an_integer_is_worth_in_the_float_graph() -> None:
    """64 chip units a unit of weight: at scale 640, volts of 0.1 are 1 unit."""
    real = {
        ("node", "w", 0): Real(np.array([1.0, -0.52]), np.array([0.5]), np.array([0.76]), np.array([2.0])),
        ("direct", "a", 0): Real(np.array([0.3]), np.array([0.0])),
        ("composed", "s", 3): Real(np.array([[0.71]]), np.array([[4.0]])),
    }
    made = rounded("n", real, 640.0, Rounding())
    assert made.target == "n"
    weights = made.of_node["w"]
    assert (weights.integers.tolist(), weights.exponent) == ([10, -6], 0)  # of both signs: even
    np.testing.assert_allclose(weights.exact, [10.0, -5.2])
    np.testing.assert_allclose(weights.weight(chip=False), [2.0, -1.2])  # 1 and 0.6 volts, at half a volt each
    np.testing.assert_array_equal(weights.weight(chip=True), [10.0, -6.0])
    assert weights.bias_integers is not None
    assert weights.bias_integers.tolist() == [8]
    bias = weights.bias(chip=False)
    assert bias is not None
    np.testing.assert_allclose(bias, [0.4])
    assert weights.bias(chip=True).tolist() == [8.0]  # type: ignore[union-attr]
    assert made.direct["a"].integers.tolist() == [3]
    np.testing.assert_allclose(made.direct["a"].volts, [0.1])  # where nothing reaches the voltage
    assert made.direct["a"].bias(chip=True) is None
    assert made.composed["s", 3].integers.tolist() == [[7]]
    assert list(made.all()) == ["w", "a -> n", "s -> n"]


def test_replaced_weights_go_by_what_they_replace() -> None:
    a, b, c = (Weights(i, 0, i, None, None, i) for i in (1, 2, 3))  # type: ignore[arg-type]
    made = Synapses("n", {"x": a, "y": b}, {"d": c}, {("s", 1): a}, {("s", 1): 1})
    new = made.replaced({id(a): c})
    assert (new.of_node["x"] is c, new.of_node["y"] is b, new.direct["d"] is c, new.composed["s", 1] is c) == (
        True,
    ) * 4
    assert (new.target, new.feedback) == ("n", {("s", 1): 1})
    assert made.of_node["x"] is a


def test_the_equation_of_a_population_with_a_current() -> None:
    """tau_syn 4 steps, w_in 2: c keeps 3/4 and takes x / 2; tau_mem 8 steps, R 4: v takes c / 2."""
    node = cuba(2, tau_syn=4 * DT, tau_mem=8 * DT, w_in=2.0, r=4.0, threshold=3.0, leak=1.0)
    node.v_reset = np.array([0.5, -1.0])
    node.metadata = {"v_init": np.array([0.25, 1.0])}
    found = equation_of(fuse(lower(chain((2,), nir.Linear(ROWS), node))).by_name["n1"], None)  # type: ignore[arg-type]
    assert isinstance(found, Equation)
    assert found.keep_c is not None
    assert found.rate is not None
    assert found.threshold is not None
    np.testing.assert_allclose(found.keep_c, 0.75)
    np.testing.assert_allclose(found.keep_v, 0.875)
    np.testing.assert_allclose(found.gain, 0.25)
    np.testing.assert_allclose(found.rate, np.full((2, 2), 0.5))
    np.testing.assert_allclose(found.bias, [1 / 8 - 0.5 / 8, 1 / 8 + 1 / 8])
    np.testing.assert_allclose(found.offset, [0.5, -1.0])
    np.testing.assert_allclose(found.threshold, [2.5, 4.0])
    np.testing.assert_allclose(found.initial, [-0.25, 2.0])
    assert found.volts.tolist() == [1.0, 1.0]
    units = found.in_units_of_gain()
    assert units.gain.tolist() == [1.0, 1.0]
    assert units.threshold is not None
    np.testing.assert_allclose(units.threshold, [10.0, 16.0])
    np.testing.assert_allclose(units.bias, [0.25, 1.0])
    np.testing.assert_allclose(units.initial, [-1.0, 8.0])
    np.testing.assert_allclose(units.volts, 0.25)
    np.testing.assert_allclose(units.offset, found.offset)


def test_the_equation_of_populations_without_a_current() -> None:
    """A drive goes into the bias, through the gain; a Threshold keeps nothing; a readout has no offset."""
    leaky = fuse(lower(chain((2,), nir.Linear(ROWS), lif(2, tau=4 * DT, r=8.0, reset=-1.0)))).by_name["n1"]
    found = equation_of(leaky, np.array([3.0, -1.0]))  # type: ignore[arg-type]
    assert (found.keep_c, found.rate) == (None, None)
    np.testing.assert_allclose(found.gain, 2.0)
    np.testing.assert_allclose(found.bias, [0.25 + 6.0, 0.25 - 2.0])
    np.testing.assert_allclose(found.threshold, 2.0)  # type: ignore[arg-type]
    step = net({"input": inp(2), "t": nir.Threshold(np.array([1.5, 0.5])), "o": out(2)}, "input > t > o")
    compare = equation_of(fuse(lower(step)).by_name["t"], np.array([3.0, -1.0]))  # type: ignore[arg-type]
    assert (compare.keep_v.tolist(), compare.gain.tolist(), compare.bias.tolist()) == ([0, 0], [1, 1], [3, -1])
    assert compare.threshold is not None
    assert (compare.threshold.tolist(), compare.initial.tolist()) == ([1.5, 0.5], [0, 0])
    assert equation_of(fuse(lower(step)).by_name["t"], None).bias.tolist() == [0, 0]  # type: ignore[arg-type]
    readout = nir.LI(np.full(2, 4 * DT), np.full(2, 4.0), np.array([2.0, 0.0]))
    quiet = equation_of(fuse(lower(chain((2,), nir.Linear(ROWS), readout))).by_name["n1"], None)  # type: ignore[arg-type]
    assert quiet.threshold is None
    assert (quiet.offset.tolist(), quiet.bias.tolist()) == ([0, 0], [0.5, 0])
    assert quiet.in_units_of_gain().threshold is None


def test_a_cone_of_several_ways() -> None:
    """Ways of one factor through one node keep it; of two factors they are composed."""
    same = net({"i": inp(2), "j": inp(2), "w": nir.Linear(ROWS), "n": lif(2), "o": out(2)}, "i > w > n > o", "j > w")
    cone, _, _ = read(same, "n")
    assert isinstance(cone, Cone)
    assert (cone.target, cone.why_composed) == ("n", "")
    assert {path.source for path in cone.paths} == {"i", "j"}
    assert read(same, "n", i=4.0, j=4.0)[0].why_composed == ""
    assert read(same, "n", i=4.0)[0].why_composed == "the weights of w act with several factors"
