"""Whatever a file or a graph holds, the answer is a graph or a HasnError: no other exception, hang, crash or flood."""

from __future__ import annotations

import copy
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import FileError
from tests.unit.ir.fuzzed import JUNK, every_primitive, fields, load_both_ways, places, put, survives

#: What only a graph built in Python can hold.
ODD: dict[str, Any] = {
    "None": None,
    "list of None": [None],
    "a list": [1, 2],
    "an object": object(),
    "a mapping": {"a": 1},
    "a function": len,
    "a set": {1},
    "ragged": np.array([1, [2, 3]], dtype=object),
    "ragged pairs": [("a", "b"), ("a",)],
    "pairs of numbers": [(1, 2)],
    "numbered": {1: 2},
}

#: Damages files byte by byte in a process of its own: a crash of the HDF5 library must not take the tests along.
BYTES = """
import faulthandler, resource, sys
from pathlib import Path
import numpy as np
from tests.unit.ir.fuzzed import damaged, load_both_ways

faulthandler.enable()
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)
path = Path(sys.argv[1])
content, rng, errors = path.read_bytes(), np.random.default_rng(1), []
for number in range(120):
    path.write_bytes(damaged(content, rng))
    (path.parent / "last").write_text(str(number))
    load_both_ways(path, errors, f"file {number}")
sys.exit("\\n".join(errors) or 0)
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A file with every primitive."""
    hasn.save(every_primitive(), tmp_path / "whole.nir")
    return tmp_path / "whole.nir"


def test_the_graph_and_its_file_are_sound(whole: Path) -> None:
    assert hasn.check(every_primitive()) == []
    errors: list[str] = []
    assert load_both_ways(whole, errors, "as it is") == 2
    assert not errors


def test_damaged_bytes(whole: Path) -> None:
    """120 files, twice what runs every line; under 4 GB of memory, and the library of HDF5 must not crash nor hang."""
    done = subprocess.run(
        [sys.executable, "-c", BYTES, str(whole)],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"after file {(whole.parent / 'last').read_text()}: {done.stderr[-3000:]}"


def test_damaged_fields(whole: Path, tmp_path: Path) -> None:
    """120 drawn pairs of a field and what stands there instead, a group for a value and nothing at all among them."""
    content, rng, errors, loaded = whole.read_bytes(), np.random.default_rng(4), [], 0
    with h5py.File(whole) as file:
        known = fields(file)
    kinds = [*JUNK, "nothing", "a group"]
    for number in range(120):
        field, kind = known[rng.integers(len(known))], kinds[rng.integers(len(kinds))]
        path = tmp_path / "damaged.nir"
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            if kind == "nothing":
                del file[field]
            elif kind == "a group":
                del file[field]
                file.create_group(field)["inside"] = 1.0
            else:
                put(file, field, JUNK[kind])
        loaded += load_both_ways(path, errors, f"{number}: {field} <- {kind}")
    assert not errors, "\n".join(errors)
    assert 20 < loaded < 240


def links(file: h5py.File, kind: str) -> None:
    """A link that leads round, out or nowhere."""
    nodes = file["node/nodes"]
    if kind == "hard link to the group above":
        nodes["again"] = file["node"]
    elif kind == "soft link to itself":
        nodes["again"] = h5py.SoftLink("/node/nodes/again")
    elif kind == "soft link to nowhere":
        nodes["again"] = h5py.SoftLink("/nowhere")
    elif kind == "link to another file":
        nodes["again"] = h5py.ExternalLink("other.nir", "/node")
    elif kind == "two names for one node":
        nodes["again"] = nodes["scale"]
    else:
        del nodes["scale/scale"]
        nodes["scale/scale"] = h5py.Empty("f8")


LINKS = (
    "hard link to the group above",
    "soft link to itself",
    "soft link to nowhere",
    "link to another file",
    "two names for one node",
    "a value without extent",
)


@pytest.mark.parametrize("kind", LINKS)
def test_links(kind: str, whole: Path) -> None:
    with h5py.File(whole, "r+") as file:
        links(file, kind)
    errors: list[str] = []
    load_both_ways(whole, errors, kind)
    assert not errors, "\n".join(errors)


def test_groups_that_link_to_each_other_are_not_followed_without_end(whole: Path) -> None:
    """40 groups, each with two links to the next: 2^40 ways through."""
    with h5py.File(whole, "r+") as file:
        group = (
            file["node/nodes/scale/metadata"] if "metadata" in file["node/nodes/scale"] else file["node/nodes/scale"]
        )
        for _ in range(40):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    with pytest.raises(FileError, match="groups link to each other"):
        hasn.load(whole)


@pytest.mark.parametrize("repair", [False, True])
def test_a_field_that_claims_more_than_the_file_can_hold_is_refused_unread(repair: bool, whole: Path) -> None:
    """800 GB of zeros that were never written: reading them would fill the memory."""
    with h5py.File(whole, "r+") as file:
        del file["node/nodes/affine/weight"]
        file.create_dataset("node/nodes/affine/weight", (10**6, 10**5), "f8", chunks=(100, 100))
    with pytest.raises(FileError, match=r"would take more than .* /node/nodes/affine/weight is one thing too many"):
        hasn.load(whole, repair=repair)


def test_a_shape_without_end_is_not_filled(whole: Path) -> None:
    """A scalar parameter behind an Input of 10^13 values: repair must not broadcast it."""
    n = np.array([10**13])
    net = nir.NIRGraph(
        {"in": nir.Input({"input": n}), "s": nir.Scale(np.array([0.5])), "out": nir.Output({"output": n})},
        [("in", "s"), ("s", "out")], type_check=False,
    )  # fmt: skip
    assert any("shape mismatch" in finding.message for finding in hasn.check(hasn.repair(net, dt=1e-3).graph))


def test_malformed_graphs_built_in_python() -> None:
    """400 drawn pairs of an attribute and what stands there instead."""
    rng, errors, passed = np.random.default_rng(6), [], 0
    values = {**JUNK, **ODD}
    count = len(list(places(every_primitive())))
    for _ in range(400):
        net = every_primitive()
        name, replace = list(places(net))[rng.integers(count)]
        kind = list(values)[rng.integers(len(values))]
        replace(values[kind] if callable(values[kind]) else copy.deepcopy(values[kind]))
        passed += survives(partial(copy.copy, net), errors, f"{name} <- {kind}")
    assert not errors, "\n".join(errors)
    assert 50 < passed < 350


def test_a_graph_inside_itself_is_refused() -> None:
    net = every_primitive()
    net.nodes["nested"].nodes["self"] = net
    (finding,) = hasn.check(net)
    assert finding.node == "nested.self"
    assert finding.message == "the graph contains itself"
