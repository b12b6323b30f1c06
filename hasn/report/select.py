"""What to show of recordings that are too large to be shown whole. Whatever differs comes first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Source
from hasn.report.facts import extent, others

if TYPE_CHECKING:
    from hasn.agreement import Comparison

Bools = NDArray[np.bool_]
MOST_SAMPLES = 3
MOST_NEURONS = 36
#: Nodes of so many neurons are shown whole, silent ones included.
FEW = 12
MOST_STEPS = 120
MOST_NODES = 5


def differing(comparison: Comparison, node: str) -> Bools:
    """(T, batch, neurons): where any backend's spike differs from the reference's."""
    first = comparison.recordings[comparison.reference].spikes[node]
    mask: Bools = np.zeros(first.shape, dtype=bool)
    for label in others(comparison):
        mask |= comparison.recordings[label].spikes[node] != first
    return mask.reshape(*mask.shape[:2], -1)


def flat(array: NDArray[Any]) -> NDArray[Any]:
    """(T, batch, *shape) -> (T, batch, neurons)."""
    return array.reshape(*array.shape[:2], -1)


def spiking_nodes(comparison: Comparison) -> list[str]:
    """Up to ``MOST_NODES`` nodes in the order of evaluation: those that differ, then the last ones, then the first."""
    names = list(comparison.recordings[comparison.reference].spikes)
    if len(names) <= MOST_NODES:
        return names
    by_need = sorted(names, key=lambda name: (not differing(comparison, name).any(), -names.index(name)))
    chosen = {*by_need[: MOST_NODES - 1], names[0]}
    return [name for name in names if name in chosen]


def spiking_inputs(comparison: Comparison) -> list[str]:
    """Inputs whose values are all 0 or 1, and not all 0."""
    names = [source.name for source in comparison.program.of(Source) if source.name in comparison.inputs]
    return [n for n in names if np.any(comparison.inputs[n]) and np.isin(comparison.inputs[n], (0.0, 1.0)).all()][:2]


def samples(comparison: Comparison) -> list[int]:
    """Up to ``MOST_SAMPLES``: those with most differing spikes, then from the first on."""
    batch = extent(comparison)[1]
    counts = np.zeros(batch, dtype=int)
    for node in comparison.recordings[comparison.reference].spikes:
        counts += differing(comparison, node).sum(axis=(0, 2))
    order = sorted(range(batch), key=lambda sample: (-counts[sample], sample))
    return order[:MOST_SAMPLES]


@dataclass(frozen=True)
class Window:
    """Steps ``start`` to ``stop`` (not included)."""

    start: int
    stop: int

    @property
    def steps(self) -> NDArray[np.int64]:
        """The steps."""
        return np.arange(self.start, self.stop)


def window(comparison: Comparison, sample: int) -> Window:
    """All steps, or ``MOST_STEPS`` of them round the sample's first differing spike."""
    total = extent(comparison)[0]
    if total <= MOST_STEPS:
        return Window(0, total)
    firsts = []
    for node in comparison.recordings[comparison.reference].spikes:
        steps = np.flatnonzero(differing(comparison, node)[:, sample].any(axis=1))
        firsts += steps[:1].tolist()
    start = max(0, min(firsts) - MOST_STEPS // 3) if firsts else 0
    start = min(start, total - MOST_STEPS)
    return Window(start, start + MOST_STEPS)


def neurons(activity: NDArray[Any], wanted: Bools | None = None, most: int = MOST_NEURONS) -> NDArray[np.int64]:
    """Up to ``most`` neurons, by index: those in ``wanted`` that differ, then the most active; few are shown whole.

    Args:
        activity: spikes of each neuron.
        wanted: neurons that come first.
        most: how many.
    """
    if activity.size <= FEW:
        return np.arange(activity.size)
    first = np.zeros(activity.size, dtype=bool) if wanted is None else wanted
    order = np.lexsort((np.arange(activity.size), -activity, ~first))
    active = int(np.count_nonzero((activity > 0) | first))
    return np.sort(order[: min(most, max(active, 1))])


def spread(activity: NDArray[Any], most: int = MOST_NEURONS) -> NDArray[np.int64]:
    """Up to ``most`` of the channels that are active at all, evenly over their indices; few are shown whole."""
    if activity.size <= FEW:
        return np.arange(activity.size)
    active = np.flatnonzero(activity)
    if active.size <= most:
        return active if active.size else np.arange(1)
    places = np.linspace(0, active.size - 1, most).round().astype(np.int64)
    return np.asarray(active[places], dtype=np.int64)
