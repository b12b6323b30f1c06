"""Registers out of a graph in the chip's units, and what is off the grid."""

from itertools import pairwise

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hasn.conversions.loihi import integer_population
from hasn.errors import UnsupportedError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import current_bound, to_integers
from hasn.program.integers.weights import weight_parts
from hasn.testing.chip_graphs import chip_node, random_chip_graph, random_chip_inputs
from hasn.testing.integers import interpret

DT = 1e-3


def chained(*nodes, inputs=3, dt=DT):
    """The graph input -> nodes -> output."""
    named = {"input": nir.Input(np.array([inputs])), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["output"] = nir.Output(np.array(np.shape(nodes[-1].v_leak)))
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), metadata={"dt": dt}, type_check=False)


def integers(*nodes, inputs=3, dt=DT, **options):
    """Registers of a chain input -> nodes -> output."""
    return to_integers(fuse(lower(chained(*nodes, inputs=inputs, dt=dt), **options)))


WEIGHTS = nir.Linear(np.array([[2.0, -4.0, 254.0], [0.0, 6.0, -8.0]]))
registers = st.fixed_dictionaries(
    {
        "du": st.none() | st.integers(0, 4095),
        "dv": st.integers(0, 4095),
        "vth": st.none() | st.integers(0, 131071),
        "bias": st.integers(-4096, 4095),
        "v_init": st.integers(-(2**23) + 1, 2**23 - 1),
    }
)


@settings(max_examples=200, deadline=None)
@given(registers, st.integers(0, 7), st.sampled_from([1e-4, 1e-3, 3.7e-3, 1.0]))
def test_what_encode_writes_lower_reads(values, exponent, dt):
    """Every register value, whatever dt: the float64 coefficients are nearer to the grid than its rounding."""
    node = chip_neuron((2,), dt=dt, **{**values, "bias": values["bias"] << exponent})
    population = integers(WEIGHTS, node, dt=dt).populations["n1"]
    assert population.du.tolist() == [4095 if values["du"] is None else values["du"]] * 2
    assert population.dv.tolist() == [values["dv"]] * 2
    assert population.vth.tolist() == [131071 if values["vth"] is None else values["vth"]] * 2
    assert population.bias.tolist() == [values["bias"] << exponent] * 2
    assert population.v_init.tolist() == [values["v_init"]] * 2
    assert population.spiking is (values["vth"] is not None)


@settings(max_examples=100, deadline=None)
@given(registers)
def test_encode_writes_the_units_of_the_page(values):
    """As `chip_node` does, which the oracle's graphs are made with: the same numbers but for the last bits."""
    one, other = chip_neuron((2,), dt=DT, **values), chip_node((2,), **values)
    assert type(one) is type(other)

    def numbers(node):
        tau = node.tau if hasattr(node, "tau") else node.tau_mem
        own = [getattr(node, name) for name in ("tau_syn", "w_in", "v_threshold", "v_reset") if hasattr(node, name)]
        decay = np.rint(4096 * DT / tau)  # 0 by some time constant that is long enough
        return np.array([*own, decay, node.r / tau, node.v_leak / tau, node.metadata.get("v_init", 0) * np.ones(2)])

    np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-40_000, 40_000), min_size=6, max_size=6), st.integers(0, 3))
def test_parts_add_up_and_are_what_the_chip_holds(values, shift):
    weights = csr_array(np.array(values).reshape(2, 3) << shift)
    parts = weight_parts(weights)
    total = sum((part.mantissas.toarray() << part.weight_exp for part in parts), np.zeros((2, 3), dtype=int))
    assert np.array_equal(total, weights.toarray())
    for part in parts:
        data = part.mantissas.data
        assert 0 <= part.weight_exp <= 7
        low, high = (-254, 254) if part.mixed else (-255, 255)
        assert data.size
        assert data.min() >= low
        assert data.max() <= high
        assert not (part.mixed and np.any(data % 2))


def test_one_part_is_enough_for_eight_bits():
    for values in ([[3, 255]], [[-255, -7]], [[254 << 7, -(2 << 7)]], [[6, -254]]):
        assert len(weight_parts(csr_array(np.array(values)))) == 1


