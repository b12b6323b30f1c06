"""Membrane potentials of single neurons: the reference in ink, the others where they part from it, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Neurons
from hasn.report import svg
from hasn.report.facts import error_text, index_text, listed, unit_of
from hasn.report.select import Window, differing, flat, samples, window
from hasn.report.style import in_order, key, run_class

if TYPE_CHECKING:
    from hasn.agreement import Comparison

#: Differences below this are drawn on the line that reads 0; it lies under any rounding of voltages that matter.
_FLOOR = 1e-19
#: Pixels: of the plot of voltages, of the plot of differences, of the row of spikes, of a spike.
_VOLTS, _APART, _SPIKES, _MARK = 190.0, 110.0, 26.0, 12.0
#: Share of the axis from which on a line beside another can be told from it.
_SEEN = 0.004
#: Swings of the voltage beyond which a threshold is left off the axis, where it would make of them a flat line.
_FAR = 20.0


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


def trace_html(comparison: Comparison, trace: Trace, alt: str, shown: Window | None = None) -> str:
    """Voltages with threshold and spikes above; beneath, on a log axis, how far each run lies from the reference."""
    part = shown or window(comparison, trace.sample)
    labels = in_order(list(comparison.recordings), comparison.reference)
    curves = {label: series(comparison, label, trace, part) for label in labels}
    low, high, scale, unit = _range(comparison, trace, part, curves)
    top = svg.HEADING
    body = [svg.heading(top - 9, f"membrane potential ({unit})", neuron_name(comparison, trace))]
    if trace.node in comparison.recordings[comparison.reference].spikes:
        body.append(_spikes(comparison, trace, part, labels, top))
        top += _SPIKES
    body.append(_voltages(comparison, trace, part, curves, (low, high, scale), top))
    bottom = top + _VOLTS
    apart = _distances(curves)
    if apart:
        bottom += 2 * svg.HEADING
        body.append(_differences(comparison, part, curves, apart, bottom))
        bottom += _APART
    axis = svg.step_axis(part, svg.HEADING, bottom, comparison.program.dt)
    drawing = svg.figure(axis + "".join(body), bottom + svg.AXIS, alt)
    return _key(comparison, labels, apart) + _lanes(comparison, trace, part, labels) + drawing


def _range(
    comparison: Comparison, trace: Trace, part: Window, curves: dict[str, NDArray[np.float64]]
) -> tuple[float, float, float, str]:
    """Lower and upper end of the axis in volts, what a volt is on it, and its unit."""
    scale, unit = _unit(comparison, trace.node)
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves.values()])
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    threshold = threshold_of(comparison, trace)
    if threshold is not None and (high == low or low - _FAR * (high - low) <= threshold <= high + _FAR * (high - low)):
        low, high = min(low, threshold), max(high, threshold)
    room = 0.08 * ((high - low) or 1.0)
    return low - room, high + room, scale, unit


def _distances(curves: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Of each run that is not at the reference's voltages throughout: |difference|; nan where only one is finite."""
    reference, *rest = curves
    found = {}
    for label in rest:
        one, other = curves[label], curves[reference]
        if not np.array_equal(one, other, equal_nan=True):
            with np.errstate(invalid="ignore"):
                distance = np.where(one == other, 0.0, np.abs(one - other))
            found[label] = np.where(np.isfinite(distance), distance, np.nan)
    return found


def _unit(comparison: Comparison, node: str) -> tuple[float, str]:
    if unit_of(comparison) != "V":
        return 1.0, unit_of(comparison)
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
    comparison: Comparison, trace: Trace, part: Window, curves: dict[str, NDArray[np.float64]],
    axis: tuple[float, float, float], top: float,
) -> str:  # fmt: skip
    """The reference's line, of each other run what can be told from it, the threshold, round numbers at the left."""
    low, high, scale = axis

    def down(volts: Any) -> Any:
        return (high - volts) / (high - low) * _VOLTS

    reference = curves[comparison.reference]
    lines = [svg.path("voltage all", svg.line(down(reference), part), comparison.reference)]
    for place, (label, curve) in enumerate(curves.items()):
        seen = _seen(curve, reference, _SEEN * (high - low))
        lines.append(
            svg.path(f"voltage {run_class(place)}", svg.line(np.where(seen, down(curve), np.nan), part), label)
        )
    parts = []
    for tick in round_ticks(low * scale, high * scale):
        parts.append(svg.label("-8", top + down(tick / scale) + 4, f"{tick:g}", "tick row"))
    threshold = threshold_of(comparison, trace)
    if threshold is not None and low <= threshold <= high:
        y = top + down(threshold)
        parts += [svg.rule(y, "threshold"), svg.label("100%", y - 4, f"threshold {threshold * scale:g}", "tick end")]
    elif threshold is not None:
        y, where = (top - 3, "above") if threshold > high else (top + _VOLTS - 4, "below")
        parts.append(svg.label("100%", y, f"threshold {threshold * scale:g}, far {where}", "tick end"))
    return "".join(parts) + svg.plot(part, top, _VOLTS, "".join(lines))


