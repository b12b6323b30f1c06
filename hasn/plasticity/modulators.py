"""Modulators that come from nodes of the graph, in place of the user: ``metadata["plasticity_modulators"]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hasn.errors import OptionError

#: Where a node's metadata keep them, beside its rule: {modulator: node of the same graph}.
SOURCES = "plasticity_modulators"
_WANTED = "{modulator of the rule: node}"


def sources_of(metadata: Mapping[str, Any], node: str) -> dict[str, str]:
    """Modulator -> the node, by its name in the graph of the connection, whose mean it is.

    Raises:
        OptionError: the metadata say no such thing; names the node.
    """
    kept = metadata.get(SOURCES, {})
    pairs = {_plain(k): _plain(v) for k, v in kept.items()} if isinstance(kept, Mapping) else None
    if pairs is None or not all(isinstance(text, str) for pair in pairs.items() for text in pair):
        where = f"metadata['{SOURCES}']"
        raise OptionError("says no modulators", node=node, parameter=where, got=repr(kept), wanted=_WANTED)
    return {str(name): str(source) for name, source in pairs.items()}


def relative(modulators: Any, node: str) -> dict[str, str]:
    """What :func:`sources_of` gives, of names as the outermost graph has them.

    Args:
        modulators: modulator -> node.
        node: the connection.

    Raises:
        OptionError: it is no such mapping, or a node stands in another graph than the connection.
    """
    pairs = dict(modulators) if isinstance(modulators, Mapping) else {}
    if not isinstance(modulators, Mapping) or not all(isinstance(t, str) for pair in pairs.items() for t in pair):
        raise OptionError("not modulators", parameter="modulators", got=repr(modulators), wanted=_WANTED)
    inside = node[: node.rfind(".") + 1]
    for name, source in pairs.items():
        if not source.startswith(inside) or "." in source[len(inside) :]:
            raise OptionError(
                "a modulator comes from a node of the graph in which its connection stands",
                node=node,
                parameter=f"modulators[{name!r}]",
                got=repr(source),
                wanted=f"a node of '{inside[:-1]}'" if inside else "a node that is in no nested graph",
                way_out="Lay the graph flat, or lead the value out of it to a node there.",
            )
    return {name: source[len(inside) :] for name, source in pairs.items()}


def _plain(value: Any) -> Any:
    """What a file gives back, as Python's own types."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value
