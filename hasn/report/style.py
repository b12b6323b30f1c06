"""How each backend looks in every figure: one colour, and one disc of a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Text and axes: a near black that `figure_html` turns into the page's own text colour, light or dark.
INK = "#0a0b0c"
#: Dark and light in turn, so that discs inside each other stay apart even in grey; readable on white and on black.
COLOURS = ("#1f6fd6", "#ffb000", "#9c36c9", "#2fd09a", "#7a8a99", "#d8865a")
DIFFERENT = "#e5203a"


@dataclass(frozen=True)
class Look:
    """A backend's look.

    Attributes:
        label: the backend's label.
        colour: of its marks and lines.
        size: diameter of its disc, as a share of the largest.
        width: width of its line in points; the reference's is widest, so that lines that coincide show as bands.
    """

    label: str
    colour: str
    size: float
    width: float


def looks(labels: Sequence[str]) -> list[Look]:
    """Nested discs: the first label's is the largest and lowest; where all spike they make a target."""
    last = len(labels) - 1
    return [
        Look(
            label,
            COLOURS[place % len(COLOURS)],
            1.0 if last == 0 else 1.0 - 0.6 * place / last,
            5.0 - 3.9 * place / max(last, 1),
        )
        for place, label in enumerate(labels)
    ]


def in_order(labels: Sequence[str], reference: str) -> list[str]:
    """The reference first, then the others as they stand."""
    return [*[label for label in labels if label == reference], *[label for label in labels if label != reference]]


def draw_marks(axes: Any, look: Look, x: Any, y: Any, points: float, *, raster: bool = False) -> None:
    """A backend's spikes as discs; ``points`` is the diameter of the largest."""
    axes.plot(
        x, y, linestyle="none", marker="o", markersize=points * look.size, color=look.colour, markeredgewidth=0,
        clip_on=False, rasterized=raster, gid=f"spikes {look.label}", zorder=3,
    )  # fmt: skip


def draw_circles(axes: Any, x: Any, y: Any, points: float, node: str) -> None:
    """Red circles round spikes that not all backends have."""
    axes.plot(
        x, y, linestyle="none", marker="o", markersize=points * 1.55, markerfacecolor="none",
        markeredgecolor=DIFFERENT, markeredgewidth=1.6, clip_on=False, gid=f"differing {node}", zorder=4,
    )  # fmt: skip
