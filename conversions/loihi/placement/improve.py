"""A better assignment: repair what is over a limit, then move and swap neurons while messages get fewer."""

from __future__ import annotations

import numpy as np

from hasn.conversions.loihi.placement.problem import Problem
from hasn.conversions.loihi.placement.state import State
from hasn.program.integers.model import Integers

#: Rounds of improvement at most, the share of the messages below which a round is the last, and how often in all a
#: change may be tried, for each neuron.
_ROUNDS, _WORTH, _TRIES = 8, 2e-3, 3
#: Partners that are looked at for a swap.
_PARTNERS = 3


def repair(state: State) -> bool:
    """Move neurons off cores that are over a limit, those first whose move costs the fewest messages.

    Returns:
        Whether every core is within its limits.
    """
    for _ in range(3 * state.cores):
        excess = state.excess()
        if not excess.any():
            return True
        slack = np.maximum(state.problem.limits - state.usage(), 0)
        if np.any(excess.sum(axis=0) > slack.sum(axis=0)):
            return False
        core = int((excess / state.problem.limits).sum(axis=1).argmax())
        if not _relieve(state, core):
            return False
    return not state.excess().any()


def _relieve(state: State, core: int) -> bool:
    """Move neurons off a core until it is within its limits; whether it is."""
    limits = state.problem.limits
    costs = state.costs()
    neurons = np.flatnonzero(state.core == core)
    costs[:, core] = np.iinfo(np.int64).max
    for neuron in neurons[np.argsort(costs[neurons].min(axis=1), kind="stable")]:
        fits = np.all(state.joining(int(neuron)) <= limits, axis=1)
        fits[core] = False
        if fits.any():
            target = int(np.where(fits, costs[neuron], np.iinfo(np.int64).max).argmin())
            before = _others(state, core)
            state.move(int(neuron), target)
            if _others(state, core) > before:  # out-axons of a third core
                state.move(int(neuron), core)
        if not np.any(state.usage_of(core) > limits):
            return True
    return False


def _others(state: State, core: int) -> float:
    """How much all other cores are over their limits."""
    excess = state.excess() / state.problem.limits
    return float(excess.sum() - excess[core].sum())


def refine(state: State) -> None:
    """Move single neurons, or swap two, while that lowers the messages and keeps the limits."""
    tries = _TRIES * state.problem.neurons
    for _ in range(_ROUNDS):
        before = state.traffic
        if before == 0:
            return
        tries = _round(state, tries)
        if before - state.traffic <= _WORTH * before or tries <= 0:
            return


def _round(state: State, tries: int) -> int:
    """Every neuron that gains by a move, those first that gain most; the tries that are left."""
    costs = state.costs()
    gain = costs.min(axis=1)
    order = np.argsort(gain, kind="stable")
    for neuron in order[gain[order] < 0].tolist():
        if tries <= 0:
            break
        tries -= 1
        fits = np.all(state.joining(neuron) <= state.problem.limits, axis=1)
        fits[state.core[neuron]] = False
        offers = np.where(fits, costs[neuron], 0)
        target = int(offers.argmin())
        if offers[target] < 0 and _better(state, [(neuron, target)]):
            continue
        tries -= _swap(state, neuron, int(costs[neuron].argmin()), costs)
    return tries


def _swap(state: State, neuron: int, target: int, costs: Integers) -> int:
    """Trade places with a neuron of the target core that loses less than this one gains; how many were tried."""
    home = int(state.core[neuron])
    if home == target:
        return 0
    there = np.flatnonzero(state.core == target)
    price = costs[there, home] + costs[neuron, target]
    order = np.argsort(price, kind="stable")[:_PARTNERS]
    for tried, place in enumerate(order[price[order] < 0]):
        if _better(state, [(neuron, target), (int(there[place]), home)]):
            return tried + 1
    return len(order)


def _better(state: State, moves: list[tuple[int, int]]) -> bool:
    """Make moves if together they lower the messages and no limit is broken; whether they were made."""
    before = state.traffic
    homes = [(neuron, int(state.core[neuron])) for neuron, _ in moves]
    for neuron, target in moves:
        state.move(neuron, target)
    if state.traffic < before and not state.excess().any():
        return True
    for neuron, home in homes:
        state.move(neuron, home)
    return False


def compacted(problem: Problem, state: State) -> State:
    """The same placement with its cores numbered by their first neuron, empty ones left out."""
    used, first = np.unique(state.core, return_index=True)
    number = np.empty(state.cores, dtype=np.int64)
    number[used[np.argsort(first)]] = np.arange(len(used))
    made = State(problem, state.spikes, max(1, len(used)))
    made.load(number[state.core])
    return made
