"""The parts of the search for a placement, each by hand: counts of spikes, core counts, stars, repair, moves, swaps."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.conversions.loihi.placement import activity as active
from hasn.conversions.loihi.placement import greedy as filling
from hasn.conversions.loihi.placement import improve
from hasn.conversions.loihi.placement import search as module
from hasn.conversions.loihi.placement.activity import activity
from hasn.conversions.loihi.placement.greedy import greedy
from hasn.conversions.loihi.placement.improve import compacted, refine, repair
from hasn.conversions.loihi.placement.partition import _graph, _vertex_weights, needs, partition
from hasn.conversions.loihi.placement.problem import COMPARTMENTS, MEMORY, Problem, problem
from hasn.conversions.loihi.placement.search import _available, _counts, _lowest, _spread, search
from hasn.conversions.loihi.placement.state import State
from hasn.counts import Counts
from hasn.errors import BackendUnavailable, InputError, OptionError, PlacementError
from hasn.recording import Recording
from tests.unit.conversions.loihi import placing
from tests.unit.conversions.loihi.placing import SMALL

pytest.importorskip("pymetis")
ROOMY = replace(SMALL, compartments=1000, in_axons=1000, out_axons=1000, memory_bits=1 << 20)


def loop(weight: Any, chip: Any = ROOMY) -> Problem:
    """One population with these recurrent weights (rows are targets) and an Input element for each neuron."""
    matrix = np.asarray(weight, dtype=float)
    n = len(matrix)
    nodes = {
        "in": placing.nir.Input(np.array([n])), "w": placing.nir.Linear(np.diag(np.full(n, 100.0))),
        "pop": placing.chip_neuron((n,), dt=placing.DT, du=4095, dv=0, vth=50), "rec": placing.nir.Linear(matrix),
        "out": placing.nir.Output(np.array([n])),
    }  # fmt: skip
    edges = [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")]
    return problem(placing.network(nodes, edges).integers, chip)


def state_of(task: Problem, spikes: list[int], core: list[int], cores: int | None = None) -> State:
    given = np.zeros(task.sources, dtype=np.int64)
    given[: len(spikes)] = spikes
    state = State(task, given, cores or max(core) + 1)
    state.load(np.array(core))
    return state


# --- spikes


def test_spikes_of_a_recording_are_counted_over_steps_and_samples() -> None:
    network = placing.layers(np.eye(3) * 100, np.full((2, 3), 4.0))
    spikes = {"l0": np.zeros((5, 4, 3), dtype=bool), "l1": np.zeros((5, 4, 2), dtype=bool)}
    spikes["l0"][1:3, :, 0] = True
    spikes["l0"][4, 2, 2] = True
    found = activity(network, Recording({}, spikes, {}, placing.DT, {}, Counts(), batched=True), None)
    assert {name: counts.tolist() for name, counts in found.spikes.items()} == {"l0": [8, 0, 1], "l1": [0, 0]}
    assert (found.inputs, found.steps, found.samples) == (None, 5, 4)
    alone = {name: array[:, 2] for name, array in spikes.items()}
    found = activity(network, Recording({}, alone, {}, placing.DT, {}, Counts(), batched=False), None)
    assert found.spikes["l0"].tolist() == [2, 0, 1]
    assert (found.steps, found.samples) == (5, 1)
    with pytest.raises(InputError, match="not of this network") as error:
        activity(network, Recording({}, {"l0": spikes["l0"]}, {}, placing.DT, {}, Counts()), None)
    assert (error.value.node, error.value.parameter, error.value.got) == ("l1", "spikes", "no spikes")
    assert error.value.wanted == "(T, batch, *(2,))"
    assert error.value.way_out == "Record with run(..., record='spikes')."


def test_inputs_are_run_in_numpy_where_no_executor_is(monkeypatch: pytest.MonkeyPatch) -> None:
    network = placing.random_layers(2, 6, 5, 4)
    x = (np.random.default_rng(0).random((20, 3, 6)) < 0.4) * 2.0
    by_torch = activity(network, x, None)
    monkeypatch.setattr(active, "_has_executor", lambda: False)
    by_numpy = activity(network, x, None)
    for found in (by_torch, by_numpy):
        assert (found.steps, found.samples) == (20, 3)
        assert found.inputs is not None
        assert found.inputs["in"].tolist() == (x != 0).sum(axis=(0, 1)).tolist()  # events, whatever their value
    assert by_torch.spikes.keys() == by_numpy.spikes.keys()
    for name, counts in by_torch.spikes.items():
        assert counts.any()
        assert counts.tolist() == by_numpy.spikes[name].tolist()
    with pytest.raises(InputError, match="the chip takes integers") as error:
        activity(network.integers, x / 4, None)
    assert (error.value.node, error.value.parameter) == ("in", "inputs")


def test_a_readout_sends_nothing_and_a_network_without_inputs_needs_an_executor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = {
        "pop": placing.chip_neuron((2,), dt=placing.DT, dv=0, vth=3, bias=[100, 0]),
        "w": placing.nir.Linear(np.full((3, 2), 2.0)), "v": placing.chip_neuron((3,), dt=placing.DT, dv=9),
        "out": placing.nir.Output(np.array([3])),
    }  # fmt: skip
    network = placing.network(nodes, [("pop", "w"), ("w", "v"), ("v", "out")])
    found = activity(network, None, 12)
    # 100 a step, above 192 at every second
    assert found.spikes["pop"].tolist() == [6, 0]
    assert found.spikes["v"].tolist() == [0, 0, 0]
    assert (found.inputs, found.steps) == ({}, 12)
    monkeypatch.setattr(active, "_has_executor", lambda: False)
    with pytest.raises(InputError, match="without Inputs is run by snnTorch") as error:
        activity(network, None, 12)
    assert error.value.parameter == "inputs"


# --- how many cores


def test_core_counts_go_one_by_one_and_then_in_strides_of_an_eighth() -> None:
    assert list(_counts(3, 3)) == [3]
    assert list(_counts(1, 5)) == [1, 2, 3, 4, 5]
    assert list(_counts(10, 40)) == [*range(10, 23), 24, 27, 30, 33, 37, 40]


def test_the_cores_there_are() -> None:
    task = loop(np.zeros((4, 4)) + 2.0)
    assert _available(task, None) == SMALL.cores
    assert (_available(task, 1), _available(task, SMALL.cores), _available(task, np.int64(3))) == (1, SMALL.cores, 3)  # type: ignore[arg-type]
    for wrong in (0, SMALL.cores + 1, 2.0, True, "2"):
        with pytest.raises(OptionError, match=r"wanted 1\.\.8") as error:
            _available(task, wrong)  # type: ignore[arg-type]
        assert (error.value.parameter, error.value.got) == ("cores", repr(wrong))


def test_the_least_number_of_cores_by_neurons_and_by_memory() -> None:
    """24 neurons in cores of 12 are 2; in cores of 11, 3. Memory: an entry of a word for each synapse at the least."""
    weights = np.zeros((24, 24))
    weights[:, 0] = 2.0
    assert _lowest(loop(weights, replace(ROOMY, compartments=12)), 8) == 2
    assert _lowest(loop(weights, replace(ROOMY, compartments=11)), 8) == 3
    with pytest.raises(PlacementError) as error:
        _lowest(loop(weights, replace(ROOMY, compartments=11)), 2)
    assert (error.value.node, error.value.parameter) == ("pop", "compartments")
    assert error.value.got == "24 compartments, 2 over"
    assert error.value.wanted == "at most 22 on 2 cores of a small chip"
    assert "the network needs more than there is" in error.value.message
    # neurons of 100 bits: 2,400 bits and what the synapses take beside
    assert _lowest(loop(weights, replace(ROOMY, neuron_bits=100, memory_bits=2399)), 8) == 2
    with pytest.raises(PlacementError) as error:
        _lowest(loop(weights, replace(ROOMY, neuron_bits=100, memory_bits=1000)), 2)
    assert error.value.parameter == "bits of memory"


def test_needs_are_a_lower_bound_of_what_a_neuron_takes() -> None:
    """64 synapses of one source and 18 bits take 1162 bits, 19 words; the cheapest synapse of a longer list is that."""
    weights = np.zeros((3, 3))
    weights[:, 0] = 2.0
    task = loop(weights, replace(ROOMY, neuron_bits=7, memory_bits=1000, compartments=50))
    shares = needs(task)
    assert shares[:, 0].tolist() == [1 / 50] * 3
    # in: a word for each element (its list has one synapse a source); rec: 3 dense synapses of 8 bits in one word
    assert (1000 * shares[:, 1]).tolist() == pytest.approx([7 + 64 / 3 + 64 / 3] * 3)


def test_an_even_spread_has_room_for_drives() -> None:
    task = loop(np.full((10, 10), 2.0))
    assert _spread(task, 3).limits[COMPARTMENTS] == 4
    assert _spread(task, 5).limits[COMPARTMENTS] == 2
    assert _spread(loop(np.full((10, 10), 2.0), replace(ROOMY, compartments=3)), 3).limits[COMPARTMENTS] == 3
    driven = problem(placing.layers(np.eye(4) * 100, bias=[8, 8, 8, 0]).integers, ROOMY)
    assert driven.sources - driven.drives == 1
    assert _spread(driven, 2).limits[COMPARTMENTS] == 2 + 1
    assert np.array_equal(np.delete(_spread(task, 3).limits, COMPARTMENTS), np.delete(task.limits, COMPARTMENTS))


# --- METIS


def test_stars_weigh_a_source_by_its_spikes_or_shared_among_its_targets() -> None:
    """Neuron 0 (90 spikes) reaches 1, 2 and 3; neuron 1 (30 spikes) reaches 0 and itself; 2 is silent and reaches 3."""
    weights = np.zeros((4, 4))
    weights[[1, 2, 3], 0] = 2.0
    weights[[0, 1], 1] = 2.0
    weights[3, 2] = 2.0
    task = loop(weights)
    spikes = np.array([90, 30, 0, 0, 0, 0, 0, 0])
    each, shared = (_graph(task, spikes, star).toarray() for star in ("each", "shared"))
    for graph in (each, shared):
        assert np.array_equal(graph, graph.T)
        assert not np.diagonal(graph).any()
        assert set(zip(*map(list, np.nonzero(np.triu(graph))), strict=True)) == {(0, 1), (0, 2), (0, 3), (2, 3)}
        assert graph[graph > 0].min() >= 1
    assert each[0, 1] / each[0, 2] == pytest.approx((90 + 30) / 90, rel=0.01)
    assert shared[0, 1] / shared[0, 2] == pytest.approx((90 / 3 + 30) / (90 / 3), rel=0.01)
    assert 0 < each[2, 3] < 0.01 * each[0, 2]  # silent, and yet together
    silent = _graph(task, np.zeros(8, dtype=int), "each")
    assert silent.nnz == 8


def test_silent_synapses_weigh_a_thousandth_of_the_mean() -> None:
    """One loud source (1000 spikes) and four silent ones: the mean of the five synapses is 200."""
    weights = np.zeros((10, 10))
    weights[[5, 6, 7, 8, 9], [0, 1, 2, 3, 4]] = 2.0
    graph = _graph(loop(weights), np.array([1000] + 19 * [0]), "each").toarray()
    assert graph[5, 0] == pytest.approx(5001 * graph[6, 1], rel=1e-3)
    assert graph[6, 1] == graph[9, 4] > 1


@pytest.mark.parametrize("pairs", [((0, 1), (2, 3)), ((1, 2), (3, 0))])
def test_the_cut_goes_where_few_spikes_pass(pairs: Any) -> None:
    """A ring of four, two of whose edges carry many spikes: which, is all that differs."""
    weights = np.zeros((4, 4))
    for a in range(4):
        weights[(a + 1) % 4, a] = 2.0
    spikes = np.zeros(8, dtype=int)
    spikes[:4] = 1
    spikes[[a for a, _ in pairs]] = 1000
    for star in ("each", "shared"):
        found = partition(loop(weights), spikes, 2, star, 0)
        assert [found[a] == found[b] for a, b in pairs] == [True, True]
        assert len(set(found.tolist())) == 2


def test_a_part_is_balanced_by_what_the_network_needs_most_of() -> None:
    weights = np.zeros((3, 3))
    weights[0, 1] = 2.0
    heavy = loop(weights, replace(ROOMY, memory_bits=200))
    found = _vertex_weights(heavy)
    assert found[0] == pytest.approx(2 * found[1], rel=0.01)
    assert found[1] == found[2]
    assert np.mean(found) == pytest.approx(1000, rel=0.01)
    assert len(set(_vertex_weights(loop(weights, replace(ROOMY, compartments=3))))) == 1


def test_one_part_needs_no_partitioner_but_it_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    task = loop(np.full((4, 4), 2.0))
    assert partition(task, np.ones(8, dtype=int), 1, "each", 0).tolist() == [0, 0, 0, 0]
    groups = np.kron(np.eye(2), np.ones((4, 4))) * 2.0
    found = partition(loop(groups), np.ones(16, dtype=int), 2, "shared", 0)
    assert len(set(found[:4].tolist())) == len(set(found[4:].tolist())) == 1
    assert found[0] != found[4]
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(BackendUnavailable, match="partitioner is not installed") as error:
        partition(task, np.ones(8, dtype=int), 1, "each", 0)
    assert error.value.way_out == "pip install 'hasn[loihi]'"


# --- repair, moves, swaps


def test_repair_moves_those_first_whose_move_costs_least() -> None:
    """Core 0 has 3 neurons of 2: neuron 2 talks to core 1 anyway."""
    weights = np.zeros((4, 4))
    weights[3, 2] = weights[2, 3] = 2.0
    weights[0, 1] = weights[1, 0] = 2.0
    task = loop(weights, replace(ROOMY, compartments=2))
    state = state_of(task, [5, 5, 5, 5], [0, 0, 0, 1])
    assert repair(state)
    assert state.core.tolist() == [0, 0, 1, 1]
    assert state.traffic == 0
    full = state_of(loop(weights, replace(ROOMY, compartments=1)), [5, 5, 5, 5], [0, 0, 0, 1])
    assert not repair(full)  # 4 neurons, room for 2
    assert repair(state_of(task, [1] * 4, [0, 1, 0, 1]))


def test_a_move_that_saves_messages_is_made_while_there_is_room() -> None:
    """Neuron 0 sends 9 spikes to 2 and 3, which are elsewhere; it moves to them."""
    weights = np.zeros((4, 4))
    weights[[2, 3], 0] = 2.0
    state = state_of(loop(weights), [9, 1, 1, 1], [0, 0, 1, 1])
    assert state.traffic == 9
    refine(state)
    assert (state.traffic, state.core.tolist()[2:]) == (0, [1, 1])
    assert state.core[0] == 1


def test_two_neurons_trade_places_where_cores_are_full() -> None:
    weights = np.zeros((4, 4))
    weights[3, 0] = weights[0, 3] = 2.0
    weights[1, 2] = weights[2, 1] = 2.0
    task = loop(weights, replace(ROOMY, compartments=2))
    state = state_of(task, [9, 4, 4, 9], [0, 0, 1, 1])
    assert state.traffic == 26
    refine(state)
    assert state.traffic == 0
    assert not state.excess().any()
    assert state.core[0] == state.core[3] != state.core[1] == state.core[2]


def test_a_change_that_does_not_pay_or_fit_is_taken_back_whole() -> None:
    weights = np.zeros((4, 4))
    weights[[2, 3], 0] = weights[3, 1] = 2.0
    for chip, moves in (
        (replace(ROOMY, compartments=2), [(0, 1)]),  # saves 9, but core 1 is full
        (ROOMY, [(2, 0)]),  # 0 still reaches 3: nothing is saved
        (replace(ROOMY, compartments=2), [(0, 1), (1, 1)]),  # both saved, and no room for both
    ):
        state = state_of(loop(weights, chip), [9, 5, 1, 1], [0, 0, 1, 1])
        before = state.core.tolist(), state.traffic, state.usage().tolist(), state.reach.tolist()
        assert not improve._better(state, moves)
        assert (state.core.tolist(), state.traffic, state.usage().tolist(), state.reach.tolist()) == before
    state = state_of(loop(weights), [9, 5, 1, 1], [0, 0, 1, 1])
    assert improve._better(state, [(0, 1)])
    assert (state.core.tolist(), state.traffic) == ([1, 0, 1, 1], 5)


def test_moves_are_tried_while_tries_are_left() -> None:
    weights = np.zeros((6, 6))
    weights[[2, 4], 0] = weights[[3, 5], 1] = 2.0  # two targets each, of which one alone gains nothing
    for tries, traffic, left in ((0, 14, 0), (1, 5, 0), (2, 0, 0), (5, 0, 3)):
        state = state_of(loop(weights), [9, 5, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1])
        assert improve._round(state, tries) == left
        assert state.traffic == traffic  # those first that gain most


def test_a_swap_is_with_one_of_three_partners_that_lose_least() -> None:
    """Neuron 0 wants to core 1, which is full; what its five neurons send home differs."""
    weights = np.zeros((9, 9))
    weights[4:, 0] = 2.0  # 0 reaches all of core 1
    weights[1, 4:] = 2.0  # which all reach 1 at home
    task = loop(weights, replace(ROOMY, compartments=5))
    state = state_of(task, [100, 0, 0, 0, 5, 4, 3, 2, 1], [0, 0, 0, 0, 1, 1, 1, 1, 1])
    costs = state.costs()
    assert improve._swap(state, 0, 0, costs) == 0
    assert state.traffic == 115
    assert improve._swap(state, 0, 1, costs) == 1
    # 8 (or which of the five saves most at home) has come home, 0 still reaches it there
    assert state.core[0] == 1
    assert state.core[4] == 0
    assert state.traffic == 100 + 4 + 3 + 2 + 1


def test_a_neuron_that_would_push_a_third_core_over_its_limit_stays() -> None:
    """Neuron 2 (core 1) reaches only core 0. With 1 moved to core 2 it would reach two: out-axons are full."""
    weights = np.zeros((4, 4))
    weights[0, 2] = weights[1, 2] = 2.0
    chip = replace(ROOMY, compartments=1, out_axons=1)
    state = state_of(loop(weights, chip), [1, 1, 1, 1], [0, 0, 1, 1], cores=3)
    assert improve._others(state, 0) == 1.0  # core 1 has two neurons
    assert not improve._relieve(state, 0)
    assert state.core.tolist()[:2] == [0, 0]


def test_cores_are_numbered_by_their_first_neuron_and_empty_ones_left_out() -> None:
    task = loop(np.full((5, 5), 2.0))
    state = state_of(task, [1, 2, 3, 4, 5], [4, 4, 1, 2, 1], cores=6)
    made = compacted(task, state)
    assert made.core.tolist() == [0, 0, 1, 2, 1]
    assert made.cores == 3
    assert made.traffic == state.traffic > 0


# --- the whole search


def test_what_is_tried_is_told() -> None:
    told: list[str] = []
    task = loop(np.full((6, 6), 2.0), replace(ROOMY, compartments=3))
    found = search(task, np.ones(task.sources, dtype=np.int64), None, 0, told.append)
    assert found.state.cores == 2
    # 2 cores are the fewest; two more counts than the first that works; both stars of each; the best two and greedy
    assert told == [
        "Filling cores greedily",
        *[f"Partitioning over {n} cores" for n in (2, 2, 3, 3, 4, 4)],
        *[f"Moving and swapping neurons ({n} of 3)" for n in (1, 2, 3)],
    ]
    alone: list[str] = []
    one = search(loop(np.full((6, 6), 2.0)), np.ones(12, dtype=np.int64), None, 0, alone.append)
    assert (one.method, one.state.cores, alone) == ("one core", 1, ["Filling cores greedily"])
    assert one.state is one.baseline
    spread = search(loop(np.full((6, 6), 2.0)), np.ones(12, dtype=np.int64), 3, 0, None)
    assert spread.state.cores == 3
    assert np.bincount(spread.state.core).tolist() == [2, 2, 2]


def test_fewest_messages_first_then_fewest_cores() -> None:
    task = loop(np.full((3, 3), 2.0))
    few, many = state_of(task, [1, 1, 1], [0, 0, 1]), state_of(task, [1, 1, 1], [0, 1, 2])
    ranks = [module._Candidate(state, "").rank for state in (few, many)]
    assert ranks == [(few.traffic, 2), (many.traffic, 3)]
    assert ranks[0] < ranks[1]
    assert module._Candidate(state_of(task, [0, 0, 0], [0, 1, 2]), "").rank < ranks[0]


def test_what_has_twice_the_messages_of_the_best_is_not_improved() -> None:
    """Each time neuron 0 sends to a core of its own what one move saves: only what is improved makes that move."""
    weights = np.zeros((4, 4))
    weights[[1, 2, 3], 0] = 2.0
    task = loop(weights)
    tried = {}
    for many in (8, 9):
        told: list[str] = []
        best = state_of(task, [4, 0, 0, 0], [0, 1, 1, 0])
        worse = state_of(task, [many, 0, 0, 0], [0, 1, 1, 0])
        kept = [module._Candidate(worse, "worse"), module._Candidate(best, "best")]
        refined: list[int] = []

        def watched(state: State, refined: list[int] = refined) -> None:
            refined.append(state.traffic)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "refine", watched)
            found = module._improved(task, kept, None, told.append)
        tried[many] = refined
        assert found is not None
        assert (found.method, found.state.traffic) == ("best", 4)
    assert tried == {8: [4, 8], 9: [4]}
    assert module._improved(task, [], None, told.append) is None


def test_one_core_is_no_search_whether_asked_for_or_enough() -> None:
    told: list[str] = []
    task = loop(np.full((6, 6), 2.0))
    for cores in (None, 1):
        found = search(task, np.ones(12, dtype=np.int64), cores, 0, told.append)
        assert (found.method, found.state.cores) == ("one core", 1)
    assert told == ["Filling cores greedily"] * 2


def test_what_stood_in_the_way_is_named_at_the_core_furthest_over() -> None:
    chip = replace(ROOMY, compartments=2, in_axons=5)
    state = state_of(loop(np.full((6, 6), 2.0), chip), [1] * 6, [0, 0, 0, 0, 1, 1])
    error = module._no_room(state.problem, state, 2)
    # core 0: 4 of 2 neurons, 6 + 4 of 5 axons (as many over, and neurons come first)
    assert (error.node, error.parameter) == ("pop", "compartments")
    assert error.got == "4 compartments, 2 over"
    assert "no assignment to 2 cores was found that keeps the limits; closest: a core" in error.message


# --- greedy


def test_greedy_is_done_again_with_the_out_axons_that_it_showed() -> None:
    """Neurons 0 and 1 reach 2 and 3. With room for 1 out-axon a core they must be apart, and 2 and 3 together."""
    weights = np.zeros((4, 4))
    weights[[2, 3], 0] = weights[[2, 3], 1] = 2.0
    roomy = greedy(loop(weights, replace(ROOMY, compartments=2)), np.ones(8, dtype=np.int64))
    assert roomy is not None
    assert roomy.core.tolist() == [0, 0, 1, 1]
    tight = greedy(loop(weights, replace(ROOMY, compartments=2, out_axons=2)), np.ones(8, dtype=np.int64))
    assert tight is not None
    assert tight.core.tolist() == [0, 0, 1, 1]


def test_a_filling_that_did_not_work_out_refuses_nothing() -> None:
    """The second is 0 | 1 2 | 3, where 0 reaches two cores; it need not: 0 | 1 | 2 3 keeps the limits."""
    weights = np.zeros((4, 4))
    weights[[2, 3], 0] = weights[[2, 3], 1] = 2.0
    made = greedy(loop(weights, replace(ROOMY, compartments=2, out_axons=1)), np.ones(8, dtype=np.int64))
    assert made is not None
    assert made.core.tolist() == [0, 1, 2, 2]
    assert not made.excess().any()


def test_greedy_gives_up_beyond_four_times_the_cores() -> None:
    chip = replace(ROOMY, compartments=1, cores=2)
    for n, there in ((8, True), (9, False)):
        found = greedy(loop(np.diag(np.full(n, 2.0)), chip), np.ones(2 * n, dtype=np.int64))
        assert (found is not None) == there


def test_a_neuron_that_fills_a_core_by_itself_may_and_one_more_may_not() -> None:
    task = loop(np.full((3, 3), 2.0), replace(ROOMY, in_axons=4))
    used = filling.used_by(task, np.array([2, 0, 0]), 0, 1)
    assert used.tolist()[:3] == [1, 4, 2]  # the Input's element, three neurons; 2 cores that it sends to
    filling.check_alone(task, 0, used)
    tight = loop(np.full((3, 3), 2.0), replace(ROOMY, in_axons=3))
    with pytest.raises(PlacementError, match="neuron 2 alone needs more than a core has") as error:
        filling.check_alone(tight, 2, used)
    assert (error.value.got, error.value.wanted) == ("4 in-axons, 1 over", "at most 3 on a core of a small chip")
    with_all = filling.used_by(loop(np.full((3, 3), 2.0), replace(ROOMY, neuron_bits=100, axon_bits=7)),
                               np.array([2, 0, 0]), 0, 1)  # fmt: skip
    assert with_all[MEMORY] - used[MEMORY] == 100 + 7 * (4 + 2)
