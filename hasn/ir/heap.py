"""HDF5's global heaps, where a file keeps its strings: damaged ones send the HDF5 library into an endless loop."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SIGNATURE = b"GCOL\x01\x00\x00\x00"  # version 1 and three reserved zeros
_HEADER = 16  # of the collection, and of each object in it


def longest_string(path: Path) -> int | None:
    """Bytes of the longest thing in the file's heaps, 0 where it has none; None: a heap is damaged.

    A collection is a chain of objects, each as long as it says; object 0 is the free rest and ends where the collection
    ends (HDF5 File Format Specification 3.0, section III.E). The library (2.0.0) follows a chain that leads elsewhere
    until it meets an object of size 0, and stays there.
    """
    longest = 0
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_SIGNATURE)
            while start >= 0:
                found = _longest(content, start)
                if found is None:
                    return None
                longest = max(longest, found)
                start = content.find(_SIGNATURE, start + 1)
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
