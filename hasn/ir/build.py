"""NIR nodes from the plain fields of a file, with an error of ours for whatever NIR refuses."""

from __future__ import annotations

import inspect
from typing import Any

import nir
import numpy as np

from hasn.errors import FileError, GraphError, ParameterError
from hasn.finding import Finding
from hasn.ir.hdf5 import first_line
from hasn.ir.metadata import decoded
from hasn.nodes.kind import NodeKind
from hasn.nodes.lookup import kind_names, kinds
from hasn.nodes.values import numbers, text


def build(fields: dict[str, Any], name: str, path: str, changes: list[Finding] | None = None) -> Any:
    """The NIR node, nested graphs included, that a group's fields describe.

    Args:
        fields: plain values by name, as the file has them.
        name: the node's name so far, empty for the root.
        path: the file, for messages.
        changes: where repairs are listed; None: nothing is repaired.

    Raises:
        FileError: the root is no graph.
        GraphError, ParameterError: a node that NIR or hasn does not know, or refuses.
    """
    kind = text(fields.get("type"))
    if kind is None or kind not in kind_names():
        raise GraphError(
            "unknown node type" if kind else "it has no type",
            node=name or None,
            parameter=None if name else path,
            got=repr(kind) if kind else None,
            wanted=f"one of {', '.join(kind_names())}",
            way_out="A newer NIR, or another tool's own node? Export it as NIR 1.0 primitives, or install its plug-in.",
        )
    if not name and kind != "NIRGraph":
        raise FileError(
            f"the file holds a single {kind}, not a graph",
            parameter=path,
            way_out="Wrap it: nir.NIRGraph.from_list(node).",
        )
    arguments = {key: _plain(value) for key, value in fields.items() if key not in ("type", "metadata")}
    metadata = fields.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ParameterError("is not a group of values", node=name or None, parameter="metadata", got=repr(metadata))
    metadata = decoded(metadata, name)
    if kind == "NIRGraph":
        return _build_graph(arguments, metadata, name, path, changes)
    known = kinds()[kind]
    if changes is not None:
        _even_out(known, arguments, name, changes)
    return _build_node(known, arguments, metadata, name)


def _plain(value: Any) -> Any:
    return text(value) if text(value) is not None else value


def _build_graph(
    arguments: dict[str, Any], metadata: dict[str, Any], name: str, path: str, changes: list[Finding] | None
) -> nir.NIRGraph:
    for part in ("nodes", "edges"):
        if part not in arguments:
            raise GraphError(
                f"the graph lacks its '{part}'",
                node=name or None,
                parameter=None if name else path,
                wanted="both 'nodes' and 'edges', empty where there are none",
                way_out="The file is damaged or another tool's slip: export it again.",
            )
    nodes, edges = arguments["nodes"], arguments["edges"]
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        raise GraphError(
            "its 'nodes' is not a group of nodes",
            node=name or None,
            parameter=None if name else path,
            way_out="Export the file again.",
        )
    built = {key: build(node, f"{name}.{key}" if name else key, path, changes) for key, node in nodes.items()}
    return nir.NIRGraph(built, _edges(edges, name, path), metadata=dict(metadata), type_check=False)


def _edges(edges: Any, name: str, path: str) -> list[tuple[str, str]]:
    array = np.asarray(edges)
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 2 or any(text(end) is None for end in array.reshape(-1)):
        raise GraphError(
            "its 'edges' is not a list of pairs of names",
            node=name or None,
            parameter=None if name else path,
            got=f"{array.dtype} {array.shape}",
            way_out="Export the file again.",
        )
    return [(str(text(source)), str(text(target))) for source, target in array]


def _build_node(known: NodeKind, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> nir.NIRNode:
    metadata = dict(metadata)
    arguments = known.arguments(fields, metadata, name)
    _require_fields(known.type, arguments, name)
    try:
        node = known.type(**arguments, metadata=metadata)
    except Exception as error:  # nir checks with assert, TypeError, IndexError and AttributeError alike
        raise ParameterError(
            f"NIR refuses this {known.name}: {first_line(error)}",
            node=name,
            got=", ".join(f"{key} {np.shape(value)}" for key, value in sorted(arguments.items())),
            wanted="every parameter there, of one shape",
            way_out="Mend the exporter, or build the node in Python and hasn.save it.",
        ) from error
    return node


def _require_fields(kind: type[nir.NIRNode], arguments: dict[str, Any], name: str) -> None:
    """Refuse a parameter that is missing or that NIR's node does not have, by its name."""
    known = {key: p for key, p in inspect.signature(kind).parameters.items() if key != "metadata"}
    needed = [key for key, parameter in known.items() if parameter.default is inspect.Parameter.empty]
    for key in [*(key for key in needed if key not in arguments), *(key for key in arguments if key not in known)]:
        raise ParameterError(
            f"{kind.__name__} has no such parameter" if key in arguments else f"this {kind.__name__} lacks it",
            node=name,
            parameter=key,
            wanted=", ".join(known),
            way_out="Mend the exporter, or build the node in Python and hasn.save it.",
        )


def _even_out(known: NodeKind, arguments: dict[str, Any], name: str, changes: list[Finding]) -> None:
    """Broadcast a neuron's single values to the shape of its other parameters; NIR takes one shape only."""
    if not known.elementwise:
        return
    names = [parameter.name for parameter in known.parameters if numbers(arguments.get(parameter.name)) is not None]
    shapes = [np.shape(arguments[parameter]) for parameter in names]
    largest = max(shapes, key=lambda shape: int(np.prod(shape)), default=())
    for parameter, shape in zip(names, shapes, strict=True):
        if shape != largest and int(np.prod(shape)) == 1:
            arguments[parameter] = np.full(largest, np.asarray(arguments[parameter]).reshape(-1)[0])
            changes.append(
                Finding("note", name, parameter, f"one value for all: brought to shape {largest}", got=shape)
            )
