"""How many steps of its past a network needs to go on, and the last values that its sources sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Connection, Program, Sink

if TYPE_CHECKING:
    from hasn.program.fuse import Network
    from hasn.state import Snapshot

Array = NDArray[Any]


def needed(program: Program, populations: Collection[str]) -> dict[str, int]:
    """Node -> how many steps back its values may still be asked for.

    Args:
        program: the network.
        populations: nodes whose own past is kept: what lies before them need not be known again.
    """
    steps = dict.fromkeys(program.by_name, 0)
    ends = {*populations, *(sink.name for sink in program.of(Sink))}
    edges = list(reversed(program.edges))
    changed = True
    while changed:  # stateless loops are cut by a population, so this ends
        changed = False
        for edge in edges:
            behind = lag(program, edge.target) + (0 if edge.target in ends else steps[edge.target])
            if edge.delay + behind > steps[edge.source]:
                steps[edge.source], changed = edge.delay + behind, True
    return steps


def lag(program: Program, name: str) -> int:
    """The longest delay inside a node."""
    node = program.by_name[name]
    if not isinstance(node, Connection):
        return 0
    delays = (node.delay, getattr(node.map, "delay", None))
    return sum(int(delay.max()) for delay in delays if delay is not None and delay.size)


class History:
    """The last values of some nodes.

    Args:
        lengths: node -> how many steps.
        shapes: node -> its shape.
        batch: samples.
        past: where it starts, as :attr:`hasn.state.Snapshot.past`; None: before the first step.
    """

    def __init__(
        self,
        lengths: Mapping[str, int],
        shapes: Mapping[str, tuple[int, ...]],
        batch: int,
        past: Mapping[str, Array] | None = None,
    ) -> None:
        given = past or {}
        self._rings = {
            name: np.zeros((steps, batch, *shapes[name])) + given.get(name, 0.0) for name, steps in lengths.items()
        }
        self._now = 0

    @property
    def names(self) -> Iterable[str]:
        """Whose values are kept."""
        return self._rings.keys()

    def push(self, values: Mapping[str, Array]) -> None:
        """One step's values, (batch, *shape); those of other nodes are not looked at."""
        for name, ring in self._rings.items():
            ring[self._now % len(ring)] = values[name]
        self._now += 1

    def past(self) -> dict[str, Array]:
        """Node -> (D, batch, *shape), oldest first; copies."""
        return {name: np.roll(ring, -(self._now % len(ring)), axis=0) for name, ring in self._rings.items()}


def latest(past: Mapping[str, Array], values: Mapping[str, Array]) -> dict[str, Array]:
    """The past after some steps more: node -> (D, batch, *shape); ``values``: node -> (T, batch, *shape)."""
    return {
        name: np.concatenate([before, np.asarray(values[name], dtype=np.float64)[-len(before) :]])[-len(before) :]
        for name, before in past.items()
    }


def arrived(network: Network, relay: str, at: Snapshot, age: int) -> Array:
    """What a Relay summed ``age`` steps before a state's step, from what had been sent to it: (batch, elements)."""
    step = at.step - age
    batch = max((past.shape[1] for past in at.past.values()), default=1)
    total = np.zeros((batch, int(np.prod(network.by_name[relay].shape))))
    for projection in network.into(relay):
        past = at.past[projection.source]
        when = len(past) - age - projection.delay
        if when >= 0:
            total += (projection.weights @ past[when].reshape(batch, -1).T).T
    for onset, drive in network.drives.get(relay, {}).items():
        total += drive * (step >= onset)
    return total
