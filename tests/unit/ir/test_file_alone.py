"""A .nir file is read from its own bytes alone: whatever leads elsewhere is refused by name, before it is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import hasn
from hasn.errors import FileError

SECRET = np.arange(6.0)


def external_storage(nodes: h5py.Group, beside: Path) -> None:
    (beside / "secret.bin").write_bytes(SECRET.tobytes())
    nodes["n1/metadata"].create_dataset("m", (6,), "f8", external=[(str(beside / "secret.bin"), 0, 48)])


def external_parameter(nodes: h5py.Group, beside: Path) -> None:
    (beside / "secret.bin").write_bytes(SECRET.tobytes())
    del nodes["n2/tau"]
    nodes["n2"].create_dataset("tau", (3,), "f8", external=[(str(beside / "secret.bin"), 0, 48)])


def secret_file(beside: Path) -> Path:
    with h5py.File(beside / "secret.h5", "w") as file:
        file["data"] = SECRET
        file.create_group("node")["x"] = SECRET
    return beside / "secret.h5"


def virtual(nodes: h5py.Group, beside: Path) -> None:
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(str(secret_file(beside)), "data", (6,))
    nodes["n1/metadata"].create_virtual_dataset("m", layout)


def virtual_of_itself(nodes: h5py.Group, _: Path) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(".", nodes["n2/tau"].name, (3,))
    nodes["n1/metadata"].create_virtual_dataset("m", layout)


def external_link(nodes: h5py.Group, beside: Path) -> None:
    nodes["n1/metadata/m"] = h5py.ExternalLink(str(secret_file(beside)), "/data")


def external_group(nodes: h5py.Group, beside: Path) -> None:
    nodes["m"] = h5py.ExternalLink(str(secret_file(beside)), "/node")


def external_nodes(nodes: h5py.Group, beside: Path) -> None:
    root = nodes.parent
    del root["nodes"]
    root["nodes"] = h5py.ExternalLink(str(secret_file(beside)), "/node")


def external_root(nodes: h5py.Group, beside: Path) -> None:
    file = nodes.file
    del file["node"]
    file["node"] = h5py.ExternalLink(str(secret_file(beside)), "/node")


def soft_to_external(nodes: h5py.Group, beside: Path) -> None:
    nodes["n2/away"] = h5py.ExternalLink(str(secret_file(beside)), "/")
    nodes["n1/metadata/m"] = h5py.SoftLink("/node/nodes/n2/away/data")


def soft_out(nodes: h5py.Group, _: Path) -> None:
    nodes.file["elsewhere"] = SECRET
    nodes["n1/metadata/m"] = h5py.SoftLink("/elsewhere")


def soft_above(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = h5py.SoftLink("/")


def soft_to_itself(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = h5py.SoftLink("m")


def dangling(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = h5py.SoftLink("/node/nodes/n9")


def dangling_within(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = h5py.SoftLink("/node/nodes/n2/tau/x")


def dangling_external(nodes: h5py.Group, beside: Path) -> None:
    nodes["n1/metadata/m"] = h5py.ExternalLink(str(beside / "nothing.h5"), "/x")


def committed_type(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = np.dtype("f8")


def reference(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata/m"] = nodes["n2"].ref


def region(nodes: h5py.Group, _: Path) -> None:
    tau = nodes["n2/tau"]
    nodes["n1/metadata"].create_dataset("m", data=[tau.regionref[:1]], dtype=h5py.regionref_dtype)


def references_in_a_table(nodes: h5py.Group, _: Path) -> None:
    kind = np.dtype([("number", "f8"), ("what", h5py.ref_dtype)])
    nodes["n1/metadata"].create_dataset("m", (2,), kind)


def unequal_lists(nodes: h5py.Group, _: Path) -> None:
    nodes["n1/metadata"].create_dataset("m", (2,), h5py.vlen_dtype("f8"))


M = "/node/nodes/n1/metadata/m"
#: What it is, and what the message says beside the name of the file.
CASES: list[tuple[Callable[[h5py.Group, Path], None], str]] = [
    (external_storage, rf"{M} lies in another file, which is not read; got \['.*secret\.bin'\]"),
    (external_parameter, r"/node/nodes/n2/tau lies in another file"),
    (virtual, rf"{M} is a view of other data, which is not read; got \['.*secret\.h5'\]"),
    (virtual_of_itself, rf"{M} is a view of other data"),
    (external_link, rf"{M} lies in another file, which is not read; got a link to /data of '.*secret\.h5'"),
    (external_group, r"/node/nodes/m lies in another file"),
    (external_nodes, r"/node/nodes lies in another file"),
    (external_root, r"/node lies in another file"),
    # Which of the two is met first is the order of names.
    (soft_to_external, rf"({M}|/node/nodes/n2/away) lies in another file"),
    (soft_out, rf"{M} leads out of the graph; got a link to /elsewhere"),
    (soft_above, rf"{M} leads out of the graph; got a link to /"),
    (soft_to_itself, rf"{M} is a link to a link"),
    (dangling, rf"{M} leads to nothing; got a link to /node/nodes/n9"),
    (dangling_within, rf"{M} leads to nothing"),
    (dangling_external, rf"{M} lies in another file, which is not read; got a link to /x of '.*nothing\.h5'"),
    (committed_type, rf"{M} is neither a group nor data; got Datatype"),
    (reference, rf"{M} holds references to other data"),
    (region, rf"{M} holds references to other data"),
    (references_in_a_table, rf"{M} holds references to other data"),
    (unequal_lists, rf"{M} holds values of unequal length"),
]


@pytest.mark.parametrize(("put", "text"), CASES, ids=[put.__name__ for put, _ in CASES])
def test_what_leads_elsewhere_is_refused(
    put: Callable[[h5py.Group, Path], None], text: str, nir_file: Path, tmp_path: Path
) -> None:
    with h5py.File(nir_file, "r+") as file:
        file["node/nodes/n1"].require_group("metadata")
        put(file["node/nodes"], tmp_path)
    with pytest.raises(FileError, match=f"^{re.escape(str(nir_file))}: {text}") as caught:
        hasn.load(nir_file)
    assert caught.value.way_out


def test_no_other_file_is_opened(nir_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other end of the link is a pipe: opening it would wait for ever, or fail in other words."""
    import os

    os.mkfifo(tmp_path / "pipe")
    with h5py.File(nir_file, "r+") as file:
        nodes = file["node/nodes"]
        nodes["m"] = h5py.SoftLink("/node/nodes/n1/away/x")
        nodes["n1/away"] = h5py.ExternalLink(str(tmp_path / "pipe"), "/")
    with pytest.raises(FileError, match="lies in another file, which is not read"):
        hasn.load(nir_file)


@pytest.mark.parametrize("target", ["/node/nodes/n2/tau", "../n2", "/node/./nodes//n2/tau"])
def test_a_link_within_the_graph_is_what_it_leads_to(target: str, nir_file: Path) -> None:
    """Two parameters that are one; HDF5 knows no `..`, so that leads to nothing."""
    with h5py.File(nir_file, "r+") as file:
        tau = file["node/nodes/n2/tau"][()]
        del file["node/nodes/n2/r"]
        file["node/nodes/n2/r"] = h5py.SoftLink(target)
    if ".." in target:
        with pytest.raises(FileError, match="leads to nothing"):
            hasn.load(nir_file)
    else:
        assert np.array_equal(hasn.load(nir_file).nodes["n2"].r, tau)
