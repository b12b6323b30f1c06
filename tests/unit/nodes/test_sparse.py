"""SparseLinear as a node: what it keeps, what is wrong with it, files, plain NIR."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, random_array

import hasn
from hasn.errors import ParameterError, UnsupportedError
from hasn.nodes import AdaptiveLIF, SparseLinear
from hasn.nodes.lookup import kind_of
from hasn.program.describe import summaries
from hasn.program.stages import cut
from tests.graphs import DT, Draw, chain, graph, inp, out, spikes

#: Two outputs, three inputs: [[0.5, 0, -1], [0, 0.25, 0]].
WEIGHT = csr_array(np.array([[0.5, 0.0, -1.0], [0.0, 0.25, 0.0]]))


def shown(node: nir.NIRNode, given: int = 3, result: int = 2, **metadata: Any) -> nir.NIRGraph:
    nodes = {"input": inp(given), "w": node, "output": out(result)}
    return graph(nodes, "input > w > output", **{"dt": DT, **metadata})


def refused(node: SparseLinear) -> str:
    """What is wrong with it; compiling raises the same."""
    net = shown(node)
    (finding,) = [finding for finding in hasn.check(net) if finding.severity == "error"]
    with pytest.raises(ParameterError) as caught:
        hasn.compile(net)
    assert caught.value.node == "w"
    assert str(caught.value) == str(finding)
    return str(finding)


# --- what it keeps


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_weights_stay_in_the_type_they_come_in(dtype: str) -> None:
    node = SparseLinear(WEIGHT if dtype == "float16" else WEIGHT.astype(dtype), dtype=dtype)
    assert node.data.dtype == dtype
    np.testing.assert_array_equal(node.weight.toarray(), WEIGHT.toarray())


def test_other_numbers_become_float64() -> None:
    node = SparseLinear(csr_array(np.array([[0, 3], [-2, 0]])))
    assert node.data.dtype == np.float64
    np.testing.assert_array_equal(node.weight.toarray(), [[0, 3], [-2, 0]])


def test_the_callers_matrix_and_the_nodes_are_two() -> None:
    weight, delay = WEIGHT.copy(), np.array([3, 1, 2])
    node = SparseLinear(weight, delay)
    weight.data[:], weight.indices[:], delay[:] = 9.0, 0, 9
    np.testing.assert_array_equal(node.weight.toarray(), WEIGHT.toarray())
    np.testing.assert_array_equal(node.delay, [3, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        node.indices[0] = 1


def test_int8_weights_are_the_float32_next_to_integer_times_scale() -> None:
    integers = csr_array(np.array([[100, 0, -3], [0, 7, 0]], dtype=np.int8))
    one, each = SparseLinear(integers, scale=0.1), SparseLinear(integers, scale=[0.1, 0.2])
    assert one.data.dtype == np.int8
    tenth, fifth = float(np.float32(0.1)), float(np.float32(0.2))
    np.testing.assert_array_equal(
        one.weight.toarray(), np.array([[100 * tenth, 0, -3 * tenth], [0, 7 * tenth, 0]], dtype=np.float32)
    )
    np.testing.assert_array_equal(each.weight.toarray()[1], np.array([0, 7 * fifth, 0], dtype=np.float32))


def test_int8_takes_each_outputs_largest_weight_for_its_scale() -> None:
    node = SparseLinear(csr_array(np.array([[1.0, -0.5], [0.0, 0.0], [0.002, 0.001]])), dtype="int8")
    np.testing.assert_array_equal(np.abs(node.data), [127, 63, 127, 63])  # 63.49... of 127: rounded up scales
    np.testing.assert_allclose(node.weight.toarray(), [[1, -0.5], [0, 0], [0.002, 0.001]], rtol=0.01)


def test_set_weights_keep_the_type_that_holds_them() -> None:
    node = SparseLinear(csr_array(np.array([[64, 2]], dtype=np.int8)), scale=0.5)
    node.weight = np.array([1.5, -3.0])
    assert node.data.tolist() == [3, -6]
    node.weight = np.array([1.5, 0.3])
    assert node.data.dtype == np.float64
    assert node.scale is None
    np.testing.assert_array_equal(node.weight.toarray(), [[1.5, 0.3]])
    with pytest.raises(ParameterError, match="not of this pattern"):
        node.weight = np.zeros(3)


# --- what is wrong


def test_what_is_no_csr_matrix_is_refused_at_once() -> None:
    for weight in (WEIGHT.toarray(), WEIGHT.tocsc(), coo_array(WEIGHT)):
        with pytest.raises(ParameterError, match="weight: is no CSR matrix"):
            SparseLinear(weight)


def test_values_that_do_not_go_into_the_type_are_refused_at_once() -> None:
    with pytest.raises(ParameterError, match="weight: does not go into float16; got 100000"):
        SparseLinear(csr_array(np.array([[1e5]])), dtype="float16")
    with pytest.raises(ParameterError, match="scale: does not go into int8"):
        SparseLinear(WEIGHT, dtype="int8", scale=1e-3)
    with pytest.raises(ParameterError, match="scale: belongs to int8"):
        SparseLinear(WEIGHT, scale=0.1)
    with pytest.raises(ParameterError, match="no such type of weights; got int16"):
        SparseLinear(WEIGHT, dtype="int16")


@pytest.mark.parametrize(
    ("delay", "message"),
    [
        ([0, -2, 1], "delay: is negative; got -2 at synapse 1; wanted whole steps, 0 .. 2147483647"),
        ([0, 1, 2**31], "delay: is more steps than can be counted; got 2147483648 at synapse 2"),
        ([0, 1], r"delay: is not one a synapse; got \(2,\); wanted \(3,\)"),
        ([0.0, 1.0, 2.5], "delay: is no list of whole numbers; got float64"),
        ([[0, 1, 2]], "delay: is not one a synapse"),
    ],
)
def test_delays_without_meaning_are_named(delay: Any, message: str) -> None:
    assert re.search(message, refused(SparseLinear(WEIGHT, np.array(delay))))


def test_the_longest_delay_is_one_less_than_refused() -> None:
    (found,) = hasn.check(shown(SparseLinear(WEIGHT, np.array([0, 1, 2**31 - 1]))))
    assert found.severity == "warning"  # of what a stream would keep
    assert "2,147,483,647 steps of 3 element(s) are under way" in found.message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    weight = WEIGHT.copy()
    weight.data[1] = bad
    assert f"weight: has a value with no meaning; got {bad} at synapse 1" in refused(SparseLinear(weight))


def raw(data: Any, indices: Any, indptr: Any, shape: tuple[int, int] = (2, 3)) -> SparseLinear:
    """A node whose matrix scipy would refuse to make."""
    node = SparseLinear(csr_array(shape))
    node.data, node.indices, node.indptr = np.array(data, dtype=float), np.array(indices), np.array(indptr)
    return node


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (raw([1, 2], [0, 3], [0, 1, 2]), "indices: names an input that is not there; got 3; wanted 0 .. 2"),
        (raw([1, 2], [-1, 2], [0, 1, 2]), "indices: names an input that is not there; got -1"),
        (raw([1, 2], [0, 1], [0, 2, 1]), "indptr: does not divide the synapses"),
        (raw([1, 2], [0, 1], [0, 2]), "indptr: does not divide the synapses"),
        (raw([1, 2], [0, 1], [0, 1, 3]), "indptr: does not divide the synapses"),
        (raw([1, 2], [0, 1], [1, 1, 2]), "indptr: does not divide the synapses"),
        (raw([1, 2], [0.5, 1], [0, 1, 2]), "indices: are no whole numbers"),
    ],
)
def test_a_pattern_without_meaning_is_named(node: SparseLinear, message: str) -> None:
    assert message in refused(node)


def test_a_scale_without_meaning_is_named() -> None:
    integers = csr_array(np.array([[1, 0, 2], [0, 3, 0]], dtype=np.int8))
    assert "scale: has no meaning" in refused(SparseLinear(integers, scale=[0.1, 0.1, 0.1]))
    assert "scale: has no meaning" in refused(SparseLinear(integers, scale=np.nan))


def test_synapses_that_double_others_are_noted() -> None:
    """Same ends and same delay; rows out of order are nothing to remark."""
    weight = csr_array((np.ones(5), np.array([2, 0, 2, 2, 1]), np.array([0, 4, 5])), shape=(2, 3))
    (note,) = hasn.check(shown(SparseLinear(weight, np.array([1, 0, 1, 3, 1]))))
    assert (note.severity, note.node) == ("note", "w")
    assert note.message.startswith("1 synapses join elements that another one joins")
    assert hasn.check(shown(SparseLinear(weight, np.array([1, 0, 2, 3, 1])))) == []
    (note,) = hasn.check(shown(SparseLinear(weight)))
    assert note.message.startswith("2 synapses")


def test_doubles_are_found_in_every_block_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.nodes.sparse_findings._BLOCK", 2)
    weight = csr_array((np.ones(7), np.array([0, 1, 2, 2, 0, 1, 1]), np.array([0, 2, 2, 4, 7])), shape=(4, 3))
    (note,) = hasn.check(shown(SparseLinear(weight), result=4))
    assert note.message.startswith("2 synapses")


def test_a_target_of_another_size_is_a_shape_error() -> None:
    (finding,) = [f for f in hasn.check(shown(SparseLinear(WEIGHT), given=4)) if f.severity == "error"]
    assert (finding.node, finding.got) == ("w", (4,))


# --- files


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8"])
@pytest.mark.parametrize("delay", [None, np.array([4, 0, 300], dtype=np.uint16)])
def test_a_file_keeps_every_type(dtype: str, delay: Any, tmp_path: Path) -> None:
    node = SparseLinear(WEIGHT, delay, dtype=dtype, metadata={"label": "synapses"})
    hasn.save(shown(node), tmp_path / "w.nir")
    back = hasn.load(tmp_path / "w.nir").nodes["w"]
    assert type(back) is SparseLinear
    for name in ("data", "indices", "indptr", "delay", "scale"):
        before, after = getattr(node, name), getattr(back, name)
        assert (before is None) == (after is None)
        if before is not None:
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
    assert (back.shape, back.metadata) == ((2, 3), {"label": "synapses"})


def test_other_readers_refuse_the_file(tmp_path: Path) -> None:
    hasn.save(shown(SparseLinear(WEIGHT)), tmp_path / "w.nir")
    with pytest.raises((ValueError, AssertionError)):  # nir 1.0.8 asserts that it knows a node's type
        nir.read(tmp_path / "w.nir")


@pytest.mark.parametrize("part", ["data", "indices", "indptr", "shape"])
def test_a_file_without_a_part_is_refused_by_its_name(part: str, tmp_path: Path) -> None:
    hasn.save(shown(SparseLinear(WEIGHT)), tmp_path / "w.nir")
    with h5py.File(tmp_path / "w.nir", "r+") as file:
        del file[f"node/nodes/w/{part}"]
    with pytest.raises(ParameterError, match=f"node 'w' {part}: this SparseLinear lacks it"):
        hasn.load(tmp_path / "w.nir")


def test_a_file_with_a_part_of_another_kind_is_refused(tmp_path: Path) -> None:
    hasn.save(shown(SparseLinear(WEIGHT)), tmp_path / "w.nir")
    with h5py.File(tmp_path / "w.nir", "r+") as file:
        del file["node/nodes/w/indices"]
        file["node/nodes/w/indices"] = np.array([0.5, 1.0, 2.0])
    with pytest.raises(ParameterError, match="node 'w' indices: is no list of numbers; got float64"):
        hasn.load(tmp_path / "w.nir")


# --- in NIR's own primitives


def plain(net: nir.NIRGraph, path: Path) -> nir.NIRGraph:
    hasn.save(net, path, plain=True)
    return nir.read(path, type_check=False)


def test_without_delays_it_becomes_a_linear(tmp_path: Path) -> None:
    double = csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3))
    made = plain(shown(SparseLinear(double, np.zeros(3, dtype=int), dtype="float32")), tmp_path / "w.nir")
    assert type(made.nodes["w"]) is nir.Linear
    assert made.nodes["w"].weight.dtype == np.float32
    np.testing.assert_array_equal(made.nodes["w"].weight, [[0, 3, 0], [4, 0, 0]])
    assert sorted(made.nodes) == ["input", "output", "w"]


def test_a_delay_for_each_output_becomes_a_delay_behind(tmp_path: Path) -> None:
    """In a loop, too: the same spikes, and the caller's graph as it was."""
    d = Draw(5)
    weight = csr_array(np.where(d.rng.random((4, 4)) < 0.7, d.weight(4, 4, mean=0.1), 0.0))
    delay = np.repeat([3, 0, 1, 2], np.diff(weight.indptr))
    nodes = {"input": inp(6), "in": d.affine(4, 6), "n": d.lif(4), "w": SparseLinear(weight, delay), "output": out(4),
             "w_delay": nir.Scale(np.ones(4))}  # fmt: skip
    net = graph(nodes, "input > in > n > w_delay > output", "n > w > n", dt=DT)
    made = plain(net, tmp_path / "w.nir")
    assert type(net.nodes["w"]) is SparseLinear
    np.testing.assert_allclose(made.nodes["w_delay_"].delay, np.array([3, 0, 1, 2]) * DT)
    x = spikes((6,), 80)
    wanted, found = (hasn.compile(g, dt=DT).run(x).spikes["n"] for g in (net, made))
    assert 0.05 < wanted.mean() < 0.95
    np.testing.assert_array_equal(found, wanted)


