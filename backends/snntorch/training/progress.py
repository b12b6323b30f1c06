"""How far a training is, in numbers that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hasn.backends.snntorch.training.result import Epoch


@dataclass
class Tally:
    """Sums over an epoch's samples.

    Attributes:
        samples: how many.
        sums: of loss, accuracy and rates.
        seconds: since the epoch began.
        batch: samples that ran at once, at most.
        measure: weight of the labels, and how many counted; empty where each counts 1.
    """

    samples: int = 0
    sums: list[float] = field(default_factory=list)
    seconds: float = 0.0
    batch: int = 0
    measure: list[float] = field(default_factory=list)

    def add(self, values: Sequence[float], samples: int, measure: tuple[float, float] | None = None) -> None:
        """Means over some samples: loss by the weight of their labels, accuracy (NaN: none) by their count, rates."""
        by = [*(measure or (samples, samples)), *[samples] * len(values)][: len(values)]
        before = self.sums or [0.0] * len(values)
        self.sums = [total + value * n for total, value, n in zip(before, values, by, strict=True)]
        self.samples += samples
        if measure is not None:
            self.measure = [total + own for total, own in zip(self.measure or (0.0, 0.0), measure, strict=True)]

    @property
    def loss(self) -> float:
        """Mean loss; 0 where no label counted."""
        weight = self.measure[0] if self.measure else self.samples
        return self.sums[0] / weight if weight else 0.0

    @property
    def accuracy(self) -> float | None:
        """Mean accuracy; None where labels are no classes, or none counted."""
        count = self.measure[1] if self.measure else self.samples
        return None if math.isnan(self.sums[1]) or not count else self.sums[1] / count

    def rates(self, populations: Sequence[str]) -> dict[str, float]:
        """Spikes for each neuron and step."""
        return {name: total / self.samples for name, total in zip(populations, self.sums[2:], strict=True)}


@dataclass
class Progress:
    """Everything that a training knows beside its parameters and generators."""

    epoch: int = 0
    position: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    best: float | None = None
    waited: int = 0
    stopped: str = ""
    best_parameters: dict[str, Any] = field(default_factory=dict)

    def judge(self, value: float | None, smaller_is_better: bool) -> bool:
        """Take note of an epoch's monitored value; whether it is the best so far."""
        if value is None:
            return False
        worst = math.inf if smaller_is_better else -math.inf
        best = worst if self.best is None else self.best
        better = value < best if smaller_is_better else value > best  # NaN is never
        self.best = value if better else self.best
        self.waited = 0 if better else self.waited + 1
        return better

    def state(self) -> dict[str, Any]:
        """As dicts, lists and numbers."""
        plain = {key: value for key, value in vars(self).items() if key not in ("history", "tally")}
        return {**plain, "history": [asdict(epoch) for epoch in self.history], "tally": asdict(self.tally)}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Progress:
        """What :meth:`state` gave."""
        history = [Epoch(**epoch) for epoch in state["history"]]
        return cls(**{**state, "history": history, "tally": Tally(**state["tally"])})
