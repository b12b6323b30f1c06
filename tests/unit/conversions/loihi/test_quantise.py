"""hasn.quantise: what becomes of each parameter, and that the integers behave as the floats they stand for."""

import nir
import numpy as np
import pytest

import hasn
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.testing.integers import interpret
from tests.unit.conversions.loihi.nets import DT, chain, cuba, float_run, lif, spikes, weights


def quantised(graph, inputs, **options):
    return hasn.quantise(graph, calibrate=inputs, **options)


def integer_run(network, inputs):
    """The plain reference's spikes and voltages, {population: (T, batch, *shape)}."""
    given = inputs if isinstance(inputs, dict) else {"input": inputs}
    chip = {k: network.inputs({k: v})[k] for k, v in given.items()}
    return interpret(network.graph, chip, dt=network.dt, timing=network.timing)


def apart(one, other):
    """Spikes that only one has, over those that either has."""
    a, b = one.swapaxes(1, 2) > 0.5, other.reshape(*other.shape[:2], -1)
    return np.count_nonzero(a != b) / max(np.count_nonzero(a | b), 1)


def test_a_single_neuron_by_hand():
    """tau = 4096/41 steps gives dv = 41 exactly; weights 1 and -1/2 of the threshold; no rounding is left."""
    graph = chain((2,), nir.Linear(np.array([[1.0, -0.5]])), lif(1, tau=DT * 4096 / 41, threshold=1.0))
    made = quantised(graph, spikes(2))
    population = made.integers.populations["n1"]
    (projection,) = made.integers.projections
    assert (population.dv.tolist(), population.du.tolist()) == ([41], [4095])
    plus, minus = projection.weights.toarray()[0].tolist()
    assert plus == -2 * minus > 0
    # A spike reaches the threshold exactly (and so does not cross it): the same ratio in volts and in integers.
    assert population.vth.tolist() == [plus]
    assert made.volts("n1", population.vth * 64).tolist() == pytest.approx([1.0], rel=1e-12)


def test_r_w_in_and_dt_are_folded_into_the_weights():
    """Networks whose products are the same become the same integers."""
    w = weights(6, 5)
    one = chain((5,), nir.Linear(w), cuba(6))
    other = chain((5,), nir.Linear(w / 8), cuba(6, w_in=2.0, r=4.0))
    slow = chain((5,), nir.Linear(w), cuba(6, tau_syn=10e-3, tau_mem=40e-3), dt=2 * DT)
    first, second, third = (quantised(g, spikes(5)).integers for g in (one, other, slow))
    for made in (second, third):
        assert np.array_equal(made.projections[0].weights.toarray(), first.projections[0].weights.toarray())
        for register in ("du", "dv", "vth"):
            assert np.array_equal(
                getattr(made.populations["n1"], register), getattr(first.populations["n1"], register)
            )  # fmt: skip


def test_v_reset_and_v_leak_are_a_shift_of_the_voltage():
    """-65 mV rest and reset, threshold -50 mV: the integers of the same neuron with 0, 0 and 15 mV."""
    w = 5e-3 * weights(6, 5)
    plain = chain((5,), nir.Linear(w), lif(6, threshold=15e-3))
    shifted = chain(
        (5,), nir.Linear(w), lif(6, threshold=-50e-3, leak=-65e-3, reset=-65e-3, v_init=np.full(6, -65e-3))
    )  # fmt: skip
    one, other = (quantised(g, spikes(5)) for g in (plain, shifted))
    assert np.array_equal(
        one.integers.projections[0].weights.toarray(), other.integers.projections[0].weights.toarray()
    )
    assert not other.integers.populations["n1"].bias.any()
    assert not other.integers.populations["n1"].v_init.any()
    assert other.volts("n1", np.zeros(6)).tolist() == [-65e-3] * 6
    # Where rest and reset differ, what is left is a bias; and v starts at 0 V, far above the threshold's scale.
    above = chain((5,), nir.Linear(w), lif(6, threshold=-50e-3, leak=-60e-3, reset=-65e-3))
    made = quantised(above, spikes(5))
    population = made.integers.populations["n1"]
    scale = made.scales["n1"].scale[0]
    assert population.bias / scale == pytest.approx(np.full(6, 5e-3 / 20), rel=1e-3)
    assert population.v_init / scale == pytest.approx(np.full(6, 65e-3), rel=1e-3)


