"""Metadata in a file: whatever goes in comes back equal, or is refused by its key.

Strings, numbers, arrays of numbers and dicts of them are HDF5's own. What HDF5 has no form for (lists, tuples, None,
arrays of strings, bytes ...) becomes one string: a mark, and JSON in which an object with one key names a type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import FileError, ParameterError

MARK = "hasn/json:"
_WANTED = "numbers, strings, None, and arrays, lists, tuples and dicts of them"


def encoded(metadata: dict[Any, Any], node: str) -> dict[str, Any]:
    """Metadata as nir writes it.

    Args:
        metadata: of a node.
        node: its flat name, for messages; empty for the graph.

    Raises:
        FileError: a key that HDF5 cannot have, or a value that does not come back; names both.
    """
    made = {}
    for key, value in metadata.items():
        if not _plain_key(key):
            raise FileError(
                "no key that a file can hold: HDF5 takes '/' for a path", node=node or None, parameter="metadata",
                got=repr(key), wanted="a string without '/' that is not '.' or 'metadata'", way_out="Rename the key.",
            )  # fmt: skip
        made[key] = _written(value, f"metadata[{key!r}]", node)
    return made


def decoded(metadata: dict[str, Any], node: str) -> dict[str, Any]:
    """What :func:`encoded` was given.

    Raises:
        ParameterError: a string with the mark, and no value behind it.
    """
    return {key: _read(value, key, node) for key, value in metadata.items()}


def _plain_key(key: Any) -> bool:
    return isinstance(key, str) and key not in ("", ".", "..", "metadata") and "/" not in key and _plain_text(key)


def _plain_text(value: str) -> bool:
    """Whether HDF5 can hold it: no NUL, and UTF-8."""
    return "\0" not in value and value == value.encode("utf8", "replace").decode()


def _is_native(value: Any) -> bool:
    """Whether HDF5 has a form for it that comes back equal."""
    if isinstance(value, dict):
        return type(value) is dict and all(_plain_key(key) and _is_native(inner) for key, inner in value.items())
    if isinstance(value, str):
        return _plain_text(value) and not value.startswith(MARK)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    if isinstance(value, float | complex):
        return True
    array = isinstance(value, np.ndarray | np.generic) and type(value) is not np.ma.MaskedArray
    return array and value.dtype.kind in "biufc" and bool(value.size)


def _written(value: Any, where: str, node: str) -> Any:
    """The value, or a string that stands for it."""
    if _is_native(value):
        return value
    try:
        return MARK + json.dumps(_tagged(value))
    except (TypeError, ValueError) as error:
        got = f"{type(value).__name__}: {error}"
        raise FileError(
            "does not come back from a file", node=node or None, parameter=where, got=got, wanted=_WANTED,
            way_out="Keep numbers, strings and arrays in metadata.",
        ) from error  # fmt: skip


def _read(value: Any, key: str, node: str) -> Any:
    if isinstance(value, dict):
        return {inner: _read(part, key, node) for inner, part in value.items()}
    if not isinstance(value, str) or not value.startswith(MARK):
        return value
    try:
        return _untagged(json.loads(value.removeprefix(MARK)))
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError) as error:
        what, where = f"is damaged ({type(error).__name__})", f"metadata[{key!r}]"
        raise ParameterError(what, node=node or None, parameter=where, way_out="Export the file again.") from error


def _tagged(value: Any) -> Any:
    """What JSON holds as it is, and else ``{type: parts}``.

    Raises:
        TypeError: of this type nothing comes back.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_tagged(inner) for inner in value]
    if kind is tuple:
        return {"tuple": [_tagged(inner) for inner in value]}
    if kind is dict:
        return {"dict": [[_tagged(key), _tagged(inner)] for key, inner in value.items()]}
    if kind is bytes:
        return {"bytes": value.decode("latin1")}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is np.ndarray and (value.dtype.kind in "biufcUS" or _holds_words(value)):
        parts = [_tagged(inner) for inner in value.ravel().tolist()]
        return {"array": [value.dtype.str, list(value.shape), parts]}
    if isinstance(value, np.generic) and value.dtype.kind in "biufcUS":
        return {"scalar": [value.dtype.str, _tagged(value.item())]}
    raise TypeError(f"no {kind.__name__} is kept in a file")


def _holds_words(array: Any) -> bool:
    return array.dtype.kind == "O" and all(type(word) in (str, bytes) for word in array.ravel())


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    ((kind, parts),) = value.items()
    if kind == "tuple":
        return tuple(_untagged(inner) for inner in parts)
    if kind == "dict":
        return {_untagged(key): _untagged(inner) for key, inner in parts}
    if kind == "bytes":
        return parts.encode("latin1")
    if kind == "complex":
        return complex(*parts)
    if kind == "array":
        dtype, shape, flat = parts
        return np.array(_untagged(flat), dtype=np.dtype(dtype)).reshape(shape)
    if kind == "scalar":
        return np.dtype(parts[0]).type(_untagged(parts[1]))
    raise ValueError(f"unknown type {kind!r}")


def holders(graph: nir.NIRGraph, prefix: str = "") -> Iterator[tuple[str, nir.NIRNode]]:
    """Every node with its flat name, nested graphs and the graph itself (an empty name) among them."""
    yield prefix.removesuffix("."), graph
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            yield from holders(node, f"{prefix}{name}.")
        else:
            yield prefix + name, node
