"""The figures as one picture: bars for each experiment, lines for time against T."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import UNITS, number
from benchmarks.results import Result

#: First word of a row -> colour; told apart by people who see red and green alike (Okabe and Ito, 2008).
COLOURS = {"hasn": "#0072B2", "SpikingJelly": "#E69F00", "Norse": "#009E73", "bare": "#999999", "snnTorch": "#D55E00"}
COLUMNS, WIDTH, HEIGHT = 2, 7.0, 3.3


def draw(results: Sequence[Result], caption: str, path: Path) -> None:
    """Write the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [result for result in results if result.rows]
    columns = min(COLUMNS, max(1, len(shown)))
    lines = max(1, math.ceil(len(shown) / columns))
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * lines + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr,call-arg]
    axes = figure.subplots(lines, columns, squeeze=False).flat
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, result in zip(axes, shown, strict=False):
        (_lines if result.series else _bars)(axis, result)
    figure.supxlabel(_folded(caption, int(14 * WIDTH * columns)), fontsize=8, color="#444444")
    figure.savefig(path, dpi=130, format="png")


def colour(row: str) -> str:
    """Of a row's tool."""
    return next((value for name, value in COLOURS.items() if row.startswith(name)), "#333333")


def _bars(axis: Any, result: Result) -> None:
    names = list(result.rows)
    medians = [statistics.median(result.rows[name]) for name in names]
    below = [median - min(result.rows[name]) for name, median in zip(names, medians, strict=True)]
    above = [max(result.rows[name]) - median for name, median in zip(names, medians, strict=True)]
    axis.barh(names, medians, xerr=(below, above), color=[colour(name) for name in names],
              error_kw={"ecolor": "#333333", "elinewidth": 1, "capsize": 3})  # fmt: skip
    axis.invert_yaxis()
    ends = [median + more for median, more in zip(medians, above, strict=True)]
    for i, (median, end) in enumerate(zip(medians, ends, strict=True)):
        axis.annotate(number(median), (end, i), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
    axis.set_xlim(0, 1.15 * max(ends))
    axis.set_xlabel(f"{UNITS.get(result.unit, result.unit)}: median, smallest and largest")
    _titled(axis, result.title)


def _lines(axis: Any, result: Result) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    for name, times in result.series.items():
        label = f"{name} (slope {result.more['slopes'][name]:.2f})"
        axis.loglog(list(times), [1e3 * value for value in times.values()], "o-", color=colour(name), label=label)
    lengths = list(next(iter(result.series.values())))
    axis.set_xticks(lengths, [str(steps) for steps in lengths])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("T (steps)")
    axis.set_ylabel("ms for a training step")
    axis.legend(fontsize=8, frameon=False)
    _titled(axis, result.title.split(":")[0])


def _titled(axis: Any, title: str) -> None:
    axis.set_title(_folded(title, 70), fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)


def _folded(text: str, width: int) -> str:
    from textwrap import fill

    return fill(text, width)
