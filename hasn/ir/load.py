"""Read a .nir file. Every failure names the file and, where there is one, the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from hasn.errors import FileError, GraphError, HasnError, ParameterError
from hasn.ir.finding import raise_errors
from hasn.ir.structure import PRIMITIVE_NAMES, structure_findings
from hasn.ir.timestep import check_dt
from hasn.ir.typed import with_types
from hasn.ir.values import text

_TYPES: dict[str, type[nir.NIRNode]] = {name: getattr(nir, name) for name in PRIMITIVE_NAMES}
#: Nested groups deeper than this are a loop of HDF5 links, not a network.
_DEEPEST = 64


def load(path: str | Path, *, dt: float | None = None) -> nir.NIRGraph:
    """Read a NIR graph from an HDF5 file.

    Unlike ``nir.read``, shapes are inferred per dimension (non-square kernels, groups and 'same' padding come out
    right), nested graphs included, and nothing is added to the graph.

    Args:
        path: the ``.nir`` file.
        dt: time step in seconds, kept as ``graph.metadata["dt"]``; default: what the file says, if anything.

    Returns:
        The graph. Parameter values are not judged here: :func:`hasn.check` lists what is wrong with them, and
        :func:`hasn.compile` refuses them.

    Raises:
        FileError: there is no such file, or it is no HDF5, no NIR, or truncated.
        GraphError: unknown node type, an edge to a node that is not there, an edge listed twice.
        ParameterError: a parameter is missing, or has a shape that NIR does not take.
        TimeStepError: ``dt`` is not a finite number > 0.
    """
    graph = _build(_read(Path(path)), "", str(path))
    if dt is not None:
        graph.metadata["dt"] = check_dt(dt)
    raise_errors(structure_findings(graph))
    return with_types(graph)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileError("there is no such file", parameter=str(path), way_out="Check the path.")
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
        whole = path.stat().st_size >= 8 and path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"
        what = "damaged or truncated HDF5" if whole else "not an HDF5 file"
        raise FileError(
            f"{what} ({_first_line(error)})", parameter=str(path), way_out="Copy or export the file again."
        ) from error


def _first_line(error: Exception) -> str:
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


def _build(fields: dict[str, Any], name: str, path: str) -> Any:
    """The NIR node, nested graphs included, that a group's fields describe."""
    kind = text(fields.get("type"))
    if kind not in _TYPES:
        raise GraphError(
            "unknown node type" if kind else "the node has no type",
            node=name or path,
            got=repr(kind),
            wanted=f"one of {', '.join(PRIMITIVE_NAMES)}",
            way_out="A newer NIR, or another tool's own node? Export it as NIR 1.0 primitives.",
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
    if kind == "NIRGraph":
        return _build_graph(arguments, metadata, name, path)
    return _build_node(_TYPES[kind], arguments, metadata, name)


def _plain(value: Any) -> Any:
    return text(value) if text(value) is not None else value


def _build_graph(arguments: dict[str, Any], metadata: dict[str, Any], name: str, path: str) -> nir.NIRGraph:
    nodes, edges = arguments.get("nodes", {}), arguments.get("edges", [])
    if not isinstance(nodes, dict) or not all(isinstance(node, dict) for node in nodes.values()):
        raise GraphError("its 'nodes' is not a group of nodes", node=name or path, way_out="Export the file again.")
    built = {key: _build(node, f"{name}.{key}" if name else key, path) for key, node in nodes.items()}
    return nir.NIRGraph(built, _edges(edges, name or path), metadata=dict(metadata), type_check=False)


def _edges(edges: Any, where: str) -> list[tuple[str, str]]:
    array = np.asarray(edges)
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 2 or any(text(end) is None for end in array.reshape(-1)):
        raise GraphError(
            "its 'edges' is not a list of pairs of names",
            node=where,
            got=f"{array.dtype} {array.shape}",
            way_out="Export the file again.",
        )
    return [(str(text(source)), str(text(target))) for source, target in array]


def _build_node(kind: type[nir.NIRNode], arguments: dict[str, Any], metadata: dict[str, Any], name: str) -> nir.NIRNode:
    if kind in (nir.Input, nir.Output):
        key = "input" if kind is nir.Input else "output"
        shape = arguments.get("shape", arguments.get(f"{key}_type"))
        shape = shape.get(key) if isinstance(shape, dict) else shape
        if shape is not None and (np.asarray(shape).dtype.kind not in "iuf" or np.any(np.asarray(shape) < 1)):
            raise ParameterError(
                "is not a shape", node=name, parameter="shape", got=repr(shape), wanted="integers >= 1"
            )
        arguments = {f"{key}_type": {key: None if shape is None else np.atleast_1d(shape)}}
    elif kind in (nir.Conv1d, nir.Conv2d):
        arguments.setdefault("input_shape", None)
    elif kind is nir.Flatten:
        arguments["input_type"] = {"input": arguments.get("input_type")}
    try:
        node = kind(**arguments, metadata=dict(metadata))
    except HasnError:
        raise
    except Exception as error:  # nir checks with assert, TypeError, IndexError and AttributeError alike
        raise ParameterError(
            f"NIR refuses this {kind.__name__}: {_first_line(error)}",
            node=name,
            got=", ".join(f"{key} {np.shape(value)}" for key, value in sorted(arguments.items())),
            wanted="every parameter there, of one shape",
            way_out="Mend the exporter, or build the node in Python and hasn.save it.",
        ) from error
    return node
