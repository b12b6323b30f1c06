"""Bytes to plain fields: what a file may hold, what it claims, and the heaps in which its strings lie."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from hasn.errors import FileError
from hasn.ir.hdf5 import _Reader, first_line, longest_string, read_fields

SIGNED = b"GCOL\x01\0\0\0"


def heap(*objects: tuple[int, int], length: int) -> bytes:
    """A collection (HDF5 File Format Specification 3.0, III.E) of objects (index, size), filled up to its length."""
    body = b""
    for index, size in objects:
        body += struct.pack("<HHIQ", index, 1, 0, size) + b"x" * (0 if index == 0 else -(-size // 8) * 8)
    return (SIGNED + struct.pack("<Q", length) + body).ljust(length, b"\0")


SOUND = heap((1, 5), (2, 8), (0, 48), length=112)
#: The longest object, or None where a heap is damaged.
HEAPS: dict[str, tuple[bytes, int | None]] = {
    "sound": (SOUND, 8),
    "no free rest": (heap((1, 5), (2, 9), length=72), 9),
    "a rest that is shorter than a header": (heap((1, 8), length=48), 8),
    "an object of nothing": (heap((1, 0), (0, 32), length=64), 0),
    "nothing but its header": (heap(length=16), 0),
    "the longest in the second": (SOUND + heap((1, 3), (2, 40), (0, 16), length=112), 40),
    "the longest in the first": (heap((1, 40), (2, 3), (0, 16), length=112) + SOUND, 40),
    "of another version": (b"GCOL\x02\0\0\0", 0),
    "the header is cut": (SIGNED + b"\x10\0\0\0\0\0\0", None),
    "shorter than its header": (heap(length=8).ljust(64), None),
    "longer than the file": (SOUND[:-1], None),
    "the free rest is too short": (heap((1, 5), (0, 16), length=64), None),
    "the free rest is too long": (heap((1, 5), (0, 32), length=64), None),
    "an object beyond the end": (heap((1, 5), (2, 17), length=72).ljust(200), None),
    "an object that fills all but its eighth byte": (heap((1, 25), length=56).ljust(200), None),
    "behind other bytes": (b"x" * 24 + SOUND[:-1], None),
    "the second of three": (SOUND + heap((1, 5), (0, 32), length=64) + SOUND, None),
    "the first of two": (SOUND.replace(b"\x30", b"\x31") + SOUND, None),
}


@pytest.mark.parametrize("name", HEAPS)
def test_damaged_heaps_are_found_and_the_longest_string_of_sound_ones(name: str, tmp_path: Path) -> None:
    content, longest = HEAPS[name]
    (tmp_path / "x").write_bytes(content)
    assert longest_string(tmp_path / "x") == longest


def test_what_cannot_be_mapped_has_no_strings(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "missing"):
        assert longest_string(tmp_path / name) == 0


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
    """A thousand, and one for 64 bytes: a group or dataset takes as many at least."""
    (tmp_path / "x").write_bytes(b"x" * 128_000)
    assert _Reader(tmp_path / "x", 0).left == 3000


@pytest.mark.parametrize("left", [5, 6])
def test_every_field_of_every_group_counts(left: int, tmp_path: Path) -> None:
    """Four groups and two values."""
    reader = _Reader(nested(tmp_path / "x", 4), 0)
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
