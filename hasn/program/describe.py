"""A Program's steps in words and few numbers: what `hasn info --program` and the report show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from hasn.program.drawn import Drawn, Gaussian, Poisson
from hasn.program.learning import Learning, Products
from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling, Sparse
from hasn.program.model import Condition, Connection, Edge, Neurons, Node, Program, Row, Sink, Source, Threshold, moves


@dataclass(frozen=True)
class NodeSummary:
    """One node of a Program for a reader.

    Attributes:
        name: the node's name.
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


def summaries(program: Program) -> list[NodeSummary]:
    """Every node, in the order of evaluation."""
    return [
        NodeSummary(
            node.name,
            kind_of(node),
            node.shape,
            details_of(node, program.dt),
            tuple(_source_text(e) for e in program.edges_into(node.name)),
        )
        for node in program.nodes
    ]


def _source_text(edge: Edge) -> str:
    late = counted(edge.delay, "step")
    return f"{edge.source} ({late} late)" if edge.delay else edge.source


def shape_text(shape: tuple[int, ...]) -> str:
    """(2, 16, 16) -> "2 × 16 × 16"; a single number stands alone."""
    return " × ".join(map(str, shape)) or "1"


def counted(count: int, what: str) -> str:
    """(1, "step") -> "1 step"; (2, "process") -> "2 processes"; (2, "epoch") -> "2 epochs"."""
    many = "es" if what.endswith(("s", "x", "ch", "sh")) and not what.endswith("epoch") else "s"
    return f"{count:,} {what}{'' if count == 1 else many}"


def span(values: Any) -> str:
    """The one value that all have, or the smallest and the largest."""
    array = np.asarray(values)
    if array.size == 0:
        return "none"
    low, high = float(array.min()), float(array.max())
    return f"{low:.6g}" if low == high else f"{low:.4g} .. {high:.4g}"


def kind_of(node: Node) -> str:
    """The node in NIR's vocabulary, as far as the coefficients tell."""
    if isinstance(node, Source):
        return "Input" if node.drawn is None else node.drawn.kind
    if isinstance(node, Sink):
        return "Output"
    if isinstance(node, Threshold):
        return "Threshold"
    if isinstance(node, Connection):
        return _map_kind(node)
    return _neuron_kind(node)


def _map_kind(node: Connection) -> str:
    shown = node.map
    if isinstance(shown, Convolution):
        return f"Conv{len(shown.stride)}d"
    if isinstance(shown, Pooling):
        return "AvgPool2d" if shown.mean else "SumPool2d"
    if isinstance(shown, Dense):
        return "Affine" if shown.bias is not None else "Linear"
    if isinstance(shown, Sparse):
        return "SparseLinear"
    if isinstance(shown, Scaling):
        return "Scale"
    if isinstance(shown, Identity):
        return "Delay" if node.delay is not None else "Reshape"
    return type(shown).__name__


def _neuron_kind(node: Neurons) -> str:
    ending = "F" if node.spiking else ""
    if node.update == "general":
        return "Neurons"
    if node.update != "one row":
        return f"CubaLI{ending}"
    leaks = any(np.any(keep != 1.0) for _, keep in node.rows[0].terms)
    return f"{'LI' if leaks else 'I'}{ending}"


def details_of(node: Node, dt: float) -> tuple[str, ...]:
    """A node's coefficients: each as its uniform value, or as a range."""
    if isinstance(node, Connection):
        return (*_map_details(node.map), *_delay_details(node, dt), *_learning_details(node.learning))
    if isinstance(node, Threshold):
        return (f"1 where x > {span(node.threshold)}",)
    if isinstance(node, Neurons):
        return _neuron_details(node)
    if isinstance(node, Source) and node.drawn is not None:
        return _drawn_details(node.drawn, dt)
    return ()


def _drawn_details(drawn: Drawn, dt: float) -> tuple[str, ...]:
    if isinstance(drawn, Poisson):
        return (f"{span(drawn.mean / dt)} Hz, {span(drawn.weight)} an event", f"seed {drawn.seed}")
    if isinstance(drawn, Gaussian):
        return (f"mean {span(drawn.mean)}, std {span(drawn.std)}", f"seed {drawn.seed}")
    return (f"seed {drawn.seed}",)


def _delay_details(node: Connection, dt: float) -> tuple[str, ...]:
    if node.delay is None:
        return ()
    return (f"delay {span(node.delay)} steps = {span(node.delay * dt * 1e3)} ms",)


def _learning_details(learning: Learning | None) -> tuple[str, ...]:
    if learning is None:
        return ()
    bounds = f", {learning.low:g} .. {learning.high:g}" if math.isfinite(learning.high - learning.low) else ""
    every = f" every {learning.every} steps" if learning.every > 1 else ""
    traces = [
        f"{t.name} ← {t.decay:g} {t.name}, {'set to' if t.sets else '+'} {_sum_text(t.feed)}" for t in learning.traces
    ]
    sent = [f"{name} = {node}" for name, node in learning.modulators if name != node]
    return (f"learns{every}: w ← w + {_sum_text(learning.update)}{bounds}", *traces, *sent)


def _sum_text(products: Products) -> str:
    return " + ".join(map(str, products)) or "0"


def _neuron_details(node: Neurons) -> tuple[str, ...]:
    lines = [_row_text(row) for row in node.rows]
    if node.condition is not None:
        lines += [_condition_text(node.condition), *(f"then {_reset_text(row)}" for row in node.resets)]
    if node.held is not None:
        lines.append(f"v is held for {span(node.held)} steps after a spike")
    start = [f"{state} = {span(value)}" for state, value in node.initial.items() if np.any(value)]
    return (*lines, *(["starts at " + ", ".join(start)] if start else []))


def _row_text(row: Row) -> str:
    parts = [_term_text(value, f"{state} of before" if row.before else state) for state, value in row.terms]
    if row.gain is not None:
        parts.append(f"{_factor(row.gain)} I")
    if row.bias is not None:
        parts.append(_factor(row.bias) if parts else span(row.bias))
    return f"{row.state} ← {' + '.join(parts) or '0'}"


def _condition_text(condition: Condition) -> str:
    seen = " + ".join(_term_text(value, state) for state, value in condition.terms)
    return f"spike where {seen} > {span(-condition.constant)}"


def _reset_text(row: Row) -> str:
    """A row that only moves its state reads as what it takes off or adds."""
    if not moves(row.terms, row.state) or row.bias is None:
        return _row_text(row)
    if np.all(row.bias <= 0):
        return f"{row.state} ← {row.state} − {_factor(-row.bias)}"
    return f"{row.state} ← {row.state} + {_factor(row.bias)}"


def _term_text(value: Any, state: str) -> str:
    return state if np.all(value == 1.0) else f"{_factor(value)} {state}"


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
def _(shown: Sparse) -> tuple[str, ...]:
    share = 100 * shown.weight.size / (shown.outputs * shown.inputs)
    size = f"{counted(shown.weight.size, 'synapse')} ({share:.3g} % of {shown.outputs} × {shown.inputs})"
    late = () if shown.delay is None else (f"delays {span(shown.delay)} steps",)
    return (f"{size}, {shown.weight.dtype}: {span(shown.values)}", *late)


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
