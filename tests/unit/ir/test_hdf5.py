"""Bytes to plain fields: what a file may hold, what it claims, and the heaps in which its strings lie."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from hasn.errors import FileError
from hasn.ir.hdf5 import _Reader, broken_heap, first_line, read_fields

SIGNED = b"GCOL\x01\0\0\0"


def heap(*objects: tuple[int, int], length: int) -> bytes:
    """A collection (HDF5 File Format Specification 3.0, III.E) of objects (index, size), filled up to its length."""
    body = b""
    for index, size in objects:
        body += struct.pack("<HHIQ", index, 1, 0, size) + b"x" * (0 if index == 0 else -(-size // 8) * 8)
    return (SIGNED + struct.pack("<Q", length) + body).ljust(length, b"\0")


SOUND = heap((1, 5), (2, 8), (0, 48), length=112)
HEAPS: dict[str, tuple[bytes, int | None]] = {
    "sound": (SOUND, None),
    "no free rest": (heap((1, 5), (2, 9), length=72), None),
    "a rest that is shorter than a header": (heap((1, 8), length=48), None),
    "an object of nothing": (heap((1, 0), (0, 32), length=64), None),
    "nothing but its header": (heap(length=16), None),
    "of another version": (b"GCOL\x02\0\0\0", None),
    "the header is cut": (SIGNED + b"\x10\0\0\0\0\0\0", 0),
    "shorter than its header": (heap(length=8).ljust(64), 0),
    "longer than the file": (SOUND[:-1], 0),
    "the free rest is too short": (heap((1, 5), (0, 16), length=64), 0),
    "the free rest is too long": (heap((1, 5), (0, 32), length=64), 0),
    "an object beyond the end": (heap((1, 5), (2, 17), length=72).ljust(200), 0),
    "an object that fills all but its eighth byte": (heap((1, 25), length=56).ljust(200), 0),
    "behind other bytes": (b"x" * 24 + SOUND[:-1], 24),
    "the second of three": (SOUND + heap((1, 5), (0, 32), length=64) + SOUND, 112),
    "the first of two": (SOUND.replace(b"\x30", b"\x31") + SOUND[:-1], 0),
}


@pytest.mark.parametrize("name", HEAPS)
def test_the_first_damaged_heap_is_found(name: str, tmp_path: Path) -> None:
    content, where = HEAPS[name]
    (tmp_path / "x").write_bytes(content)
    assert broken_heap(tmp_path / "x") == where


def test_what_cannot_be_mapped_has_no_damaged_heap(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "missing"):
        assert broken_heap(tmp_path / name) is None


def item(claimed: int, stored: int, shape: tuple[int, ...] | None = (1,)) -> Any:
    """A dataset that says how large it is."""

    class Dataset(SimpleNamespace):
        def __getitem__(self, _: object) -> str:
            return "read"

    held = SimpleNamespace(get_storage_size=lambda: stored)
    return Dataset(nbytes=claimed, shape=shape, id=held, name="/node/x")


def test_a_field_may_be_16_mib_and_2000_times_what_is_stored(tmp_path: Path) -> None:
    """16 MiB even where nothing is stored (HDF5 fills in zeros); gzip makes data up to 1,032 times smaller."""
    (tmp_path / "x").write_bytes(b"x" * 100)
    reader = _Reader(tmp_path / "x")
    free = 16 * 1024 * 1024
    for claimed, stored, shape in [
        (free, 0, (1,)),
        (free + 2000 * 7, 7, (1,)),
        (free + 2000 * 100, 100, (1,)),
        (10**18, 0, None),  # an empty dataset has no extent: its size says nothing
    ]:
        assert reader.value(item(claimed, stored, shape)) == "read"
    for claimed, stored in [(free + 1, 0), (free + 2000 * 7 + 1, 7), (free + 2000 * 100 + 1, 10**9)]:
        with pytest.raises(FileError, match=r"/node/x claims .* bytes where .* are stored\. Export the file again"):
            reader.value(item(claimed, stored))


def nested(path: Path, depth: int) -> Path:
    """A file whose deepest group lies so many groups below its root node."""
    with h5py.File(path, "w") as file:
        group = file.create_group("node")
        for _ in range(depth):
            group = group.create_group("g")
        group["bottom"] = 1.5
    return path


def test_groups_are_nested_64_deep_at_most(tmp_path: Path) -> None:
    found = read_fields(nested(tmp_path / "x", 64))
    for _ in range(64):
        found = found["g"]
    assert found == {"bottom": 1.5}
    with pytest.raises(FileError, match="groups nested deeper than 64"):
        read_fields(nested(tmp_path / "y", 65))


def test_a_file_has_as_many_fields_as_its_size_allows(tmp_path: Path) -> None:
    """A thousand, and one for 16 bytes: an entry of a group takes as many at least."""
    (tmp_path / "x").write_bytes(b"x" * 32_000)
    assert _Reader(tmp_path / "x").left == 3000


@pytest.mark.parametrize("left", [5, 6])
def test_every_field_of_every_group_counts(left: int, tmp_path: Path) -> None:
    """Four groups and two values."""
    reader = _Reader(nested(tmp_path / "x", 4))
    reader.left = left
    with h5py.File(tmp_path / "x", "r+") as file:
        file["node/other"] = 2
        if left == 6:
            assert set(reader.group(file["node"])) == {"g", "other"}
        else:
            with pytest.raises(FileError, match="more of them than it can hold"):
                reader.group(file["node"])


def test_texts_are_decoded_whatever_bytes_they_hold(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x", "w") as file:
        file["node/good"], file["node/bad"] = "µ", np.bytes_(b"a\xff")
    assert read_fields(tmp_path / "x") == {"good": "µ", "bad": "a\ufffd"}


def test_what_is_no_nir_says_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for made, got in [((), "an empty file"), ("jihgfedcba", "a, b, c, d, e, f, g, h"), (("node",), "node")]:
        with h5py.File(path, "w") as file:
            for name in made:
                file[name] = 1
        with pytest.raises(FileError, match="not a NIR graph: it has no 'node' group") as caught:
            read_fields(path)
        assert (caught.value.got, caught.value.parameter) == (got, str(path))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_text("text")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError, match="cannot be read"):
        read_fields(path)


def test_the_first_line_of_an_error() -> None:
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
