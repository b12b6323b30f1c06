"""Figures that scale: across, places are shares of the width; down, places and type are pixels at every width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.report.select import Window
from hasn.report.style import run_class

Bools = NDArray[np.bool_]
#: Pixels down of one run's lane in a place where not all spike.
LANE = 4.5
#: Ticks of the step axis at most; as many as have room on a phone.
_MOST_TICKS = 6
#: Beyond so many steps marks are thinner.
_DENSE = 60


def figure(body: str, height: float, alt: str) -> str:
    """A drawing over the whole width with room for labels at its left.

    Args:
        body: SVG; places across in percent.
        height: in pixels.
        alt: what it shows, for those who cannot see it.
    """
    return (
        f'<div class="figure"><svg class="chart" role="img" aria-label="{escape(alt, quote=True)}" '
        f'width="100%" height="{height:.0f}">{body}</svg></div>'
    )


def plot(shown: Window, top: float, height: float, body: str) -> str:
    """A part of a drawing in which x is a step and y a pixel; strokes keep their width however wide it is."""
    steps = shown.stop - shown.start
    kind = "plot dense" if steps > _DENSE else "plot"
    return (
        f'<svg class="{kind}" y="{top:g}" width="100%" height="{height:g}" preserveAspectRatio="none" '
        f'viewBox="{shown.start - 0.5:g} 0 {max(steps, 1)} {height:g}">{body}</svg>'
    )


def path(kind: str, d: str, of: str = "") -> str:
    """A path and whose it is; nothing where there is nothing to draw."""
    return f'<path class="{kind}" data-of="{escape(of, quote=True)}" d="{d}"/>' if d else ""


def share(step: float, shown: Window) -> str:
    """Where a step lies across, in percent."""
    return f"{100 * (step - shown.start + 0.5) / max(shown.stop - shown.start, 1):.2f}%"


def label(x: str, y: float, text: str, kind: str = "") -> str:
    """A piece of text."""
    return f'<text class="{kind}" x="{x}" y="{y:g}">{escape(text)}</text>'


def heading(y: float, name: str, rest: str) -> str:
    """What a plot is of: its name, and more in softer type."""
    return (
        f'<text class="heading" x="0" y="{y:g}"><tspan class="name">{escape(name)}</tspan>'
        f"<tspan>{escape(f'  {rest}')}</tspan></text>"
    )


def rule(y: float, kind: str) -> str:
    """A line across."""
    return f'<line class="{kind}" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>'


def step_ticks(shown: Window) -> list[int]:
    """Round steps within the window."""
    steps = shown.stop - shown.start
    for size in (1, 2, 5, 10, 20, 25, 50, 100):
        if steps / size <= _MOST_TICKS:
            break
    return [step for step in range(shown.start, shown.stop) if step % size == 0]


def step_axis(shown: Window, top: float, bottom: float, dt: float) -> str:
    """Faint lines at round steps from ``top`` to ``bottom``, their numbers under them, and what a step lasts."""
    parts = []
    for step in step_ticks(shown):
        x = share(step, shown)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top:g}" y2="{bottom:g}"/>')
        parts.append(label(x, bottom + 14, str(step), "tick across"))
    return "".join(parts) + label("100%", bottom + 30, f"time step, {dt * 1e3:g} ms each", "tick end")


AXIS = 36.0
"""Pixels that :func:`step_axis` takes under a plot."""
HEADING = 24.0
"""Pixels of a plot's heading."""


def line(values: NDArray[np.float64], shown: Window) -> str:
    """The path through (step, pixel); it breaks where a value is not finite."""
    parts, down = [], False
    for step, y in zip(shown.steps, values, strict=True):
        if not np.isfinite(y):
            down = False
            continue
        parts.append(f"{'L' if down else 'M'}{step} {y:.1f}")
        down = True
    return "".join(parts)


def spike_marks(
    agreed: Bools, apart: Mapping[str, Bools], wrong: Bools, shown: Window, tops: Sequence[float],
    heights: Sequence[float], mark: float, node: str,
) -> str:  # fmt: skip
    """Spikes as upright marks: one in ink where all runs have it; else a tinted place with a lane for each run.

    Args:
        agreed: (T, rows) spikes that all runs have.
        apart: label -> (T, rows) its spikes where not all have one, in the order of the lanes.
        wrong: (T, rows) where not all runs spike and not all are silent.
        shown: the steps.
        tops, heights: of the rows, in pixels.
        mark: height of a mark in ink.
        node: whose they are.
    """
    parts = [path("spikes all", "".join(
        f"M{step + shown.start} {tops[row] + (heights[row] - mark) / 2:.1f}v{mark:.1f}"
        for step, row in np.argwhere(agreed)
    ), node)]  # fmt: skip
    places = "".join(
        f"M{step + shown.start - 0.5:g} {tops[row]:g}h1v{heights[row]:g}h-1z" for step, row in np.argwhere(wrong)
    )
    parts.append(path("differing", places, node))
    for lane, (name, spikes) in enumerate(apart.items()):
        d = "".join(
            f"M{step + shown.start - 0.3:.1f} {tops[row] + lane_middle(heights[row], len(apart), lane):.1f}h0.6"
            for step, row in np.argwhere(spikes)
        )
        parts.append(path(f"spikes {run_class(lane)}", d, name))
    return "".join(parts)


def lane_middle(height: float, lanes: int, lane: int) -> float:
    """Where a lane lies within its row."""
    return (height - LANE * lanes) / 2 + LANE * (lane + 0.5)


def room_for_lanes(lanes: int) -> float:
    """Pixels of a row that has a lane for each run."""
    return LANE * lanes + 2


def split_spikes(spikes: Mapping[str, Bools], wrong: Bools) -> tuple[Bools, dict[str, Bools]]:
    """What all have, and of each what not all have."""
    first: Any = next(iter(spikes.values()))
    return first & ~wrong, {name: array & wrong for name, array in spikes.items()}
