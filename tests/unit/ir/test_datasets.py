"""One budget of memory for a whole .nir file: what is claimed, wherever it stands, is counted before it is read."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

import hasn
from hasn.errors import FileError
from hasn.ir.datasets import FREE, TIMES, Budget

MIB = 2**20


def many_fill_values(node: h5py.Group) -> None:
    """A few MB each, none of them stored."""
    group = node.require_group("metadata")
    for i in range(40):
        group.create_dataset(f"m{i}", (2 * MIB,), "u1", fillvalue=7, chunks=(MIB,))


def one_fill_value(node: h5py.Group) -> None:
    node.require_group("metadata").create_dataset("m", (10 * MIB,), "f8")


def compressed(node: h5py.Group) -> None:
    node.require_group("metadata").create_dataset("m", data=np.zeros(100 * MIB, "u1"), compression="gzip")


def in_a_node(node: h5py.Group) -> None:
    del node["nodes/n2/tau"]
    node["nodes/n2"].create_dataset("tau", (20 * MIB,), "f8")


def over_many_groups(node: h5py.Group) -> None:
    group = node.require_group("metadata")
    for i in range(20):
        group.create_group(f"g{i}").create_dataset("m", (5 * MIB,), "u1")


def deep_down(node: h5py.Group) -> None:
    group = node.require_group("metadata")
    for _ in range(30):
        group = group.create_group("g")
        group.create_dataset("m", (3 * MIB,), "u1")


def a_chunk_larger_than_its_data(node: h5py.Group) -> None:
    """One number, in a chunk of 800 MB that HDF5 makes whole to read it."""
    group = node.require_group("metadata")
    made = group.create_dataset("m", (1,), "u1", maxshape=(None,), chunks=(800 * MIB,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(b"x"))


def a_stream_longer_than_its_chunk(node: h5py.Group) -> None:
    """A chunk of 8 bytes whose stream unpacks to 300 MB: HDF5 goes on until the stream ends."""
    group = node.require_group("metadata")
    made = group.create_dataset("m", (1,), "f8", chunks=(1,), compression="gzip")
    made.id.write_direct_chunk((0,), zlib.compress(bytes(300 * MIB)))


def one_long_string_many_times(node: h5py.Group) -> None:
    """Every element points to the same 60 kB."""
    group = node.require_group("metadata")
    group.create_dataset("m", (1, 3000), h5py.string_dtype())
    group["m"][0, 0] = "x" * 60_000
    node.file.flush()
    place, size = group["m"].id.get_offset(), 16
    with Path(node.file.filename).open("r+b") as file:
        file.seek(place)
        first = file.read(size)
        file.seek(place)
        file.write(first * 3000)


def fixed_strings(node: h5py.Group) -> None:
    node.require_group("metadata").create_dataset("m", (2000,), "S60000")


def a_table(node: h5py.Group) -> None:
    node.require_group("metadata").create_dataset("m", (MIB,), np.dtype([("a", "f8", (16,)), ("b", "i4")]))


def nothing_but_chunks(node: h5py.Group) -> None:
    """500,000 chunks of a byte: slow to walk through, though it is half a megabyte."""
    node.require_group("metadata").create_dataset("m", (500_000,), "u1", chunks=(1,))


BOMBS = [
    many_fill_values, one_fill_value, compressed, in_a_node, over_many_groups, deep_down, a_chunk_larger_than_its_data,
    one_long_string_many_times, fixed_strings, a_table, nothing_but_chunks,
]  # fmt: skip


def edited(path: Path, edit: Callable[[h5py.Group], None]) -> Path:
    with h5py.File(path, "r+") as file:
        edit(file["node"])
    return path


@pytest.mark.parametrize("bomb", BOMBS, ids=[bomb.__name__ for bomb in BOMBS])
def test_a_bomb_is_refused_by_what_is_too_much(bomb: Callable[[h5py.Group], None], nir_file: Path) -> None:
    edited(nir_file, bomb)
    size = nir_file.stat().st_size
    with pytest.raises(FileError, match="is one thing too many") as caught:
        hasn.load(nir_file)
    text = str(caught.value)
    assert text.startswith(f"{nir_file}: a file of {size:,} bytes would take more than {64 * MIB + 64 * size:,} bytes")
    assert "/node/" in text
    assert "hasn.save(nir.read(path), path, force=True)" in text


def test_a_stream_that_is_longer_than_its_chunk_is_refused(nir_file: Path) -> None:
    edited(nir_file, a_stream_longer_than_its_chunk)
    with pytest.raises(FileError, match=r"/node/metadata/m unpacks to more than its chunks of 8 bytes"):
        hasn.load(nir_file)


#: Reads a file and says the peak of its memory in MiB above what it was.
PEAK = """
import sys, resource
import hasn, h5py, nir
from hasn.errors import FileError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    hasn.load(sys.argv[1])
except FileError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("bomb", [compressed, a_stream_longer_than_its_chunk, one_long_string_many_times])
def test_a_refused_bomb_has_taken_little(bomb: Callable[[h5py.Group], None], nir_file: Path) -> None:
    """The budget is 64 MiB; unpacking all would have taken 100 MB at least."""
    edited(nir_file, bomb)
    done = subprocess.run([sys.executable, "-c", PEAK, str(nir_file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80


def two_deflates(node: h5py.Group) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((100,))
    plan.set_deflate(1)
    plan.set_deflate(1)
    group = node.require_group("metadata")
    h5py.h5d.create(group.id, b"m", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((100,)), plan)


def shuffle_last(node: h5py.Group) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((100,))
    plan.set_deflate(1)
    plan.set_shuffle()
    group = node.require_group("metadata")
    h5py.h5d.create(group.id, b"m", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((100,)), plan)


def scale_offset(node: h5py.Group) -> None:
    node.require_group("metadata").create_dataset("m", data=np.arange(100), chunks=(100,), scaleoffset=0)


@pytest.mark.parametrize("edit", [two_deflates, shuffle_last, scale_offset], ids=lambda edit: edit.__name__)
def test_a_compression_whose_size_nobody_can_foretell_is_refused(
    edit: Callable[[h5py.Group], None], nir_file: Path
) -> None:
    edited(nir_file, edit)
    with pytest.raises(FileError, match=r"/node/metadata/m is compressed .*got .*filters \[.*gzip, or not compressed"):
        hasn.load(nir_file)


READABLE: list[dict[str, Any]] = [
    {},
    {"chunks": (7, 3)},
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (50, 2)},
    {"compression": "lzf", "shuffle": True},
    {"fletcher32": True},
]


@pytest.mark.parametrize("options", READABLE, ids=str)
@pytest.mark.parametrize("kind", ["<f4", ">i8", "?", "S5"])
def test_whatever_holds_its_own_is_read(options: dict[str, Any], kind: str, nir_file: Path) -> None:
    values = np.random.default_rng(1).integers(0, 2000, (120, 5)).astype(kind)
    with h5py.File(nir_file, "r+") as file:
        file["node"].require_group("metadata").create_dataset("m", data=values, **options)
    found = hasn.load(nir_file).metadata["m"]
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


def test_strings_are_read_whatever_their_number_and_length(nir_file: Path) -> None:
    """More than a piece of them, beside one long one."""
    words = [f"word {i}" for i in range(300)]
    with h5py.File(nir_file, "r+") as file:
        metadata = file["node"].require_group("metadata")
        metadata["long"] = "y" * 60_000
        metadata.create_dataset("words", data=np.array(words, dtype=object).reshape(3, 100), dtype=h5py.string_dtype())
    found = hasn.load(nir_file).metadata
    assert found["long"] == "y" * 60_000
    assert [word.decode() for word in found["words"].reshape(-1)] == words


def test_the_budget_is_one_for_all_and_counts_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(10))
    budget = Budget(tmp_path / "x", 0)
    assert (FREE, TIMES) == (64 * MIB, 64)
    budget.take(64 * MIB, "one")
    budget.take(640, "another")
    with pytest.raises(FileError, match="and a third is one thing too many"):
        budget.take(1, "a third")


def test_hasn_reads_what_hasn_saved_however_well_it_packs(tmp_path: Path) -> None:
    """72 MiB of ones pack to a thousandth, which no file may be unpacked from: they are saved as they are."""
    n = 9 * MIB
    net = nir.NIRGraph(
        {"in": nir.Input({"input": np.array([n])}), "s": nir.Scale(np.ones(n)),
         "out": nir.Output({"output": np.array([n])})},
        [("in", "s"), ("s", "out")], type_check=False, metadata={"note": "x" * 100, "m": np.arange(5.0)},
    )  # fmt: skip
    hasn.save(net, tmp_path / "large.nir")
    found = hasn.load(tmp_path / "large.nir")
    assert np.array_equal(found.nodes["s"].scale, net.nodes["s"].scale)
    assert found.metadata["note"] == net.metadata["note"]
    assert np.array_equal(found.metadata["m"], np.arange(5.0))
    with h5py.File(tmp_path / "large.nir") as file:
        assert file["node/nodes/s/scale"].compression is None
        assert file["version"][()].decode() == nir.version
