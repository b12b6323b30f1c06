"""Write a .nir file, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from hasn.errors import FileError, OptionError, ShapeError
from hasn.finding import raise_errors
from hasn.ir.datasets import FREE, TIMES
from hasn.ir.metadata import encoded, holders
from hasn.ir.plain import plain as in_primitives
from hasn.ir.structure import flatten, structure_findings
from hasn.ir.typed import copy_graph, set_types
from hasn.ir.whole import refuse_existing, whole_file


def save(graph: nir.NIRGraph, path: str | Path, *, force: bool = False, plain: bool = False) -> None:
    """Write a graph as a NIR file. The graph is not changed.

    Any NIR tool reads it, unless the graph has nodes of :mod:`hasn.nodes`, which other tools refuse.

    The file is written under a temporary name beside ``path`` and renamed when it is complete.

    Args:
        graph: the graph; shapes that NIR lets open (a convolution's ``input_shape``) are filled in.
        path: the file; the folder must exist.
        force: replace a file that is already there.
        plain: write NIR's own primitives alone: a SparseLinear as a dense nir.Linear, and a nir.Delay behind it.

    Raises:
        FileError: the file exists and ``force`` is False, the folder is missing, the disk is full, or metadata have a
            key or a value that would not come back.
        GraphError: the graph's structure is broken, or a shape that the file needs is nowhere given.
        UnsupportedError: ``plain``, and NIR has no words for a node.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError("not a NIR graph", parameter="graph", got=type(graph).__name__, wanted="nir.NIRGraph")
    raise_errors(structure_findings(graph))
    typed = set_types(in_primitives(graph) if plain else copy_graph(graph, fresh=False))
    for name, node in flatten(typed).nodes.items():
        if isinstance(node, nir.Conv1d | nir.Conv2d | nir.Flatten) and node.input_type["input"] is None:
            raise ShapeError(
                "its input shape is nowhere given, and the file needs it",
                node=name,
                parameter="input_shape",
                way_out="Give the graph an Input with a shape.",
            )
    _make_writable(typed)
    for name, node in holders(typed):
        node.metadata = encoded(node.metadata, name)
    # HDF5 writes to memory: when a disk is full its library leaves handles open and complains at exit.
    content = io.BytesIO()
    refuse_existing(path, force=force)
    _write(content, typed, path)
    with whole_file(path, force=force) as temporary:
        temporary.write_bytes(content.getbuffer())


def _write(content: io.BytesIO, graph: nir.NIRGraph, path: str | Path) -> None:
    try:
        nir.write(content, graph)
        with h5py.File(content, "r") as file:
            sizes: list[int] = []
            file.visititems(lambda _, item: sizes.append(item.nbytes if isinstance(item, h5py.Dataset) else 0))
        # What packs so well that load would take it for a bomb is stored as it is. Twice: HDF5 reads chunks, too.
        if 2 * sum(sizes) > FREE + TIMES * len(content.getbuffer()):
            content.seek(0)
            content.truncate()
            nir.write(content, graph, compression=None)
    except (TypeError, ValueError) as error:
        raise FileError(
            f"HDF5 cannot hold a value of the graph: {error}",
            parameter=str(path),
            way_out="Keep numbers and arrays of them in the nodes.",
        ) from error


def _numbers_of(holder: dict[str, Any]) -> dict[str, Any]:
    """Arrays without dimensions as numbers, in dicts too."""
    found: dict[str, Any] = {}
    for key, value in holder.items():
        if isinstance(value, np.ndarray) and value.ndim == 0:
            found[key] = value[()]
        elif type(value) is dict and key != "metadata":
            found[key] = {**value, **_numbers_of(value)}
    return found


def _make_writable(graph: nir.NIRGraph) -> None:
    """Give each Input and Output a shape array, and turn arrays without dimensions into numbers: nir compresses every
    array, which HDF5 refuses for a single value, and has nothing to write for None."""
    for node in (graph, *graph.nodes.values()):
        for holder in (vars(node), node.metadata):
            holder.update(_numbers_of(holder))
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            _make_writable(node)
        elif isinstance(node, nir.Input | nir.Output):
            types: dict[str, Any] = node.input_type if isinstance(node, nir.Input) else node.output_type
            shape = next(iter(types.values()))
            if shape is None:
                raise ShapeError("its shape is nowhere given, and the file needs it", node=name, parameter="shape")
            types[next(iter(types))] = np.asarray(shape)
