"""Fusing: chains become one matrix, delays and feedback steps add up, biases become drives with a first step."""

from __future__ import annotations

import nir
import numpy as np
import pytest

import hasn
from hasn.program.fuse import Network, Relay, fuse
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


def test_an_output_that_shows_a_sum_or_another_shape_is_a_relay() -> None:
    flat = nir.Flatten({"input": np.array([2, 3])}, 0, -1)
    assert network(chain(D.lif(2, 3), flat, given=(2, 3), result=(6,))).outputs == {"output": "output"}
    assert network(chain(D.lif(4), D.linear(4, 4), given=(4,), result=(4,))).outputs == {"output": "output"}
    assert network(chain(D.lif(4), nir.Scale(np.ones(4)), given=(4,), result=(4,))).outputs == {"output": "n1"}


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
