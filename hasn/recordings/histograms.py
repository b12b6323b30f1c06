"""Weights that learn, as histograms over time: bounded in memory, whatever the size of the net and the run's length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bins of a histogram, and times at which one is made, beside the start.
BINS, TIMES = 64, 32
_FIGURES = ("step", "mean", "sd", "at_low", "at_high", "low", "high")


def due(before: int, now: int, total: int) -> bool:
    """Whether a histogram is made after ``now`` of all steps, where ``before`` was the last time to ask."""
    return now == total or now * TIMES // total > before * TIMES // total


@dataclass(frozen=True, eq=False)
class WeightHistogram:
    """The weights of a connection at some times of a run, over all synapses and samples.

    Attributes:
        step: number of the step to come at each time; the first is where the run began, (times).
        mean, sd: of the weights, (times).
        at_low, at_high: share of the weights that lie at the rule's bounds w_min and w_max, (times).
        edges: of the bins, (bins + 1); from w_min to w_max where the rule has them.
        counts: weights in each bin, (times, bins).
    """

    step: NDArray[np.int64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    at_low: NDArray[np.float64]
    at_high: NDArray[np.float64]
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, table: NDArray[np.float64]) -> WeightHistogram:
        """What :meth:`Histograms.table` has put into one array."""
        step, mean, sd, at_low, at_high, low, high = np.asarray(table[:, : len(_FIGURES)]).T
        counts = np.asarray(table[:, len(_FIGURES) :]).astype(np.int64)
        edges = np.linspace(low[0], high[0], counts.shape[1] + 1)
        return cls(step.astype(np.int64), mean, sd, at_low, at_high, edges, counts)

    def figures(self) -> dict[str, dict[str, float]]:
        """The figures of the start and of the end."""
        return {
            when: {name: float(getattr(self, name)[place]) for name in ("mean", "sd", "at_low", "at_high")}
            for when, place in (("start", 0), ("end", -1))
        }


class Histograms:
    """Histograms of one connection, made as the run goes on.

    Where the rule bounds the weights on both sides the bins lie between the bounds. Else they lie where the first
    weights do, and become twice as wide, two by two, each time that a weight lies beyond.

    Args:
        low, high: the rule's bounds, perhaps infinite.
        step, weights: at the start.
    """

    def __init__(self, low: float, high: float, step: int, weights: NDArray[Any]) -> None:
        self._bounds = low, high
        least, most = (float(f(weights)) if weights.size else 0.0 for f in (np.min, np.max))
        room = ((most - least) or max(abs(least), 1.0)) / BINS  # so that none lies on an edge
        self._low = low if math.isfinite(low) else least - room
        self._high = high if math.isfinite(high) else most + room
        self._figures: list[tuple[float, ...]] = []
        self._counts: list[NDArray[np.int64]] = []
        self.add(step, weights)

    def add(self, step: int, weights: NDArray[Any]) -> None:
        """The weights before step ``step``."""
        finite = weights[np.isfinite(weights)].astype(np.float64)
        if finite.size:
            self._reach(float(finite.min()), float(finite.max()))
        low, high = (weights.dtype.type(bound) for bound in self._bounds)  # in the weights' own precision
        size = max(weights.size, 1)
        at = (np.count_nonzero(weights <= low) / size, np.count_nonzero(weights >= high) / size)
        spread = (float(finite.mean()), float(finite.std())) if finite.size else (0.0, 0.0)
        counts, _ = np.histogram(np.clip(finite, self._low, self._high), BINS, (self._low, self._high))
        self._figures.append((float(step), *spread, *at))
        self._counts.append(counts)

    def _reach(self, least: float, most: float) -> None:
        """Make the bins wider until they hold these; a bound is reached but for rounding."""
        width = self._high - self._low
        slack = 1e-6 * width  # float32 has rounded the bounds
        while least < self._low - slack or most > self._high + slack:
            down = least < self._low - slack
            self._low, self._high = (self._low - width, self._high) if down else (self._low, self._high + width)
            self._counts = [np.concatenate([*_paired(counts, down)]) for counts in self._counts]
            width *= 2

    @property
    def table(self) -> NDArray[np.float64]:
        """All of it: a row for each time, of figures and counts."""
        ends = np.full((len(self._counts), 2), (self._low, self._high))
        return np.concatenate([np.array(self._figures), ends, np.array(self._counts)], axis=1)


def _paired(counts: NDArray[np.int64], down: bool) -> Iterator[NDArray[np.int64]]:
    """Half as many bins of twice the width, and empty ones below or above."""
    pairs = counts.reshape(-1, 2).sum(axis=1)
    yield from (np.zeros_like(pairs), pairs) if down else (pairs, np.zeros_like(pairs))
