"""The bytes of a .nir file as nested dicts of plain values; every failure names the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from hasn.errors import FileError
from hasn.ir.heap import broken_heap

#: Nested groups deeper than this are a loop of HDF5 links, not a network.
_DEEPEST = 64


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
            return _to_dict(file["node"], 0, path)
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


def _to_dict(group: h5py.Group, depth: int, path: Path) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise FileError(f"groups nested deeper than {_DEEPEST}", parameter=str(path), way_out="Export the file again.")
    found: dict[str, Any] = {}
    for key, item in group.items():
        if isinstance(item, h5py.Group):
            found[str(key)] = _to_dict(item, depth + 1, path)
        elif isinstance(item, h5py.Dataset):
            value = item[()]
            found[str(key)] = value.decode("utf8", errors="replace") if isinstance(value, bytes) else value
    return found
