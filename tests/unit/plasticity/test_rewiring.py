"""Structural plasticity: who goes, who grows where, what stays with the others, and its signature."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.control import run
from hasn.errors import OptionError
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, RewardSTDP, Rewiring, Rule, Trace, attach

DT = 1e-3
Pairs = set[tuple[int, int]]


def network(weight: Any, delay: Any = None, dtype: Any = None) -> nir.NIRGraph:
    """input -> fc -> cells, and a teacher that alone makes all cells spike."""
    fc = SparseLinear(csr_array(np.asarray(weight, dtype=float)), delay, dtype=dtype)
    n = fc.shape[0]
    cells = nir.LIF(np.full(n, 10e-3), np.full(n, 10.0), np.zeros(n), np.full(n, 50.0), np.zeros(n))
    nodes = {
        "input": nir.Input(np.array([fc.shape[1]])),
        "fc": fc,
        "teacher": nir.Input(np.array([1])),
        "drive": nir.Linear(np.full((n, 1), 100.0)),
        "cells": cells,
        "output": nir.Output(np.array([n])),
    }
    edges = [("input", "fc"), ("fc", "cells"), ("teacher", "drive"), ("drive", "cells"), ("cells", "output")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT})


def random_weights(outputs: int, inputs: int, each: int, seed: int, weight: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = np.zeros((outputs, inputs))
    for row in found:
        row[rng.choice(inputs, each, replace=False)] = weight
    return found


def pairs(node: SparseLinear) -> list[tuple[int, int]]:
    post = np.repeat(np.arange(node.shape[0]), np.diff(node.indptr))
    return list(zip(post.tolist(), node.indices.tolist(), strict=True))


def rewired(graph: nir.NIRGraph, step: int = 10, **options: Any) -> SparseLinear:
    node = Rewiring("fc", **options)(graph, None, step).nodes["fc"]
    assert isinstance(node, SparseLinear)
    return node


WEIGHTS = [[0.1, 0.0, -0.2, 0.0, 0.3], [0.0, -0.4, 0.0, 0.5, 0.0], [0.6, 0.0, -0.05, 0.0, 0.0]]
PLACES = [(0, 0), (0, 2), (0, 4), (1, 1), (1, 3), (2, 0), (2, 2)]


def test_the_weakest_go_and_as_many_grow() -> None:
    """|w| = 0.05 and 0.1 are the two weakest of seven; 0.3 of 7 is 2. New ones have the weight that was asked for."""
    node = rewired(network(WEIGHTS), fraction=0.3, weight=0.7)
    found = dict(zip(pairs(node), node.data.tolist(), strict=True))
    kept = {place: w for place, w in found.items() if place in PLACES}
    assert kept == {(0, 2): -0.2, (0, 4): 0.3, (1, 1): -0.4, (1, 3): 0.5, (2, 0): 0.6}
    assert sorted(w for place, w in found.items() if place not in PLACES) == [0.7, 0.7]
    assert len(found) == node.synapses == 7


def test_all_below_a_weight_go() -> None:
    node = rewired(network(WEIGHTS), below=0.3, weight=0.7)  # 0.3 itself stays
    kept = sorted(abs(w) for w in node.data if w != 0.7)
    assert kept == [0.3, 0.4, 0.5, 0.6]
    assert node.synapses == 7
    assert Rewiring("fc", below=0.05)(network(WEIGHTS), None, 10) is None


def test_every_free_place_is_as_likely_and_no_other() -> None:
    """Two synapses, one of which moves to one of four free places: 400 draws, within 4 standard deviations."""
    counts: dict[tuple[int, int], int] = {}
    for step in range(400):
        node = rewired(network([[0.1, 0.0, 0.9], [0.0, 0.0, 0.0]]), step, fraction=0.5)
        (new,) = set(pairs(node)) - {(0, 2)}
        counts[new] = counts.get(new, 0) + 1
    assert set(counts) == {(0, 1), (1, 0), (1, 1), (1, 2)}
    assert all(abs(count - 100) < 4 * np.sqrt(400 * 0.25 * 0.75) for count in counts.values())


def test_the_free_places_can_be_filled_up() -> None:
    """As many as there are, each once."""
    weight = np.array([[0.1, 0.2, 0.0], [0.3, 0.0, 0.9], [0.0, 0.8, 0.7]])
    node = rewired(network(weight), fraction=0.5, weight=1.0)
    assert {p for p, w in zip(pairs(node), node.data, strict=True) if w == 1.0} == {(0, 2), (1, 1), (2, 0)}


def test_no_neuron_onto_itself() -> None:
    """The only free place that is not on the diagonal."""
    weight = np.array([[0.0, 0.2, 0.3], [0.1, 0.0, 0.9], [0.0, 0.8, 0.0]])
    node = rewired(network(weight), fraction=0.2, autapses=False)
    assert set(pairs(node)) == {(0, 1), (0, 2), (1, 2), (2, 0), (2, 1)}


def test_among_equals_chance_decides() -> None:
    """Not the place in the list: weights that differ by rounding alone are equal."""
    first: set[tuple[int, int]] = set()
    for step in range(40):
        weight = np.full((1, 6), 0.5) * (1 + 1e-12 * np.arange(6))
        node = rewired(network(np.hstack([weight, np.zeros((1, 6))])), step, fraction=1 / 6, weight=1.0)
        first |= {(0, i) for i in range(6)} - set(pairs(node))
    assert first == {(0, i) for i in range(6)}


def test_draws_hang_on_seed_step_and_node() -> None:
    graph = network(random_weights(4, 20, 5, 0))
    places = [
        tuple(pairs(rewired(graph_of, step, fraction=0.5, seed=seed)))
        for graph_of, step, seed in ((graph, 1, 0), (network(random_weights(4, 20, 5, 0)), 1, 0))
    ]
    assert places[0] != tuple(pairs(network(random_weights(4, 20, 5, 0)).nodes["fc"]))
    assert places[0] == places[1]
    others = [
        tuple(pairs(rewired(network(random_weights(4, 20, 5, 0)), step, fraction=0.5, seed=seed)))
        for step, seed in ((2, 0), (1, 1))
    ]
    assert len({places[0], *others}) == 3


@pytest.mark.parametrize(("dtype", "wanted"), [("float32", np.float32(0.1)), ("float16", np.float16(0.1))])
def test_weights_keep_their_type(dtype: str, wanted: Any) -> None:
    node = rewired(network(WEIGHTS, dtype=dtype), fraction=0.3, weight=0.1)
    assert node.data.dtype == dtype
    assert np.count_nonzero(node.data == wanted) == 2


def test_new_weights_and_delays_are_drawn_between_two() -> None:
    weight = random_weights(10, 100, 20, 0, 1.0)
    node = rewired(network(weight, delay=np.full(200, 9)), fraction=1.0, weight=(0.2, 0.4), delay=(1, 3))
    assert node.synapses == 200
    assert not set(pairs(node)) & set(pairs(network(weight).nodes["fc"]))
    assert 0.2 <= node.data.min() < 0.22 < 0.38 < node.data.max() <= 0.4
    assert set(node.delay.tolist()) == {1, 2, 3}
    kept = rewired(network(WEIGHTS, delay=np.arange(7)), fraction=0.3, delay=8)
    assert sorted(kept.delay.tolist()) == [1, 2, 3, 4, 5, 8, 8]  # those of 0.1 and 0.05, delays 0 and 6, have gone
    none = rewired(network(WEIGHTS), fraction=0.3, delay=2)
    assert sorted(none.delay.tolist()) == [0] * 5 + [2, 2]


# --- in a run


def spikes(steps: int, inputs: int, informative: int, seed: int) -> dict[str, np.ndarray]:
    """Noise at 20 Hz, but the informative inputs spike as often within 4 ms of each other; the teacher 2 ms later."""
    rng = np.random.default_rng(seed)
    x = rng.random((steps, inputs)) < 0.02
    bursts = np.flatnonzero(rng.random(steps - 10) < 0.02)
    x[:, :informative] = False
    for t in bursts:
        x[t + rng.integers(0, 4, informative), np.arange(informative)] = True
    teacher = np.zeros((steps, 1))
    teacher[bursts + 5] = 1
    return {"input": x.astype(float), "teacher": teacher}


def share(graph: nir.NIRGraph, informative: int) -> float:
    return float(np.mean(graph.nodes["fc"].indices < informative))


RULE = STDP(0.1, 0.12, w_min=0.0, w_max=1.0)


@pytest.mark.parametrize("seed", [1, 2])
def test_synapses_end_on_the_inputs_that_tell_something(seed: int) -> None:
    """The signature: 20 of 50 inputs tell when cells spike. Synapses begin anywhere and end on those, all but the few
    that grew last (a fifth at each call)."""
    graph = attach(network(random_weights(5, 50, 10, seed)), "fc", RULE)
    found = run(graph, spikes(2000, 50, 20, seed), [Rewiring("fc", fraction=0.2, every=200, weight=0.4, seed=seed)])
    assert share(graph, 20) < 0.55
    assert share(found.graph, 20) > 0.8
    still = run(graph, spikes(2000, 50, 20, seed), [])
    assert share(still.graph, 20) == share(graph, 20)
    assert found.graph.nodes["fc"].synapses == 50
    assert len(set(pairs(found.graph.nodes["fc"]))) == 50


def test_two_simulators_rewire_alike() -> None:
    """Identical patterns and delays, weights to 1e-9, identical spikes."""
    rng = np.random.default_rng(0)
    graph = attach(network(random_weights(4, 30, 6, 1), delay=rng.integers(0, 4, 24)), "fc", RULE)
    controller = Rewiring("fc", fraction=0.25, every=60, weight=(0.2, 0.6), delay=(0, 5), seed=4)
    one, two = (run(graph, spikes(240, 30, 10, 5), [controller], backend) for backend in ("snntorch", "brian2"))
    first, second = one.graph.nodes["fc"], two.graph.nodes["fc"]
    assert [bool(action.changed) for action in one.log] == [True] * 4
    assert pairs(first) == pairs(second) != pairs(graph.nodes["fc"])
    assert first.delay.tolist() == second.delay.tolist()
    np.testing.assert_allclose(first.data, second.data, rtol=0, atol=1e-9)
    assert np.ptp(first.data) > 0.1
    np.testing.assert_array_equal(one.recording.spikes["cells"], two.recording.spikes["cells"])


def test_without_a_rule_too() -> None:
    graph = network(random_weights(2, 10, 3, 0, 0.5))
    found = run(graph, spikes(20, 10, 5, 0), [Rewiring("fc", fraction=0.5, every=5, weight=0.25)])
    node = found.graph.nodes["fc"]
    assert node.synapses == 6
    assert sorted(node.data)[:3] == [0.25] * 3


@pytest.mark.parametrize("late", [0, 2])
def test_traces_stay_with_their_synapse(late: int) -> None:
    """One of two synapses moves before step 20. Pairs of before count in the one that stays; the new one's eligibility
    begins at 0, and its source's trace, where no synapse has a delay of its own, is the source's."""
    graph = network([[0.9, 0.1, 0.0]], None if not late else np.array([late, late]))
    graph = attach(graph, "fc", RewardSTDP(0.1, 0.0, tau_plus=10e-3, tau_eligibility=50e-3))
    x, teacher, reward = np.zeros((39, 3)), np.zeros((39, 1)), np.zeros(39)
    x[8 - late], x[18 - late], teacher[[10, 22]], reward[30] = 1, 1, 1, 1
    found = run(
        graph, {"input": x, "teacher": teacher}, [Rewiring("fc", fraction=0.5, every=20, weight=0.3, delay=late)],
        modulators={"reward": reward},
    )  # fmt: skip
    by = dict(zip(pairs(found.graph.nodes["fc"]), found.graph.nodes["fc"].data, strict=True))
    # x of the two input spikes at the target's spikes, 2 steps behind, 4 and 14 steps behind; e until the reward
    before, after = 0.1 * np.exp(-0.2), 0.1 * (np.exp(-0.4) + np.exp(-1.4))
    (new,) = set(by) - {(0, 0)}
    assert new == (0, 2)  # the only free place
    assert by[new] == pytest.approx(0.3 + (0 if late else after * np.exp(-8 / 50)), rel=1e-12)
    assert by[0, 0] == pytest.approx(0.9 + before * np.exp(-20 / 50) + after * np.exp(-8 / 50), rel=1e-12)


def test_a_trace_that_starts_as_the_weight() -> None:
    """Of a new synapse it is the new weight; of the others it has moved on."""
    rule = Rule("0 * pre", traces={"slow": Trace("0 * w", 20e-3, start="weight")})
    graph = attach(network([[0.9, 0.1, 0.0]]), "fc", rule)
    found = run(graph, spikes(12, 3, 1, 0), [Rewiring("fc", fraction=0.5, every=12, weight=0.3)])
    assert found.graph.nodes["fc"].indices.tolist() == [0, 2]
    assert found.state.learned["fc"]["slow"][0] == pytest.approx([0.9 * np.exp(-12 / 20), 0.3], rel=1e-12)


# --- what is refused


@pytest.mark.parametrize(
    "options",
    [
        {}, {"fraction": 0.1, "below": 0.1}, {"fraction": 0.0}, {"fraction": 1.1}, {"fraction": True}, {"below": 0.0},
        {"below": np.inf}, {"fraction": 0.1, "every": 0}, {"fraction": 0.1, "every": 1.5},
        {"fraction": 0.1, "seed": -1},
        {"fraction": 0.1, "weight": np.nan}, {"fraction": 0.1, "weight": (1.0, 0.0)}, {"fraction": 0.1, "delay": -1},
        {"fraction": 0.1, "delay": 0.5}, {"fraction": 0.1, "delay": (3, 1)}, {"fraction": 0.1, "weight": "w"},
    ],
)  # fmt: skip
def test_numbers_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="Rewiring"):
        Rewiring("fc", **options)


@pytest.mark.parametrize(
    ("node", "got"), [("drive", "Linear"), ("nowhere", "nothing of that name"), ("fc", "int8 weights")]
)
def test_what_cannot_be_rewired(node: str, got: str) -> None:
    with pytest.raises(OptionError, match=f"node '{node}' Rewiring: cannot be rewired; got {got}"):
        Rewiring(node, fraction=0.5)(network(WEIGHTS, dtype="int8"), None, 1)


def test_no_room_to_grow() -> None:
    with pytest.raises(OptionError, match="got 4 synapses; wanted at most 3"):
        rewired(network([[0.1, 0.2, 0.3], [0.4, 0.0, 0.0], [0.5, 0.6, 0.0]]), fraction=0.6)


def test_synapses_that_cannot_be_told_apart() -> None:
    """Two of one source, target and delay: nobody knows whose trace is whose once others have moved."""
    graph = network([[0.9, 0.8, 0.1, 0.0]])
    graph.nodes["fc"].indices = np.array([0, 0, 2])
    graph = attach(graph, "fc", RewardSTDP(0.1, 0.0))
    controller = Rewiring("fc", fraction=0.3, every=2)
    with pytest.raises(OptionError, match="nobody knows which is which"):
        run(graph, spikes(12, 4, 2, 0), [controller], modulators={"reward": np.zeros(12)})
    graph = attach(graph, "fc", STDP())
    found = run(graph, spikes(12, 4, 2, 0), [controller])  # traces of sources and targets: nothing to mix up
    assert sorted(found.graph.nodes["fc"].indices)[:2] == [0, 0]


def test_a_new_weight_out_of_the_rule_s_bounds() -> None:
    graph = attach(network(WEIGHTS), "fc", STDP(w_min=-0.5, w_max=0.6))
    with pytest.raises(hasn.HasnError, match="bounds leave out"):
        run(graph, spikes(12, 5, 2, 0), [Rewiring("fc", fraction=0.3, every=2, weight=0.7)])
