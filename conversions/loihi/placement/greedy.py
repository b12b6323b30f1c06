"""The baseline: cores are filled one after the other in the order of the nodes, as a simple mapper does."""

from __future__ import annotations

import numpy as np

from hasn.conversions.loihi.placement.problem import COMPARTMENTS, RESOURCES, Problem
from hasn.conversions.loihi.placement.state import State
from hasn.errors import PlacementError
from hasn.program.integers.model import Integers
from hasn.program.maps import Matrix

#: How often the cores are filled anew with the out-axons that the last filling showed; after half of that with the
#: most that any showed. How many cores it may fill, for each that there is, to say how many are missing.
_PASSES, _TIMES = 12, 4
_WHAT = {
    "compartments": "compartments",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "memory_bits": "bits of memory",
    "decay_groups": "pairs of decays",
    "threshold_groups": "thresholds",
}


def greedy(problem: Problem, spikes: Integers) -> State | None:
    """Fill core after core, more of them than the chip has if need be; None if it does not work out all the same.

    How many cores a neuron sends to is known only when all are filled. So this is done several times, each time with
    the out-axons that the last filling showed.

    Args:
        problem: what to place.
        spikes: of every source.

    Raises:
        PlacementError: a neuron by itself is more than a core holds.
    """
    axons = np.zeros(problem.neurons, dtype=np.int64)
    for done in range(_PASSES):
        ends = _ends(problem, axons, _TIMES * problem.profile.cores)
        if ends is None:
            return None
        state = State(problem, spikes, len(ends))
        state.load(np.repeat(np.arange(len(ends)), np.diff([0, *ends])))
        if not state.excess().any():
            return state
        shown = (state.reach[: problem.neurons] > 0).sum(axis=1)
        axons = shown if done < _PASSES // 2 else np.maximum(axons, shown)
    return None


def _ends(problem: Problem, axons: Integers, cores: int) -> list[int] | None:
    """Behind the last neuron of each core, or None if the cores are too few. More neurons never need less of a core.

    A neuron that is over a limit only because of the out-axons that the last filling showed has a core to itself.
    """
    ends: list[int] = []
    first = 0
    least = np.zeros(problem.neurons, dtype=np.int64)  # out-axons of a neuron all of whose targets are on one core
    least[np.unique(problem.into.indices[problem.into.indices < problem.neurons])] = 1
    while first < problem.neurons:
        if len(ends) == cores:
            return None
        check_alone(problem, first, used_by(problem, least, first, first + 1))
        fits, over = first + 1, min(problem.neurons, first + int(problem.limits[COMPARTMENTS])) + 1
        while over - fits > 1:
            middle = (fits + over) // 2
            if np.any(used_by(problem, axons, first, middle) > problem.limits):
                over = middle
            else:
                fits = middle
        ends.append(fits)
        first = fits
    return ends


def used_by(problem: Problem, axons: Integers, first: int, end: int) -> Integers:
    """(6,) resources of a core that holds the neurons first..end-1, which send to so many cores each."""
    profile = problem.profile
    reached = _entries(problem.into, first, end)
    arriving, drives = int((reached > 0).sum()), int((reached[problem.drives :] > 0).sum())
    neurons, leaving = end - first + drives, int(axons[first:end].sum()) + drives
    memory = neurons * profile.neuron_bits + (arriving + leaving) * profile.axon_bits
    for kept in problem.lists:
        entries = _entries(kept.stored, first, end)
        memory += int((entries > 0).sum()) * kept.kernel_bits if kept.kernel_bits else int(kept.bits[entries].sum())
    kinds = [len(np.unique(row[first:end])) for row in problem.kinds]
    return np.array([neurons, arriving, leaving, memory, *kinds], dtype=np.int64)


def _entries(matrix: Matrix, first: int, end: int) -> Integers:
    """Entries in each column of some rows."""
    found = matrix.indices[matrix.indptr[first] : matrix.indptr[end]]
    return np.bincount(found, minlength=matrix.shape[1])


def check_alone(problem: Problem, neuron: int, used: Integers) -> None:
    """Refuse a neuron that is too much for a core of its own.

    Raises:
        PlacementError: names the neuron's node, the limit, and how much is over.
    """
    over = np.flatnonzero(used > problem.limits)
    if not len(over):
        return
    resource = int(over[0])
    name = problem.population_of(neuron)
    index = neuron - problem.populations[name][0]
    raise too_much(
        problem, resource, int(used[resource]), f"neuron {index} alone needs more than a core has", node=name
    )


def too_much(problem: Problem, resource: int, got: int, message: str, *, node: str, cores: int = 1) -> PlacementError:
    """The error for a limit: what is needed, what there is, and how much is over."""
    limit = int(problem.limits[resource]) * cores
    what = _WHAT[RESOURCES[resource]]
    return PlacementError(
        message,
        node=node,
        parameter=what,
        got=f"{got:,} {what}, {got - limit:,} over",
        wanted=f"at most {limit:,} on {'a core' if cores == 1 else f'{cores} cores'} of {problem.profile.title}",
        way_out="Make the layer smaller or its connections sparser, or choose a chip with more room.",
    )
