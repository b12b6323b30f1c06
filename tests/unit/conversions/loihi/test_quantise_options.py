"""Rounding choices of hasn.quantise, its report, and what it refuses."""

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError, ParameterError, UnsupportedError
from tests.unit.conversions.loihi.nets import DT, chain, cuba, lif, spikes, weights

GRAPH = chain((8,), nir.Linear(weights(10, 8)), lif(10))


def projection(**options):
    return hasn.quantise(GRAPH, calibrate=spikes(8), **options).integers.projections[0]


def test_weights_are_even_where_both_signs_occur_and_use_all_bits():
    (part,) = projection().parts
    mantissas = part.mantissas.data
    assert not np.any(mantissas % 2)
    assert 120 < np.abs(mantissas).max() <= 254


def test_weights_of_one_sign_have_all_eight_bits():
    positive = chain((8,), nir.Linear(np.abs(weights(10, 8))), lif(10))
    (part,) = hasn.quantise(positive, calibrate=spikes(8)).integers.projections[0].parts
    assert np.any(part.mantissas.data % 2)
    assert 127 < part.mantissas.data.max() <= 255


@pytest.mark.parametrize(("bits", "levels"), [(2, 3), (3, 7), (4, 15)])
def test_fewer_bits_leave_the_low_bits_zero(bits, levels):
    (part,) = projection(weight_bits=bits).parts
    assert not np.any(part.mantissas.data % (2 << (8 - bits)))
    assert len(np.unique(part.mantissas.toarray())) <= levels


def test_rounding_choices():
    made = {
        how: hasn.quantise(GRAPH, calibrate=spikes(8), rounding=how) for how in ("nearest", "truncate", "stochastic")
    }
    scale = {how: m.scales["n1"].scale[0] for how, m in made.items()}
    assert len(set(scale.values())) == 1  # the same grid, so that only the rounding differs
    exact = GRAPH.nodes["n0"].weight * scale["nearest"] / 64
    found = {how: m.integers.projections[0].weights.toarray() for how, m in made.items()}
    quantum = 2 << made["nearest"].integers.projections[0].parts[0].weight_exp
    assert np.abs(found["nearest"] - exact).max() <= quantum / 2 + 1e-9
    assert np.all(np.abs(found["truncate"]) <= np.abs(exact) + 1e-9)
    assert np.abs(found["stochastic"] - exact).max() <= quantum
    assert np.any(found["stochastic"] != found["nearest"])
    again = hasn.quantise(GRAPH, calibrate=spikes(8), rounding="stochastic")
    other = hasn.quantise(GRAPH, calibrate=spikes(8), rounding="stochastic", seed=1)
    assert np.array_equal(again.integers.projections[0].weights.toarray(), found["stochastic"])
    assert not np.array_equal(other.integers.projections[0].weights.toarray(), found["stochastic"])


def test_the_report_says_what_was_lost():
    made = hasn.quantise(GRAPH, calibrate=spikes(8), weight_bits=4)
    (row,) = made.report().weights
    exact = GRAPH.nodes["n0"].weight
    error = made.dequantised().nodes["n0"].weight - exact
    assert row.error == pytest.approx(np.sqrt(np.square(error).mean() / np.square(exact).mean()), rel=1e-6)
    assert row.largest_error == pytest.approx(np.abs(error).max() / np.abs(exact).max(), rel=1e-6)
    assert row.bits == 3 + 4  # three bits and a sign, at the top of seven
    (population,) = made.report().populations
    assert population.float_spikes > 0
    assert 0 < population.drift < 1
    text = made.report().table()
    assert "n1" in text
    assert f"{row.error:.2%}" in text


def refused(error, match, graph=GRAPH, inputs=None, **options):
    with pytest.raises(error, match=match):
        hasn.quantise(graph, calibrate=spikes(8) if inputs is None else inputs, **options)


def test_bad_calibration():
    refused(InputError, "all zero", inputs=np.zeros((20, 2, 8)))
    refused(InputError, "shape", inputs=np.ones((20, 2, 7)))
    refused(InputError, "finite", inputs=np.full((20, 2, 8), np.nan))


def test_bad_options():
    refused(OptionError, "target", target="loihi3")
    refused(OptionError, "rounding", rounding="up")
    refused(OptionError, "weight_bits", weight_bits=9)
    refused(OptionError, "headroom", headroom=0.5)
    refused(OptionError, "input_bits", input_bits=1)


def test_bad_weights():
    refused(ParameterError, "n0.*weights are zero", chain((8,), nir.Linear(np.zeros((4, 8))), lif(4)))
    refused(ParameterError, "finite", chain((8,), nir.Linear(np.full((4, 8), np.inf)), lif(4)))
    tiny = 1e-9 * weights(10, 8)
    nodes = {
        "input": nir.Input(np.array([8])), "big": nir.Linear(weights(10, 8)), "tiny": nir.Linear(tiny), "a": lif(10),
        "output": nir.Output(np.array([10])),
    }  # fmt: skip
    edges = [("input", "big"), ("input", "tiny"), ("big", "a"), ("tiny", "a"), ("a", "output")]
    both = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    refused(ParameterError, "tiny.*8 bits and an exponent", both)


def test_a_graph_without_an_input_has_nothing_to_calibrate_with():
    driven = nir.NIRGraph(
        {"a": lif(4), "output": nir.Output(np.array([4]))}, [("a", "output")], metadata={"dt": DT}, type_check=False
    )
    refused(UnsupportedError, "the graph has no Input, so there is nothing to calibrate", driven)


def test_what_the_chip_does_not_have():
    refused(UnsupportedError, "n1.*reset.*subtract", reset="subtract")
    refused(UnsupportedError, "exact", chain((8,), nir.Linear(weights(4, 8)), cuba(4)), method="exact")
    low = chain((8,), nir.Linear(weights(4, 8)), lif(4, threshold=-1.0))
    refused(UnsupportedError, "v_threshold", low)
    voltage = chain(
        (8,), nir.Linear(weights(4, 8)), nir.LI(np.full(4, 0.02), np.ones(4), np.zeros(4)),
        nir.Linear(weights(4, 4)), lif(4),
    )  # fmt: skip
    refused(UnsupportedError, "n1.*sends its voltage", voltage)
    summed = chain((8,), nir.Linear(weights(4, 8)), lif(4))
    summed.nodes["last"] = nir.Linear(weights(4, 4))
    summed.edges = [*[e for e in summed.edges if e[1] != "output"], ("n1", "last"), ("last", "output")]
    refused(UnsupportedError, "output.*no neuron holds", summed)


def test_a_graph_that_is_not_on_the_grid_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"node 'n1'.*hasn\.quantise"):
        hasn.QuantisedNetwork.of_graph(GRAPH)