def test_what_nir_cannot_say_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "w.nir"
    with pytest.raises(UnsupportedError, match="node 'w' delay: the synapses of output 0 have unequal delays"):
        hasn.save(shown(SparseLinear(WEIGHT, np.array([1, 2, 0]))), path, plain=True)
    large = csr_array((np.ones(1), np.zeros(1, int), np.r_[0, np.ones(100_001, int)]), shape=(100_001, 100_001))
    with pytest.raises(UnsupportedError, match="node 'w' weight: its 1 synapses would be a matrix of 10,000,200,001"):
        hasn.save(shown(SparseLinear(large), 100_001, 100_001), path, plain=True)
    lif = Draw(1).neuron("AdaptiveLIF", (3,))
    assert type(lif) is AdaptiveLIF
    with pytest.raises(UnsupportedError, match="node 'n1': NIR has no AdaptiveLIF"):
        hasn.save(chain(lif, given=(3,), result=(3,)), path, plain=True)
    late = shown(SparseLinear(WEIGHT, np.array([1, 1, 0])))
    del late.metadata["dt"]
    with pytest.raises(UnsupportedError, match="the graph does not say its time step"):
        hasn.save(late, path, plain=True)
    assert not path.exists()


# --- work


def test_every_synapse_is_an_operation() -> None:
    """One of weight 0 and two between the same neurons, of one delay or of two, included."""
    weight = csr_array((np.array([1.0, 0.0, 2.0, 3.0]), np.array([0, 1, 1, 1]), np.array([0, 2, 4])), shape=(2, 3))
    net = chain(SparseLinear(weight, np.array([0, 1, 2, 2])), Draw(1).lif(2), given=(3,), result=(2,))
    x = np.zeros((5, 3))
    x[0, 0], x[1:3, 1], x[:, 2] = 1, 1, 1
    recording = hasn.compile(net, dt=DT).run(x)
    assert recording.counts.synaptic_operations["input"] == 1 * 1 + 2 * 3


