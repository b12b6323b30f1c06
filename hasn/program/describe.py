"""A Program's steps in words and few numbers: what `hasn info --program` and the report show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling
from hasn.program.model import Compare, Connection, Edge, Neurons, Program, Row, Sink, Source, Step


@dataclass(frozen=True)
class StepSummary:
    """One step of a Program for a reader.

    Attributes:
        name: the step's name.
        kind: "Input", "LIF", "Conv2d" ...
        shape: shape of its value, without time and batch.
        details: its coefficients, one statement each.
        sources: who feeds it, with a mark on those that come late ("lif (1 step late)").
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    details: tuple[str, ...]
    sources: tuple[str, ...]


def summaries(program: Program) -> list[StepSummary]:
    """Every step, in the order of evaluation."""
    return [
        StepSummary(
            step.name,
            kind_of(step),
            step.shape,
            details_of(step, program.dt),
            tuple(_source_text(e) for e in program.edges_into(step.name)),
        )
        for step in program.steps
    ]


def _source_text(edge: Edge) -> str:
    late = counted(edge.delay, "step")
    return f"{edge.source} ({late} late)" if edge.delay else edge.source


def shape_text(shape: tuple[int, ...]) -> str:
    """(2, 16, 16) -> "2 × 16 × 16"; a single number stands alone."""
    return " × ".join(map(str, shape)) or "1"


def counted(count: int, what: str) -> str:
    """(1, "step") -> "1 step"; (3, "step") -> "3 steps"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def span(values: Any) -> str:
    """The one value that all have, or the smallest and the largest."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return "none"
    low, high = float(array.min()), float(array.max())
    return f"{low:.6g}" if low == high else f"{low:.4g} .. {high:.4g}"


def kind_of(step: Step) -> str:
    """The step in NIR's vocabulary, as far as the coefficients tell."""
    if isinstance(step, Source):
        return "Input"
    if isinstance(step, Sink):
        return "Output"
    if isinstance(step, Compare):
        return "Threshold"
    if isinstance(step, Connection):
        return _map_kind(step)
    return _neuron_kind(step)


def _map_kind(step: Connection) -> str:
    shown = step.map
    if isinstance(shown, Convolution):
        return f"Conv{len(shown.stride)}d"
    if isinstance(shown, Pooling):
        return "AvgPool2d" if shown.mean else "SumPool2d"
    if isinstance(shown, Dense):
        return "Affine" if shown.bias is not None else "Linear"
    if isinstance(shown, Scaling):
        return "Scale"
    return "Delay" if step.delay is not None else "Reshape"


def _neuron_kind(step: Neurons) -> str:
    ending = "F" if step.spiking else ""
    if step.states == ("c", "v"):
        return f"CubaLI{ending}"
    if step.states != ("v",):
        return "Neurons"
    keeps = [coefficient for row in step.rows for state, coefficient in row.terms if state == "v"]
    leaks = any(np.any(keep != 1.0) for keep in keeps)
    return f"{'LI' if leaks else 'I'}{ending}"


def details_of(step: Step, dt: float) -> tuple[str, ...]:
    """A step's coefficients: each as its uniform value, or as a range."""
    if isinstance(step, Connection):
        return (*_map_details(step.map), *_delay_details(step, dt))
    if isinstance(step, Compare):
        return (f"1 where x > {span(step.threshold)}",)
    if isinstance(step, Neurons):
        return _neuron_details(step)
    return ()


def _delay_details(step: Connection, dt: float) -> tuple[str, ...]:
    if step.delay is None:
        return ()
    return (f"delay {span(step.delay)} steps = {span(step.delay * dt * 1e3)} ms",)


def _neuron_details(step: Neurons) -> tuple[str, ...]:
    lines = [_row_text(row) for row in step.rows]
    if step.threshold is not None:
        lines.append(f"spike where v > {span(step.threshold)}")
    if step.jump is not None and step.reset is not None:
        lines.append(f"then v ← {span(step.jump)}" if step.reset == "zero" else f"then v ← v − {_factor(step.jump)}")
    start = [f"{state} = {span(value)}" for state, value in step.initial.items() if np.any(value)]
    return (*lines, *(["starts at " + ", ".join(start)] if start else []))


def _row_text(row: Row) -> str:
    parts = [f"{_factor(value)} {state}" for state, value in row.terms]
    if row.gain is not None:
        parts.append(f"{_factor(row.gain)} I")
    if row.bias is not None:
        parts.append(_factor(row.bias))
    return f"{row.state} ← {' + '.join(parts)}"


def _factor(value: Any) -> str:
    shown = span(value)
    return f"[{shown}]" if " .. " in shown else f"({shown})" if shown.startswith("-") else shown


@singledispatch
def _map_details(shown: Any) -> tuple[str, ...]:
    return ()


@_map_details.register
def _(shown: Identity) -> tuple[str, ...]:
    return ()


@_map_details.register
def _(shown: Scaling) -> tuple[str, ...]:
    return (f"times {span(shown.scale)}",)


@_map_details.register
def _(shown: Dense) -> tuple[str, ...]:
    return (_weights_text(shown.weight), *_bias_text(shown.bias))


@_map_details.register
def _(shown: Convolution) -> tuple[str, ...]:
    words = [f"stride {shape_text(shown.stride)}"]
    if any(pad for pads in shown.pads for pad in pads):
        words.append("padding " + ", ".join(str(a) if a == b else f"{a}+{b}" for a, b in shown.pads))
    if any(n != 1 for n in shown.dilation):
        words.append(f"dilation {shape_text(shown.dilation)}")
    if shown.groups != 1:
        words.append(f"{shown.groups} groups")
    return (_weights_text(shown.weight), ", ".join(words), *_bias_text(shown.bias))


@_map_details.register
def _(shown: Pooling) -> tuple[str, ...]:
    how = "mean" if shown.mean else "sum"
    pads = (
        ""
        if not any(p for both in shown.pads for p in both)
        else f", padding {', '.join(str(a) for a, _ in shown.pads)}"
    )
    return (f"{how} over {shape_text(shown.kernel)}, stride {shape_text(shown.stride)}{pads}",)


def _weights_text(weight: Any) -> str:
    array = np.asarray(weight)
    zeros = array.size - np.count_nonzero(array)
    share = f", {100 * zeros / array.size:.3g} % of them 0" if zeros else ""
    return f"weights {shape_text(array.shape)}: {span(array)}{share}"


def _bias_text(bias: Any) -> tuple[str, ...]:
    return () if bias is None or not np.any(bias) else (f"bias {span(bias)}",)
