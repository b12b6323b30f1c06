"""HDF5's global heaps, where a file keeps its strings: damaged ones send the HDF5 library into an endless loop."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SIGNATURE = b"GCOL\x01\x00\x00\x00"  # version 1 and three reserved zeros
_HEADER = 16  # of the collection, and of each object in it


def broken_heap(path: Path) -> int | None:
    """Where in the file the first damaged heap lies, None if there is none (or the file cannot be mapped).

    A collection is a chain of objects, each as long as it says; object 0 is the free rest and ends where the collection
    ends (HDF5 File Format Specification 3.0, section III.E). The library (2.0.0) follows a chain that leads elsewhere
    until it meets an object of size 0, and stays there.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_SIGNATURE)
            while start >= 0:
                if not _sound(content, start):
                    return start
                start = content.find(_SIGNATURE, start + 1)
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
