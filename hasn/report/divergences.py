"""For each backend that parts from the reference: the voltages round the first spike that differs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hasn.report.facts import divergence_line, extent, index_text, others, unit_of
from hasn.report.section import Section, caption, html_table
from hasn.report.select import Window, flat
from hasn.report.traces import Trace, series, trace_html

if TYPE_CHECKING:
    from hasn.agreement import Comparison, Divergence

#: Steps shown before and after in the figure, and in the table of numbers.
_AROUND, _NEAR = 20, 3


def divergence_section(comparison: Comparison) -> Section | None:
    """One figure and one table of numbers for each first divergence; None if there is none."""
    firsts = [first for label in others(comparison) if (first := comparison.first_divergence(label)) is not None]
    weights = [found for label in others(comparison) if (found := comparison.first_weight(label)) is not None]
    if not firsts and not weights:
        return None
    learned = "".join(f"<h3>{escape(first.backend)}: a weight</h3><p>{escape(str(first))}</p>" for first in weights)
    return Section("Where they first part", "".join(_one(comparison, first) for first in firsts) + learned)


def _one(comparison: Comparison, first: Divergence) -> str:
    place = f"node '{first.node}', neuron {index_text(first.index)}, sample {first.sample}, step {first.step}"
    parts = [
        f"<h3>{escape(first.backend)}: {escape(place)}</h3>",
        f"<p>{escape(divergence_line(first, unit_of(comparison)))}</p>",
    ]
    if all(first.node in r.voltages for r in comparison.recordings.values()):
        parts.append(_figure(comparison, first, place))
    parts.append(_numbers(comparison, first))
    return "".join(parts)


def _neuron(comparison: Comparison, first: Divergence) -> int:
    shape = comparison.program.node(first.node).shape
    return int(np.ravel_multi_index(first.index, shape)) if shape else 0


def _around(comparison: Comparison, step: int, steps: int) -> Window:
    return Window(max(0, step - steps), min(extent(comparison)[0], step + steps + 1))


def _figure(comparison: Comparison, first: Divergence, place: str) -> str:
    trace = Trace(first.node, _neuron(comparison, first), first.sample)
    shown = _around(comparison, first.step, _AROUND)
    text = (
        f"Membrane potential of {place}, and {_AROUND} steps round it. A recorded voltage is the one after the reset, "
        "so a neuron that spikes shows where the reset put it."
    )
    return trace_html(comparison, trace, text, shown) + caption(text)


def _numbers(comparison: Comparison, first: Divergence) -> str:
    """Both sides' voltages, their difference and spikes in the steps round the divergence."""
    neuron = _neuron(comparison, first)
    shown = _around(comparison, first.step, _NEAR)
    labels = (first.reference, first.backend)
    part = slice(shown.start, shown.stop)
    spikes = [flat(comparison.recordings[k].spikes[first.node])[part, first.sample, neuron] for k in labels]
    columns = ["step", *[f"{label} spikes" for label in labels]]
    volts = []
    if all(first.node in comparison.recordings[label].voltages for label in labels):
        trace = Trace(first.node, neuron, first.sample)
        volts = [series(comparison, label, trace, shown) for label in labels]
        columns += [f"{what} ({unit_of(comparison)})" for what in (*labels, "difference")]
    rows = []
    for place, step in enumerate(shown.steps):
        row = [f"{step}{' ◂' if step == first.step else ''}", *["●" if fired[place] else "" for fired in spikes]]
        if volts:
            row += [*[f"{curve[place]:.17g}" for curve in volts], f"{volts[1][place] - volts[0][place]:.2e}"]
        rows.append(row)
    return html_table(columns, rows, kind="compact")
