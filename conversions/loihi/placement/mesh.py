"""Cores onto the mesh: which router each core sits at, so that messages travel few hops."""

from __future__ import annotations

import numpy as np

from hasn.conversions.loihi.profiles import Profile
from hasn.program.integers.model import Integers


def slots(profile: Profile) -> Integers:
    """(cores, 2) router (x, y) of every core of the chip, row after row."""
    columns, _ = profile.mesh
    router = np.arange(profile.cores) // profile.cores_per_router
    return np.stack([router % columns, router // columns], axis=1)


def distances(places: Integers) -> Integers:
    """Hops between cores at these routers: |x - x'| + |y - y'| (routes go along x, then y)."""
    return np.asarray(np.abs(places[:, None, :] - places[None, :, :]).sum(axis=2), dtype=np.int64)


def arranged(messages: Integers, profile: Profile, seed: int) -> Integers:
    """The slot of each core: a constructive start, then swaps of two slots while the sum of messages x hops falls.

    Args:
        messages: (cores, cores), from row to column.
        profile: the chip.
        seed: of the order in which swaps are tried.
    """
    flow = messages + messages.T
    np.fill_diagonal(flow, 0)
    hops = distances(slots(profile))
    where = _start(flow, hops)
    rng = np.random.default_rng(seed)
    improved = True
    while improved:
        improved = False
        for core in rng.permutation(len(where)):
            improved |= _settle(int(core), where, flow, hops)
    return where


def _start(flow: Integers, hops: Integers) -> Integers:
    """Core after core, the one with most messages to those that have a place, to where they are fewest hops away."""
    count = len(flow)
    where: Integers = np.full(count, -1, dtype=np.int64)
    free = np.ones(len(hops), dtype=bool)
    pull, cost = np.zeros(count, dtype=np.int64), hops.sum(axis=0)  # the first goes to the middle
    for place in range(count):
        open_ = where < 0
        scores = np.where(open_, pull if place else flow.sum(axis=1), -1)
        core = int(scores.argmax())
        if place:
            done = np.flatnonzero(~open_)
            cost = flow[core, done] @ hops[where[done]]
        slot = int(np.where(free, cost, np.iinfo(np.int64).max).argmin())
        where[core], free[slot] = slot, False
        pull = pull + flow[core]
    return where


def _settle(core: int, where: Integers, flow: Integers, hops: Integers) -> bool:
    """Give a core the slot (free, or another core's in exchange) that saves most; whether any does."""
    here = int(where[core])
    paid = flow @ hops[where]  # (cores, slots) what each core would pay at each slot, the others where they are
    change = paid[core] - paid[core, here]
    # A swap also moves the other core; their own distance stays, though both sums count the pair as if it fell to 0.
    others = np.arange(len(where))
    theirs = paid[:, here] - paid[others, where] + 2 * flow[core] * hops[here, where]
    change[where[others != core]] += theirs[others != core]
    slot = int(change.argmin())
    if change[slot] >= 0:
        return False
    holder = np.flatnonzero(where == slot)
    where[holder] = here
    where[core] = slot
    return True
