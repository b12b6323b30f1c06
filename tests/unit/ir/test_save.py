"""Writing files: whole or not at all, nothing destroyed, readable by any NIR tool."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import Mock

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import FileError, GraphError, OptionError, ShapeError
from hasn.ir.whole import refuse_existing, umask, whole_file
from hasn.testing import reference
from hasn.testing.cases import CASES
from tests.graphs import Draw, chain, graph, inp, out

#: Graphs with every primitive, nested ones and odd kernels among them.
ROUND_TRIPS = [
    "conv_stack",
    "spiking_conv_net",
    "nested_two_deep",
    "nested_with_named_ports",
    "all_neurons_together",
    "v_init_and_leak",
    "metadata_reset_wins",
    "Conv1d_grouped_dilated",
    "Conv2d_same_dilated",
    "Flatten_of_the_last_two",
    "AvgPool2d_padded",
    "Threshold",
    "heterogeneous_delays_between_populations",
    "names_that_are_no_identifiers",
]


def written_out(value: object) -> str:
    """Its repr with every element of every array to the last bit: numpy shows eight digits, and six of a thousand."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return repr(value)


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_a_saved_graph_means_the_same_when_it_is_read_back(name: str, tmp_path: Path) -> None:
    """The Program of the file equals the Program of the graph, coefficient by coefficient."""
    case = next(case for key, case in CASES.items() if key == name or key.startswith(f"{name}-"))
    built = case.graph()
    built.metadata["dt"] = case.dt
    hasn.save(built, tmp_path / "x.nir")
    options = {**case.options(), "dt": None}
    here, there = hasn.lower(built, **options), hasn.lower(hasn.load(tmp_path / "x.nir"), **options)
    assert sorted(map(str, there.edges)) == sorted(map(str, here.edges))
    assert [step.name for step in there.nodes] == [step.name for step in here.nodes]
    for a, b in zip(here.nodes, there.nodes, strict=True):
        assert written_out(a) == written_out(b)
    assert there.dt == case.dt


@pytest.mark.parametrize("name", [name for name in CASES if "-" not in name])
def test_a_file_means_the_same_to_the_reference(name: str, tmp_path: Path) -> None:
    """It has no part in writing, reading and lowering: all that a run gives is the same, to the last bit."""
    case = CASES[name]
    hasn.save(case.graph(), tmp_path / "x.nir")
    inputs = {key: value if case.batch is not None else value[:, np.newaxis] for key, value in case.inputs().items()}

    def run(net: nir.NIRGraph) -> reference.Reference:
        return reference.run(net, inputs, case.dt, case.method, case.reset, case.timing)

    here, there = run(case.graph()), run(hasn.load(tmp_path / "x.nir"))
    for wanted, found in ((here.spikes, there.spikes), (here.voltages, there.voltages), (here.outputs, there.outputs)):
        assert found.keys() == wanted.keys()
        for node, values in wanted.items():
            np.testing.assert_array_equal(found[node], values)


def test_plain_nir_reads_the_file(nir_file: Path, net: nir.NIRGraph) -> None:
    found = nir.read(nir_file)
    np.testing.assert_array_equal(found.nodes["n1"].weight, net.nodes["n1"].weight)
    assert float(found.metadata["dt"]) == 1e-3


def test_saving_changes_nothing_in_the_graph(tmp_path: Path) -> None:
    net = CASES["conv_stack"].graph()
    before = written_out(net)
    hasn.save(net, tmp_path / "x.nir")
    assert written_out(net) == before


def test_an_existing_file_is_kept_unless_forced(nir_file: Path, net: nir.NIRGraph) -> None:
    before = nir_file.read_bytes()
    with pytest.raises(FileError, match=r"the file exists and is kept.*force=True"):
        hasn.save(net, nir_file)
    assert nir_file.read_bytes() == before
    other = chain(Draw(5).lif(4), given=(4,), result=(4,))
    hasn.save(other, nir_file, force=True)
    assert set(hasn.load(nir_file).nodes) == {"input", "n1", "output"}


