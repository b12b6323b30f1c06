"""Foreign files: what is mended is listed, and what was mended runs as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, HasnError, ParameterError, RepairWarning, TimeStepError
from hasn.nodes import kind as module
from hasn.nodes.kind import broadcast
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(7)


def changes(g: nir.NIRGraph, **options: Any) -> tuple[nir.NIRGraph, list[str]]:
    mended = hasn.repair(g, **options)
    return mended.graph, [str(change) for change in mended.changes]


def errors(g: nir.NIRGraph) -> list[str]:
    return [str(finding) for finding in hasn.check(g, dt=DT) if finding.severity == "error"]


def test_a_sound_graph_is_left_alone() -> None:
    d = Draw(0)
    g = chain(d.affine(4, 3), d.lif(4), given=(3,), result=(4,))
    g.metadata["dt"] = DT
    assert changes(g)[1] == []


def test_scalar_parameters_take_the_shape_that_arrives() -> None:
    d = Draw(1)
    scalar = {
        k: np.array(v) for k, v in {"tau": 8e-3, "r": 6.0, "v_leak": 0.0, "v_threshold": 1.1, "v_reset": 0.0}.items()
    }
    g = graph(
        {"input": inp(3), "w": d.linear(5, 3), "lif": nir.LIF(**scalar), "output": out(5)}, "input > w > lif > output"
    )
    assert any("shape mismatch" in text for text in errors(g))
    mended, said = changes(g)
    assert "node 'lif' tau: brought to shape (5,); got ()" in said
    assert errors(mended) == []
    full = graph(
        {**g.nodes, "lif": nir.LIF(**{k: np.full(5, v) for k, v in scalar.items()})}, "input > w > lif > output"
    )
    x = np.random.default_rng(0).random((40, 3)) < 0.5
    one, other = (ProgramInterpreter(hasn.lower(net, dt=DT)).run(x) for net in (mended, full))
    assert one.output.any()
    np.testing.assert_array_equal(one.output, other.output)
    assert np.shape(g.nodes["lif"].tau) == ()  # the caller's graph is not changed


def test_channel_parameters_and_sides_of_one() -> None:
    d = Draw(2)
    per_channel = {
        k: np.full((3, 1, 1), v) for k, v in {"tau": 8e-3, "r": 6.0, "v_leak": 0.0, "v_threshold": 0.4}.items()
    }
    nodes = {
        "input": inp(2, 5, 5),
        "conv": d.conv2d(3, 2, (2, 2)),
        "lif": nir.LIF(**per_channel),
        "output": out(3, 4, 4),
    }
    mended, said = changes(graph(nodes, "input > conv > lif > output"))
    assert "node 'lif' r: brought to shape (3, 4, 4); got (3, 1, 1)" in said
    assert errors(mended) == []
    squeezed = graph({"input": inp(1), "lif": d.lif(1, 1, 1), "output": out(1)}, "input > lif > output")
    assert errors(changes(squeezed)[0]) == []


def test_a_flatten_that_counts_the_batch() -> None:
    """Exporters that pass on torch's start_dim=1: NIR counts without the batch."""
    d = Draw(6)
    nodes = {"input": inp(2, 3, 3), "flat": nir.Flatten({"input": np.array([2, 3, 3])}, 1, -1), "w": d.linear(4, 18),
             "lif": d.lif(4), "output": out(4)}  # fmt: skip
    g = graph(nodes, "input > flat > w > lif > output")
    mended, said = changes(g)
    assert "node 'flat' start_dim: now 0: it was counted with the batch, as torch does; got 1" in said
    assert errors(mended) == []
    rows = graph(
        {**nodes, "w": d.linear(4, 9), "lif": d.lif(2, 4), "output": out(2, 4)}, "input > flat > w > lif > output"
    )
    assert "shape mismatch" in errors(rows)[0]  # no dimension of a Flatten makes 9 of 2 x 3 x 3
    assert any("shape mismatch" in text for text in errors(changes(rows)[0]))


BATCH = "it was counted with the batch, as torch does"


