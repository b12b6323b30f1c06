"""Sparse maps by delay, and that fusing neither copies weights nor widens them."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.nodes import SparseLinear
from hasn.program.fuse import Network, fuse
from hasn.program.maps import Dense, Sparse, decoded, distinct
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(4)


def network(net: nir.NIRGraph) -> Network:
    return fuse(hasn.lower(net, dt=DT))


def by_delay(net: Network, target: str) -> dict[int, list[list[float]]]:
    return {p.delay: p.weights.toarray().tolist() for p in net.into(target)}


def test_each_delay_is_a_part() -> None:
    """[[1 (late by 2), 2, 0], [0, 0, 0], [3 (2), 0, 4 (5)]]; the same place twice, too."""
    weight = np.array([1.0, 2.0, 3.0, 4.0, 7.0])
    indices, ends = np.array([0, 1, 0, 2, 2], np.int32), np.array([0, 2, 2, 5], np.int32)
    sparse = Sparse(weight, indices, ends, 3, 3, delay=np.array([2, 0, 2, 5, 2], np.uint8))
    found = {steps: matrix.toarray().tolist() for steps, matrix in sparse.parts((3,))}
    assert found == {
        0: [[0, 2, 0], [0, 0, 0], [0, 0, 0]],
        2: [[1, 0, 0], [0, 0, 0], [3, 0, 7]],
        5: [[0, 0, 0], [0, 0, 0], [0, 0, 4]],
    }
    assert list(found) == [0, 2, 5]
    assert sparse.matrix((3,)).toarray().tolist() == [[1, 2, 0], [0, 0, 0], [3, 0, 11]]


def test_distinct_delays_of_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.program.maps._BLOCK", 3)
    assert distinct(np.array([5, 5, 0, 2, 2, 5, 9], np.uint8)) == [0, 2, 5, 9]


def test_int8_is_decoded_to_the_nearest_float32() -> None:
    values = decoded(np.array([3, -128, 127], np.int8), np.array([0.1, 0.3], np.float32), np.array([0, 1, 3]))
    exact = [3 * float(np.float32(0.1)), -128 * float(np.float32(0.3)), 127 * float(np.float32(0.3))]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.array(exact).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_chain_of_one_matrix_shares_its_weights(dtype: type) -> None:
    sparse = SparseLinear(csr_array(D.weight(4, 3).astype(dtype)))
    net = chain(sparse, nir.Delay(np.full(4, 2 * DT)), D.lif(4), given=(3,), result=(4,))
    program = hasn.lower(net, dt=DT)
    (projection,) = fuse(program).into("n3")
    assert (projection.delay, projection.weights.data.dtype) == (2, dtype)
    assert np.shares_memory(projection.weights.data, program.node("n1").map.weight)
    assert np.shares_memory(projection.weights.indices, sparse.indices)


def test_float32_stays_float32_where_nothing_is_multiplied() -> None:
    weight = D.weight(4, 3).astype(np.float32)
    late = nir.Delay(np.array([0, 1, 0, 1]) * DT)
    found = network(chain(nir.Linear(weight), late, D.lif(4), given=(3,), result=(4,)))
    assert {p.weights.data.dtype for p in found.into("n3")} == {np.dtype(np.float32)}
    assert by_delay(found, "n3") == {
        0: (weight * np.array([[1], [0], [1], [0]])).tolist(),
        1: (weight * np.array([[0], [1], [0], [1]])).tolist(),
    }


def test_products_and_sums_of_float32_are_taken_in_float64() -> None:
    a, b, c = (D.weight(*shape).astype(np.float32) for shape in ((4, 3), (5, 4), (5, 3)))
    nodes = {"input": inp(3), "a": nir.Linear(a), "b": nir.Linear(b), "c": nir.Linear(c), "n": D.lif(5),
             "output": out(5)}  # fmt: skip
    (found,) = network(graph(nodes, "input > a > b > n > output", "input > c > n")).into("n")
    exact = b.astype(np.float64) @ a.astype(np.float64) + c.astype(np.float64)
    assert found.weights.data.dtype == np.float64
    np.testing.assert_allclose(found.weights.toarray(), exact, rtol=1e-14)


def test_delays_add_up_along_a_chain_and_a_bias_takes_them() -> None:
    """Synapses of 0 and 2 steps behind those of 1; the bias before them arrives at two times."""
    first = SparseLinear(csr_array(np.array([[2.0, 0.0], [0.0, 3.0]])), np.array([1, 0]))
    second = SparseLinear(csr_array(np.array([[5.0, 7.0]])), np.array([0, 2]))
    biased = nir.Affine(np.eye(2), np.array([10.0, 100.0]))
    net = network(chain(biased, first, second, D.lif(1), given=(2,), result=(1,)))
    assert by_delay(net, "n4") == {1: [[10, 0]], 2: [[0, 21]]}
    drives = {onset: value.tolist() for onset, value in net.drives["n4"].items()}
    assert drives == {1: [100.0], 2: [2100.0]}


def test_a_synapse_of_weight_0_is_one() -> None:
    weight = csr_array((np.array([0.0, 1.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    for delay, counts in ((None, {0: 2}), (np.array([1, 1]), {1: 2}), (np.array([3, 0]), {3: 1, 0: 1})):
        found = network(chain(SparseLinear(weight, delay), D.lif(1), given=(2,), result=(1,)))
        assert {p.delay: p.weights.nnz for p in found.into("n2")} == counts


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_a_dense_matrix_in_compressed_rows(dtype: type, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of leading dimensions stand on the diagonal; zeros are left out, whole rows of them too."""
    monkeypatch.setattr("hasn.program.maps._BLOCK", block)
    weight = np.arange(1, 25).reshape(2, 3, 4).astype(dtype)
    weight[0, 1], weight[1, 2, 3] = 0, 0
    found = Dense(weight).matrix((2, 4))
    wanted = np.zeros((6, 8))
    wanted[:3, :4], wanted[3:, 4:] = weight
    np.testing.assert_array_equal(found.toarray(), wanted)
    assert found.nnz == 19
    assert found.data.dtype == (np.float32 if dtype in (np.float32, np.float16) else np.float64)


#: One synapse that no run waits for.
LATE = SparseLinear(csr_array(np.array([[0.5, 1.0], [0.7, 0.2]])), np.array([0, 2**31 - 1, 1, 2]))


@pytest.mark.parametrize("backend", ["snntorch", "brian2", pytest.param("lava", marks=pytest.mark.lava)])
def test_what_comes_after_a_run_is_no_part_of_it(backend: str) -> None:
    without = SparseLinear(csr_array(np.array([[0.5, 0.0], [0.7, 0.2]])), np.array([0, 1, 2]))
    lif = D.lif(2)
    found, wanted = (
        hasn.compile(chain(node, lif, given=(2,), result=(2,)), backend, dt=DT)
        .run(np.ones((12, 2)), record="voltages")
        .voltages["n2"]
        for node in (LATE, without)
    )
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(found, wanted, rtol=1e-14)