def test_a_random_matrix_of_scipys_runs_as_its_dense_form() -> None:
    weight = random_array((20, 30), density=0.2, format="csr", rng=np.random.default_rng(3))
    lif = Draw(2).lif(20)
    x = spikes((30,), 50)
    sparse, dense = (
        hasn.compile(chain(node, lif, given=(30,), result=(20,)), dt=DT).run(x, record=("spikes", "voltages"))
        for node in (SparseLinear(weight), nir.Linear(weight.toarray()))
    )
    np.testing.assert_array_equal(sparse.spikes["n2"], dense.spikes["n2"])
    np.testing.assert_allclose(sparse.voltages["n2"], dense.voltages["n2"], rtol=1e-12)


def test_a_reader_sees_how_many_synapses_there_are_and_their_delays() -> None:
    node = SparseLinear(WEIGHT, np.array([1, 4, 1]), dtype="float32")
    summary = next(s for s in summaries(hasn.lower(shown(node))) if s.name == "w")
    assert summary.kind == "SparseLinear"
    assert summary.details == ("3 synapses (50 % of 2 × 3), float32: -1 .. 0.5", "delays 1 .. 4 steps")
    kind = kind_of(node)
    assert kind.remark(node) == "3 synapses (50 %), float32"
    assert {key: value.tolist() for key, value in kind.values(node).items()} == {
        "weight": [0.5, -1.0, 0.25],
        "delay": [1, 4, 1],
    }


def test_a_stage_counts_synapses() -> None:
    """3 synapses, 2 weights and 4: the best cut is 3 + 2 | 4; with all 6 entries of the sparse one, 6 | 2 + 4."""
    d = Draw(1)
    layers = (SparseLinear(WEIGHT), d.lif(2), d.linear(1, 2), d.lif(1), d.linear(4, 1))
    first, second = cut(hasn.lower(chain(*layers, given=(3,), result=(4,)), dt=DT), 2)
    assert {"n1", "n3"} <= set(first.names)
    assert "n5" in second.names