@pytest.mark.parametrize(
    ("dims", "wanted", "mended", "said"),
    [
        ((1, 2), (6, 4), (0, 1), [f"start_dim: now 0: {BATCH}; got 1", f"end_dim: now 1: {BATCH}; got 2"]),
        ((2, -1), (24,), None, []),  # (2, 3, 4) as it stands, (2, 12) counted with the batch
        ((2, -1), (2, 12), (1, -1), [f"start_dim: now 1: {BATCH}; got 2"]),
        ((1, -2), (6, 4), (0, -2), [f"start_dim: now 0: {BATCH}; got 1"]),
        # As they stand there are no such dimensions, so the batch is counted whatever follows.
        ((1, 3), (24,), (0, 2), [f"start_dim: now 0: {BATCH}; got 1", f"end_dim: now 2: {BATCH}; got 3"]),
        ((2, 3), (2, 12), (1, 2), [f"start_dim: now 1: {BATCH}; got 2", f"end_dim: now 2: {BATCH}; got 3"]),
        ((3, 3), (2, 3, 4), (2, 2), [f"start_dim: now 2: {BATCH}; got 3", f"end_dim: now 2: {BATCH}; got 3"]),
        ((1, 4), (24,), None, []),
        ((1, 2), (2, 12), (1, 2), []),  # sound as it stands
        ((0, 2), (24,), (0, 2), []),
        ((0, 1), (24,), None, []),
        ((0, 2), (6, 4), None, []),  # from the batch on: torch would flatten the samples into one another
        ((1, 0), (24,), None, []),
    ],
)
def test_a_flatten_of_some_dimensions(
    dims: tuple[int, int], wanted: tuple[int, ...], mended: tuple[int, int] | None, said: list[str]
) -> None:
    """Of (2, 3, 4), into neurons of the wanted shape; None: no way of counting gives it, and nothing is changed."""
    flat = nir.Flatten({"input": np.array([2, 3, 4])}, *dims)
    g = graph(
        {"input": inp(2, 3, 4), "flat": flat, "lif": Draw(6).lif(*wanted), "output": out(*wanted)},
        "input > flat > lif > output",
    )
    found, changed = changes(g)
    assert [text for text in changed if "_dim" in text] == [f"node 'flat' {text}" for text in said]
    assert (int(found.nodes["flat"].start_dim), int(found.nodes["flat"].end_dim)) == (mended or dims)
    assert bool(errors(found)) == (mended is None)
    assert (flat.start_dim, flat.end_dim) == dims


def test_what_could_be_meant_in_two_ways_is_not_guessed() -> None:
    d = Draw(3)
    wrong = graph({"input": inp(6), "lif": d.lif(3), "output": out(3)}, "input > lif > output")
    mended, _ = changes(wrong)
    assert any("shape mismatch along the edge from 'input'" in text for text in errors(mended))


def test_edges_listed_twice_and_bytes() -> None:
    d = Draw(4)
    lif = d.lif(3, metadata={"reset": b"subtract"})
    g = graph({"input": inp(2), "w": d.linear(3, 2), "lif": lif, "output": out(3)}, "input > w > lif > output")
    g.edges.append(("w", "lif"))
    mended, said = changes(g)
    assert any("listed 2 times, now once" in text for text in said)
    assert any("metadata['reset']: bytes are now a string" in text for text in said)
    assert errors(mended) == []
    assert hasn.lower(mended, dt=DT).by_name["lif"].reset == "subtract"  # type: ignore[union-attr]


def test_dt_that_the_resistance_betrays() -> None:
    n, dt = 4, 1e-4
    tau = np.array([1e-3, 2e-3, 3e-3, 4e-3])
    lif = nir.LIF(tau=tau, r=tau / dt, v_leak=np.zeros(n), v_threshold=np.ones(n))
    g = graph({"input": inp(n), "lif": lif, "output": out(n)}, "input > lif > output")
    mended, said = changes(g)
    assert mended.metadata["dt"] == dt
    assert "dt: set to 0.0001 s, which r = tau/dt points to" in said
    assert changes(g, dt=2e-3)[0].metadata["dt"] == 2e-3


