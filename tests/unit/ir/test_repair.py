"""Foreign files: what is mended is listed, and what was mended runs as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, HasnError, ParameterError, RepairWarning
from tests.graphs import DT, Draw, chain, graph, inp, out


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
    one, other = (hasn.compile(net, "snntorch", dt=DT).run(x) for net in (mended, full))
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
    with pytest.raises(GraphError):
        hasn.lower(changes(nowhere)[0], dt=DT)
