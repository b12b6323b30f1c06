"""A digest over a zip file (.npz, a checkpoint), in the comment at its end: other tools read the file as before."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import BinaryIO, Literal

_MARK = b"hasn sha256 "
_HEX = 64
_PIECE = 1 << 20
#: The record that ends a zip file without a comment (APPNOTE.TXT 4.3.16): its signature, and its bytes.
_END, _END_SIZE = b"PK\x05\x06", 22


def seal(path: Path) -> None:
    """Write the digest of a finished zip file into it.

    Raises:
        ValueError: it is no zip file, or has a comment.
    """
    with path.open("r+b") as file:
        file.seek(-_END_SIZE, os.SEEK_END)
        end = file.read()
        if not end.startswith(_END) or end[-2:] != b"\0\0":
            raise ValueError("no zip file without a comment")
        file.seek(-2, os.SEEK_END)
        file.write(struct.pack("<H", len(_MARK) + _HEX) + _MARK)
        file.write(_digest(file, file.tell()))


def seal_of(file: BinaryIO) -> Literal["whole", "broken", "none"]:
    """Whether a file has a seal, and whether it is what was sealed. The file's place is its start afterwards."""
    size = file.seek(0, os.SEEK_END)
    length = len(_MARK) + _HEX
    file.seek(max(0, size - length))
    tail = file.read(length)
    found = _digest(file, size - _HEX) == tail[-_HEX:] if tail.startswith(_MARK) else None
    file.seek(0)
    return "none" if found is None else "whole" if found else "broken"


def _digest(file: BinaryIO, count: int) -> bytes:
    """Of the first ``count`` bytes, in hexadecimal; the place in the file is behind them."""
    file.seek(0)
    digest = hashlib.sha256()
    while count and (piece := file.read(min(_PIECE, count))):
        digest.update(piece)
        count -= len(piece)
    return digest.hexdigest().encode()