def test_types_that_nir_infers_wrongly_are_corrected_and_said(tmp_path: Path) -> None:
    """nir 1.0.8 takes the kernel's first side for both, and forgets groups."""
    d = Draw(5)
    conv = d.conv2d(4, 4, (3, 2), groups=2, input_shape=(6, 6))
    assert conv.output_type["output"].tolist() == [4, 4, 4]  # nir; torch gives (4, 4, 5)
    pool = nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))
    nodes = {"input": inp(4, 6, 6), "conv": conv, "pool": pool, "output": out(4, 2, 5)}
    g = graph(nodes, "input > conv > pool > output")
    mended, said = changes(g)
    assert mended.nodes["conv"].output_type["output"].tolist() == [4, 4, 5]
    assert mended.nodes["pool"].output_type["output"].tolist() == [4, 2, 5]
    assert any("node 'conv' output_type: corrected: (4, 4, 5); got (4, 4, 4)" in text for text in said)
    hasn.save(g, tmp_path / "conv.nir")
    with pytest.raises(ValueError, match="type mismatch"):
        nir.read(tmp_path / "conv.nir")
    assert errors(hasn.load(tmp_path / "conv.nir")) == []


def test_load_mends_lists_and_keeps_the_list(nir_file: Path) -> None:
    with h5py.File(nir_file, "r+") as file:
        lif = next(node for node in file["node/nodes"].values() if node["type"][()] == b"LIF")
        value = float(lif["r"][()].reshape(-1)[0])
        del lif["r"]
        lif["r"] = value  # one number where NIR wants one for each neuron
    with pytest.raises(ParameterError, match="r"):
        hasn.load(nir_file)
    with pytest.warns(RepairWarning, match=r"1 repair\(s\):\n  node '.*' r: one value for all"):
        g = hasn.load(nir_file, repair=True)
    assert "one value for all" in g.metadata["repairs"]
    assert errors(g) == []
    again = nir_file.parent / "mended.nir"
    hasn.save(g, again)
    assert hasn.load(again).metadata["repairs"] == g.metadata["repairs"]


def test_a_file_older_than_v_reset_is_read_and_noted(nir_file: Path) -> None:
    with h5py.File(nir_file, "r+") as file:
        for node in file["node/nodes"].values():
            if "v_reset" in node:
                del node["v_reset"]
    g = hasn.load(nir_file)
    notes = [finding for finding in hasn.check(g) if finding.parameter == "v_reset"]
    assert notes
    assert all("older than NIR's v_reset" in note.message and "reset='subtract'" in note.repair for note in notes)
    assert all(not np.any(node.v_reset) for node in g.nodes.values() if isinstance(node, nir.LIF))


def test_what_cannot_be_mended_fails_with_the_reason(nir_file: Path) -> None:
    with h5py.File(nir_file, "r+") as file:
        name = next(name for name, node in file["node/nodes"].items() if node["type"][()] == b"LIF")
        del file[f"node/nodes/{name}/tau"]
    with pytest.raises(HasnError, match="tau"):
        hasn.load(nir_file, repair=True)
    nowhere = graph({"input": inp(2), "output": out(2)}, "input > output")
    nowhere.edges.append(("input", "gone"))
    assert any("there is no such node" in text for text in errors(changes(nowhere)[0]))
    with pytest.raises(GraphError, match=r"node 'gone': .*there is no such node"):
        hasn.lower(changes(nowhere)[0], dt=DT)


