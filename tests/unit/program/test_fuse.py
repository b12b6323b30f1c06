"""Fusing: chains become one matrix, delays and feedback steps add up, biases become drives with a first step."""

from __future__ import annotations

import nir
import numpy as np
import pytest

import hasn
from hasn.program.fuse import Network, Relay, fuse, has_spikes
from hasn.testing.cases import CASES
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(8)


def network(net: nir.NIRGraph) -> Network:
    return fuse(hasn.lower(net, dt=DT))


def test_a_chain_of_matrices_is_their_product() -> None:
    a, b, s = D.weight(4, 5), D.weight(3, 4), D.between(0.5, 2, (4,))
    found = network(chain(nir.Linear(a), nir.Scale(s), nir.Linear(b), D.lif(3), given=(5,), result=(3,)))
    (projection,) = found.into("n4")
    np.testing.assert_allclose(projection.weights.toarray(), b @ np.diag(s) @ a, rtol=1e-14, atol=1e-15)
    assert [population.name for population in found.populations] == ["input", "n4"]
    assert found.outputs == {"output": "n4"}


def test_parallel_paths_add_up_where_their_delay_is_the_same() -> None:
    a, b = D.weight(4, 4), D.weight(4, 4)
    nodes = {
        "i": inp(4),
        "a": nir.Linear(a),
        "b": nir.Linear(b),
        "late": nir.Delay(np.full(4, 2 * DT)),
        "n": D.lif(4),
        "o": out(4),
    }
    found = network(graph(nodes, "i > a > n > o", "i > b > n", "i > late > n", "i > n"))
    by_delay = {p.delay: p.weights.toarray() for p in found.into("n")}
    np.testing.assert_allclose(by_delay[0], a + b + np.eye(4), rtol=1e-14)
    np.testing.assert_array_equal(by_delay[2], np.eye(4))


def test_each_elements_delay_becomes_a_projection_of_its_own() -> None:
    w = D.weight(4, 3)
    found = network(chain(nir.Delay(np.array([0, 2, 2]) * DT), nir.Linear(w), D.lif(4), given=(3,), result=(4,)))
    by_delay = {p.delay: p.weights.toarray() for p in found.into("n3")}
    assert set(by_delay) == {0, 2}
    np.testing.assert_array_equal(by_delay[0], w * [1, 0, 0])
    np.testing.assert_array_equal(by_delay[2], w * [0, 1, 1])
    assert [p.weights.nnz for p in found.into("n3")] == [4, 8]  # no synapse stands in both


def test_delays_in_a_row_add_up_with_the_feedback_edges_step() -> None:
    nodes = {"i": inp(2), "n": D.lif(2), "two": nir.Delay(np.full(2, 2 * DT)), "w": D.linear(2, 2),
             "three": nir.Delay(np.full(2, 3 * DT)), "o": out(2)}  # fmt: skip
    found = network(graph(nodes, "i > n > two > w > three > n > o"))
    assert {(p.source, p.target): p.delay for p in found.projections} == {("i", "n"): 0, ("n", "n"): 2 + 3 + 1}
    np.testing.assert_array_equal(found.out_of("n")[0].weights.toarray(), nodes["w"].weight)


def test_a_bias_is_a_drive_from_the_step_at_which_it_arrives() -> None:
    """A bias before a Delay, one behind it, and one behind a feedback edge."""
    first, second, third = D.affine(2, 3), D.affine(2, 2), D.affine(2, 2)
    nodes = {
        "i": inp(3),
        "a": first,
        "late": nir.Delay(np.array([3, 0]) * DT),
        "b": second,
        "n": D.lif(2),
        "back": third,
        "o": out(2),
    }
    found = network(graph(nodes, "i > a > late > b > n > o", "n > back > n"))
    drives = found.drives["n"]
    assert sorted(drives) == [0, 1, 3]
    np.testing.assert_allclose(drives[0], second.bias + second.weight @ (first.bias * [0, 1]), rtol=1e-14)
    np.testing.assert_allclose(drives[3], second.weight @ (first.bias * [1, 0]), rtol=1e-14)
    np.testing.assert_allclose(drives[1], third.bias, rtol=1e-14)
    assert [p.delay for p in found.out_of("n")] == [1]


def test_zero_weights_are_no_synapses() -> None:
    w = np.array([[0.5, 0, 0], [0, 0, 0.25]])
    found = network(chain(nir.Linear(w), D.lif(2), given=(3,), result=(2,)))
    assert found.into("n2")[0].weights.nnz == 2
    assert network(chain(nir.Linear(np.zeros((2, 3))), D.lif(2), given=(3,), result=(2,))).projections == ()


