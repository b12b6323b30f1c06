"""The bytes of a .nir file as nested dicts of plain values; every failure names the file."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import h5py

from hasn.errors import FileError

#: Nested groups deeper than this are a loop of HDF5 links, not a network.
_DEEPEST = 64
#: Bytes that the entry of a group takes at least (its address and its name's).
_LEAST_ENTRY = 16
#: gzip makes data up to 1,032 times smaller (zlib's technical details); what is small may be stored as nothing at all.
_COMPRESSED, _SMALL = 2000, 16 * 2**20
#: A global heap, where a file keeps its strings: version 1 and three reserved zeros.
_HEAP = b"GCOL\x01\x00\x00\x00"
_HEADER = 16  # of the collection, and of each object in it


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of the file's root node.

    Raises:
        FileError: there is no such file, or it is no HDF5, no NIR, or truncated.
    """
    if path.is_dir():
        raise FileError("is a folder", parameter=str(path), wanted="a .nir file")
    if not path.is_file():
        raise FileError("there is no such file", parameter=str(path), way_out="Check the path.")
    if broken_heap(path) is not None:
        raise FileError(
            "damaged or truncated HDF5 (its strings are broken)",
            parameter=str(path),
            way_out="Copy or export the file again.",
        )
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file or not isinstance(file["node"], h5py.Group):
                raise FileError(
                    "an HDF5 file, but not a NIR graph: it has no 'node' group",
                    parameter=str(path),
                    got=", ".join(sorted(file)[:8]) or "an empty file",
                    way_out="Write it with hasn.save or nir.write.",
                )
            return _Reader(path).group(file["node"])
    except FileError:
        raise
    except Exception as error:  # h5py raises nearly anything for damaged bytes
        raise FileError(
            f"{_what_is_wrong(path)} ({first_line(error)})",
            parameter=str(path),
            way_out="Copy or export the file again.",
        ) from error


def _what_is_wrong(path: Path) -> str:
    try:
        with path.open("rb") as file:
            signed = file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return "cannot be read"
    return "damaged or truncated HDF5" if signed else "not an HDF5 file"


def first_line(error: Exception) -> str:
    """What an error says first, or its name."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _Reader:
    """Reads groups as dicts, within what a file of this size can hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.left = 1000 + self.size // _LEAST_ENTRY

    def group(self, group: h5py.Group, depth: int = 0) -> dict[str, Any]:
        """The fields of a group and of those in it."""
        if depth > _DEEPEST:
            raise self._refused(f"groups nested deeper than {_DEEPEST}")
        found: dict[str, Any] = {}
        for key, item in group.items():
            self.left -= 1
            if self.left < 0:
                raise self._refused("its groups link to each other, so that there are more of them than it can hold")
            if isinstance(item, h5py.Group):
                found[str(key)] = self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                found[str(key)] = self.value(item)
        return found

    def value(self, item: h5py.Dataset) -> Any:
        """A dataset's value, unless a damaged extent claims far more than is stored."""
        stored = min(int(item.id.get_storage_size()), self.size)
        claimed = 0 if item.shape is None else int(item.nbytes)
        if claimed > _SMALL + _COMPRESSED * stored:
            raise self._refused(f"{item.name} claims {float(claimed):.1e} bytes where {stored} are stored")
        value = item[()]
        return value.decode("utf8", errors="replace") if isinstance(value, bytes) else value

    def _refused(self, message: str) -> FileError:
        return FileError(message, parameter=str(self.path), way_out="Export the file again.")


def broken_heap(path: Path) -> int | None:
    """Where in the file the first damaged global heap lies, None if there is none (or the file cannot be mapped).

    A collection is a chain of objects, each as long as it says; object 0 is the free rest and ends where the collection
    ends (HDF5 File Format Specification 3.0, section III.E). The library (2.0.0) follows a chain that leads elsewhere
    until it meets an object of size 0, and stays there.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_HEAP)
            while start >= 0:
                if not _sound(content, start):
                    return start
                start = content.find(_HEAP, start + 1)
    except (OSError, ValueError):  # an empty file, or none: reading it says more
        return None
    return None


def _sound(content: mmap.mmap, start: int) -> bool:
    if start + _HEADER > len(content):
        return False
    (length,) = struct.unpack_from("<Q", content, start + 8)
    place, end = start + _HEADER, start + length
    if end > len(content):
        return False
    while place + _HEADER <= end:
        index, _references, _reserved, size = struct.unpack_from("<HHIQ", content, place)
        if index == 0:
            return bool(place + size == end)
        place += _HEADER + (size + 7) // 8 * 8
    return bool(place <= end)
