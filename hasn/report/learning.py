"""Connections that learn: the rule, its window of spike timing, and the weights over time."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
from numpy.typing import NDArray

from hasn.errors import OptionError
from hasn.plasticity.pairs import window
from hasn.plasticity.rule import Rule
from hasn.recordings.histograms import WeightHistogram
from hasn.report import svg
from hasn.report.digits import png
from hasn.report.section import Section, caption, html_table

#: Seconds to each side of a window.
SPAN = 0.1
#: Pixels: of the plot of a window, and of the plot of weights.
_WINDOW, _WEIGHTS = 150.0, 220.0
#: Pixels between a heading and the topmost number at the axis, and from one number to the next at least.
_ABOVE, _APART = 8.0, 13.0
#: Columns of the picture of weights.
_COLUMNS = 96


def learning_sections(rules: Mapping[str, Rule], histograms: Mapping[str, WeightHistogram], dt: float) -> list[Section]:
    """A part of the page for each connection that learns.

    Args:
        rules: connection -> its rule.
        histograms: connection -> its weights over time.
        dt: seconds a step.
    """
    return [
        Section(f"What '{name}' learned", _connection(rule, histograms.get(name), dt)) for name, rule in rules.items()
    ]


def _connection(rule: Rule, histogram: WeightHistogram | None, dt: float) -> str:
    parts = [f'<pre class="formula">{escape(str(rule))}</pre>']
    try:
        apart, dw = window(rule, dt, SPAN)
    except OptionError:  # it reads a voltage
        parts.append(caption("The rule reads the membrane potential: two spikes do not say what they do to a weight."))
    else:
        parts.append(window_html(apart, dw))
        text = "The change of a weight by one spike of its source and one of its target, which comes so much later."
        parts.append(caption(text + (" Modulators are 1 throughout." if rule.modulators else "")))
    if histogram is not None:
        text = (
            "The weights over time: the darker, the larger the share of all weights that lie there (its square root, "
            "so that few are seen beside many); the line is their mean."
        )
        parts += [histogram_html(histogram, dt), caption(text), _figures(histogram)]
    return "".join(parts)


# --- the window


def window_html(apart: NDArray[np.float64], dw: NDArray[np.float64]) -> str:
    """dw against the time from the source's spike to the target's."""
    top, height = svg.HEADING + _ABOVE, _WINDOW
    low, high = min(float(dw.min()), 0.0), max(float(dw.max()), 0.0)
    scale = (high - low) or 1.0

    def y(value: float) -> float:
        return height * (high - value) / scale

    points = "L".join(f"{1e3 * t:g} {y(w):.2f}" for t, w in zip(apart, dw, strict=True))
    span = 1e3 * float(apart[-1])
    inner = (
        f'<svg class="plot" y="{top:g}" width="100%" height="{height:g}" preserveAspectRatio="none" '
        f'viewBox="{-span:g} 0 {2 * span:g} {height:g}">{svg.path("voltage run-0", f"M{points}")}</svg>'
    )
    body = [svg.heading(top - _ABOVE - 9, "change of the weight", "by a pair of spikes")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = f"{100 * share:g}%"
        body.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top:g}" y2="{top + height:g}"/>')
        body.append(svg.label(x, top + height + 14, f"{span * (2 * share - 1):g}", "tick across"))
    body.append(svg.label("100%", top + height + 30, "target's spike - source's spike, ms", "tick end"))
    for value in {0.0, *(value for value in (low, high) if abs(y(value) - y(0.0)) > _APART)}:
        body.append(svg.label("-6", top + y(value) + 4, f"{value:.3g}", "row"))
    body += [svg.rule(top + y(0.0), "base"), inner]
    alt = f"Change of a weight by a pair of spikes: from {low:.3g} to {high:.3g} within {span:g} ms."
    return svg.figure("".join(body), top + height + svg.AXIS, alt)


# --- the weights


def histogram_html(histogram: WeightHistogram, dt: float) -> str:
    """A picture of time across and weight up, and the course of the mean."""
    top, height = svg.HEADING + _ABOVE, _WEIGHTS
    first, last = int(histogram.step[0]), int(histogram.step[-1])
    low, high = float(histogram.edges[0]), float(histogram.edges[-1])
    steps = max(last - first, 1)
    picture = (
        f'<image class="heat" y="{top:g}" width="100%" height="{height:g}" preserveAspectRatio="none" '
        f'href="{png(picture_of(histogram))}"/>'
    )
    places = height * (high - histogram.mean) / (high - low)
    points = "L".join(f"{step - first} {place:.2f}" for step, place in zip(histogram.step, places, strict=True))
    mean = (
        f'<svg class="plot" y="{top:g}" width="100%" height="{height:g}" preserveAspectRatio="none" '
        f'viewBox="0 0 {steps} {height:g}">{svg.path("voltage run-1", f"M{points}")}</svg>'
    )
    body = [svg.heading(top - _ABOVE - 9, "weights", f"{int(histogram.counts[0].sum()):,} of them"), picture, mean]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = f"{(first + share * steps) * dt:.3g}"
        body.append(svg.label(f"{100 * share:g}%", top + height + 14, text, "tick across"))
        body.append(svg.label("-6", top + height * share + 4, f"{high - share * (high - low):.3g}", "row"))
    body.append(svg.label("100%", top + height + 30, "time, s", "tick end"))
    body += [svg.rule(top, "base"), svg.rule(top + height, "base")]
    figures = histogram.figures()
    alt = f"Weights over time: their mean goes from {figures['start']['mean']:.3g} to {figures['end']['mean']:.3g}."
    return svg.figure("".join(body), top + height + svg.AXIS, alt)


def picture_of(histogram: WeightHistogram) -> NDArray[np.float64]:
    """(bins, columns): the root of each bin's share, the largest weights on top; a column is the time nearest to it."""
    first, last = int(histogram.step[0]), int(histogram.step[-1])
    middles = first + (np.arange(_COLUMNS) + 0.5) * (last - first) / _COLUMNS
    nearest = np.abs(histogram.step[:, np.newaxis] - middles).argmin(axis=0)
    share = histogram.counts / np.maximum(histogram.counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.sqrt(share[nearest]).T[::-1])


def _figures(histogram: WeightHistogram) -> str:
    figures = histogram.figures()
    rows = [
        (
            when,
            *(f"{values[name]:.4g}" for name in ("mean", "sd")),
            *(f"{100 * values[name]:.3g} %" for name in ("at_low", "at_high")),
        )
        for when, values in figures.items()
    ]
    return html_table(("", "mean", "standard deviation", "at w_min", "at w_max"), rows, kind="compact")
