"""How many steps of its past a network needs to go on, and the last values that its sources sent."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Connection, Program, Sink
from hasn.room import require

if TYPE_CHECKING:
    from hasn.program.fuse import Network
    from hasn.state import Snapshot

Array = NDArray[Any]
#: Steps for which a ring has room at first.
_FIRST = 64
NO_STATE = "Shorten that delay, or run whole sequences without keep_state: they keep no more steps than they have."


def needed(program: Program, populations: Collection[str]) -> dict[str, int]:
    """Node -> how many steps back its values may still be asked for.

    Args:
        program: the network.
        populations: nodes whose own past is kept: what lies before them need not be known again.
    """
    steps = dict.fromkeys(program.by_name, 0)
    ends = {*populations, *(sink.name for sink in program.of(Sink))}
    # Backwards from the ends, so that in a chain every node is asked once; stateless loops are cut by a population.
    changed = dict.fromkeys(reversed(program.by_name))
    while changed:
        target = next(iter(changed))
        del changed[target]
        behind = lag(program, target) + (0 if target in ends else steps[target])
        for edge in program.edges_into(target):
            if edge.delay + behind > steps[edge.source]:
                steps[edge.source] = edge.delay + behind
                if edge.source not in ends:  # of an end's own past nothing is passed on
                    changed[edge.source] = None
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
        self._lengths = dict(lengths)
        # A ring grows with the steps, up to its length: what has not been yet takes no memory.
        self._rings = {
            name: np.array(given[name], dtype=np.float64) if name in given else np.zeros((0, batch, *shapes[name]))
            for name in lengths
        }
        self._now = 0

    @property
    def names(self) -> Iterable[str]:
        """Whose values are kept."""
        return self._rings.keys()

    def push(self, values: Mapping[str, Array]) -> None:
        """One step's values, (batch, *shape); those of other nodes are not looked at."""
        for name, ring in self._rings.items():
            place = self._now % self._lengths[name]
            if place >= len(ring):
                more = np.zeros((min(self._lengths[name], 2 * place + _FIRST) - len(ring), *ring.shape[1:]))
                ring = self._rings[name] = np.concatenate([ring, more])
            ring[place] = values[name]
        self._now += 1

    def past(self) -> dict[str, Array]:
        """Node -> (D, batch, *shape), oldest first; copies.

        Raises:
            OutOfMemoryError: a delay is so long that they do not fit; names the node.
        """
        return {name: self._whole(name) for name in self._rings}

    def _whole(self, name: str) -> Array:
        ring, steps = self._rings[name], self._lengths[name]
        require(
            3 * 8 * steps * math.prod(ring.shape[1:]),  # what has been, what has not, and the two in their order
            f"a state with the {steps:,} steps that are on their way from it",
            node=name,
            way_out=NO_STATE,
        )
        if len(ring) < steps:
            ring = np.concatenate([ring, np.zeros((steps - len(ring), *ring.shape[1:]))])
        return np.roll(ring, -(self._now % steps), axis=0)


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
