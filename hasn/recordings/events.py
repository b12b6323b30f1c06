"""Spikes as events: a few bytes for each spike, where a dense array takes one for each neuron and step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError
from hasn.ir.arrays import free_memory

Integers: TypeAlias = NDArray[np.signedinteger[Any]]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Events:
    """The spikes of a node, in the order of time.

    Attributes:
        step: of each spike.
        sample: of each spike.
        neuron: of each spike: its flat (C order) number in the node.
        steps: T of the run.
        samples: of the run.
        shape: of the node.
        chosen: flat numbers of the neurons that were recorded; None: all.
        batched: whether a dense view has an axis of samples.
    """

    step: Integers
    sample: Integers
    neuron: Integers
    steps: int
    samples: int
    shape: tuple[int, ...]
    chosen: Integers | None = None
    batched: bool = True

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def of(cls, dense: Bools, chosen: Integers | None = None, shape: tuple[int, ...] | None = None) -> Events:
        """Those of a dense array (T, batch, *shape), or (T, batch, chosen neurons) of a node of ``shape``."""
        steps, samples = dense.shape[:2]
        step, sample, place = np.nonzero(dense.reshape(steps, samples, -1))
        neuron = place if chosen is None else chosen[place]
        small = (step.astype(np.int32), sample.astype(np.int32), neuron.astype(np.int32))
        return cls(*small, steps, samples, dense.shape[2:] if shape is None else shape, chosen)

    def dense(self) -> Bools:
        """(T[, batch], *shape), or (T[, batch], chosen neurons): a new array.

        Raises:
            InputError: the machine has no room for it.
        """
        width = math.prod(self.shape) if self.chosen is None else len(self.chosen)
        if (count := self.steps * self.samples * width) > free_memory():
            raise InputError(
                "spikes at every step of every neuron do not fit in memory",
                parameter="spikes",
                got=f"{count:,} bytes",
                wanted=f"at most the {free_memory():,} bytes that this machine has left",
                way_out="Use recording.events, or load fewer steps.",
            )
        found = np.zeros((self.steps, self.samples, width), dtype=bool)
        place = self.neuron
        if self.chosen is not None:
            order = np.argsort(self.chosen)
            place = order[np.searchsorted(self.chosen, self.neuron, sorter=order)]
        found[self.step, self.sample, place] = True
        shaped = found if self.chosen is not None else found.reshape(self.steps, self.samples, *self.shape)
        return shaped if self.batched else shaped[:, 0]


class SpikeTrains(Mapping[str, Bools]):
    """{node: dense spikes}, each made from its events when it is asked for.

    Attributes:
        events: node -> its events.
    """

    def __init__(self, events: Mapping[str, Events]) -> None:
        self.events = dict(events)

    def __getitem__(self, name: str) -> Bools:
        return self.events[name].dense()

    def __iter__(self) -> Iterator[str]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


class Collected:
    """The events of one node while a run goes on.

    Args:
        shape: of the node.
        chosen: flat numbers of the neurons to record; None: all.
        last: spikes kept for each neuron and sample; None: all.

    Attributes:
        total: spikes that were added.
    """

    def __init__(self, shape: tuple[int, ...], chosen: Integers | None, last: int | None) -> None:
        self.shape, self.chosen, self.last = shape, chosen, last
        self._parts: list[NDArray[np.int64]] = []  # each (3, events): step, sample, neuron
        self._steps = 0
        self.total = 0

    def add(self, dense: Bools) -> None:
        """The next steps, (steps, batch, *shape) of the whole node."""
        flat = dense.reshape(*dense.shape[:2], -1)
        found = Events.of(flat if self.chosen is None else flat[..., self.chosen], self.chosen)
        self._parts.append(np.stack([found.step.astype(np.int64) + self._steps, found.sample, found.neuron]))
        self._steps += len(dense)
        self.total += len(found)
        if self.last is not None:
            self._parts = [_last(np.concatenate(self._parts, axis=1), self.last)]

    def taken(self) -> NDArray[np.int64]:
        """(3, events): step, sample and neuron of what was added since, which is forgotten."""
        parts, self._parts = self._parts, []
        return np.concatenate(parts, axis=1)

    def events(self, samples: int, batched: bool) -> Events:
        """All that was kept."""
        none = np.zeros((3, 0), dtype=np.int64)
        step, sample, neuron = np.concatenate(self._parts, axis=1) if self._parts else none
        size = step.dtype if self._steps > np.iinfo(np.int32).max else np.int32
        small = (step.astype(size), sample.astype(np.int32), neuron.astype(np.int32))
        return Events(*small, self._steps, samples, self.shape, self.chosen, batched)


def _last(events: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The last ``most`` events of each neuron of each sample, in the order of time."""
    step, sample, neuron = events
    order = np.lexsort((step, neuron, sample))
    new = np.diff(sample[order], prepend=-1).astype(bool) | np.diff(neuron[order], prepend=-1).astype(bool)
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(order))
    from_end = np.repeat(ends, ends - starts) - np.arange(len(order))
    kept: NDArray[np.int64] = events[:, np.sort(order[from_end <= most])]
    return kept
