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

    Attributes:
        name: "source -> target", for people.
        source: number of its first source.
        stored: csr (neurons, sources of this connection): 1 where a synapse is stored.
        bits: (n + 1,) memory of one source's synapses on a core, by how many there are; where ``kernels`` is None.
        kernels: csr (neurons, distinct kernel weights): 1 where a neuron uses one; None: every synapse is stored.
        kernel_bits: memory of a kernel weight.
    """

    name: str
    source: int
    stored: Matrix
    bits: Bits
    kernels: Matrix | None = None
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
    steady = [(name, part) for name, p in network.populations.items() for ps in p.drive_parts.values() for part in ps]
    firsts = {name: first for name, (first, _) in (*populations.items(), *inputs.items())}
    shape = (neurons, outside + len(steady))
    found, ends = [], []
    for name, source, part, delay, projection in _parts(network):
        entries = (
            kernel_entries(network.network.program, projection, part.mantissas) if profile.shares_convolutions else None
        )
        found.append(
            _list(f"{source} -> {name}", part, delay, entries, profile, populations[name], firsts[source], neurons)
        )
        ends.append(name)
    for i, (name, part) in enumerate(steady):
        found.append(_list(f"constant -> {name}", part, 0, None, profile, populations[name], outside + i, neurons))
        ends.append(name)
    into = csr_array(shape, dtype=np.int8)
    for made in found:
        into = into + _widened(made.stored, made.source, shape)
    into.data[:] = 1
    lists_of = {name: tuple(i for i, end in enumerate(ends) if end == name) for name in populations}
    return Problem(
        profile, populations, inputs, shape[1], outside, into, tuple(found), lists_of, _kinds(network), _limits(profile)
    )


def _numbered(sizes: dict[str, int], start: int) -> tuple[dict[str, tuple[int, int]], int]:
    numbers = {}
    for name, size in sizes.items():
        numbers[name] = (start, start + size)
        start += size
    return numbers, start


def _parts(network: IntegerNetwork) -> Iterator[tuple[str, str, WeightPart, int, Any]]:
    for p in network.projections:
        for part in p.parts:
            yield p.target, p.source, part, p.delay, p


def _widened(stored: Matrix, first: int, shape: tuple[int, int]) -> Matrix:
    from scipy.sparse import csr_array

    return csr_array((stored.data, stored.indices + first, stored.indptr), shape=shape)


def _limits(profile: Profile) -> Bits:
    given = [getattr(profile, name) for name in RESOURCES]
    return np.array([UNLIMITED if limit is None else limit for limit in given], dtype=np.int64)


def _kinds(network: IntegerNetwork) -> Integers:
    """Numbers of (du, dv) and of vth, for each neuron."""
    populations = network.populations.values()
    if not populations:
        return np.zeros((2, 0), dtype=np.int64)
    decays = np.concatenate([np.stack([p.du, p.dv], axis=1) for p in populations])
    thresholds = np.concatenate([p.vth for p in populations])
    rows = np.unique(decays, axis=0, return_inverse=True)[1], np.unique(thresholds, return_inverse=True)[1]
    return np.stack([row.reshape(-1) for row in rows]).astype(np.int64)


# --- synapses


def _list(
    name: str,
    part: WeightPart,
    delay: int,
    entries: Any,
    profile: Profile,
    target: tuple[int, int],
    source: int,
    neurons: int,
) -> SynapseList:
    """A connection as a core stores it: sparse (an index for each synapse) or dense, whichever is shorter in all."""
    from scipy.sparse import csr_array

    sparse = csr_array(part.mantissas)
    extra = profile.delay_bits if delay else 0
    weight, indexed = profile.weight_bits + extra, profile.weight_bits + profile.index_bits + extra
    if entries is not None:
        count = int(entries.max(initial=-1)) + 1
        rows = np.repeat(np.arange(sparse.shape[0]), np.diff(sparse.indptr))
        kernels = csr_array((np.ones(len(rows), dtype=np.int32), (rows, entries)), shape=(sparse.shape[0], count))
        stored = _below(_ones(sparse), target, neurons)
        return SynapseList(
            name, source, stored, np.zeros(1, np.int64), _below(_ones(kernels), target, neurons), indexed
        )
    full = _rectangle(sparse)
    dense = full.nnz * weight < sparse.nnz * indexed
    stored = _below(full if dense else _ones(sparse), target, neurons)
    return SynapseList(name, source, stored, list_bits(sparse.shape[0], weight if dense else indexed, profile))


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
