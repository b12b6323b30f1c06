"""Which neurons share a core: several core counts and partitions, the best improved, never worse than greedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from hasn.conversions.loihi.placement.greedy import greedy, too_much
from hasn.conversions.loihi.placement.improve import compacted, refine, repair
from hasn.conversions.loihi.placement.partition import STARS, needs, partition
from hasn.conversions.loihi.placement.problem import COMPARTMENTS, MEMORY, Problem
from hasn.conversions.loihi.placement.state import State
from hasn.errors import OptionError, PlacementError
from hasn.program.describe import counted
from hasn.program.integers.model import Integers

Progress: TypeAlias = Callable[[str], None]

#: Repaired partitions that are improved, besides the greedy placement.
_FINALISTS = 2
#: What has this many times the messages of the best so far is not improved: moves save some tens of percent.
_HOPELESS = 2.0
#: Core counts beyond the first that works that are tried, as a share and at least.
_BEYOND, _AT_LEAST = 0.125, 2
#: Core counts that are tried one by one.
_ONE_BY_ONE = 12


@dataclass(frozen=True)
class Found:
    """The best assignment, the greedy one (perhaps on more cores than there are, or None) and how it was found."""

    state: State
    baseline: State | None
    method: str


@dataclass(frozen=True)
class _Candidate:
    state: State
    method: str

    @property
    def rank(self) -> tuple[int, int]:
        """Fewest messages first, then fewest cores."""
        return self.state.traffic, self.state.cores


def search(problem: Problem, spikes: Integers, cores: int | None, seed: int, progress: Progress | None) -> Found:
    """Assign every neuron to a core.

    Args:
        problem: what to place.
        spikes: of every source.
        cores: spread evenly over so many; default: the count with the fewest messages.
        seed: of the partitioner.
        progress: called with what is being tried.

    Raises:
        OptionError: no such number of cores.
        PlacementError: it does not fit.
        BackendUnavailable: pymetis is not installed.
    """
    say = progress or (lambda text: None)
    available = _available(problem, cores)
    lowest = _lowest(problem, available)
    if cores is not None:
        problem = _spread(problem, cores)
    say("Filling cores greedily")
    baseline = greedy(problem, spikes)
    if baseline is not None and baseline.cores == 1:
        return Found(baseline, baseline, "one core")
    first = 1 if cores is None else cores
    kept, worst = _partitions(problem, spikes, max(lowest, first), available, seed, say)
    fits = baseline if baseline is not None and baseline.cores <= available else None
    best = _improved(problem, kept, fits, say)
    if best is None:
        raise _no_room(problem, worst, available)
    return Found(best.state, baseline, best.method)


def _partitions(
    problem: Problem, spikes: Integers, lowest: int, available: int, seed: int, say: Progress
) -> tuple[list[_Candidate], State | None]:
    """Repaired partitions of several core counts, and the last that could not be repaired."""
    kept: list[_Candidate] = []
    worst: State | None = None
    most = last = min(available, problem.neurons)
    for count in _counts(min(lowest, most), most):
        for star in STARS:
            say(f"Partitioning over {counted(count, 'core')}")
            state = State(problem, spikes, count)
            state.load(partition(problem, spikes, count, star, seed))
            if repair(state):
                kept.append(_Candidate(compacted(problem, state), f"METIS ({star}), moves and swaps"))
            else:
                worst = state
        if kept:
            last = min(last, count + max(_AT_LEAST, int(_BEYOND * count)))
        if count >= last:
            break
    return kept, worst


def _improved(problem: Problem, kept: list[_Candidate], baseline: State | None, say: Progress) -> _Candidate | None:
    finalists = sorted(kept, key=lambda one: one.rank)[:_FINALISTS]
    if baseline is not None:
        finalists.append(_Candidate(compacted(problem, baseline), "greedy, moves and swaps"))
    least = None
    for place, candidate in enumerate(finalists):
        if least is None or candidate.state.traffic <= _HOPELESS * least:
            say(f"Moving and swapping neurons ({place + 1} of {len(finalists)})")
            refine(candidate.state)
            least = candidate.state.traffic if least is None else min(least, candidate.state.traffic)
    done = [_Candidate(compacted(problem, one.state), one.method) for one in finalists]
    return min(done, key=lambda one: one.rank, default=None)


def _available(problem: Problem, cores: int | None) -> int:
    there = problem.profile.cores
    if cores is None:
        return there
    if isinstance(cores, bool) or not isinstance(cores, int | np.integer) or not 1 <= cores <= there:
        raise OptionError("no such number of cores", parameter="cores", got=repr(cores), wanted=f"1..{there}")
    return int(cores)


def _counts(lowest: int, most: int) -> Iterator[int]:
    """From the lower bound up, one by one at first, then in strides of an eighth."""
    count = lowest
    while count < most:
        yield count
        count += 1 if count < lowest + _ONE_BY_ONE else max(1, count // 8)
    yield most


def _spread(problem: Problem, cores: int) -> Problem:
    """With room for an even share of the neurons on each core, and for its drives."""
    limits = problem.limits.copy()
    even = -(-problem.neurons // cores) + problem.sources - problem.drives
    limits[COMPARTMENTS] = min(int(limits[COMPARTMENTS]), even)
    return replace(problem, limits=limits)


def _lowest(problem: Problem, available: int) -> int:
    """The cores that are needed at the least.

    Raises:
        PlacementError: more than there are.
    """
    total = needs(problem).sum(axis=0)
    lowest = max(1, int(np.ceil(total.max() - 1e-9)))
    if lowest > available:
        resource = (COMPARTMENTS, MEMORY)[int(total.argmax())]
        got = int(np.ceil(total.max() * float(problem.limits[resource])))
        largest = max(problem.populations, key=lambda name: _size(problem, name))
        raise too_much(problem, resource, got, "the network needs more than there is", node=largest, cores=available)
    return lowest


def _size(problem: Problem, name: str) -> int:
    first, end = problem.populations[name]
    return end - first


def _no_room(problem: Problem, state: State | None, available: int) -> PlacementError:
    """Which limit stood in the way, at the core that is furthest over it."""
    if state is None:
        raise ValueError("nothing was tried")
    over = state.excess() / problem.limits
    core, resource = np.unravel_index(int(over.argmax()), over.shape)
    there = np.flatnonzero(state.core == core)
    names = [problem.population_of(int(neuron)) for neuron in there]
    node = max(dict.fromkeys(names), key=names.count)
    return too_much(
        problem, int(resource), int(state.usage()[core, resource]),
        f"no assignment to {available} cores was found that keeps the limits; closest: a core", node=node,
    )  # fmt: skip
