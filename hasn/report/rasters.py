"""Spike rasters of all backends laid over each other: nested discs, so that agreement shows as targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.describe import counted
from hasn.report.figure import dress, new_figure
from hasn.report.select import (
    FEW,
    MOST_NEURONS,
    Window,
    differing,
    flat,
    neurons,
    spiking_inputs,
    spiking_nodes,
    spread,
    window,
)
from hasn.report.style import INK, draw_circles, draw_marks, in_order, looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hasn.agreement import Comparison

_WIDTH, _LEFT, _RIGHT = 10.4, 1.25, 0.25
_TOP, _BOTTOM, _GAP = 0.6, 0.5, 0.34
#: Beyond so many marks a panel's marks become pixels inside the SVG.
_MOST_VECTORS = 1500


@dataclass(frozen=True)
class _Panel:
    """One node of one sample: marks of each label at (step, row)."""

    node: str
    size: int
    chosen: NDArray[np.int64]
    spikes: dict[str, NDArray[np.bool_]]
    wrong: NDArray[np.bool_] | None
    row_inches: float

    @property
    def height(self) -> float:
        return max(0.3, self.row_inches * len(self.chosen))


def raster_figure(comparison: Comparison, sample: int) -> tuple[Figure, str]:
    """The rasters of one sample and a caption that says what was left out.

    Every Input that spikes and every spiking node has a panel; a row is a neuron, a mark a spike. Spikes that not all
    backends have lie in a red circle (the artist's gid is ``differing <node>``).
    """
    shown = window(comparison, sample)
    panels = [_input_panel(comparison, name, sample, shown) for name in spiking_inputs(comparison)]
    panels += [_node_panel(comparison, name, sample, shown) for name in spiking_nodes(comparison)]
    heights = [panel.height for panel in panels]
    total = _TOP + sum(heights) + _GAP * (len(panels) - 1) + _BOTTOM
    figure = new_figure(_WIDTH, total)
    top = total - _TOP
    dt = comparison.program.dt * 1e3
    for place, panel in enumerate(panels):
        inner = (_WIDTH - _LEFT - _RIGHT) / _WIDTH
        axes = figure.add_axes((_LEFT / _WIDTH, (top - panel.height) / total, inner, panel.height / total))
        _draw(axes, panel, shown, dt, place == 0)
        if place == 0:
            _step_axis(axes, dt)
        axes.set_xlabel("time (ms)" if place == len(panels) - 1 else "", color=INK, fontsize=9)
        axes.tick_params(labelbottom=place == len(panels) - 1)
        top -= panel.height + _GAP
    return figure, _caption(comparison, sample, shown, panels)


def _input_panel(comparison: Comparison, name: str, sample: int, shown: Window) -> _Panel:
    values = flat(comparison.inputs[name])[shown.start : shown.stop, sample] > 0
    chosen = spread(values.sum(axis=0))
    return _Panel(name, values.shape[1], chosen, {"": values[:, chosen]}, None, 0.042)


def _node_panel(comparison: Comparison, name: str, sample: int, shown: Window) -> _Panel:
    part = slice(shown.start, shown.stop)
    spikes = {label: flat(r.spikes[name])[part, sample] for label, r in comparison.recordings.items()}
    wrong = differing(comparison, name)[part, sample]
    activity = np.sum([array.sum(axis=0) for array in spikes.values()], axis=0)
    chosen = neurons(activity, np.asarray(wrong.any(axis=0)))
    ordered = in_order(list(spikes), comparison.reference)
    few = 0.16 if len(chosen) <= FEW else 0.125
    return _Panel(name, wrong.shape[1], chosen, {k: spikes[k][:, chosen] for k in ordered}, wrong[:, chosen], few)


def _draw(axes: Any, panel: _Panel, shown: Window, dt: float, first: bool) -> None:
    count = len(panel.chosen)
    dress(axes)
    pad = 22 if first else 4  # the first panel has the steps on top
    axes.annotate(f"{panel.node}: {_of(panel)}", (0, 1), xytext=(0, pad), xycoords="axes fraction", fontsize=9.5,
                  textcoords="offset points", color=INK, parse_math=False)  # fmt: skip
    axes.set_xlim((shown.start - 0.6) * dt, (shown.stop - 0.4) * dt)
    axes.set_ylim(count - 0.4, -0.6)
    ticks = np.unique(np.linspace(0, count - 1, min(count, max(2, int(panel.height / 0.155)))).round().astype(int))
    axes.set_yticks(ticks, [str(panel.chosen[tick]) for tick in ticks])
    axes.set_ylabel("neuron" if panel.wrong is not None else "channel", color=INK, fontsize=9)
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    if panel.wrong is None:
        step, row = np.nonzero(panel.spikes[""])
        axes.plot(
            (step + shown.start) * dt, row, linestyle="none", marker="|", color=INK, alpha=0.75, markeredgewidth=1.0,
            markersize=0.8 * 72 * panel.row_inches, rasterized=step.size > _MOST_VECTORS, gid=f"events {panel.node}",
        )  # fmt: skip
        return
    points = _points(panel, shown)
    dense = sum(int(array.sum()) for array in panel.spikes.values()) > _MOST_VECTORS
    for look in looks(list(panel.spikes)):
        step, row = np.nonzero(panel.spikes[look.label])
        draw_marks(axes, look, (step + shown.start) * dt, row, points, raster=dense)
    step, row = np.nonzero(panel.wrong)
    if step.size:
        draw_circles(axes, (step + shown.start) * dt, row, max(points, 5.5), panel.node)


def _points(panel: _Panel, shown: Window) -> float:
    """Diameter of the largest disc: it fills its step or its row, whichever is less."""
    column = 72 * (_WIDTH - _LEFT - _RIGHT) / max(shown.stop - shown.start, 1)
    return float(np.clip(0.95 * min(column, 72 * panel.row_inches), 3.0, 10.0))


def _step_axis(axes: Any, dt: float) -> None:
    above = axes.secondary_xaxis("top", functions=(lambda ms: ms / dt, lambda step: step * dt))
    above.tick_params(colors=INK, labelsize=7.5, width=0.6, length=2.5)
    above.spines["top"].set_visible(False)
    above.set_xlabel("step", color=INK, fontsize=8, loc="right", labelpad=4)


def _of(panel: _Panel) -> str:
    what = "channels" if panel.wrong is None else "neurons"
    shown = len(panel.chosen)
    if shown == panel.size:
        return f"all {panel.size} {what}"
    if shown < MOST_NEURONS:
        which = "that spike,"
    else:
        which = "most active" if panel.wrong is not None else "spread over those that spike,"
    return f"{shown} {which} of {panel.size:,} {what}"


def _caption(comparison: Comparison, sample: int, shown: Window, panels: list[_Panel]) -> str:
    steps = len(shown.steps)
    total = next(iter(comparison.recordings.values())).steps
    words = [
        f"Sample {sample}, steps {shown.start} to {shown.stop - 1}" + (f" of {total:,}." if steps < total else ".")
    ]
    words.append("Each row is a neuron, each mark a spike; where all backends spike, their marks make one target.")
    if any(len(panel.chosen) < panel.size for panel in panels):
        words.append(
            f"Of larger nodes up to {MOST_NEURONS} neurons are shown: those that differ, then the most active."
        )
    left = len(comparison.recordings[comparison.reference].spikes) - sum(panel.wrong is not None for panel in panels)
    if left:
        words.append(f"{left} more spiking nodes are not drawn.")
    wrong = sum(int(panel.wrong.sum()) for panel in panels if panel.wrong is not None)
    words.append(
        f"{counted(wrong, 'place')} in red circles: not all backends spike there."
        if wrong
        else "No spike differs here."
    )
    return " ".join(words)
