"""Spike rasters: one mark in ink for a spike that all runs have, a lane for each run where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hasn.program.describe import counted
from hasn.report import svg
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
from hasn.report.style import in_order, key, run_class
from hasn.report.verdict import runs_text

if TYPE_CHECKING:
    from hasn.agreement import Comparison

#: Pixels: a row of an Input, of a large node, of one that is shown whole; between panels.
_CHANNEL, _MANY, _WHOLE = 3.0, 9.0, 15.0
_GAP = 10.0
#: Pixels between two row numbers, at least.
_APART = 12.0


@dataclass(frozen=True)
class _Panel:
    """One node of one sample: the rows shown, and the spikes of each label in them, (T, rows)."""

    node: str
    size: int
    chosen: NDArray[np.int64]
    spikes: dict[str, NDArray[np.bool_]]
    wrong: NDArray[np.bool_]
    row: float

    @property
    def channels(self) -> bool:
        """Whether it is an Input's."""
        return list(self.spikes) == [""]

    @cached_property
    def differs(self) -> NDArray[np.bool_]:
        """Rows in which the runs differ."""
        return np.asarray(self.wrong.any(axis=0))

    @cached_property
    def heights(self) -> list[float]:
        """Of the rows; one that differs is as high as its lanes need."""
        wide = max(self.row, svg.room_for_lanes(len(self.spikes)))
        return [wide if differs else self.row for differs in self.differs]

    @property
    def tops(self) -> list[float]:
        """Where the rows begin."""
        return [0.0, *accumulate(self.heights)][:-1]

    @property
    def height(self) -> float:
        """Of all rows."""
        return sum(self.heights)


def raster_html(comparison: Comparison, sample: int) -> tuple[str, str]:
    """The rasters of one sample and a caption that says what was left out.

    Every Input that spikes and every spiking node has a panel; a row is a neuron, a mark a spike.
    """
    shown = window(comparison, sample)
    panels = [_input_panel(comparison, name, sample, shown) for name in spiking_inputs(comparison)]
    panels += [_node_panel(comparison, name, sample, shown) for name in spiking_nodes(comparison)]
    text = _caption(comparison, sample, shown, panels)
    parts, top = [], 0.0
    for panel in panels:
        parts.append(_draw(panel, shown, top + svg.HEADING))
        top += svg.HEADING + panel.height + _GAP
    axis = svg.step_axis(shown, svg.HEADING, top - _GAP, comparison.program.dt)
    return svg.figure(axis + "".join(parts), top - _GAP + svg.AXIS, f"Spike raster. {text}"), text


def raster_key(comparison: Comparison) -> str:
    """What the marks mean; the runs' colours only where some spike differs."""
    labels = in_order(list(comparison.recordings), comparison.reference)
    nodes = comparison.recordings[comparison.reference].spikes
    if not any(array.any() for run in comparison.recordings.values() for array in run.spikes.values()):
        return ""
    entries = {_every(labels): "all"}
    if not any(differing(comparison, node).any() for node in nodes):
        return key(entries)
    entries["a place where they differ; lanes from the top, filled where that run spikes:"] = "differing"
    return key({**entries, **{label: run_class(place) for place, label in enumerate(labels)}})


def _every(labels: list[str]) -> str:
    return f"a spike of {labels[0]}" if len(labels) == 1 else f"a spike that {runs_text(len(labels))} have"


def _input_panel(comparison: Comparison, name: str, sample: int, shown: Window) -> _Panel:
    values = flat(comparison.inputs[name])[shown.start : shown.stop, sample] > 0
    chosen = spread(values.sum(axis=0))
    events = values[:, chosen]
    return _Panel(name, values.shape[1], chosen, {"": events}, np.zeros_like(events), _CHANNEL)


def _node_panel(comparison: Comparison, name: str, sample: int, shown: Window) -> _Panel:
    part = slice(shown.start, shown.stop)
    spikes = {label: flat(r.spikes[name])[part, sample] for label, r in comparison.recordings.items()}
    wrong = differing(comparison, name)[part, sample]
    activity = np.sum([array.sum(axis=0) for array in spikes.values()], axis=0)
    chosen = neurons(activity, np.asarray(wrong.any(axis=0)))
    ordered = in_order(list(spikes), comparison.reference)
    row = _WHOLE if len(chosen) <= FEW else _MANY
    return _Panel(name, wrong.shape[1], chosen, {k: spikes[k][:, chosen] for k in ordered}, wrong[:, chosen], row)


def _draw(panel: _Panel, shown: Window, top: float) -> str:
    agreed, apart = svg.split_spikes(panel.spikes, panel.wrong)
    if panel.channels:
        events = "".join(
            f"M{step + shown.start} {panel.tops[row]:g}v{_CHANNEL - 0.6:g}" for step, row in np.argwhere(agreed)
        )
        marks = svg.path("events", events, panel.node)
    else:
        marks = svg.spike_marks(
            agreed, apart, panel.wrong, shown, panel.tops, panel.heights, 0.8 * panel.row, panel.node
        )
    return (
        svg.heading(top - 7, panel.node, _of(panel))
        + svg.rule(top + panel.height, "base")
        + _row_numbers(panel, top)
        + svg.plot(shown, top, panel.height, marks)
    )


def _row_numbers(panel: _Panel, top: float) -> str:
    """The numbers of the rows that differ, and of others as far as there is room."""
    middles = [start + height / 2 for start, height in zip(panel.tops, panel.heights, strict=True)]
    placed: list[int] = np.flatnonzero(panel.differs).tolist()
    for row in [0, len(middles) - 1, *range(len(middles))]:
        if all(abs(middles[row] - middles[other]) >= _APART for other in placed):
            placed.append(row)
    return "".join(
        svg.label(
            "-8",
            top + middles[row] + 4,
            str(panel.chosen[row]),
            "tick row differs" if panel.differs[row] else "tick row",
        )
        for row in sorted(placed)
    )


def _of(panel: _Panel) -> str:
    what = "channels" if panel.channels else "neurons"
    shown = len(panel.chosen)
    if shown == panel.size:
        return f"all {panel.size} {what}"
    if shown < MOST_NEURONS:
        which = "that spike,"
    else:
        which = "spread over those that spike," if panel.channels else "most active"
    return f"{shown} {which} of {panel.size:,} {what}"


def _caption(comparison: Comparison, sample: int, shown: Window, panels: list[_Panel]) -> str:
    steps = len(shown.steps)
    total = next(iter(comparison.recordings.values())).steps
    words = [
        f"Sample {sample}, steps {shown.start} to {shown.stop - 1}" + (f" of {total:,}." if steps < total else "."),
        "Each row is a neuron, each mark a spike.",
    ]
    if any(len(panel.chosen) < panel.size for panel in panels):
        words.append(
            f"Of larger nodes up to {MOST_NEURONS} neurons are shown: those that differ, then the most active."
        )
    left = len(comparison.recordings[comparison.reference].spikes) - sum(not panel.channels for panel in panels)
    if left:
        words.append(f"{counted(left, 'more spiking node')} {'is' if left == 1 else 'are'} not drawn.")
    fired = any(array.any() for panel in panels if not panel.channels for array in panel.spikes.values())
    if not fired:
        words.append("No neuron spikes here.")
    elif len(comparison.recordings) > 1:
        wrong = sum(int(panel.wrong.sum()) for panel in panels)
        words.append(
            f"The runs differ in {counted(wrong, 'place')}, tinted red."
            if wrong
            else f"No spike differs here: every mark stands for {runs_text(len(comparison.recordings))}."
        )
    return " ".join(words)
