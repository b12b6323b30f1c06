"""What is to be placed: every neuron, who reaches it, and what its synapses take of a core's memory.

Numbering: neurons first (population after population, flat), then the elements of the Inputs, then the *drives*. A
drive is the neuron that always fires for a constant input (:attr:`IntegerPopulation.drive_parts`); each core that needs
one has its own, so it takes a compartment and two axons there and sends nothing to other cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.placement.sharing import kernel_entries
from hasn.conversions.loihi.profiles import Profile
from hasn.program.integers.model import IntegerNetwork, Integers, WeightPart
from hasn.program.maps import Matrix

Bits: TypeAlias = NDArray[np.int64]

#: Resources of a core, in the order of every table of them.
RESOURCES = ("compartments", "in_axons", "out_axons", "memory_bits", "decay_groups", "threshold_groups")
COMPARTMENTS, IN_AXONS, OUT_AXONS, MEMORY, DECAYS, THRESHOLDS = range(len(RESOURCES))
#: Stands for "no limit" in integer tables.
UNLIMITED = np.int64(1) << 60


@dataclass(frozen=True)
class SynapseList:
    """One connection as a core stores it.

    A dense list holds zeros too: they take memory, but only what is not 0 takes axons and messages.

    Attributes:
        stored: csr (neurons, entries): 1 where a neuron needs an entry: the synapse from a source, or where the kernel
            is shared, one of its weights.
        bits: (n + 1,) memory of one source's synapses on a core, by how many there are.
        kernel_bits: memory of a kernel weight; 0 where nothing is shared.
    """

    stored: Matrix
    bits: Bits
    kernel_bits: int = 0


@dataclass(frozen=True)
class Problem:
    """Neurons, their lists of synapses and the chip's limits.

    Attributes:
        profile: the chip.
        populations: name -> numbers of its neurons (first, behind the last).
        inputs: Input -> numbers of its elements, likewise.
        sources: how many there are: neurons, elements of Inputs, drives.
        drives: number of the first drive.
        into: csr (neurons, sources): 1 where any synapse is.
        lists: connections.
        lists_of: for each neuron's population, the indices of the lists that end there.
        kinds: (2, neurons): number of its (du, dv), and of its vth.
        limits: (6,) of a core, UNLIMITED where there is none.
    """

    profile: Profile
    populations: dict[str, tuple[int, int]]
    inputs: dict[str, tuple[int, int]]
    sources: int
    drives: int
    into: Matrix
    lists: tuple[SynapseList, ...]
    lists_of: dict[str, tuple[int, ...]]
    kinds: Integers
    limits: Bits

    @property
    def neurons(self) -> int:
        """Neurons to place."""
        return int(self.into.shape[0])

    def population_of(self, neuron: int) -> str:
        """The population that a neuron is of."""
        return next(name for name, (first, end) in self.populations.items() if first <= neuron < end)


def problem(network: IntegerNetwork, profile: Profile) -> Problem:
    """Number the network's neurons and write down what each needs."""
    from scipy.sparse import csr_array

    populations, neurons = _numbered({p.name: p.size for p in network.populations.values()}, 0)
    inputs, outside = _numbered({p.name: p.size for p in network.inputs.values()}, neurons)
    pieces = list(_pieces(network, profile, {**populations, **inputs}, outside))
    sources = outside + sum(piece.source >= outside for piece in pieces)
    into = csr_array((neurons, sources), dtype=np.int8)
    for piece in pieces:
        into = into + _widened(
            _below(_ones(piece.mantissas), populations[piece.target], neurons), piece.source, sources
        )
    into.data[:] = 1
    return Problem(
        profile=profile,
        populations=populations,
        inputs=inputs,
        sources=sources,
        drives=outside,
        into=into,
        lists=tuple(_list(piece, profile, populations[piece.target], neurons) for piece in pieces),
        lists_of={name: tuple(i for i, p in enumerate(pieces) if p.target == name) for name in populations},
        kinds=_kinds(network),
        limits=_limits(profile),
    )


def _numbered(sizes: dict[str, int], start: int) -> tuple[dict[str, tuple[int, int]], int]:
    numbers = {}
    for name, size in sizes.items():
        numbers[name] = (start, start + size)
        start += size
    return numbers, start


@dataclass(frozen=True)
class _Piece:
    """A connection on the chip: mantissas without zeros, and the kernel weight of each where they are shared."""

    target: str
    source: int
    mantissas: Matrix
    delay: int
    kernels: Integers | None