@pytest.mark.parametrize("force", [False, True])
def test_a_full_disk_leaves_what_was_there(
    force: bool, net: nir.NIRGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.nir"
    if force:
        path.write_bytes(b"the old one")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # where a disk that buffers says so at last
    with pytest.raises(FileError, match=r"could not be written: No space left on device.*Nothing was changed"):
        hasn.save(net, path, force=force)
    assert [p.name for p in tmp_path.iterdir()] == (["net.nir"] if force else [])
    assert not force or path.read_bytes() == b"the old one"


def test_a_limit_of_the_system_on_the_size_of_files(net: nir.NIRGraph, tmp_path: Path) -> None:
    """No mock: the kernel refuses what lies beyond 2,000 bytes of a file, as it does on a full disk or quota."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(FileError, match=r"net\.nir: could not be written: File too large.*Nothing was changed"):
            hasn.save(net, tmp_path / "net.nir")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_where_it_cannot_be_written(net: nir.NIRGraph, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a folder"):
        hasn.save(net, tmp_path)
    with pytest.raises(FileError, match=r"there is no such folder\. Make it first"):
        hasn.save(net, tmp_path / "nowhere" / "net.nir")


def test_what_cannot_be_saved_leaves_no_file(net: nir.NIRGraph, tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    with pytest.raises(OptionError, match=r"got str; wanted nir\.NIRGraph"):
        hasn.save("net", path)
    for field in ("nodes", "edges"):
        malformed = chain(Draw(1).lif(3), given=(3,), result=(3,))
        setattr(malformed, field, None)
        with pytest.raises(GraphError, match=f"^{field}: is not a"):
            hasn.save(malformed, path)
    with pytest.raises(GraphError, match="no such node"):
        hasn.save(graph({"i": inp(2)}, "i > nowhere"), path)
    with pytest.raises(ShapeError, match="node 'c' input_shape: its input shape is nowhere given"):
        hasn.save(graph({"c": Draw(1).conv2d(2, 2, (2, 2)), "o": out(2, 3, 3)}, "c > o"), path)
    net.metadata["made by"] = object()
    with pytest.raises(FileError, match="Keep numbers, strings and arrays in metadata"):
        hasn.save(net, path)
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_no_shape_reaches_is_refused_by_name(tmp_path: Path) -> None:
    """HDF5 has nothing to write for None; what can be inferred is filled in."""
    flat = nir.Flatten({"input": None}, 0, -1)
    for node, parameter in [
        (flat, "input_shape"),
        (Draw(1).conv1d(2, 2, 2), "input_shape"),
        (nir.Input({"input": None}), "shape"),
    ]:
        nested = graph({"x": node, "o": out(3)}, "x > o")
        with pytest.raises(ShapeError, match="nowhere given, and the file needs it") as caught:
            hasn.save(nested, tmp_path / "x.nir")
        assert (caught.value.node, caught.value.parameter) == ("x", parameter)
    net = chain(flat, Draw(1).lif(6), given=(2, 3), result=(6,))
    net.nodes["output"].output_type["output"] = None
    hasn.save(net, tmp_path / "x.nir")
    found = nir.read(tmp_path / "x.nir")
    assert found.nodes["n1"].input_type["input"].tolist() == [2, 3]
    assert found.nodes["output"].output_type["output"].tolist() == [6]


def test_a_whole_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    path, before = tmp_path / "x", os.umask(0o027)
    try:
        with whole_file(path) as temporary:
            assert (temporary.parent, temporary.exists(), path.exists()) == (tmp_path, True, False)
            assert temporary.name.startswith(".x.")
            temporary.write_bytes(b"new")
        assert path.stat().st_mode & 0o777 == 0o640
        assert umask() == umask() == 0o027  # asking for it changes nothing
    finally:
        os.umask(before)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("error", [KeyError("x"), FileError("is bad"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_the_old_file_and_its_own_error(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path, force=True) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    for error, said in [(OSError(errno.EIO, "broken"), "broken"), (OSError("odd"), "odd")]:
        with pytest.raises(FileError, match=f"could not be written: {said}") as caught, whole_file(path):
            raise error
        assert caught.value.parameter == str(path)
    for refused in (OSError(errno.EACCES, "no right"), OSError("no right")):
        monkeypatch.setattr(tempfile, "mkstemp", Mock(side_effect=refused))
        with pytest.raises(FileError, match=r"cannot write here: no right$") as caught, whole_file(path):
            raise AssertionError("the block must not be reached")
        assert caught.value.parameter == str(tmp_path)


def test_force_replaces_a_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert refuse_existing(tmp_path / "x", force=True) == tmp_path / "x"
    assert refuse_existing(str(tmp_path / "y"), force=False) == tmp_path / "y"
    for force in (False, True):
        with pytest.raises(FileError, match="is a folder") as caught:
            refuse_existing(tmp_path, force=force)
        assert caught.value.parameter == str(tmp_path)
        with pytest.raises(FileError, match="there is no such folder") as caught:
            refuse_existing(tmp_path / "a/b", force=force)
        assert caught.value.parameter == str(tmp_path / "a")


def test_metadata_without_dimensions(tmp_path: Path) -> None:
    """The graph's own, and a nested graph's: dt may come so from numpy, and check takes it."""
    inner = chain(Draw(2).lif(3), given=(3,), result=(3,))
    inner.metadata["note"] = np.array(7)
    net = chain(inner, given=(3,), result=(3,))
    net.metadata["dt"] = np.array(1e-3)
    hasn.save(net, tmp_path / "x.nir")
    found = hasn.load(tmp_path / "x.nir")
    assert (found.metadata["dt"], found.nodes["n1"].metadata["note"]) == (1e-3, 7)
    assert isinstance(net.metadata["dt"], np.ndarray)  # the caller's graph is not changed


def test_parameters_without_dimensions(tmp_path: Path) -> None:
    """nir compresses every array, which HDF5 refuses for a single value."""
    lif = nir.LIF(*(np.array(v) for v in (8e-3, 6.0, 0.0, 1.1, 0.0)), metadata={"v_init": np.array(0.25)})
    one = graph({"input": inp(1), "lif": lif, "output": out(1)}, "input > lif > output")
    hasn.save(one, tmp_path / "one.nir")
    read = hasn.load(tmp_path / "one.nir").nodes["lif"]
    assert (float(read.tau), float(read.metadata["v_init"]), np.shape(read.tau)) == (8e-3, 0.25, ())
    assert isinstance(lif.tau, np.ndarray)  # the caller's graph is not changed
