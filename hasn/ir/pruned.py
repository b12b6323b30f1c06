"""Pruned connections: ``metadata["pruned"]`` says that a node's weights that are 0 stay so when it is trained."""

from __future__ import annotations

import nir

KEY = "pruned"


def mark(node: nir.NIRNode) -> None:
    """Say so, in the node's own metadata."""
    node.metadata = {**(node.metadata or {}), KEY: True}


def is_marked(node: nir.NIRNode) -> bool:
    """Whether it says so."""
    return bool((node.metadata or {}).get(KEY, False))
