"""What an experiment finds, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from benchmarks.agreement import Agreement

#: The rows' names, which the tables, targets and the plot share.
LOOP, LOOP_MEDIUM = "snnTorch's loop", "snnTorch's loop, medium"
JELLY, JELLY_MEDIUM = "SpikingJelly, multi-step", "SpikingJelly, multi-step, medium"
NORSE, BARE = "Norse", "bare products"
HASN, HASN_SPLIT, HASN_BF16 = "hasn", "hasn, split-bf16", "hasn, bf16"


@dataclass(frozen=True)
class Target:
    """A ratio of two rows that is looked for.

    Attributes:
        above, below: rows; the ratio is above / below.
        sign: whether it should be at least or at most ``value``.
        value: None: no target, the ratio is told all the same.
        what: what is measured, where it is no row's own unit.
    """

    above: str
    below: str
    sign: Literal["at least", "at most"] = "at least"
    value: float | None = None
    what: str = ""


@dataclass(frozen=True)
class Ratio:
    """A target, with what was measured: the median of the ratios of neighbours, None where a row is missing."""

    target: Target
    measured: float | None
    pairs: int

    @property
    def met(self) -> bool | None:
        """None: nothing to meet, or nothing measured."""
        if self.target.value is None or self.measured is None:
            return None
        at_least = self.target.sign == "at least"
        return self.measured >= self.target.value if at_least else self.measured <= self.target.value


@dataclass
class Result:
    """An experiment's figures.

    Attributes:
        name, title: short, and a line.
        unit: of the rows' values.
        setting: sizes, as they were run.
        rows: row -> values, in the order of the turns.
        ratios: against targets.
        agreements: what the rows compute, against hasn.
        missing: row -> why it is not there.
        series: row -> {steps: median seconds}, where an experiment has such.
        more: other figures.
    """

    name: str
    title: str
    unit: str
    setting: dict[str, Any]
    rows: dict[str, list[float]] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)
    agreements: list[Agreement] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    series: dict[str, dict[int, float]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Why this benchmark fails."""
        return [f"{self.name}, {one.name}: {one.wrong}" for one in self.agreements if one.wrong]

    def agreement(self, row: str) -> Agreement | None:
        """A row's."""
        return next((one for one in self.agreements if one.name == row), None)

    def hold_against(self, targets: Sequence[Target], rows: Mapping[str, Sequence[float]] | None = None) -> None:
        """Add the ratios; ``rows`` where they are not the experiment's own."""
        self.ratios += [ratio(self.rows if rows is None else rows, target) for target in targets]

    def as_json(self) -> dict[str, Any]:
        """Everything, medians and verdicts too."""
        made = asdict(self)
        made["medians"] = {row: statistics.median(values) for row, values in self.rows.items() if values}
        for one, kept in zip(self.ratios, made["ratios"], strict=True):
            kept["met"] = one.met
        return made


def ratio(rows: Mapping[str, Sequence[float]], target: Target) -> Ratio:
    """Median of the ratios of measurements of one turn."""
    above, below = rows.get(target.above, ()), rows.get(target.below, ())
    ratios = [a / b for a, b in zip(above, below, strict=False)]
    return Ratio(target, statistics.median(ratios) if ratios else None, len(ratios))