def _seen(curve: NDArray[np.float64], reference: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Steps at which a line can be told from the reference's, and those next to them, whence it comes and goes."""
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(curve - reference) <= least) & ~((curve == reference) | (np.isnan(curve) & np.isnan(reference)))
    near = off.copy()
    near[1:] |= off[:-1]
    near[:-1] |= off[1:]
    return np.asarray(near, dtype=np.bool_)


def round_ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers from ``low`` to ``high``."""
    size = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = next(float(size * factor) for factor in (5, 2, 1, 0.5) if (high - low) / (size * factor) >= 3)
    return [float(np.round(k * step, 12)) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _spikes(comparison: Comparison, trace: Trace, part: Window, labels: list[str], top: float) -> str:
    """The neuron's spikes in a row."""
    steps = slice(part.start, part.stop)
    place = (steps, trace.sample, slice(trace.neuron, trace.neuron + 1))
    spikes = {label: flat(comparison.recordings[label].spikes[trace.node])[place] for label in labels}
    wrong = differing(comparison, trace.node)[place]
    agreed, apart = svg.split_spikes(spikes, wrong)
    height = max(_SPIKES - 4, svg.room_for_lanes(len(labels)))
    marks = svg.spike_marks(agreed, apart, wrong, part, [0.0], [height], _MARK, trace.node)
    return svg.label("-8", top + height / 2 + 4, "spikes", "tick row") + svg.plot(part, top, height, marks)


def _differences(
    comparison: Comparison, part: Window, curves: dict[str, NDArray[np.float64]],
    apart: dict[str, NDArray[np.float64]], bottom: float,
) -> str:  # fmt: skip
    """A log axis; what is exactly 0 lies on its lowest line."""
    level = _largest(curves[comparison.reference]) or 1e-30
    precisions = {r.precision for r in comparison.recordings.values()}
    rounding = {p: level * e for p, e in (("float64", 2.0**-52), ("float32", 2.0**-23)) if p in precisions}
    largest = 30 * max([1e-15, *rounding.values(), *map(_largest, apart.values())])

    def down(volts: Any) -> Any:
        return np.log(largest / np.maximum(volts, _FLOOR)) / np.log(largest / _FLOOR) * _APART

    parts = [svg.heading(bottom - 9, f"distance from {comparison.reference} ({unit_of(comparison)})", "log axis")]
    parts += [svg.rule(bottom + down(volts), "rounding") for volts in rounding.values()]
    parts.append(svg.rule(bottom + _APART, "base") + svg.label("-8", bottom + _APART + 4, "0", "tick row"))
    for power in (-16, -12, -8, -4, 0, 4, 8):
        if 10.0**power <= largest:
            parts.append(svg.label("-8", bottom + down(10.0**power) + 4, _power(power), "tick row"))
    places = list(curves)
    lines = [
        svg.path(f"distance {run_class(places.index(label))}", svg.line(down(values), part), label)
        for label, values in apart.items()
    ]
    named = [
        svg.label("100%", bottom + down(volts) - 4, f"{precision} rounding", "tick end")
        for precision, volts in rounding.items()
    ]
    return "".join(parts) + svg.plot(part, bottom, _APART, "".join(lines)) + "".join(named)


def _power(power: int) -> str:
    return "1" if power == 0 else f"1e{power}"


def _lanes(comparison: Comparison, trace: Trace, part: Window, labels: list[str]) -> str:
    """The colours of spikes, where some shown differ."""
    if trace.node not in comparison.recordings[comparison.reference].spikes:
        return ""
    wrong = differing(comparison, trace.node)[part.start : part.stop, trace.sample, trace.neuron]
    entries = {label: run_class(place) for place, label in enumerate(labels)}
    return key(entries, "Spikes where they differ, lanes from the top:") if wrong.any() else ""


def _key(comparison: Comparison, labels: list[str], apart: dict[str, NDArray[np.float64]]) -> str:
    """The runs with what tells them from the reference: a colour only for those whose voltages differ."""
    same = [label for label in labels[1:] if label not in apart]
    entries = {f"{listed([labels[0], *same])}{', to the last bit' if same else ''}": "line"}
    for label, values in apart.items():
        away = f"up to {error_text(_largest(values))} {unit_of(comparison)} away"
        entries[f"{label}: {away if np.isfinite(values).all() else 'not finite'}"] = (
            f"line {run_class(labels.index(label))}"
        )
    return key(entries)
