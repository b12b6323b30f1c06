"""A graph as a few lines of text, for failing tests."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

_HIDDEN = ("input_type", "output_type", "nodes", "edges", "name")


def readable(graph: nir.NIRGraph, indent: str = "  ") -> str:
    """One line a node with all its parameters, nested graphs indented, then the edges."""
    lines: list[str] = []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            lines += [f"{indent}{name}: NIRGraph", readable(node, indent + "    ")]
        else:
            lines.append(f"{indent}{name}: {type(node).__name__} {_parameters(node)}")
    edges = ", ".join(f"{source} > {target}" for source, target in graph.edges)
    return "\n".join([*lines, f"{indent}edges: {edges}"])


def _parameters(node: nir.NIRNode) -> str:
    if isinstance(node, nir.Input | nir.Output):
        types = node.input_type if isinstance(node, nir.Input) else node.output_type
        return str(tuple(int(n) for n in np.atleast_1d(next(iter(types.values())))))
    shown = {key: value for key, value in vars(node).items() if key not in _HIDDEN and value is not None}
    return " ".join(f"{key}={_value(value)}" for key, value in shown.items() if key != "metadata" or value)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    array = np.asarray(value)
    if array.size > 12:
        return f"{array.shape} from {array.min():.4g} to {array.max():.4g}"
    return np.array2string(array, precision=5, separator=", ").replace("\n", "") if array.ndim else str(value)
