# ruff: noqa: E501 - tables, one case a line
"""Reading files: what is read comes back whole, and every bad file is an error that names the file or the node."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import FileError, GraphError, ParameterError, RepairWarning, TimeStepError
from tests.graphs import Draw, chain, graph, inp, out


def put(group: h5py.Group, name: str, value: Any) -> None:
    """Replace a field."""
    if name in group:
        del group[name]
    if value is not None:
        group[name] = value


def edited(path: Path, edit: Callable[[h5py.Group], None]) -> Path:
    """The file with its root node edited in place."""
    with h5py.File(path, "r+") as file:
        edit(file["node"])
    return path


def test_a_file_written_by_nir_reads_back_with_all_its_parameters(net: nir.NIRGraph, tmp_path: Path) -> None:
    nir.write(tmp_path / "by_nir.nir", net)
    found = hasn.load(tmp_path / "by_nir.nir", dt=2e-3)
    assert sorted(found.edges) == sorted(net.edges)
    assert found.metadata["dt"] == 2e-3
    for name, node in net.nodes.items():
        assert type(found.nodes[name]) is type(node)
        for key in ("weight", "bias", "tau", "r", "v_leak", "v_threshold", "v_reset"):
            if hasattr(node, key):
                np.testing.assert_array_equal(getattr(found.nodes[name], key), getattr(node, key))


def test_dt_of_the_file_is_kept_and_dt_of_the_call_wins(nir_file: Path) -> None:
    assert hasn.load(nir_file).metadata["dt"] == 1e-3
    assert hasn.load(nir_file, dt=5e-4).metadata["dt"] == 5e-4
    with pytest.raises(TimeStepError, match=r"dt: .*got -1\.0; wanted a finite number of seconds > 0"):
        hasn.load(nir_file, dt=-1.0)


def test_nested_and_grouped_and_not_square_come_back_with_right_shapes(tmp_path: Path) -> None:
    d = Draw(3)
    inner = chain(
        d.conv2d(6, 4, (3, 2), groups=2, padding=(1, 0), stride=(2, 1)),
        d.lif(6, 3, 4),
        given=(4, 5, 5),
        result=(6, 3, 4),
    )
    hasn.save(chain(inner, given=(4, 5, 5), result=(6, 3, 4)), tmp_path / "nested.nir")
    found = hasn.load(tmp_path / "nested.nir").nodes["n1"]
    conv = found.nodes["n1"]
    assert tuple(conv.input_shape) == (5, 5)
    assert tuple(conv.output_type["output"]) == (6, 3, 4)
    assert int(conv.groups) == 2


MISSING = "Check the path"
BAD_FILES: dict[str, tuple[bytes | None, str]] = {
    "text": (b"hello", "not an HDF5 file"),
    "empty": (b"", "not an HDF5 file"),
    "signature alone": (b"\x89HDF\r\n\x1a\n", "damaged or truncated HDF5"),
    "missing": (None, MISSING),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_what_is_no_hdf5_names_the_file(name: str, tmp_path: Path) -> None:
    content, text = BAD_FILES[name]
    path = tmp_path / "bad.nir"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=text) as caught:
        hasn.load(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        hasn.load(tmp_path)


def test_hdf5_of_another_kind_says_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measurement"] = np.arange(3)
    with pytest.raises(FileError, match="not a NIR graph: it has no 'node' group; got measurement"):
        hasn.load(tmp_path / "other.h5")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_called_truncated(part: float, nir_file: Path) -> None:
    content = nir_file.read_bytes()
    nir_file.write_bytes(content[: int(part * len(content))])
    with pytest.raises(FileError, match="damaged or truncated HDF5"):
        hasn.load(nir_file)


BAD_FIELDS: dict[str, tuple[Callable[[h5py.Group], None], type[Exception], str]] = {
    "unknown type": (lambda n: put(n["nodes/n2"], "type", "ALIF"), GraphError,
                     r"node 'n2': unknown node type; got 'ALIF'; wanted one of .*Affine.*LIF"),
    "no type": (lambda n: put(n["nodes/n2"], "type", None), GraphError, "node 'n2': it has no type"),
    "edge to nowhere": (lambda n: put(n, "edges", np.array([["input", "n9"]], dtype="S")), GraphError,
                        r"node 'n9': edge 'input' -> 'n9': there is no such node. The graph has input, n1, n2"),
    "edge twice": (lambda n: put(n, "edges", np.array([["n1", "n2"], ["n1", "n2"]], dtype="S")), GraphError,
                   "the edge 'n1' -> 'n2' is listed twice"),
    "edges of three": (lambda n: put(n, "edges", np.array([["a", "b", "c"]], dtype="S")), GraphError, "not a list of pairs"),
    "edges of numbers": (lambda n: put(n, "edges", np.ones((2, 2))), GraphError, r"not a list of pairs.*got float64 \(2, 2\)"),
    "nodes is data": (lambda n: put(n, "nodes", 1), GraphError, "its 'nodes' is not a group of nodes"),
    "metadata is data": (lambda n: put(n["nodes/n2"], "metadata", 1), ParameterError, "node 'n2' metadata: is not a group"),
    "missing parameter": (lambda n: put(n["nodes/n2"], "tau", None), ParameterError,
                          "node 'n2' tau: this LIF lacks it; wanted tau, r, v_leak"),
    "foreign parameter": (lambda n: put(n["nodes/n2"], "tau_adapt", 1.0), ParameterError,
                          "node 'n2' tau_adapt: LIF has no such parameter"),
    "another shape": (lambda n: put(n["nodes/n2"], "tau", np.ones(3)), ParameterError, r"node 'n2'.*tau \(3,\)"),
    "parameter is text": (lambda n: put(n["nodes/n2"], "tau", "fast"), ParameterError, "node 'n2'"),
    "shape is text": (lambda n: put(n["nodes/input"], "shape", "six"), ParameterError, "node 'input' shape: is not a shape; got 'six'"),
    "shape is negative": (lambda n: put(n["nodes/input"], "shape", np.array([-6])), ParameterError, "integers >= 1"),
    "a single node": (lambda n: put(n, "type", "LIF"), FileError, "a single LIF, not a graph.*from_list"),
    "edges in one row": (lambda n: put(n, "edges", np.array(["n1", "n2"], dtype="S")), GraphError, r"net.nir: its 'edges' is not a list of pairs of names; got .* \(2,\)"),
    "edges of one": (lambda n: put(n, "edges", np.array([["n1"], ["n2"]], dtype="S")), GraphError, "not a list of pairs"),
    "a node is data": (lambda n: put(n["nodes"], "n2", 1), GraphError, "net.nir: its 'nodes' is not a group of nodes"),
    "shape is zero": (lambda n: put(n["nodes/output"], "shape", np.array([3, 0])), ParameterError, r"node 'output' shape: is not a shape; got array\(\[3, 0\]\); wanted integers >= 1"),
    "type is a number": (lambda n: put(n["nodes/n2"], "type", 3), GraphError, "node 'n2': it has no type"),
    "no root type": (lambda n: put(n, "type", None), GraphError, "net.nir: it has no type"),
    "unknown root": (lambda n: put(n, "type", "Net"), GraphError, "net.nir: unknown node type"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_bad_field_names_its_node(name: str, nir_file: Path) -> None:
    edit, error, text = BAD_FIELDS[name]
    with pytest.raises(error, match=text):
        hasn.load(edited(nir_file, edit))


#: The same one level down: the node by its whole name, and no file, which the node's name makes needless.
BAD_INSIDE: dict[str, tuple[Callable[[h5py.Group], None], str]] = {
    "unknown type": (lambda n: put(n["nodes/n1"], "type", "ALIF"), "^node 'n1.n1': unknown node type"),
    "edges": (lambda n: put(n, "edges", np.ones(3)), r"^node 'n1': its 'edges' is not a list of pairs of names; got float64 \(3,\)"),
    "nodes": (lambda n: put(n, "nodes", 1), "^node 'n1': its 'nodes' is not a group"),
    "metadata": (lambda n: put(n["nodes/n1"], "metadata", 1), "^node 'n1.n1' metadata: is not a group"),
    "parameter": (lambda n: put(n["nodes/n1"], "tau", None), "^node 'n1.n1' tau: this LIF lacks it"),
    "edge to nowhere": (lambda n: put(n, "edges", np.array([["input", "n9"]], dtype="S")), "^node 'n1.n9': edge 'input' -> 'n9'"),
}  # fmt: skip


@pytest.fixture
def nested_file(tmp_path: Path) -> Path:
    """A LIF population in a graph in a graph."""
    hasn.save(chain(chain(Draw(2).lif(3), given=(3,), result=(3,)), given=(3,), result=(3,)), tmp_path / "net.nir")
    return tmp_path / "net.nir"


@pytest.mark.parametrize("name", BAD_INSIDE)
def test_a_bad_field_of_a_nested_graph_has_its_outer_name(name: str, nested_file: Path) -> None:
    edit, text = BAD_INSIDE[name]
    with pytest.raises(GraphError, match=text):
        hasn.load(edited(nested_file, lambda node: edit(node["nodes/n1"])))


def test_what_a_file_may_leave_out(nested_file: Path) -> None:
    """Metadata, a nested graph's edges, v_reset (an older NIR), a graph's nodes."""

    def leave_out(node: h5py.Group) -> None:
        inner = node["nodes/n1"]
        put(inner, "edges", np.zeros((0, 2)))
        put(inner["nodes/n1"], "v_reset", None)
        put(inner["nodes/output"], "metadata", None)

    found = hasn.load(edited(nested_file, leave_out)).nodes["n1"]
    assert found.edges == []
    assert found.nodes["n1"].metadata == {"v_reset_assumed": True}
    np.testing.assert_array_equal(found.nodes["n1"].v_reset, [0, 0, 0])


def test_repairs_of_reading_come_before_those_of_the_graph_and_dt_is_checked(nested_file: Path) -> None:
    def edit(node: h5py.Group) -> None:
        put(node["nodes/n1/nodes/n1"], "r", 0.02)
        put(node, "edges", np.array([["input", "n1"], ["n1", "output"], ["input", "n1"]], dtype="S"))

    edited(nested_file, edit)
    with pytest.raises(ParameterError, match=r"node 'n1\.n1'"):
        hasn.load(nested_file)
    with pytest.warns(RepairWarning, match=r"net\.nir: 2 repair\(s\):\n  node") as caught:
        found = hasn.load(nested_file, dt=2e-3, repair=True)
    lines = found.metadata["repairs"].splitlines()
    assert [line.split(":")[0] for line in lines] == ["node 'n1.n1' r", "node 'n1'"]
    assert found.metadata["dt"] == 2e-3
    assert caught[0].filename == __file__  # the caller's line, not ours
    with pytest.raises(TimeStepError, match=r"got 0\.0"):
        hasn.load(nested_file, dt=0.0, repair=True)


def test_a_sound_file_is_not_repaired(nir_file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hasn.load(nir_file, repair=True).metadata == {"dt": 1e-3}


def test_a_loop_of_hdf5_links_is_no_network(nir_file: Path) -> None:
    def link(node: h5py.Group) -> None:
        node["nodes/again"] = h5py.SoftLink("/node")

    with pytest.raises(FileError, match="nested deeper than 64"):
        hasn.load(edited(nir_file, link))


def test_metadata_of_graph_and_nodes_is_read(tmp_path: Path) -> None:
    d = Draw(1)
    net = graph({"input": inp(3), "n": d.lif(3, metadata={"reset": "subtract", "v_init": np.array([0.1, 0.2, 0.3])}), "o": out(3)},
                "input > n > o", dt=1e-3, source="a paper")  # fmt: skip
    nir.write(tmp_path / "m.nir", net)
    found = hasn.load(tmp_path / "m.nir")
    assert found.metadata == {"dt": 1e-3, "source": "a paper"}
    assert found.nodes["n"].metadata["reset"] == "subtract"
    np.testing.assert_array_equal(found.nodes["n"].metadata["v_init"], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(("offset", "value"), [(8, 0x4B00), (8, 1 << 40), (24, 0xFFFF), (24, 1 << 50)])
def test_a_broken_heap_of_strings_is_refused_before_hdf5_loops_on_it(offset: int, value: int, nir_file: Path) -> None:
    """The heap's length, or its first object's: HDF5 2.0.0 runs for ever on the first of these."""
    content = bytearray(nir_file.read_bytes())
    heap = content.index(b"GCOL\x01\0\0\0")
    content[heap + offset : heap + offset + 8] = value.to_bytes(8, "little")
    nir_file.write_bytes(content)
    with pytest.raises(FileError, match=r"damaged or truncated HDF5 \(its strings are broken\)"):
        hasn.load(nir_file)
