"""Read a .nir file. Every failure names the file and, where there is one, the node."""

from __future__ import annotations

import warnings
from pathlib import Path

import nir

from hasn.errors import RepairWarning
from hasn.finding import Finding, raise_errors
from hasn.ir.build import build
from hasn.ir.hdf5 import read_fields
from hasn.ir.repair import repair as repair_graph
from hasn.ir.structure import structure_findings
from hasn.ir.timestep import check_dt
from hasn.ir.typed import set_types


def load(path: str | Path, *, dt: float | None = None, repair: bool = False) -> nir.NIRGraph:
    """Read a NIR graph from an HDF5 file.

    Unlike ``nir.read``, shapes are inferred per dimension (non-square kernels, groups and 'same' padding come out
    right), nested graphs included, and no node is added to the graph.

    Args:
        path: the ``.nir`` file.
        dt: time step in seconds, kept as ``graph.metadata["dt"]``; default: what the file says, if anything.
        repair: mend what can be mended (see :func:`hasn.repair`). Each change is listed in one ``RepairWarning`` and, a
            line each, in ``graph.metadata["repairs"]``.

    Returns:
        The graph. Parameter values are not judged here: :func:`hasn.check` lists what is wrong with them, and
        :func:`hasn.compile` refuses them.

    Raises:
        FileError: there is no such file, it is no HDF5, no NIR or truncated, it leads to other files (links, external
            or virtual data), or it would take more memory than a file of its size may.
        GraphError: unknown node type, an edge to a node that is not there, an edge listed twice.
        ParameterError: a parameter is missing, or has a shape that NIR does not take.
        TimeStepError: ``dt`` is not a finite number > 0.
    """
    changes: list[Finding] = []
    graph: nir.NIRGraph = build(read_fields(Path(path)), "", str(path), changes if repair else None)
    if dt is not None:
        graph.metadata["dt"] = check_dt(dt)
    if repair:
        repaired = repair_graph(graph)
        graph, changes = repaired.graph, [*changes, *repaired.changes]
    raise_errors(structure_findings(graph))
    if changes:
        lines = [str(change) for change in changes]
        graph.metadata["repairs"] = "\n".join(lines)
        warnings.warn(f"{path}: {len(lines)} repair(s):\n  " + "\n  ".join(lines), RepairWarning, stacklevel=2)
    return set_types(graph)