NETWORKS = {
    "lif": chain((8,), nir.Linear(weights(10, 8)), lif(10), nir.Linear(weights(6, 10, 1)), lif(6)),
    "cuba": chain((8,), nir.Affine(weights(10, 8, size=0.8), weights(10, 1)[:, 0]), cuba(10, w_in=4.0)),
    "several taus": chain((8,), nir.Linear(weights(9, 8)), lif(9, tau=np.repeat([5e-3, 10e-3, 40e-3], 3))),
    "several thresholds": chain((8,), nir.Linear(weights(6, 8)), lif(6, threshold=np.linspace(0.5, 2.0, 6))),
    "bias": chain((8,), nir.Affine(weights(6, 8), np.linspace(-0.1, 0.1, 6)), lif(6)),
    "leak": chain((8,), nir.Linear(weights(6, 8)), lif(6, leak=np.linspace(-0.5, 0.9, 6), reset=0.1)),
    "if": chain((8,), nir.Linear(weights(6, 8)), nir.IF(np.full(6, 300.0), np.ones(6), np.zeros(6))),
    "readout": chain((8,), nir.Linear(weights(9, 8)), lif(9), nir.Linear(weights(3, 9)),
                     nir.LI(np.full(3, 20e-3), np.full(3, 2.0), np.zeros(3))),
    "convolution": chain(
        (1, 8, 8), nir.Conv2d((8, 8), weights(36, 1).reshape(4, 1, 3, 3), 1, 0, 1, 1, weights(4, 1)[:, 0]),
        lif((4, 6, 6), tau=10e-3), nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        nir.Flatten({"input": np.array([4, 3, 3])}, start_dim=0), nir.Linear(weights(5, 36, 2)), lif(5)),
    "convolution, several gains": chain(
        (1, 6, 6), nir.Conv2d((6, 6), weights(18, 1).reshape(2, 1, 3, 3), 1, 0, 1, 1, np.zeros(2)),
        lif((2, 4, 4), tau=np.linspace(5e-3, 40e-3, 32).reshape(2, 4, 4), r=10.0)),
    "weights times weights": chain(
        (8,), nir.Affine(weights(7, 8), weights(7, 1)[:, 0]), nir.Linear(weights(6, 7, 3)), lif(6)),
    "scales": chain((8,), nir.Scale(np.linspace(0.5, 2.0, 8)), lif(8), nir.Scale(np.full(8, 3.0)),
                    nir.Linear(weights(4, 8)), lif(4)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_integers_are_the_floats_that_they_stand_for(name):
    """The dequantised graph, in volts, spikes as the integers do.

    Between the two lie the decays' rounding towards 0 (one unit a step; thresholds have some 2**17 units) and nothing
    else, so a handful of spikes may shift: 3 % are allowed, and a wrong fold moves far more.
    """
    graph = NETWORKS[name]
    inputs = spikes(graph.nodes["input"].input_type["input"])
    made = quantised(graph, inputs)
    integers = integer_run(made, inputs)
    volts = float_run(made.dequantised(), inputs)
    exact = float_run(graph, inputs)
    for node, population in made.integers.populations.items():
        if not population.spiking:
            read = made.volts(node, integers.v[node])
            assert np.abs(read - volts[node].swapaxes(1, 2)).max() < 0.03 * np.abs(volts[node]).max()
            continue
        assert integers.spikes[node].any()
        assert apart(volts[node], integers.spikes[node]) < 0.03
        # And the float network itself is near: 8 bits of weights, so some 1 % of error in each.
        count, wanted = integers.spikes[node].sum(), exact[node].sum()
        assert abs(count - wanted) < 0.1 * wanted + 3


def test_nothing_wraps_or_clips_on_the_calibration_and_little_is_left_unused():
    graph = NETWORKS["lif"]
    made = quantised(graph, spikes(8), headroom=1.0)
    for row in made.report().populations:
        assert 0.2 < max(row.current_use, row.voltage_use) <= 1.0
    half = quantised(graph, spikes(8), headroom=4.0)
    for one, other in zip(made.report().populations, half.report().populations, strict=True):
        assert other.voltage_use < 0.6 * one.voltage_use


def test_populations_keep_their_names_shapes_and_delays():
    """A recurrent net with a delay, a feedback edge and a skip connection keeps every (source, target, delay)."""
    nodes = {
        "input": nir.Input(np.array([5])), "in": nir.Linear(weights(6, 5)), "a": lif(6),
        "loop": nir.Linear(0.3 * weights(6, 6, 1)), "slow": nir.Delay(np.full(6, 3 * DT)),
        "across": nir.Linear(weights(4, 6, 2)), "b": cuba(4, w_in=5.0),
        "skip": nir.Affine(weights(4, 5, 4), np.ones(4)),
        "output": nir.Output(np.array([4])),
    }  # fmt: skip
    edges = [("input", "in"), ("in", "a"), ("a", "loop"), ("loop", "a"), ("a", "slow"), ("slow", "across"),
             ("across", "b"), ("input", "skip"), ("skip", "b"), ("b", "output")]  # fmt: skip
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    for timing in ("synchronous", "hardware"):
        made = quantised(graph, spikes(5), timing=timing)
        wanted = {(p.source, p.target, p.delay) for p in fuse(lower(graph, timing=timing)).projections}
        assert {(p.source, p.target, p.delay) for p in made.integers.projections} == wanted
        assert set(made.graph.nodes) == set(nodes)
        assert made.integers.populations["b"].drives[0].any()


def test_a_node_into_two_populations_becomes_two_with_a_scale_each():
    nodes = {
        "input": nir.Input(np.array([5])), "shared": nir.Linear(weights(6, 5)), "a": lif(6), "b": lif(6, threshold=0.3),
        "out_a": nir.Output(np.array([6])), "out_b": nir.Output(np.array([6])),
    }  # fmt: skip
    edges = [("input", "shared"), ("shared", "a"), ("shared", "b"), ("a", "out_a"), ("b", "out_b")]
    graph = nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)
    made = quantised(graph, spikes(5))
    assert sum(isinstance(node, nir.Linear) for node in made.graph.nodes.values()) == 2
    exact = float_run(graph, spikes(5))
    integers = integer_run(made, spikes(5))
    for node in ("a", "b"):
        assert apart(exact[node], integers.spikes[node]) < 0.1


def test_pooling_and_convolutions_keep_their_nodes():
    made = quantised(NETWORKS["convolution"], spikes((1, 8, 8)))
    kinds = {name: type(node).__name__ for name, node in made.graph.nodes.items()}
    assert kinds == {
        "input": "Input", "n0": "Conv2d", "n1": "LIF", "n2": "SumPool2d", "n3": "Flatten", "n4": "Linear", "n5": "LIF",
        "output": "Output",
    }  # fmt: skip
    assert type(made.dequantised().nodes["n2"]).__name__ == "AvgPool2d"


def test_real_valued_inputs_become_graded_spikes():
    graph = NETWORKS["lif"]
    inputs = np.random.default_rng(3).normal(0.5, 0.5, (60, 4, 8))
    made = quantised(graph, inputs, input_bits=8)
    given = made.inputs(inputs)
    assert np.array_equal(given, np.rint(given))
    assert np.abs(given).max() == 127
    exact = float_run(graph, inputs)
    integers = integer_run(made, inputs)
    assert abs(integers.spikes["n1"].sum() - exact["n1"].sum()) < 0.05 * exact["n1"].sum()
    with pytest.raises(hasn.errors.UnsupportedError, match="no graded spikes"):
        quantised(graph, inputs, target="loihi1")


def test_what_is_saved_runs_as_what_was_made(tmp_path):
    made = quantised(NETWORKS["cuba"], spikes(8))
    made.save(tmp_path / "q.nir")
    read = hasn.QuantisedNetwork.of_graph(hasn.load(tmp_path / "q.nir"))
    assert (read.target, read.dt, read.timing) == (made.target, made.dt, made.timing)
    one, other = integer_run(made, spikes(8)), integer_run(read, spikes(8))
    assert np.array_equal(one.v["n1"], other.v["n1"])
    assert one.spikes["n1"].any()
    assert np.array_equal(read.scales["n1"].scale, made.scales["n1"].scale)


@pytest.mark.parametrize("name", ["cuba", "leak", "convolution, several gains", "readout"])
def test_a_saved_network_reads_in_volts_as_the_one_that_was_made(name, tmp_path):
    graph = NETWORKS[name]
    inputs = spikes(graph.nodes["input"].input_type["input"])
    if name == "readout":
        inputs = inputs * np.random.default_rng(0).normal(1.0, 0.2, inputs.shape)  # an Input with a scale
    made = quantised(graph, inputs)
    made.save(tmp_path / "q.nir")
    read = hasn.QuantisedNetwork.of_graph(hasn.load(tmp_path / "q.nir")).dequantised()
    rounded = np.rint(inputs * made.input_scales["input"]) / made.input_scales["input"]
    one, other = float_run(made.dequantised(), rounded), float_run(read, rounded)
    for node in made.integers.populations:
        assert one[node].any()
        assert np.allclose(one[node], other[node], rtol=1e-9, atol=1e-9)
