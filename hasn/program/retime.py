"""Retiming: where hardware takes steps of its own, shift the populations so that the network stays the same.

Leiserson & Saxe, Retiming synchronous circuitry, Algorithmica 6, 1991: integer shifts ``s`` such that every projection
``u -> v`` with ``w`` steps of delay has ``w + s(v) - s(u) >= latency``. What is over is delay that must be added.
"""

from __future__ import annotations

from dataclasses import dataclass

from hasn.errors import RetimingError
from hasn.program.fuse import Network
from hasn.program.model import Source


@dataclass(frozen=True)
class Retiming:
    """Shifts that give every projection its latency.

    Attributes:
        shifts: population -> steps that it runs late.
        extra: for each projection, in the network's order: steps of delay to add to its latency.
        latency: steps that every projection takes by itself.
    """

    shifts: dict[str, int]
    extra: tuple[int, ...]
    latency: int

    @property
    def longest(self) -> int:
        """Steps to run after the last input until the last output is there."""
        return max(self.shifts.values(), default=0)


def retime(network: Network, latency: int = 1) -> Retiming:
    """The smallest shifts (longest paths), with Inputs fed as late as their targets allow.

    Raises:
        RetimingError: a cycle has fewer steps of delay than its projections take; names them and the steps it lacks.
    """
    shifts = dict.fromkeys(network.by_name, 0)
    because: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for projection in network.projections:
            least = shifts[projection.source] + latency - projection.delay
            if least > shifts[projection.target]:
                shifts[projection.target] = least
                because[projection.target] = projection.source
                changed = True
        cycle = _cycle(because)  # looked for in each round: to wait for as many rounds as nodes would be quadratic
        if cycle:
            raise _cannot(network, cycle, latency)
    for population in network.populations:
        targets = [shifts[p.target] + p.delay - latency for p in network.out_of(population.name)]
        if isinstance(population, Source) and targets:
            shifts[population.name] = min(targets)
    extra = tuple(p.delay + shifts[p.target] - shifts[p.source] - latency for p in network.projections)
    return Retiming(shifts, extra, latency)


def _cycle(because: dict[str, str]) -> list[str]:
    """A cycle that some chain of causes runs into, in the direction of the signals; empty if none does.

    Causes are a forest unless some shift has grown by way of itself, and then it grows for ever.
    """
    ended: set[str] = set()
    for start in because:
        chain: dict[str, None] = {}
        name = start
        while name in because and name not in ended and name not in chain:
            chain[name] = None
            name = because[name]
        if name in chain:
            names = list(chain)
            return names[names.index(name) :][::-1]
        ended.update(chain)
    return []


def _cannot(network: Network, cycle: list[str], latency: int) -> RetimingError:
    pairs = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    own = sum(min(p.delay for p in network.projections if (p.source, p.target) == pair) for pair in pairs)
    taken = latency * len(pairs)
    return RetimingError(
        f"the cycle {' -> '.join([*cycle, cycle[0]])} has {own} step(s) of delay and its connections take {taken}",
        node=cycle[0],
        got=f"{own} step(s)",
        wanted=f"{taken}, so {taken - own} more",
        way_out="Put a nir.Delay into the cycle, or take timing='hardware', where every connection takes a step.",
    )