def _pieces(
    network: IntegerNetwork, profile: Profile, numbers: dict[str, tuple[int, int]], outside: int
) -> Iterator[_Piece]:
    """The parts of all projections, then those of the drives, each from a source of its own."""
    program = network.network.program
    for p in network.projections:
        for part in p.parts:
            weights = _without_zeros(part)
            kernels = kernel_entries(program, p, weights) if profile.shares_convolutions else None
            yield _Piece(p.target, numbers[p.source][0], weights, p.delay, kernels)
    source = outside
    for name, population in network.populations.items():
        for parts in population.drive_parts.values():
            for part in parts:
                yield _Piece(name, source, _without_zeros(part), 0, None)
                source += 1


def _without_zeros(part: WeightPart) -> Matrix:
    from scipy.sparse import csr_array

    made = csr_array(part.mantissas, copy=True)
    made.eliminate_zeros()
    return made


def _widened(rows: Matrix, first: int, sources: int) -> Matrix:
    from scipy.sparse import csr_array

    return csr_array((rows.data, rows.indices + first, rows.indptr), shape=(rows.shape[0], sources))


def _limits(profile: Profile) -> Bits:
    given = [getattr(profile, name) for name in RESOURCES]
    return np.array([UNLIMITED if limit is None else limit for limit in given], dtype=np.int64)


def _kinds(network: IntegerNetwork) -> Integers:
    """Numbers of (du, dv) and of vth, for each neuron."""
    populations = network.populations.values()
    decays = np.concatenate([np.stack([p.du, p.dv], axis=1) for p in populations])
    thresholds = np.concatenate([p.vth for p in populations])
    rows = np.unique(decays, axis=0, return_inverse=True)[1], np.unique(thresholds, return_inverse=True)[1]
    return np.stack([row.reshape(-1) for row in rows]).astype(np.int64)


# --- synapses


def _list(piece: _Piece, profile: Profile, target: tuple[int, int], neurons: int) -> SynapseList:
    """A connection as a core stores it: sparse (an index for each synapse) or dense, whichever is shorter in all."""
    from scipy.sparse import csr_array

    sparse = piece.mantissas
    weight = profile.weight_bits + (profile.delay_bits if piece.delay else 0)
    indexed = weight + profile.index_bits
    if piece.kernels is not None:
        shape = (sparse.shape[0], int(piece.kernels.max()) + 1)
        rows = np.repeat(np.arange(shape[0]), np.diff(sparse.indptr))
        users = csr_array((np.ones(len(rows), dtype=np.int32), (rows, piece.kernels)), shape=shape)
        return SynapseList(_below(_ones(users), target, neurons), np.zeros(1, dtype=np.int64), indexed)
    full = _rectangle(sparse)
    dense = full.nnz * weight < sparse.nnz * indexed
    stored = _below(full if dense else _ones(sparse), target, neurons)
    return SynapseList(stored, list_bits(sparse.shape[0], weight if dense else indexed, profile))


def list_bits(most: int, synapse: int, profile: Profile) -> Bits:
    """Memory that 0..most synapses of one axon take, each of so many bits: groups with headers, in whole words."""
    n = np.arange(most + 1)
    rest = n % profile.group_size

    def words(k: Any) -> Any:
        return -(-(k * synapse + profile.header_bits) // profile.word_bits) * (np.asarray(k) > 0)

    total = (n // profile.group_size) * words(profile.group_size) + words(rest)
    return np.asarray(total * profile.word_bits, dtype=np.int64)


def _ones(matrix: Matrix) -> Matrix:
    made = matrix.copy()
    made.data = np.ones(len(matrix.data), dtype=np.int8)
    return made


def _rectangle(matrix: Matrix) -> Matrix:
    """All pairs of a row and a column that have any entry."""
    from scipy.sparse import csr_array

    some = np.diff(matrix.indptr) > 0
    columns = np.unique(matrix.indices)
    indptr = np.concatenate([[0], np.cumsum(some * len(columns))])
    indices = np.tile(columns, int(some.sum()))
    return csr_array((np.ones(len(indices), dtype=np.int8), indices, indptr), shape=matrix.shape)


def _below(matrix: Matrix, target: tuple[int, int], neurons: int) -> Matrix:
    """The rows of a population among those of all neurons."""
    from scipy.sparse import csr_array

    before = np.zeros(target[0], dtype=matrix.indptr.dtype)
    behind = np.full(neurons - target[1], matrix.indptr[-1])
    indptr = np.concatenate([before, matrix.indptr, behind])
    return csr_array((matrix.data, matrix.indices, indptr), shape=(neurons, matrix.shape[1]))
