"""A graph in NIR's own primitives, where they can say it: what any NIR tool reads."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.errors import UnsupportedError
from hasn.ir.timestep import dt_of
from hasn.ir.typed import copy_graph
from hasn.nodes.sparse import SparseLinear

#: Entries of the largest matrix that is written for a sparse one: 0.4 GB in float32.
MOST_ENTRIES = 10**8


def plain(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same network of NIR's own primitives; the caller's graph is not changed.

    A SparseLinear becomes a nir.Linear of its name, and behind it a nir.Delay where there are delays.

    Raises:
        UnsupportedError: NIR cannot say a node; names it, and the way out.
    """
    return _plain(copy_graph(graph), "", dt_of(graph.metadata))


def _plain(graph: nir.NIRGraph, prefix: str, dt: float | None) -> nir.NIRGraph:
    nodes, edges = dict(graph.nodes), list(graph.edges)
    for name, node in graph.nodes.items():
        flat = prefix + name
        if isinstance(node, nir.NIRGraph):
            nodes[name] = _plain(node, f"{flat}.", dt)
        elif isinstance(node, SparseLinear):
            nodes[name] = nir.Linear(_dense(node, flat), metadata=node.metadata)
            if node.delay is None or not np.any(node.delay):
                continue
            # Behind it, and under a name that sorts behind it: so feedback edges stay the ones they were.
            late = name + "_delay"
            while late in nodes:
                late += "_"
            nodes[late] = nir.Delay(_delays(node, flat) * _step(dt, flat))
            edges = [(late if source == name else source, target) for source, target in edges] + [(name, late)]
        elif not hasattr(nir, type(node).__name__):
            raise UnsupportedError(
                f"NIR has no {type(node).__name__}",
                node=flat,
                way_out="Save without plain=True; then hasn reads the file, and no other tool.",
            )
    return nir.NIRGraph(nodes, edges, metadata=graph.metadata, type_check=False)


def _dense(node: SparseLinear, name: str) -> Any:
    """(outputs, inputs) in float64 or float32; synapses between the same two elements added up."""
    entries = int(np.prod(node.shape, dtype=object))
    if entries > MOST_ENTRIES:
        raise UnsupportedError(
            f"its {node.synapses:,} synapses would be a matrix of {entries:,} entries",
            node=name,
            parameter="weight",
            got=node.shape,
            wanted=f"at most {MOST_ENTRIES:,} entries",
            way_out="Save without plain=True, or cut the node in several.",
        )
    return node.weight.toarray()


def _delays(node: SparseLinear, name: str) -> Any:
    """Steps for each output."""
    assert node.delay is not None
    steps = np.zeros(node.shape[0], dtype=np.int64)
    filled = np.flatnonzero(np.diff(node.indptr))
    steps[filled] = node.delay[node.indptr[filled]]
    other = np.flatnonzero(node.delay != np.repeat(steps, np.diff(node.indptr)))
    if other.size:
        output = int(np.searchsorted(node.indptr, other[0], side="right")) - 1
        raise UnsupportedError(
            f"the synapses of output {output} have unequal delays, and a nir.Delay has one for each output",
            node=name,
            parameter="delay",
            got=f"{steps[output]} and {node.delay[other[0]]} steps",
            way_out="Save without plain=True, or make a node for each delay.",
        )
    return steps


def _step(dt: float | None, name: str) -> float:
    if dt is None:
        raise UnsupportedError(
            "a nir.Delay counts seconds, and the graph does not say its time step",
            node=name,
            parameter="delay",
            way_out="Set graph.metadata['dt'].",
        )
    return dt
