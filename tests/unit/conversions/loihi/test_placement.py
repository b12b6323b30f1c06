"""Placement: limits are kept, communities found, never more messages than greedy, refusals that say what is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.conversions.loihi import place
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.placement.mesh import arranged, distances, slots
from hasn.conversions.loihi.profiles import LOIHI1, LOIHI2, Profile
from hasn.counts import Counts
from hasn.errors import GraphError, InputError, OptionError, PlacementError
from hasn.program.integers.encode import chip_neuron
from hasn.recording import Recording
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from tests.unit.conversions.loihi import placing
from tests.unit.conversions.loihi.placing import SMALL

pytest.importorskip("pymetis")


def _spikes(*shape: int, seed: int = 0, rate: float = 0.3) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random((20, 2, *shape)) < rate).astype(float)


def _recording(**counts: list[int]) -> Recording:
    """Each neuron spikes in the first so many steps."""
    steps = max(max(given) for given in counts.values())
    spikes = {name: np.arange(steps)[:, None] < np.array(given) for name, given in counts.items()}
    return Recording({}, spikes, {}, placing.DT, {}, Counts())


# --- quality


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_communities_are_found_and_greedy_does_not_find_them(seed: int) -> None:
    group = np.random.default_rng(seed).permutation(np.repeat([0, 1], 12))
    network = placing.communities(group, seed)
    chip = replace(SMALL, out_axons=400, in_axons=400, memory_bits=1 << 20)
    placement = place(network, _spikes(24, seed=seed), target=chip, seed=seed)
    core = placement.neurons["pop"]
    assert placement.cores == 2
    assert len(set(zip(group.tolist(), core.tolist(), strict=True))) == 2  # each group on a core of its own
    assert placement.traffic == 0
    assert placement.populations["pop"].local > 0
    assert placement.baseline is not None
    assert placement.baseline.traffic > 100
    assert placement.saving == 1.0


@pytest.mark.parametrize("seed", range(6))
def test_limits_are_kept_and_greedy_is_never_better(seed: int) -> None:
    network = placing.random_layers(seed, 12, 20, 18, 8, density=0.4)
    placement = place(network, _spikes(12, seed=seed), target=SMALL, seed=seed)
    used = placing.counted(network.integers, placement.neurons, SMALL, placement.cores)
    for name, values in used.items():
        assert placement.resources[name].tolist() == values, name
        assert max(values) <= getattr(SMALL, name), name
    assert placement.baseline is not None
    assert placement.traffic <= placement.baseline.traffic


@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_with_delays_recurrence_and_constants_keep_the_limits(seed: int) -> None:
    graph = random_chip_graph(seed)
    network, inputs = QuantisedNetwork.of_graph(graph), random_chip_inputs(graph, seed, 10, 2)
    chip = replace(SMALL, compartments=9, memory_bits=1 << 14, shares_convolutions=True, neuron_bits=10, axon_bits=3)
    placement = place(network, inputs, target=chip, seed=seed)
    assert all(np.max(values) <= (getattr(chip, name)) for name, values in placement.resources.items())
    there = np.concatenate([core.reshape(-1) for core in placement.neurons.values()])
    assert set(there.tolist()) == set(range(placement.cores))
    assert placement.baseline is not None
    assert placement.baseline.fits
    assert placement.traffic <= placement.baseline.traffic


def test_a_network_without_inputs_needs_steps() -> None:
    nodes = {"pop": chip_neuron((6,), dt=placing.DT, dv=0, vth=3, bias=100), "out": nir.Output(np.array([6]))}
    nodes["w"] = nir.Linear(np.full((6, 6), 2.0))
    network = placing.network(nodes, [("pop", "w"), ("w", "pop"), ("pop", "out")])
    placement = place(network, target=replace(SMALL, compartments=3), steps=40)
    assert placement.cores == 2
    spikes = int(network.compile("snntorch").run(steps=40).spikes["pop"].sum())
    assert placement.traffic == spikes > 0  # each neuron reaches the one other core
    with pytest.raises(InputError, match="steps"):
        place(network, target=SMALL)


def test_traffic_matrix_and_populations_are_recounted_from_spikes() -> None:
    network = placing.random_layers(4, 12, 20, 18, 8, density=0.4)
    x = _spikes(12)
    placement = place(network, x, target=SMALL)
    spikes = network.compile("snntorch").run(x).spikes
    expected = np.zeros((placement.cores, placement.cores), dtype=int)
    hops = dict.fromkeys(placement.neurons, 0)
    for p in network.integers.projections:
        if p.source == "in":
            continue
        for s in range(p.weights.shape[1]):
            count, home = int(spikes[p.source][..., s].sum()), placement.neurons[p.source][s]
            for core in set(placement.neurons[p.target][p.weights.toarray()[:, s] != 0].tolist()):
                expected[home, core] += count
                there, here = placement.positions[core], placement.positions[home]
                hops[p.source] += count * int(np.abs(there - here).sum())
    assert expected.any()
    assert np.array_equal(placement.traffic_matrix, expected)
    assert placement.traffic == expected.sum() - np.trace(expected)
    assert {name: sent.message_hops for name, sent in placement.populations.items()} == hops
    assert placement.message_hops == sum(hops.values())
    assert sum(sent.messages for sent in placement.populations.values()) == placement.traffic


def test_the_same_seed_gives_the_same_placement() -> None:
    network = placing.random_layers(5, 12, 20, 18, 8, density=0.4)
    first, second = (place(network, _spikes(12), target=SMALL, seed=3).to_dict() for _ in range(2))
    assert first == second


def test_a_recording_and_its_inputs_give_the_same_placement() -> None:
    network = placing.random_layers(5, 12, 20, 18, 8, density=0.4)
    recording = network.compile("snntorch").run(_spikes(12))
    by_inputs, by_recording = (place(network, given, target=SMALL).to_dict() for given in (_spikes(12), recording))
    assert by_recording.pop("input_messages") is None
    assert by_inputs.pop("input_messages") > 0
    assert by_inputs == by_recording
    registers = place(network.integers, _spikes(12), target=SMALL).to_dict()  # run in numpy
    registers.pop("input_messages")
    assert registers == by_inputs


def test_what_fits_a_core_is_on_one_core() -> None:
    placement = place(placing.random_layers(0, 30, 20, 5), _spikes(30), target="loihi1")
    assert (placement.cores, placement.traffic, placement.method) == (1, 0, "one core")
    assert placement.saving is None


def test_cores_spread_the_network_evenly() -> None:
    network = placing.random_layers(0, 30, 20, 10)
    placement = place(network, _spikes(30), target="loihi1", cores=5)
    assert placement.resources["compartments"].tolist() == [6] * 5
    assert placement.baseline is not None
    assert placement.baseline.cores == 5


# --- refusals


def _refused(chip: Profile, network: QuantisedNetwork, given: Any = None) -> PlacementError:
    with pytest.raises(PlacementError) as caught:
        place(network, _spikes(network.integers.inputs["in"].size) if given is None else given, target=chip)
    return caught.value


def test_too_many_neurons_for_the_chip() -> None:
    error = _refused(replace(SMALL, cores=2, mesh=(1, 1)), placing.random_layers(0, 5, 20, 9))
    assert error.node == "l0"
    assert "29 compartments, 5 over; wanted at most 24 on 2 cores of a small chip" in str(error)


def test_too_much_memory_for_the_chip() -> None:
    error = _refused(replace(SMALL, cores=2, mesh=(1, 1), memory_bits=2 * 64), placing.random_layers(0, 5, 20))
    assert error.parameter == "bits of memory"


def test_a_neuron_with_too_many_inputs() -> None:
    error = _refused(SMALL, placing.layers(np.full((2, 63), 2.0)))
    assert error.node == "l0"
    assert "neuron 0 alone" in str(error)
    assert "63 in-axons, 3 over; wanted at most 60 on a core" in str(error)


def test_a_neuron_with_too_many_synapses() -> None:
    # One synapse a source: a word of 64 bits each, 41 of them against 40.
    error = _refused(SMALL, placing.layers(np.full((1, 41), 2.0)))
    assert "2,624 bits of memory, 64 over; wanted at most 2,560" in str(error)


def test_too_many_out_axons() -> None:
    # A core holds 2 neurons, so each of the first layer reaches all 3 cores of the second.
    chip = replace(SMALL, compartments=2, out_axons=2, cores=6, memory_bits=1 << 20)
    error = _refused(chip, placing.layers(np.eye(6) * 100, np.full((6, 6), 40.0)))
    assert error.parameter == "out-axons"
    assert "over; wanted at most 2 on a core" in str(error)


@pytest.mark.parametrize(("limit", "what"), [("decay_groups", "pairs of decays"), ("threshold_groups", "thresholds")])
def test_too_many_registers(limit: str, what: str) -> None:
    chip = replace(SMALL, cores=1, mesh=(1, 1), cores_per_router=1, **{limit: 1})
    network = placing.layers(np.eye(4) * 100, vth=np.array([10, 20, 30, 30]))
    if limit == "decay_groups":
        network.graph.nodes["l0"] = chip_neuron((4,), dt=placing.DT, du=np.array([1, 2, 3, 3]), dv=0, vth=9)
    assert _refused(chip, network).parameter == what


def test_different_registers_are_given_cores_of_their_own() -> None:
    chip = replace(SMALL, threshold_groups=1)
    network = placing.layers(np.eye(6) * 100, vth=np.array([10, 20, 10, 20, 10, 20]))
    placement = place(network, _spikes(6), target=chip)
    core = placement.neurons["l0"]
    assert placement.cores == 2
    assert len(set(core[::2].tolist())) == len(set(core[1::2].tolist())) == 1


def test_options_that_are_none() -> None:
    network = placing.random_layers(0, 5, 6)
    with pytest.raises(OptionError, match="no such chip"):
        place(network, _spikes(5), target="truenorth")
    for cores in (0, 9, 2.5, True):
        with pytest.raises(OptionError, match="no such number of cores"):
            place(network, _spikes(5), target=SMALL, cores=cores)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="registers alone do not say which chip"):
        place(network.integers, _spikes(5))


def test_a_calibration_that_is_none_of_the_network() -> None:
    network = placing.random_layers(0, 5, 6)
    with pytest.raises(InputError, match="the input has the wrong shape"):
        place(network, _spikes(4), target=SMALL)
    with pytest.raises(InputError, match="the recording is not of this network; got no spikes"):
        place(network, _recording(other=[1, 2]), target=SMALL)
    with pytest.raises(InputError, match="the recording is not of this network; got shape"):
        place(network, _recording(l0=[1, 2]), target=SMALL)
    with pytest.raises(InputError, match="the chip takes integers"):
        place(network.integers, _spikes(5) / 2, target=SMALL)


def test_a_network_without_neurons() -> None:
    empty = placing.network({"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}, [("in", "out")])
    with pytest.raises(GraphError, match="no neuron to place"):
        place(empty, _spikes(2), target=SMALL)


# --- the mesh


def test_hops_are_steps_from_router_to_router() -> None:
    places = slots(LOIHI1)
    assert places[[0, 3, 4, 31, 32, 127]].tolist() == [[0, 0], [0, 0], [1, 0], [7, 0], [0, 1], [7, 3]]
    hops = distances(places)
    assert hops[0, 3] == 0  # on one router
    assert hops[0, 127] == 7 + 3
    assert np.array_equal(hops, hops.T)


def test_a_chain_of_cores_lies_along_neighbours() -> None:
    chip = replace(LOIHI1, cores=16, mesh=(4, 4), cores_per_router=1)
    order = np.random.default_rng(1).permutation(9)
    flow = np.zeros((9, 9), dtype=int)
    flow[order[:-1], order[1:]] = 10
    where = arranged(flow, chip, seed=0)
    assert len(set(where.tolist())) == 9
    assert (flow * distances(slots(chip)[where])).sum() == 8 * 10  # the least there can be: one hop a link


def test_arranged_cores_travel_less_than_rows() -> None:
    rng = np.random.default_rng(2)
    flow = rng.integers(0, 100, (40, 40)) * (rng.random((40, 40)) < 0.1)
    where = arranged(flow.copy(), LOIHI2, seed=0)
    assert len(set(where.tolist())) == 40
    done = int((flow * distances(slots(LOIHI2)[where])).sum())
    rows = int((flow * distances(slots(LOIHI2)[:40])).sum())
    assert done < 0.8 * rows
    for a in range(40):  # no swap of two cores is left that would help
        for b in range(a):
            other = where.copy()
            other[[a, b]] = other[[b, a]]
            assert (flow * distances(slots(LOIHI2)[other])).sum() >= done