def test_the_reference_of_one_population_and_the_network_s_are_one():
    """Two readings of the same rules: `integer_population` steps one connection later, as the chip does."""
    rng = np.random.default_rng(5)
    weights = 2 * rng.integers(-127, 128, (4, 6)) << 1
    node = chip_neuron((4,), dt=DT, du=300, dv=120, vth=400, bias=-96)
    x = (rng.random((80, 6)) < 0.4).astype(int)
    linear = nir.Linear(weights.astype(float))
    found = interpret(chained(linear, node, inputs=6), {"input": x[:, None]})
    late = np.vstack([x, np.zeros((1, 6), dtype=int)])
    # Without its bias in the step that it waits, the reference's population is the network's, a step later.
    u, v, z = integer_population(late, weights >> 1, du=300, dv=120, vth=400, weight_exp=1, bias_mant=0)
    bare = chained(linear, chip_neuron((4,), dt=DT, du=300, dv=120, vth=400), inputs=6)
    other = interpret(bare, {"input": x[:, None]})
    assert np.array_equal(u[1:], other.u["n1"][:, 0])
    assert np.array_equal(v[1:], other.v["n1"][:, 0])
    assert z[1:].any()
    assert np.array_equal(z[1:], other.spikes["n1"][:, 0])
    assert not np.array_equal(found.v["n1"], other.v["n1"])


def test_random_graphs_reach_the_ends_of_the_registers():
    """The set that executors are held to contains wraps, clips, several parts, drives, delays and recurrence."""
    seen = dict.fromkeys(("wrap", "clip", "parts", "drives", "delay", "several registers"), 0)
    for seed in range(40):
        graph = random_chip_graph(seed)
        made = to_integers(fuse(lower(graph)))
        found = interpret(graph, random_chip_inputs(graph, seed, 25, 1))
        seen["wrap"] += any(map(np.any, found.wraps.values()))
        seen["clip"] += any((np.abs(v) == 2**23 - 1).any() for v in found.v.values())
        seen["parts"] += any(len(p.parts) > 1 for p in made.projections)
        seen["drives"] += any(p.drives for p in made.populations.values())
        seen["delay"] += any(p.delay > 1 for p in made.projections)
        seen["several registers"] += any(len(p.registers()) > 1 for p in made.populations.values())
    assert min(seen.values()) > 0, seen


OFF = [
    (chip_neuron((2,), dt=DT, dv=100, vth=10).__class__(**{
        **{k: getattr(chip_neuron((2,), dt=DT, dv=100, vth=10), k) for k in ("r", "v_leak", "v_threshold", "v_reset")},
        "tau": np.full(2, 0.0123)}), "decay of v"),
    (chip_neuron((2,), dt=DT, dv=100, vth=131072), "v_threshold / 64"),
    (chip_neuron((2,), dt=DT, dv=100, vth=10.5), "v_threshold / 64"),
    (chip_neuron((2,), dt=DT, dv=100, vth=10, bias=0.5), "bias of v"),
    (chip_neuron((2,), dt=DT, dv=100, vth=10, bias=4097), "bias of v"),
    (chip_neuron((2,), dt=DT, dv=100, vth=10, v_init=2.0**23), "v_init"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "parameter"), OFF)
def test_off_the_grid_is_refused_by_name(node, parameter):
    with pytest.raises(UnsupportedError) as caught:
        integers(WEIGHTS, node)
    assert caught.value.node == "n1"
    assert caught.value.parameter == parameter
    assert "hasn.quantise" in str(caught.value)


def test_weights_off_the_grid_and_sums_beyond_32_bits():
    good = chip_neuron((2,), dt=DT, dv=100, vth=10)
    with pytest.raises(UnsupportedError, match="weights from input"):
        integers(nir.Linear(np.full((2, 3), 1.5)), good)
    with pytest.raises(UnsupportedError, match="32 bits"):
        integers(nir.Linear(np.full((2, 2000), 254.0 * 128)), good, inputs=2000)
    with pytest.raises(UnsupportedError, match="weights from input"):
        integers(nir.Linear(np.full((2, 3), 1e6)), good)