def test_edges_and_texts_of_nested_graphs_by_their_outer_names() -> None:
    inner = chain(Draw(1).lif(3, metadata={"reset": b"subtract", "from": "a"}), given=(3,), result=(3,))
    inner.edges = [("input", "n1"), ("n1", "output"), ("input", "n1"), ("input", "n1")]
    inner.metadata["by"] = b"a tool"
    net = chain(inner, D.conv2d(2, 3, (1, 1), padding=0), given=(3,), result=(3,))
    net.nodes["n2"].padding = b"valid"
    mended = hasn.repair(net, dt=DT)
    assert mended.graph.nodes["n1"].edges == [("input", "n1"), ("n1", "output")]
    assert mended.graph.nodes["n2"].padding == "valid"
    assert mended.graph.nodes["n1"].metadata == {"by": "a tool"}
    said = {(c.node, c.parameter): (c.message, c.got) for c in mended.changes}
    assert said["n1.n1", ""] == ("the edge from 'n1.input' was listed 3 times, now once", None)
    assert said["n1.n1", "metadata['reset']"] == ("bytes are now a string", b"subtract")
    assert said["n1", "metadata['by']"] == ("bytes are now a string", b"a tool")
    assert said["n2", "padding"] == ("bytes are now a string", b"valid")
    assert all(c.severity == "note" for c in mended.changes)
    assert inner.nodes["n1"].metadata["reset"] == b"subtract"  # the caller's graph is not changed
    assert len(inner.edges) == 4


KINDS = {
    "I": {"r": 2.0},
    "IF": {"r": 2.0, "v_threshold": 1.0, "v_reset": 0.1},
    "LI": {"tau": 0.3, "r": 2.0, "v_leak": 0.1},
    "LIF": {"tau": 0.3, "r": 2.0, "v_leak": 0.1, "v_threshold": 1.0, "v_reset": 0.2},
    "CubaLI": {"tau_syn": 0.3, "tau_mem": 0.4, "r": 2.0, "v_leak": 0.1, "w_in": 0.9},
    "CubaLIF": {"tau_syn": 0.3, "tau_mem": 4, "r": 2.0, "v_leak": 0.1, "w_in": 0.9, "v_threshold": 1.0, "v_reset": 0.2},
    "Scale": {"scale": 0.7},
    "Threshold": {"threshold": 0.7},
    "Delay": {"delay": 2e-3},
}  # fmt: skip


