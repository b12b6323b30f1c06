"""Messages over a pipe: eight bytes of length, then JSON. Arrays travel as .npy files in a folder both sides know."""

from __future__ import annotations

import json
import struct
from typing import Any

_LENGTH = struct.Struct("<Q")


def pack(message: dict[str, Any]) -> bytes:
    """One message as a frame."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def unpack(buffer: bytearray) -> dict[str, Any] | None:
    """Take the first whole frame out of a buffer, or None if there is none yet.

    Raises:
        ValueError: what came is no frame.
    """
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > 1 << 30:
        raise ValueError(f"a frame of {length} bytes")
    if len(buffer) < _LENGTH.size + length:
        return None
    message = json.loads(bytes(buffer[_LENGTH.size : _LENGTH.size + length]))
    del buffer[: _LENGTH.size + length]
    if not isinstance(message, dict):
        raise ValueError(f"a frame with a {type(message).__name__}")
    return message
