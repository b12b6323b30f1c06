"""A first assignment from METIS (Karypis and Kumar, SIAM J. Sci. Comput. 20, 1998), through pymetis.

What counts is messages: a spike costs one for each *other core* it goes to, however many neurons it reaches there. That
is a cut of hyperedges (a source with all its targets); METIS cuts edges. So each hyperedge is drawn as a star, an edge
from the source to each target, with one of two weights, both tried:

    "each"    the source's spikes, as if each target were on a core of its own (right for few targets)
    "shared"  the source's spikes divided by its targets: a star cut through and through costs one message

pymetis balances one weight a vertex; it gets what the neuron takes of the resource that the network needs most of. What
is then over another limit, or over this one (lists of synapses are padded, axons shared), is repaired afterwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.placement.problem import COMPARTMENTS, MEMORY, Problem
from hasn.errors import BackendUnavailable
from hasn.program.integers.model import Integers

STARS = ("each", "shared")
#: METIS adds weights up in 32 bits.
_LARGEST_SUM = 1 << 30
#: A part may be this share over the average: METIS's own default, 30 of 1000.
_IMBALANCE = 30


def partition(problem: Problem, spikes: Integers, parts: int, star: str, seed: int) -> Integers:
    """Which of ``parts`` each neuron is in.

    Raises:
        BackendUnavailable: pymetis is not installed.
    """
    pymetis = _pymetis()
    if parts == 1:
        return np.zeros(problem.neurons, dtype=np.int64)
    graph = _graph(problem, spikes, star)
    options = pymetis.Options()
    options.seed, options.ufactor = seed, _IMBALANCE
    _, found = pymetis.part_graph(
        parts,
        pymetis.CSRAdjacency(graph.indptr.astype(np.int64), graph.indices.astype(np.int64)),
        eweights=graph.data.astype(np.int64),
        vweights=_vertex_weights(problem),
        options=options,
    )
    return np.asarray(found, dtype=np.int64)


def _pymetis() -> Any:
    try:
        import pymetis
    except ImportError as error:
        raise BackendUnavailable(
            "the partitioner is not installed", parameter="pymetis", way_out="pip install 'hasn[loihi]'"
        ) from error
    return pymetis


def _graph(problem: Problem, spikes: Integers, star: str) -> Any:
    """csr (neurons, neurons), symmetric, integer weights of at least 1, nothing on the diagonal."""
    from scipy.sparse import coo_array, csr_array

    n = problem.neurons
    pairs = problem.into[:, :n].tocoo()
    keep = pairs.row != pairs.col
    rows, columns = pairs.row[keep], pairs.col[keep]
    weight: NDArray[np.float64] = spikes[columns].astype(np.float64)
    if star == "shared":
        weight /= np.bincount(columns, minlength=n)[columns]
    # Connections of silent neurons still hold together what belongs together, for little.
    weight += 1e-3 * max(float(weight.mean()) if len(weight) else 0.0, 1e-3)
    graph = csr_array(coo_array((weight, (rows, columns)), shape=(n, n)))
    graph = csr_array(graph + graph.T)
    scale = (
        min(1000.0 / max(float(np.median(graph.data)), 1e-9), _LARGEST_SUM / float(graph.data.sum()))
        if graph.nnz
        else 1.0
    )
    graph.data = np.maximum(1, np.rint(graph.data * scale))
    return graph


def needs(problem: Problem) -> NDArray[np.float64]:
    """(neurons, 2): shares of a core's compartments and memory that each neuron takes at the least.

    Shared kernels, axons and padding are left out, so the sum over all neurons is a lower bound of the cores.
    """
    profile, n = problem.profile, problem.neurons
    memory = np.full(n, float(profile.neuron_bits))
    for kept in problem.lists:
        if not kept.kernel_bits:
            most = len(kept.bits) - 1
            # The fewest bits a synapse takes, in the longest list that there can be.
            each = (kept.bits[1:] / np.arange(1, most + 1)).min(initial=np.inf) if most else 0.0
            memory += np.diff(kept.stored.indptr) * (each if np.isfinite(each) else 0.0)
    made = np.empty((n, 2))
    made[:, 0] = 1.0 / float(problem.limits[COMPARTMENTS])
    made[:, 1] = memory / float(problem.limits[MEMORY])
    return made


def _vertex_weights(problem: Problem) -> list[int]:
    shares = needs(problem)
    binding = shares[:, int(shares.sum(axis=0).argmax())]
    scale = min(1000.0 / max(float(binding.mean()), 1e-12), _LARGEST_SUM / max(float(binding.sum()), 1e-12))
    weights: list[int] = np.maximum(1, np.rint(binding * scale)).astype(np.int64).tolist()
    return weights