def two_inputs(first, second):
    """Two Inputs, a and b, with weights of their own into one population, n."""
    nodes = {
        "a": nir.Input(np.array([3])), "b": nir.Input(np.array([3])), "n": chip_neuron((2,), dt=DT, dv=100, vth=10),
        "wa": nir.Linear(np.array(first)), "wb": nir.Linear(np.array(second)), "out": nir.Output(np.array([2])),
    }  # fmt: skip
    edges = [("a", "wa"), ("wa", "n"), ("b", "wb"), ("wb", "n"), ("n", "out")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


ON = [[2.0, -4.0, 6.0], [0.0, 8.0, 10.0]]


@pytest.mark.parametrize(
    ("first", "second", "source", "got"),
    [
        (ON, [[2.0, 0.0, 6.0], [8.0, 2.25, 10.0]], "b", 2.25),
        ([[2.0, 4.0, 6.0], [8.0, -12.0, 0.5]], ON, "a", 0.5),
        (ON, [[-1.0 - 2e-5, 4.0, 6.0], [8.0, 12.0, 1.0]], "b", -1.0 - 2e-5),
        (ON, [[3.1, 4.0, 7.4], [8.2, 12.0, 1.0]], "b", 7.4),  # of several the one furthest off
        (ON, [[2.0, 4.0, 6.0], [0.0, 500_000_000, 10.0]], "b", 500_000_000),  # beyond what 16 connections hold
        ([[2.0, 4.0, 6.0], [0.0, -500_000_000, 10.0]], ON, "a", -500_000_000),
    ],
)
def test_where_only_some_weights_are_off_the_grid_the_refusal_names_them(first, second, source, got):
    with pytest.raises(UnsupportedError) as caught:
        to_integers(fuse(lower(two_inputs(first, second))))
    assert (caught.value.node, caught.value.parameter, caught.value.got) == ("n", f"weights from {source}", got)
    assert str(caught.value).startswith(
        f"node 'n' weights from {source}: is no value of the chip's register; got {got}"
    )


def test_weights_within_rounding_of_the_grid_are_on_it():
    projections = to_integers(fuse(lower(two_inputs(ON, np.add(ON, 9e-6))))).projections
    assert [p.weights.toarray().tolist() for p in projections] == [ON, ON]


def test_a_connection_whose_weights_all_round_to_0_is_none():
    """As one whose weights are all 0: no step of its own on the chip, nothing for a reader of weights to scale by."""
    from hasn.backends.lava.integers import map_integers

    made = to_integers(fuse(lower(two_inputs(np.full((2, 3), 9e-6), ON))))
    assert [(p.source, p.target, p.weights.toarray().tolist()) for p in made.projections] == [("b", "n", ON)]
    assert [p.source for p in made.network.projections] == ["b"]
    assert map_integers(made).shifts["n"] == 1
    none = to_integers(fuse(lower(two_inputs(np.full((2, 3), 9e-6), np.zeros((2, 3))))))
    assert none.projections == ()
    assert map_integers(none).shifts["n"] == 0


@pytest.mark.parametrize("bias", [4095, -4096, 4096, 4095 << 7, -(4096 << 7), 4094 << 6, 8192, 3 << 9])
def test_a_bias_is_a_mantissa_that_13_bits_hold_and_the_smallest_exponent(bias):
    p = integers(WEIGHTS, chip_neuron((2,), dt=DT, dv=100, vth=10, bias=[bias, 1])).populations["n1"]
    assert (p.bias_mant << p.bias_exp).tolist() == [bias, 1]
    assert p.bias_mant.min() >= -4096
    assert p.bias_mant.max() <= 4095
    smallest = next(e for e in range(8) if bias % 2**e == 0 and -4096 <= bias >> e <= 4095)
    assert p.bias_exp.tolist() == [smallest, 0]


@pytest.mark.parametrize("bias", [4096 << 7, -(4097 << 7), 4097, -4097, (4095 << 7) + 64])
def test_a_bias_beyond_the_register_is_refused(bias):
    with pytest.raises(UnsupportedError, match="bias of v"):
        integers(WEIGHTS, chip_neuron((2,), dt=DT, dv=100, vth=10, bias=bias))


def test_the_largest_sum_of_32_bits_counts_constant_inputs():
    """1024 synapses of 32512 are all that 32 bits hold beside u, and 1 more is too much."""
    node = chip_neuron((1,), dt=DT, du=100, dv=100, vth=10)

    def made(bias):
        return integers(nir.Affine(np.full((1, 1024), 32512.0), np.array([bias])), node, inputs=1024)

    assert made(0.0).largest_activation({"input": 1}) == {"n1": ((1 << 31) - (1 << 24)) // 64}
    with pytest.raises(UnsupportedError, match="32 bits"):
        made(1.0)


def test_resets_and_methods_that_the_chip_does_not_have():
    good = chip_neuron((2,), dt=DT, dv=100, vth=10)
    with pytest.raises(UnsupportedError, match="resets to 0"):
        integers(WEIGHTS, good, reset="subtract")
    with pytest.raises(UnsupportedError, match="method"):
        integers(WEIGHTS, chip_neuron((2,), dt=DT, du=100, dv=100, vth=10), method="exact")


@pytest.mark.parametrize(
    ("du", "most", "bound"),
    [
        (1023, 2**17, 2**23 + 2**23),  # a step of one turn leaves nothing beyond
        (1023, 2**19, 2**24 * 4 + 2**25 + 2**23),  # 2^24 beyond, of which a quarter decays each step
        (4095, 2**19, 2**24 + 2**25 + 2**23),  # nothing is kept
    ],
)
def test_what_piles_up_beyond_a_turn_is_bounded(du: int, most: int, bound: int) -> None:
    network = integers(nir.Linear(np.ones((2, 1))), chip_node((2,), du=du, dv=9, vth=9), inputs=1)
    assert current_bound(network.populations["n1"], most) == bound
