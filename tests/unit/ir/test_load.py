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
from hasn.ir.build import build
from hasn.ir.finding import Finding
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
                     r"node 'n2': unknown node type; got 'ALIF'; wanted one of Input.*LIF"),
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


def plain(kind: str, **fields: Any) -> dict[str, Any]:
    """A node's fields as a file has them, in a graph of their own."""
    return {"type": "NIRGraph", "nodes": {"n": {"type": kind, **fields}}}


def built(kind: str, changes: list[Finding] | None = None, **fields: Any) -> nir.NIRNode:
    """The node that these fields describe."""
    return build(plain(kind, **fields), "", "net.nir", changes).nodes["n"]


VALUES = {
    "r": 2.0,
    "tau": 0.3,
    "tau_syn": 0.4,
    "tau_mem": 0.5,
    "v_leak": 0.6,
    "v_threshold": 0.7,
    "v_reset": 0.8,
    "w_in": 0.9,
}
NEURONS = {
    "I": ("r",), "IF": ("r", "v_threshold", "v_reset"), "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"), "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEURONS)
def test_every_parameter_of_a_neuron_arrives_and_none_can_be_missing(kind: str) -> None:
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS[kind]}
    node = built(kind, **fields)
    for name in NEURONS[kind]:
        assert getattr(node, name).tolist() == [VALUES[name]] * 3
        less = {key: value for key, value in fields.items() if key != name}
        if name == "v_reset":
            assert built(kind, **less).metadata == {"v_reset_assumed": True}
        elif name == "w_in":
            assert built(kind, **less).w_in.tolist() == [1.0] * 3  # NIR's own default
        else:
            with pytest.raises(
                ParameterError, match=f"node 'n' {name}: this {kind} lacks it; wanted .*{name}.*hasn.save it"
            ):
                built(kind, **less)
    assert node.metadata == {}


@pytest.mark.parametrize("kind", [kind for kind in NEURONS if kind != "I"])  # an I has one parameter
def test_repair_evens_out_single_values_to_the_largest_shape(kind: str) -> None:
    """Each parameter in its turn as one number, or an array of one, among arrays."""
    for name in NEURONS[kind]:
        for single in (np.float64(VALUES[name]), np.full((1,), VALUES[name]), np.full((1, 1), VALUES[name])):
            fields = {key: np.full((2, 3), VALUES[key]) for key in NEURONS[kind]}
            changes: list[Finding] = []
            node = built(kind, changes, **{**fields, name: single})
            assert getattr(node, name).tolist() == [[VALUES[name]] * 3] * 2
            (change,) = changes
            assert (change.severity, change.node, change.parameter) == ("note", "n", name)
            assert (change.message, change.got) == ("one value for all: brought to shape (2, 3)", np.shape(single))
            if name != "w_in":  # which NIR evens out itself
                with pytest.raises(ParameterError):
                    built(kind, **{**fields, name: single})
    changes = []
    built(kind, changes, **{key: np.full(1, VALUES[key]) for key in NEURONS[kind]})
    assert changes == []


def test_repair_does_not_even_out_what_has_two_shapes() -> None:
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS["LIF"]}
    with pytest.raises(ParameterError, match=r"node 'n': NIR refuses this LIF.*tau \(2,\).*wanted every parameter"):
        built("LIF", [], **{**fields, "tau": np.ones(2)})


@pytest.mark.parametrize("kind", ["Input", "Output"])
def test_a_shape_in_every_form_that_a_file_may_give_it(kind: str) -> None:
    key = kind.lower()
    for fields in ({"shape": np.array([2, 3])}, {f"{key}_type": {key: np.array([2.0, 3.0])}}, {f"{key}_type": [2, 3]}):
        node = built(kind, **fields)
        assert getattr(node, f"{key}_type")[key].tolist() == [2, 3]
    assert getattr(built(kind, shape=4), f"{key}_type")[key].tolist() == [4]
    assert getattr(built(kind, shape=np.array([1])), f"{key}_type")[key].tolist() == [1]
    assert getattr(built(kind), f"{key}_type")[key] is None
    for wrong in (np.array([2, 0]), np.array([2, -1]), True, np.array([0.5]), 2j):
        with pytest.raises(ParameterError, match="node 'n' shape: is not a shape; got .*; wanted integers >= 1"):
            built(kind, shape=wrong)


def test_shapes_that_are_left_open() -> None:
    conv = {
        "weight": np.ones((2, 1, 3)),
        "bias": np.zeros(2),
        "stride": 1,
        "padding": b"same",
        "dilation": 1,
        "groups": 1,
    }
    node = built("Conv1d", **conv)
    assert (node.input_shape, node.padding) == (None, "same")
    assert built("Conv1d", **conv, input_shape=7).input_shape == 7
    conv["weight"] = np.ones((2, 1, 3, 3))
    assert built("Conv2d", **conv).input_shape is None
    assert built("Flatten", start_dim=0, end_dim=-1).input_type == {"input": None}
    flat = built("Flatten", input_type=np.array([2, 3]), start_dim=0, end_dim=-1)
    assert flat.input_type["input"].tolist() == [2, 3]
    with pytest.raises(
        ParameterError, match="node 'n' start: Flatten has no such parameter; wanted input_type, start_dim, end_dim"
    ):
        built("Flatten", start=0)


def test_metadata_is_a_copy_and_an_older_files_mark_is_added_to_it() -> None:
    given = {"reset": "subtract"}
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS["LIF"] if name != "v_reset"}
    node = built("LIF", **fields, metadata=given)
    assert node.metadata == {"reset": "subtract", "v_reset_assumed": True}
    assert given == {"reset": "subtract"}
    graph_of = build({**plain("LIF", **fields), "metadata": given}, "", "net.nir")
    graph_of.metadata["dt"] = 1.0
    assert given == {"reset": "subtract"}
    with pytest.raises(FileError, match=r"^net\.nir: the file holds a single LIF, not a graph\. Wrap it"):
        build({"type": "LIF"}, "", "net.nir")


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


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes replaced, or a piece cut out, or zeros over a piece."""
    data = bytearray(content)
    how = rng.integers(3)
    if how == 0:
        for place in rng.integers(0, len(data), size=int(rng.integers(1, 30))):
            data[place] = int(rng.integers(256))
    else:
        start = int(rng.integers(0, len(data)))
        stop = min(len(data), start + int(rng.integers(1, 400)))
        data[start:stop] = b"" if how == 1 else bytes(stop - start)
    return bytes(data)


@pytest.mark.parametrize("repair", [False, True])
def test_damaged_bytes_never_end_in_anything_but_an_error_of_ours(repair: bool, nir_file: Path) -> None:
    """Seeded damage; the 300 files either load and check, or raise a HasnError: no KeyError from the depths."""
    content = nir_file.read_bytes()
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        nir_file.write_bytes(damaged(content, rng))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = hasn.load(nir_file, repair=repair)
                hasn.check(found)
                hasn.lower(found)
        except hasn.HasnError:
            refused += 1
    assert 50 < refused < 300