def test_an_output_that_shows_a_sum_or_another_shape_is_a_relay() -> None:
    flat = nir.Flatten({"input": np.array([2, 3])}, 0, -1)
    assert network(chain(D.lif(2, 3), flat, given=(2, 3), result=(6,))).outputs == {"output": "output"}
    assert network(chain(D.lif(4), D.linear(4, 4), given=(4,), result=(4,))).outputs == {"output": "output"}
    assert network(chain(D.lif(4), nir.Scale(np.ones(4)), given=(4,), result=(4,))).outputs == {"output": "n1"}


#: name -> nodes between three neurons and an Output that does not show the neurons' own value, element by element
SHOWS_ANOTHER = {
    "plus a bias": [nir.Affine(np.eye(3), np.array([0.0, 0.0, 0.5]))],
    "plus a bias that is late": [nir.Affine(np.eye(3), np.ones(3)), nir.Delay(np.full(3, DT))],
    "in another order": [nir.Linear(np.eye(3)[::-1].copy())],
    "with one added to another": [nir.Linear(np.eye(3) + 0.5 * np.eye(3, k=1))],
    "twice as large": [nir.Scale(np.full(3, 2.0))],
    "with one left out": [nir.Scale(np.array([1.0, 1.0, 0.0]))],
    "late": [nir.Delay(np.full(3, DT))],
    "one of them late": [nir.Delay(np.array([0, 0, 1]) * DT)],
    "fewer": [nir.Linear(np.eye(2, 3))],
    "more": [nir.Linear(np.eye(4, 3))],
}


@pytest.mark.parametrize("name", SHOWS_ANOTHER)
def test_an_output_that_shows_something_else_is_a_relay_of_its_own(name: str) -> None:
    """What it adds up is what the nodes say: here one spike of each neuron, seen over three steps."""
    nodes = SHOWS_ANOTHER[name]
    size = {"fewer": 2, "more": 4}.get(name, 3)
    found = network(chain(D.lif(3), *nodes, given=(3,), result=(size,)))
    assert found.outputs == {"output": "output"}
    assert found.by_name["output"] == Relay("output", (size,))
    sent = np.zeros((4, 3))
    sent[0] = [1.0, 10.0, 100.0]
    shown = np.zeros((4, size))
    for t in range(4):
        for p in found.into("output"):
            if t >= p.delay:
                shown[t] += p.weights @ sent[t - p.delay]
        for first, value in found.drives.get("output", {}).items():
            shown[t] += value * (t >= first)
    wanted = {
        "plus a bias": [[1, 10, 100.5], [0, 0, 0.5], [0, 0, 0.5]],
        "plus a bias that is late": [[0, 0, 0], [2, 11, 101], [1, 1, 1]],
        "in another order": [[100, 10, 1], [0, 0, 0], [0, 0, 0]],
        "with one added to another": [[6, 60, 100], [0, 0, 0], [0, 0, 0]],
        "twice as large": [[2, 20, 200], [0, 0, 0], [0, 0, 0]],
        "with one left out": [[1, 10, 0], [0, 0, 0], [0, 0, 0]],
        "late": [[0, 0, 0], [1, 10, 100], [0, 0, 0]],
        "one of them late": [[1, 10, 0], [0, 0, 100], [0, 0, 0]],
        "fewer": [[1, 10], [0, 0], [0, 0]],
        "more": [[1, 10, 100, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    }
    np.testing.assert_array_equal(shown[:3], wanted[name])


def test_an_output_of_two_populations_or_of_none_is_a_relay() -> None:
    nodes = {"i": inp(3), "a": D.lif(3), "b": D.lif(3), "both": out(3), "one": out(3), "given": out(3), "none": out(3)}
    found = network(graph(nodes, "i > a > both", "i > b > both", "b > one", "i > given"))
    assert found.outputs == {"both": "both", "one": "b", "given": "i", "none": "none"}
    assert {(p.source, p.target) for p in found.projections} == {
        ("i", "a"), ("i", "b"), ("a", "both"), ("b", "both")
    }  # fmt: skip


def test_a_node_without_input_sends_its_bias_on() -> None:
    """Through another's weights to a population, and, late, to an Output that a population leads to as well."""
    nodes = {"i": inp(2), "n": D.lif(2), "o": out(2), "first": nir.Affine(np.eye(2), np.array([1.0, 2.0])),
             "second": nir.Affine(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([0.0, 10.0])),
             "late": nir.Delay(np.full(2, 2 * DT))}  # fmt: skip
    found = network(graph(nodes, "i > n > o", "first > second > n", "first > late > o"))
    assert {name: {t: v.tolist() for t, v in drive.items()} for name, drive in found.drives.items()} == {
        "n": {0: [3.0, 13.0]}, "o": {2: [1.0, 2.0]}
    }  # fmt: skip
    assert found.outputs == {"o": "o"}
    assert isinstance(found.by_name["o"], Relay)


def test_biases_that_cancel_are_no_drive() -> None:
    nodes = {"i": inp(3), "plus": nir.Affine(np.eye(3), np.ones(3)), "n": D.lif(3), "o": out(3)}
    nodes["minus"] = nir.Affine(np.eye(3), -np.ones(3))
    assert network(graph(nodes, "i > plus > n > o", "i > minus > n")).drives == {}


def test_a_convolutions_bias_is_one_for_each_channel() -> None:
    """Three places a channel, channels first; and through a pooling that adds up two places."""
    conv = nir.Conv1d(5, np.ones((2, 1, 3)), 1, 0, 1, 1, np.array([0.5, -2.0]))
    (drive,) = network(chain(conv, D.lif(2, 3), given=(1, 5), result=(2, 3))).drives["n2"].values()
    assert drive.tolist() == [0.5, 0.5, 0.5, -2.0, -2.0, -2.0]
    plane = nir.Conv2d((4, 2), np.ones((2, 1, 1, 1)), 1, 0, 1, 1, np.array([0.5, -2.0]))
    pool = nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))
    (drive,) = network(chain(plane, pool, D.lif(2, 2, 2), given=(1, 4, 2), result=(2, 2, 2))).drives["n3"].values()
    assert drive.tolist() == [1.0] * 4 + [-4.0] * 4


