"""Membrane potentials of single neurons: all backends over each other, the threshold, the spikes, the differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Neurons
from hasn.report.facts import index_text, others
from hasn.report.figure import dress, new_figure
from hasn.report.select import Window, differing, flat, samples, window
from hasn.report.style import DIFFERENT, INK, Look, draw_circles, draw_marks, in_order, looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hasn.agreement import Comparison

#: Differences below this are drawn on the line that reads 0; it lies under any rounding of voltages that matter.
_FLOOR = 1e-19
_SIZE = 8.0


@dataclass(frozen=True)
class Trace:
    """A neuron to look at: its node, its flat place in it, and the sample."""

    node: str
    neuron: int
    sample: int


def pick(comparison: Comparison, most: int = 2) -> list[Trace]:
    """Neurons worth a look in the sample that the rasters show first: where a spike differs, else where it is lively.

    The last population comes first, then the first one; in each the neuron that differs, else the one whose number of
    spikes is the highest that is still under one spike in four steps.
    """
    recording = comparison.recordings[comparison.reference]
    shown = samples(comparison)
    names = [name for name in recording.voltages if recording.voltages[name].size]
    if not names or not shown:
        return []
    ordered = sorted(names, key=lambda name: (name not in recording.spikes, -names.index(name)))
    chosen = list(dict.fromkeys([ordered[0], *[name for name in names if name in recording.spikes][:1], *ordered]))
    return [Trace(name, _lively(comparison, name, shown[0]), shown[0]) for name in chosen[:most]]


def _lively(comparison: Comparison, node: str, sample: int) -> int:
    recording = comparison.recordings[comparison.reference]
    if node not in recording.spikes:
        swing = np.ptp(flat(recording.voltages[node])[:, sample], axis=0)
        return int(swing.argmax())
    wrong = differing(comparison, node)[:, sample]
    if wrong.any():
        return int(wrong.any(axis=0).argmax())
    counts = flat(recording.spikes[node])[:, sample].sum(axis=0)
    calm = np.where(counts <= recording.steps / 4, counts, -1)
    return int(calm.argmax())


def neuron_name(comparison: Comparison, trace: Trace) -> str:
    """ "node 'lif', neuron 3"."""
    index = np.unravel_index(trace.neuron, comparison.program.node(trace.node).shape or (1,))
    return f"node '{trace.node}', neuron {index_text(tuple(int(i) for i in index))}"


def trace_figure(comparison: Comparison, trace: Trace, shown: Window | None = None) -> Figure:
    """Voltages with threshold and spikes above, the distance of each backend from the reference beneath (log axis)."""
    part = shown or window(comparison, trace.sample)
    figure = new_figure(10.4, 4.5)
    above = figure.add_axes((0.085, 0.43, 0.89, 0.49))
    beneath = figure.add_axes((0.085, 0.115, 0.89, 0.24))
    order = looks(in_order(list(comparison.recordings), comparison.reference))
    scale, unit = _unit(comparison, trace.node)
    time = part.steps * comparison.program.dt * 1e3
    _voltages(above, comparison, trace, part, time, order, scale)
    _differences(beneath, comparison, trace, part, time, order)
    dress(above, ylabel=f"membrane potential ({unit})")
    dress(beneath, xlabel="time (ms)", ylabel="|difference| (V)")
    above.tick_params(labelbottom=False)
    for axes in (above, beneath):
        axes.set_xlim(time[0] - 0.6 * comparison.program.dt * 1e3, time[-1] + 0.6 * comparison.program.dt * 1e3)
        axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    return figure


def _unit(comparison: Comparison, node: str) -> tuple[float, str]:
    largest = max(_largest(r.voltages[node]) for r in comparison.recordings.values())
    return (1e3, "mV") if 0 < largest < 0.3 else (1.0, "V")


def _largest(values: NDArray[Any]) -> float:
    """The largest magnitude; a network that runs away has voltages that are not finite, which no axis can show."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def series(comparison: Comparison, label: str, trace: Trace, part: Window) -> NDArray[np.float64]:
    """A neuron's recorded voltages in volts."""
    volts = flat(comparison.recordings[label].voltages[trace.node])[part.start : part.stop, trace.sample, trace.neuron]
    return np.asarray(volts, dtype=np.float64)


