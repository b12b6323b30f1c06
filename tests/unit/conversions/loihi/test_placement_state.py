"""What a placement uses and sends, held against counts that share nothing with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.placement.greedy import greedy
from hasn.conversions.loihi.placement.problem import RESOURCES, Problem, list_bits, problem
from hasn.conversions.loihi.placement.state import State
from hasn.conversions.loihi.profiles import LOIHI1, LOIHI2
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import random_chip_graph
from tests.unit.conversions.loihi import placing

ROOMY = replace(placing.SMALL, compartments=1000, in_axons=1000, out_axons=1000, memory_bits=1 << 20)
UNSHARED = replace(ROOMY, shares_convolutions=False)


def _core(task: Problem, state: State) -> dict[str, NDArray[np.int64]]:
    return {name: state.core[first:end] for name, (first, end) in task.populations.items()}


@pytest.mark.parametrize("seed", range(12))
def test_changes_one_by_one_end_where_a_whole_assignment_does(seed: int) -> None:
    network = QuantisedNetwork.of_graph(random_chip_graph(seed))
    task = problem(network.integers, ROOMY)
    rng = np.random.default_rng(seed)
    spikes = rng.integers(0, 50, task.sources)
    first, second = (rng.integers(0, 4, task.neurons) for _ in range(2))
    state, whole = State(task, spikes, 4), State(task, spikes, 4)
    for neuron in range(task.neurons):
        state.put(neuron, int(first[neuron]))
    for neuron in rng.permutation(task.neurons).tolist():
        state.move(neuron, int(second[neuron]))
    whole.load(second)
    assert np.array_equal(state.usage(), whole.usage())
    assert state.traffic == whole.traffic == whole.messages().sum() - np.trace(whole.messages())
    assert np.array_equal(state.messages(), whole.messages())


@pytest.mark.parametrize("seed", range(12))
def test_resources_are_those_of_plain_loops(seed: int) -> None:
    graph = random_chip_graph(seed)
    network = QuantisedNetwork.of_graph(graph)
    if any(p.drive_parts for p in network.integers.populations.values()):
        network = placing.random_layers(seed, 9, 8, 7)  # drives are counted in a test of their own
    task = problem(network.integers, UNSHARED)
    state = State(task, np.ones(task.sources, dtype=np.int64), 3)
    state.load(np.random.default_rng(seed).integers(0, 3, task.neurons))
    expected = placing.counted(network.integers, _core(task, state), UNSHARED, 3)
    for place, name in enumerate(RESOURCES):
        assert state.usage()[:, place].tolist() == expected[name], name


def test_what_a_move_costs_is_told_beforehand() -> None:
    network = placing.random_layers(3, 10, 12, 9, 8)
    task = problem(network.integers, ROOMY)
    rng = np.random.default_rng(0)
    state = State(task, rng.integers(0, 30, task.sources), 3)
    state.load(rng.integers(0, 3, task.neurons))
    costs = state.costs()
    for neuron in range(task.neurons):
        home = int(state.core[neuron])
        for core in {0, 1, 2} - {home}:
            told = state.joining(neuron)[core]
            assert state.move(neuron, core) == costs[neuron, core]
            # Out-axons of the core's other neurons change too, which `joining` leaves out.
            kept = [place for place, name in enumerate(RESOURCES) if name != "out_axons"]
            assert np.array_equal(state.usage_of(core)[kept], told[kept])
            state.move(neuron, home)


def registered() -> QuantisedNetwork:
    """Six neurons of three thresholds and two pairs of decays, behind an Input; they feed another six."""
    made = placing.layers(2.0 * (np.arange(36).reshape(6, 6) % 4), 2.0 * (np.arange(36).reshape(6, 6) % 5))
    made.graph.nodes["l0"] = chip_neuron(
        (6,), dt=placing.DT, du=[1, 1, 2, 2, 1, 2], dv=9, vth=np.array([10, 20, 10, 30, 20, 10])
    )
    return made


#: Networks of which the first layer takes nothing but Inputs, so that no other neuron's out-axons change with it.
FIRST_LAYERS = {
    "registers": (registered, ROOMY),
    "memory of neurons and axons": (registered, replace(ROOMY, neuron_bits=100, axon_bits=7)),
    "drives": (lambda: placing.layers(np.eye(4) * 100, np.ones((4, 4)) * 2, bias=[8, 8, 0, 0]), ROOMY),
    "drives in memory": (
        lambda: placing.layers(np.eye(4) * 100, bias=[8, 8, 8, 0]), replace(ROOMY, neuron_bits=100, axon_bits=7),
    ),
    "kernels": (placing.convolution, replace(ROOMY, shares_convolutions=True, axon_bits=7)),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST_LAYERS)
def test_a_core_that_a_neuron_joins_uses_what_was_told(name: str) -> None:
    make, chip = FIRST_LAYERS[name]
    network = make()
    task = problem(network.integers, chip)
    state = State(task, np.ones(task.sources, dtype=np.int64), 3)
    state.load(np.random.default_rng(1).integers(0, 3, task.neurons))
    for neuron in range(*task.populations["l0"])[::7] if task.neurons > 40 else range(*task.populations["l0"]):
        home = int(state.core[neuron])
        for core in {0, 1, 2} - {home}:
            told, before = state.joining(neuron)[core], state.usage_of(core)
            state.move(neuron, core)
            assert state.usage_of(core).tolist() == told.tolist()
            assert told.tolist() != before.tolist()
            state.move(neuron, home)


def test_traffic_counted_by_hand() -> None:
    # l0: 3 neurons; l1: 2. Neuron 0 reaches both of l1, neuron 1 the first, neuron 2 none.
    network = placing.layers(np.eye(3) * 100, [[10, 20, 0], [30, 0, 0]])
    task = problem(network.integers, ROOMY)
    spikes = np.array([5, 7, 11, 2, 3, 1, 1, 1])  # l0, l1, then the Input
    state = State(task, spikes, 3)
    state.load(np.array([0, 0, 1, 1, 2]))
    # Neuron 0 (5 spikes) goes from core 0 to cores 1 and 2, neuron 1 (7 spikes) to core 1.
    assert state.messages().tolist() == [[0, 5 + 7, 5], [0, 0, 0], [0, 0, 0]]
    assert state.traffic == 17
    assert state.arriving().tolist() == [2, 1, 0]  # each Input element reaches one neuron of l0
    state.move(4, 1)  # both of l1 on core 1: neuron 0 sends one message a spike, not two
    assert state.traffic == 5 + 7
    state.move(0, 1)  # neuron 0 joins them and sends none
    assert state.traffic == 7


def test_two_projections_of_one_source_share_an_axon() -> None:
    network = placing.layers(np.eye(2) * 100, [[255, 3], [-254, 2]])  # needs two parts of 8 bits
    parts = network.integers.projections[-1].parts
    assert len(parts) > 1
    task = problem(network.integers, ROOMY)
    state = State(task, np.ones(task.sources, dtype=np.int64), 2)
    state.load(np.array([0, 0, 1, 1]))
    assert state.usage()[1, RESOURCES.index("in_axons")] == 2
    assert state.usage()[0, RESOURCES.index("out_axons")] == 2
    assert state.traffic == 2


def test_a_constant_input_has_a_neuron_on_every_core_that_needs_it() -> None:
    plain, driven = placing.layers(np.eye(4) * 100), placing.layers(np.eye(4) * 100, bias=[8, 8, 8, 0])
    # A bias of a LIF without current would be a register; this one has a current, so it needs a neuron.
    assert driven.integers.populations["l0"].drive_parts
    used = []
    for network in (plain, driven):
        task = problem(network.integers, ROOMY)
        state = State(task, np.ones(task.sources, dtype=np.int64), 3)
        state.load(np.array([0, 0, 1, 2]))
        used.append(state.usage())
    more = used[1] - used[0]
    # Cores 0 and 1 have neurons with a bias: a compartment, an in-axon, an out-axon and a list of synapses (64 bits).
    assert more[:, :4].tolist() == [[1, 1, 1, 64], [1, 1, 1, 64], [0, 0, 0, 0]]


def test_lists_are_padded_as_the_compiler_that_they_are_from_does_it() -> None:
    bits = list_bits(130, 8, LOIHI1)
    assert bits[0] == 0
    assert bits[1] == 64  # 8 + 10 bits in one word
    assert bits[7] == 128  # 56 + 10
    assert bits[64] == 9 * 64  # 522 bits
    assert bits[65] == 9 * 64 + 64  # a second group
    assert bits[128] == 2 * 9 * 64


def test_a_dense_list_has_no_indices() -> None:
    network = placing.layers(np.full((64, 1), 2.0))
    task = problem(network.integers, LOIHI1)
    state = State(task, np.ones(task.sources, dtype=np.int64), 1)
    state.load(np.zeros(64, dtype=np.int64))
    assert state.usage()[0, RESOURCES.index("memory_bits")] == 9 * 64  # 64 weights of 8 bits and a header


@pytest.mark.parametrize("pool", [False, True])
def test_a_convolution_is_stored_once_on_loihi_2(pool: bool) -> None:
    network = placing.convolution(pool)
    parts = [part.mantissas.toarray() for part in network.integers.projections[0].parts]
    side = 3 if pool else 6
    task = problem(network.integers, LOIHI2)
    state = State(task, np.ones(task.sources, dtype=np.int64), 2)
    first = np.arange(task.neurons) < 3 * side * side
    state.load(np.where(first, 0, 1))  # three channels on core 0, the fourth on core 1
    # Channels, offset and value of every weight, by looking at all windows. Behind a pool the kernel is 4 x 4.
    step, used = (2 if pool else 1), [set(), set()]
    for number, weights in enumerate(parts):
        for row, column in zip(*np.nonzero(weights), strict=True):
            (o, ty, tx), (i, y, x) = np.unravel_index(row, (4, side, side)), np.unravel_index(column, (2, 6, 6))
            used[int(o == 3)].add((number, o, i, y - step * ty, x - step * tx, weights[row, column]))
    assert state.used[:, RESOURCES.index("memory_bits")].tolist() == [len(found) * (8 + 13) for found in used]
    if not pool:
        assert len(parts) == 1
        assert [len(found) for found in used] == [3 * 2 * 9, 2 * 9]
        assert (parts[0] != 0).sum() > 20 * 4 * 18  # unrolled there are many times as many


def parallel(second: nir.NIRNode, *behind: nir.NIRNode) -> QuantisedNetwork:
    """Two ways from a 2 x 6 x 6 image to a population: a convolution, and ``second`` with what is behind it."""
    kernel = 2.0 * np.arange(1, 37).reshape(2, 2, 3, 3)
    nodes: dict[str, Any] = {
        "in": nir.Input(np.array([2, 6, 6])), "c": nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(2)), "d0": second,
        **{f"d{i}": node for i, node in enumerate(behind, 1)},
        "l0": placing.chip_neuron((2, 6, 6), dt=placing.DT, dv=4095, vth=2000), "out": nir.Output(np.array([2, 6, 6])),
    }  # fmt: skip
    way = ["in", "d0", *(f"d{i}" for i, _ in enumerate(behind, 1)), "l0"]
    return placing.network(nodes, [("in", "c"), ("c", "l0"), ("l0", "out"), *pairwise(way)])


def test_weights_are_shared_where_all_ways_are_windows_of_one_stride() -> None:
    kernel = 2.0 * np.ones((2, 2, 3, 3))
    same = nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(2))
    (both,) = problem(parallel(same).integers, LOIHI2).lists
    assert both.kernel_bits == 8 + 13
    assert both.stored.shape[1] == 2 * 2 * 9
    # a way that is no window, though it joins the same neurons
    (dense,) = problem(parallel(nir.Scale(2.0 * np.ones((2, 6, 6)))).integers, LOIHI2).lists
    assert dense.kernel_bits == 0
    # another stride: from a 6 x 6 image to 3 x 3 and, padded by 3 to 9, with kernels of 4 to 6 x 6 again
    down = nir.Conv2d((6, 6), 2.0 * np.ones((2, 2, 2, 2)), 2, 0, 1, 1, np.zeros(2))
    up = nir.Conv2d((3, 3), np.ones((2, 2, 4, 4)), 1, 3, 1, 1, np.zeros(2))
    (other,) = problem(parallel(down, up).integers, LOIHI2).lists
    assert other.kernel_bits == 0


def test_a_convolution_is_unrolled_on_loihi_1() -> None:
    network = placing.convolution()
    task = problem(network.integers, LOIHI1)
    state = State(task, np.ones(task.sources, dtype=np.int64), 1)
    state.load(np.zeros(task.neurons, dtype=np.int64))
    core = {"l0": np.zeros((4, 6, 6), dtype=int)}
    expected = placing.counted(network.integers, core, LOIHI1, 1)
    assert state.usage()[0].tolist() == [expected[name][0] for name in RESOURCES]
    assert state.usage()[0, RESOURCES.index("memory_bits")] > 10 * 72 * (8 + 10)


def test_greedy_fills_cores_in_node_order_to_the_brim() -> None:
    network = placing.random_layers(1, 10, 20, 10)
    chip = replace(ROOMY, compartments=12)
    task = problem(network.integers, chip)
    state = greedy(task, np.ones(task.sources, dtype=np.int64))
    assert state is not None
    assert state.core.tolist() == [0] * 12 + [1] * 12 + [2] * 6