def test_an_output_that_hands_on_stays_a_population() -> None:
    found = network(CASES["output_passes_on"].graph())
    assert isinstance(found.by_name["shown"], Relay)
    assert [p.target for p in found.out_of("shown")] == ["m"]


def test_a_loop_without_neurons_is_cut_at_its_delayed_edge() -> None:
    found = network(CASES["loop_without_neurons"].graph())
    assert [p.name for p in found.populations if isinstance(p, Relay)] == ["half"]
    assert {(p.source, p.target, p.delay) for p in found.projections} >= {
        ("half", "half", 1),
        ("half", "lif", 1),
        ("input", "half", 0),
    }


def test_a_delayed_edge_of_a_loop_with_neurons_needs_no_relay() -> None:
    """The search goes i, b, n, a: a > b is the feedback edge, between two stateless nodes."""
    a, b = D.weight(2, 2), D.weight(2, 2)
    nodes = {"i": inp(2), "b": nir.Linear(b), "n": D.lif(2), "a": nir.Linear(a), "o": out(2)}
    found = network(graph(nodes, "i > b > n > a > b", "n > o"))
    assert list(found.by_name) == ["i", "n"]
    (loop,) = found.out_of("n")
    assert (loop.target, loop.delay) == ("n", 1)
    np.testing.assert_allclose(loop.weights.toarray(), b @ a, rtol=1e-14)


def test_levels_and_what_has_spikes() -> None:
    """Levels count what arrives within the step: a Delay breaks the chain."""
    nodes = {"i": inp(2), "a": D.lif(2), "late": nir.Delay(np.full(2, DT)), "b": D.neuron("LI", (2,)),
             "c": nir.Threshold(np.zeros(2)), "sum": out(2), "d": D.neuron("CubaLIF", (2,))}  # fmt: skip
    found = network(graph(nodes, "i > a > late > b > c > d > sum", "i > d", "a > sum"))
    assert found.levels() == {"i": 0, "a": 1, "b": 0, "c": 1, "d": 2, "sum": 3}
    assert {name: has_spikes(population) for name, population in found.by_name.items()} == {
        "i": False, "a": True, "b": False, "c": True, "d": True, "sum": False
    }  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_has_no_delay_points_forwards_and_levels_grow_along_it(name: str) -> None:
    case = CASES[name]
    found = fuse(hasn.lower(case.graph(), **case.options()))
    place = {population.name: i for i, population in enumerate(found.populations)}
    levels = found.levels()
    keys = [(p.source, p.target, p.delay) for p in found.projections]
    assert len(set(keys)) == len(keys)
    for projection in found.projections:
        rows, columns = projection.weights.shape
        assert rows == np.prod(found.by_name[projection.target].shape)
        assert columns == np.prod(found.by_name[projection.source].shape)
        if projection.delay == 0:
            assert place[projection.source] < place[projection.target]
            assert levels[projection.source] < levels[projection.target]