def threshold_of(comparison: Comparison, trace: Trace) -> float | None:
    """The neuron's threshold in volts, if it has one."""
    step = comparison.program.node(trace.node)
    if not isinstance(step, Neurons) or step.threshold is None:
        return None
    return float(np.broadcast_to(step.threshold, step.shape).reshape(-1)[trace.neuron])


def _voltages(
    axes: Any, comparison: Comparison, trace: Trace, part: Window, time: Any, order: list[Look], scale: float
) -> None:
    curves = {look.label: series(comparison, look.label, trace, part) * scale for look in order}
    for look in order:
        axes.plot(time, curves[look.label], color=look.colour, linewidth=look.width, label=look.label,
                  solid_capstyle="round", solid_joinstyle="round", gid=f"voltage {look.label}")  # fmt: skip
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    threshold = threshold_of(comparison, trace)
    if threshold is not None:
        axes.axhline(threshold * scale, color=DIFFERENT, linewidth=1.0, linestyle=(0, (5, 3)))
        axes.annotate("threshold", (1, threshold * scale), xycoords=("axes fraction", "data"), xytext=(0, 3),
                      textcoords="offset points", ha="right", color=DIFFERENT, fontsize=8)  # fmt: skip
        high = max(high, threshold * scale)
    room = 0.08 * ((high - low) or 1.0)
    axes.set_ylim(low - room, high + room)
    ticks = [tick for tick in axes.get_yticks() if low - room <= tick <= high + room]
    if trace.node in comparison.recordings[comparison.reference].spikes:
        _spikes(axes, comparison, trace, part, time, order, high + 2.6 * room)
        axes.annotate("spikes", (0, high + 2.6 * room), xycoords=("axes fraction", "data"), xytext=(-5, 0), color=INK,
                      textcoords="offset points", ha="right", va="center", fontsize=8)  # fmt: skip
        high += 3.2 * room
    axes.set_ylim(low - room, high + room)
    axes.set_yticks(ticks)
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(order), frameon=False, fontsize=8.5,
                         labelcolor=INK, borderpad=0, handlelength=1.6)  # fmt: skip
    for handle, look in zip(legend.get_lines(), order, strict=True):
        handle.set_linewidth(max(look.width, 2.0))


def _spikes(
    axes: Any, comparison: Comparison, trace: Trace, part: Window, time: Any, order: list[Look], level: float
) -> None:
    for look in order:
        fired = flat(comparison.recordings[look.label].spikes[trace.node])[
            part.start : part.stop, trace.sample, trace.neuron
        ]
        draw_marks(axes, look, time[fired], np.full(int(fired.sum()), level), _SIZE)
    wrong = differing(comparison, trace.node)[part.start : part.stop, trace.sample, trace.neuron]
    if wrong.any():
        draw_circles(axes, time[wrong], np.full(int(wrong.sum()), level), _SIZE, trace.node)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.abs(one - other)


def _differences(axes: Any, comparison: Comparison, trace: Trace, part: Window, time: Any, order: list[Look]) -> None:
    reference = series(comparison, comparison.reference, trace, part)
    largest = 1e-15
    for look in order:
        if look.label in others(comparison):
            distance = _distance(series(comparison, look.label, trace, part), reference)
            largest = max(largest, _largest(distance))
            axes.plot(time, np.maximum(distance, _FLOOR), color=look.colour, linewidth=0.9, marker="o", markersize=3.2,
                      markeredgewidth=0, clip_on=False, gid=f"difference {look.label}")  # fmt: skip
    level = max(_largest(reference), 1e-30)
    precisions = {r.precision for r in comparison.recordings.values()}
    for precision, epsilon in (("float64", 2.0**-52), ("float32", 2.0**-23)):
        if precision in precisions:
            axes.axhline(level * epsilon, color=INK, alpha=0.45, linewidth=0.8, linestyle=(0, (1, 2)))
            axes.annotate(f"{precision} rounding", (1, level * epsilon), xycoords=("axes fraction", "data"), alpha=0.7,
                          xytext=(0, 2), textcoords="offset points", ha="right", fontsize=7.5, color=INK)  # fmt: skip
            largest = max(largest, level * epsilon)
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, largest * 30)
    decades = [d for d in (-16, -13, -10, -7, -4, -1, 2) if 10.0**d <= largest * 30]
    axes.set_yticks([_FLOOR, *[10.0**d for d in decades]], ["0", *[f"1e{d}" for d in decades]])
    axes.minorticks_off()
