"""The bytes of a .nir file as nested dicts of plain values; every failure names the file."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import h5py

from hasn.errors import FileError
from hasn.ir.datasets import ENTRY, Budget
from hasn.ir.links import Links

#: Nested groups deeper than this are a loop of HDF5 links, not a network.
_DEEPEST = 64
#: Bytes that a group or dataset of its own takes at least: its header, and its entry where it lies.
_LEAST_ENTRY = 64
#: A global heap, where a file keeps its strings: version 1 and three reserved zeros.
_HEAP = b"GCOL\x01\x00\x00\x00"
_HEADER = 16  # of the collection, and of each object in it


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of the file's root node.

    Raises:
        FileError: there is no such file, it is no HDF5, no NIR or truncated, it leads to other files, or it would take
            more memory than a file of its size may.
    """
    if path.is_dir():
        raise FileError("is a folder", parameter=str(path), wanted="a .nir file")
    if not path.is_file():
        raise FileError("there is no such file", parameter=str(path), way_out="Check the path.")
    longest = longest_string(path)
    if longest is None:
        raise FileError(
            "damaged or truncated HDF5 (its strings are broken)",
            parameter=str(path),
            way_out="Copy or export the file again.",
        )
    try:
        with h5py.File(path, "r") as file:
            return _Reader(path, longest).root(file)
    except FileError:
        raise
    except Exception as error:  # h5py raises nearly anything for damaged bytes
        wrong, way_out = _what_is_wrong(path)
        raise FileError(f"{wrong} ({first_line(error)})", parameter=str(path), way_out=way_out) from error


def _what_is_wrong(path: Path) -> tuple[str, str]:
    """What a file is in place of a NIR file, and what to do about it."""
    again = "Copy or export the file again."
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
    except OSError:
        return "cannot be read", again
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "damaged or truncated HDF5", again
    if start.startswith(b"PK\x03\x04") and b"data.pkl" in start:  # what torch.save writes
        if b"hasn training" in start:
            way_out = (
                f"hasn.training.graph_of({str(path)!r}) is its graph; hasn train --from {path} --out FILE writes it."
            )
            return "a checkpoint of a training, and not a graph", way_out
        return "a file of torch.save, and not a graph", "Load it into its module, and convert that to a NIR graph."
    return "not an HDF5 file", again


def first_line(error: Exception) -> str:
    """What an error says first, or its name."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _Reader:
    """Reads groups as dicts, within what a file of this size can hold and may take."""

    def __init__(self, path: Path, longest: int) -> None:
        self.budget = Budget(path, longest)
        self.links = Links(str(path), "/node")
        self.left = 1000 + self.budget.size // _LEAST_ENTRY

    def root(self, file: h5py.File) -> dict[str, Any]:
        """The fields of the root node."""
        found = self.links.at(file["/"], "node") if file.get("node", getlink=True) is not None else None
        if not isinstance(found, h5py.Group):
            raise FileError(
                "an HDF5 file, but not a NIR graph: it has no 'node' group",
                parameter=self.budget.path,
                got=", ".join(sorted(file)[:8]) or "an empty file",
                way_out="Write it with hasn.save or nir.write.",
            )
        return self.group(found)

    def group(self, group: h5py.Group, depth: int = 0) -> dict[str, Any]:
        """The fields of a group and of those in it."""
        if depth > _DEEPEST:
            raise self.budget.refused(f"groups nested deeper than {_DEEPEST}", "Export the file again.")
        found: dict[str, Any] = {}
        for key in group:
            self.left -= 1
            if self.left < 0:
                raise self.budget.refused(
                    "its groups link to each other, so that there are more of them than it can hold",
                    "Export the file again.",
                )
            self.budget.take(ENTRY + len(key), f"{group.name}/{key}")
            item = self.links.at(group, key)
            found[str(key)] = self.group(item, depth + 1) if isinstance(item, h5py.Group) else self.value(item)
        return found

    def value(self, item: h5py.Dataset) -> Any:
        """A dataset's value, strings decoded."""
        value = self.budget.value(item)
        return value.decode("utf8", errors="replace") if isinstance(value, bytes) else value


def longest_string(path: Path) -> int | None:
    """Bytes of the longest thing in the file's heaps, 0 where it has none; None: a heap is damaged.

    A collection is a chain of objects, each as long as it says; object 0 is the free rest and ends where the collection
    ends (HDF5 File Format Specification 3.0, section III.E). The library (2.0.0) follows a chain that leads elsewhere
    until it meets an object of size 0, and stays there.
    """
    longest = 0
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_HEAP)
            while start >= 0:
                found = _longest(content, start)
                if found is None:
                    return None
                longest = max(longest, found)
                start = content.find(_HEAP, start + 1)
    except (OSError, ValueError):  # an empty file, or none: reading it says more
        return 0
    return longest


def _longest(content: mmap.mmap, start: int) -> int | None:
    """Bytes of a collection's longest object; None: its chain of objects is broken."""
    if start + _HEADER > len(content):
        return None
    (length,) = struct.unpack_from("<Q", content, start + 8)
    place, end, longest = start + _HEADER, start + length, 0
    if end > len(content):
        return None
    while place + _HEADER <= end:
        index, _references, _reserved, size = struct.unpack_from("<HHIQ", content, place)
        if index == 0:
            return longest if place + size == end else None
        longest = max(longest, size)
        place += _HEADER + (size + 7) // 8 * 8
    return longest if place <= end else None