@pytest.mark.parametrize("given", [(), (1,), (1, 1, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_elementwise_parameter_is_brought_to_what_arrives(kind: str, given: tuple[int, ...]) -> None:
    node = getattr(nir, kind)(**{name: np.full(given, value) for name, value in KINDS[kind].items()})
    mended = hasn.repair(chain(node, given=(2, 3), result=(2, 3)), dt=DT)
    for name, value in KINDS[kind].items():
        np.testing.assert_array_equal(getattr(mended.graph.nodes["n1"], name), np.full((2, 3), value))
        assert np.shape(getattr(node, name)) == given
    brought = [(c.node, c.parameter, c.message, c.got) for c in mended.changes if "brought" in c.message]
    assert brought == [("n1", name, "brought to shape (2, 3)", given) for name in KINDS[kind]]
    assert errors(mended.graph) == []


def test_only_the_parameters_that_do_not_fit_are_brought_and_named() -> None:
    lif = D.lif(2, 3)
    net = chain(lif, given=(2, 3), result=(2, 3))
    lif.r, lif.tau, lif.v_leak, lif.v_threshold = (np.full((1, 3), v) for v in (5.0, 6e-3, 0.1, 1.0))
    lif.v_reset = np.full((1, 3), 0.2)
    said = changes(net, dt=DT)[1]
    assert [text.split(":")[0] for text in said if "brought" in text] == [
        f"node 'n1' {name}" for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")
    ]


@pytest.mark.parametrize(
    ("value", "shape", "wanted"),
    [
        (2.0, (2, 3), [[2.0] * 3] * 2),
        ([[[2.0]]], (3,), [2.0] * 3),
        ([1.0, 2.0], (1, 2, 1), [[[1.0], [2.0]]]),
        ([[[1.0]], [[2.0]]], (2,), [1.0, 2.0]),
        ([[1.0], [2.0]], (2, 3), [[1.0] * 3, [2.0] * 3]),
        ([[1.0, 2.0]], (2, 2), [[1.0, 2.0]] * 2),
        ([1.0, 2.0], (2, 2), None),  # rows or columns?
        ([1.0, 2.0], (2, 3), None),
        ([1.0, 2.0], (3,), None),
        ([[1.0], [2.0]], (3, 3), None),
        ([[1.0, 2.0]], (2, 1, 2), None),
        ([1.0, 2.0, 3.0, 4.0], (2, 2), None),
    ],
)
def test_broadcasting_where_there_is_one_way_to_mean_it(value: Any, shape: tuple[int, ...], wanted: Any) -> None:
    given = np.array(value)
    found = broadcast(given, shape)
    assert (found if found is None else found.tolist()) == wanted


def test_a_result_too_large_to_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred million elements at most; here six."""
    assert module._MOST_ELEMENTS == 10**8  # 0.8 GB
    monkeypatch.setattr(module, "_MOST_ELEMENTS", 6)
    found = broadcast(np.ones(1), (2, 3))
    assert found is not None
    assert found.shape == (2, 3)
    assert broadcast(np.ones(1), (7,)) is None


def test_what_was_broadcast_can_be_written() -> None:
    """Each element by itself: numpy's views share one."""
    found = broadcast(np.array([[1.0], [2.0]]), (2, 3))
    assert found is not None
    found[0, 0] = 9.0
    assert found.tolist() == [[9.0, 1.0, 1.0], [2.0, 2.0, 2.0]]


@pytest.mark.parametrize(("start", "mended"), [(1, 0), (2, 1)])
def test_a_flatten_is_counted_anew_only_where_that_makes_it_fit(start: int, mended: int) -> None:
    """(2, 3, 4) with start 1 gives (2, 12), with 0 (24,); with start 2 nothing changes, with 1 (2, 12)."""
    result = (24,) if mended == 0 else (2, 12)
    net = chain(nir.Flatten({"input": np.array([2, 3, 4])}, start, -1), D.lif(*result), given=(2, 3, 4), result=result)
    found = hasn.repair(net, dt=DT)
    assert (found.graph.nodes["n1"].start_dim, found.graph.nodes["n1"].end_dim) == (mended, -1)
    said = f"now {mended}: it was counted with the batch, as torch does"
    assert [(c.parameter, c.got) for c in found.changes if c.message == said] == [("start_dim", start)]
    assert net.nodes["n1"].start_dim == start
    assert errors(found.graph) == []
    right = chain(nir.Flatten({"input": np.array([2, 3, 4])}, mended, -1), D.lif(5), given=(2, 3, 4), result=(5,))
    assert hasn.repair(right, dt=DT).graph.nodes["n1"].start_dim == mended
    assert errors(hasn.repair(right, dt=DT).graph)


def test_a_recorded_shape_that_contradicts_what_arrives() -> None:
    """The parameters say what a node does; a recorded shape only repeats it."""
    conv = D.conv2d(2, 4, (2, 3), groups=2, input_shape=(9, 9))
    conv1 = D.conv1d(3, 2, 2, input_shape=9)
    flat = nir.Flatten({"input": np.array([2, 9, 9])}, 0, -1)
    net = chain(conv, nir.Flatten({"input": np.array([2, 1, 9])}, 1, 2), conv1, given=(4, 5, 6), result=(15, 3))
    mended = hasn.repair(net, dt=DT)
    nodes = mended.graph.nodes
    assert (nodes["n1"].input_shape, nodes["n2"].input_type["input"].tolist()) == ((5, 6), [2, 4, 4])
    assert (nodes["n3"].input_shape, type(nodes["n3"].input_shape)) == (16, int)
    assert nodes["output"].output_type["output"].tolist() == nodes["output"].input_type["input"].tolist() == [3, 15]
    said = [(c.node, c.parameter, c.message, c.got) for c in mended.changes]
    for change in [
        ("n1", "input_shape", "now (5, 6), as it arrives", (9, 9)),
        ("n2", "input_type", "now (2, 4, 4), as it arrives", (2, 1, 9)),
        ("n3", "input_shape", "now (16,), as it arrives", (9,)),
        ("output", "shape", "now (3, 15), as it arrives", (15, 3)),
    ]:
        assert change in said
    assert errors(mended.graph) == []
    assert (conv.input_shape, conv1.input_shape, flat.input_type["input"].tolist()) == ((9, 9), 9, [2, 9, 9])


def test_what_a_recorded_shape_cannot_explain_is_left() -> None:
    two = {"a": inp(2, 5, 5), "b": inp(2, 6, 5), "c": D.conv2d(3, 2, (2, 2)), "o": out(3, 4, 4)}
    for net in (
        chain(D.conv2d(3, 2, (2, 2), input_shape=(5, 5)), given=(4, 5, 5), result=(3, 4, 4)),  # channels
        chain(D.conv2d(3, 2, (2, 2), input_shape=(5, 5)), given=(2, 5), result=(3, 4, 4)),
        graph(two, "a > c > o", "b > c"),  # two that arrive, and nothing recorded
        chain(D.affine(3, 4), given=(5,), result=(3,)),
        chain(D.lif(6), given=(6,), result=(7,)),
    ):
        mended = hasn.repair(net, dt=DT)
        assert [c for c in mended.changes if "as it arrives" in c.message or "brought" in c.message] == []
        assert any("shape mismatch" in text for text in errors(mended.graph))


def test_many_mends_in_one_graph_in_the_direction_of_the_signals() -> None:
    one = np.array(0.5)
    nodes = [nir.Scale(one), nir.LIF(one, one, one, one, one), nir.Delay(np.array(2e-3)), nir.Threshold(one)]
    mended, said = changes(chain(*nodes, given=(2, 3), result=(3, 2)), dt=DT)
    order = [text.split("'")[1] for text in said if "brought" in text or "as it arrives" in text]
    assert list(dict.fromkeys(order)) == ["n1", "n2", "n3", "n4", "output"]
    assert errors(mended) == []


def test_types_left_open_are_filled_in_and_said() -> None:
    net = chain(D.conv1d(3, 2, 2), nir.Flatten({"input": None}, 0, -1), given=(2, 4), result=(9,))
    mended = hasn.repair(net, dt=DT)
    said = {(c.node, c.parameter): (c.message, c.got) for c in mended.changes}
    assert said["n1", "input_type"] == ("filled in: (2, 4)", None)
    assert said["n1", "output_type"] == ("filled in: (3, 3)", None)
    assert said["n2", "input_type"] == ("filled in: (3, 3)", None)
    assert said["n2", "output_type"] == ("filled in: (9,)", None)
    assert mended.graph.nodes["n2"].output_type["output"].tolist() == [9]


def test_dt_is_proposed_only_where_nobody_says_it() -> None:
    net = chain(nir.LIF(*(np.full(2, v) for v in (1e-2, 100.0, 0.0, 1.0, 0.0))), given=(2,), result=(2,))
    mended = hasn.repair(net)
    assert mended.graph.metadata["dt"] == 1e-4
    assert [(c.node, c.parameter) for c in mended.changes] == [("", "dt")]
    net.metadata["dt"] = np.array([5e-4])
    assert (hasn.repair(net).graph.metadata["dt"], hasn.repair(net).changes) == (5e-4, [])
    assert hasn.repair(net, dt=2e-3).graph.metadata["dt"] == 2e-3
    with pytest.raises(TimeStepError, match="dt: "):
        hasn.repair(net, dt=-1.0)
    plain = chain(D.affine(2, 2), given=(2,), result=(2,))
    assert ("dt" in hasn.repair(plain).graph.metadata, hasn.repair(plain).changes) == (False, [])


def test_a_graph_with_a_bad_value_is_mended_all_the_same_and_one_that_is_no_number_no_further_than_its_form() -> None:
    for tau, shape in ((np.full(3, -1.0), (3,)), (np.array(["a"] * 3), ())):
        net = chain(D.lif(3), nir.Scale(np.array(0.5)), given=(3,), result=(3,))
        net.nodes["n1"].tau = tau
        net.edges.append(("n1", "n2"))
        mended, said = changes(net, dt=DT)
        assert said[0].startswith("node 'n2': the edge from 'n1' was listed 2 times")
        assert (mended.metadata["dt"], np.shape(mended.nodes["n2"].scale)) == (DT, shape)
    broken = graph({"input": inp(2), "output": out(2)}, "input > gone")
    assert hasn.repair(broken, dt=DT).graph.metadata == {}
