"""Numbers that leave their range: the same error, at the same node and step, from every backend.

A state that is not finite is no state of SEMANTICS: inf and NaN do not spike alike everywhere. Backends look once, when
a run or a piece of it is over. That is enough because such a state stays: sums keep inf and NaN, and every reset is
written so that they outlive it (``0 * inf`` is NaN). Only then they look for the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from hasn.errors import NotFiniteError, ParameterError
from hasn.program.model import Connection, Neurons, Node, Program, Sink, Source, Threshold


def all_finite(values: Any) -> bool:
    """Whether an array has neither inf nor NaN; reads it once, and makes nothing of its size where that is so."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or not array.size:
        return True
    with np.errstate(all="ignore"):
        # A sum is finite only if its terms are; one that overflows by itself is looked at again.
        return math.isfinite(float(array.sum())) or bool(np.isfinite(array).all())


def graded_outputs(program: Program) -> tuple[str, ...]:
    """Outputs that show more than states and spikes: sums of connections, and Inputs. Nothing else looks at them."""
    nodes = program.by_name
    return tuple(
        sink.name
        for sink in program.of(Sink)
        if any(isinstance(nodes[edge.source], Connection | Source | Sink) for edge in program.edges_into(sink.name))
        or len(program.edges_into(sink.name)) > 1
    )


def first_step(values: Any) -> int | None:
    """The first step of (T, ...) at which a value is not finite."""
    array = np.asarray(values)
    wrong = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    return int(np.argmax(wrong)) if wrong.any() else None


def require_finite_weights(
    learned: Mapping[str, Any], courses: Mapping[str, Any], steps: range, precision: str
) -> None:
    """Refuse weights that learning has made infinite, or NaN; nothing that a population has may show them yet.

    Args:
        learned: connection that learns -> its weights after these steps.
        courses: the same, after each of them, if it was recorded.
        steps: their numbers.
        precision: of the run.

    Raises:
        NotFiniteError: names the connection and the step, or the steps among which it is.
    """
    for name, weights in learned.items():
        if not all_finite(weights):
            first = first_step(courses[name]) if name in courses else None
            step = f"{steps[0]} .. {steps[-1]}" if first is None else steps[first]
            raise not_finite(name, step, precision, "Bound them (w_min, w_max), or let the rule change them by less.")


def not_finite(node: str, step: int | str, precision: str, weights: str = "") -> NotFiniteError:
    """The error.

    Args:
        node: the first in the order of evaluation.
        step: the first; or, in words, among which steps it is.
        precision: "float64" or "float32".
        weights: what to do, where it is weights that learning has moved.
    """
    largest = np.finfo(precision).max
    wider = "" if precision == "float64" else ", or compile with precision='float64'"
    return NotFiniteError(
        f"{'a weight that it has learned' if weights else 'its state or value'} is not finite at step {step}",
        node=node,
        got="inf or NaN",
        wanted=f"numbers up to {largest:.2g}, which {precision} has",
        way_out=weights
        or f"Make its weights, resistance or input smaller{wider}. "
        "A sum that grows at every step has a loop or a decay over 1.",
    )


def refuse_out_of_range(program: Program, precision: str) -> None:
    """Refuse weights and coefficients that are numbers in float64 and none in float32.

    Raises:
        ParameterError: there is one; names the node.
    """
    if precision != "float32":
        return
    for node in program.nodes:
        for what, value in _numbers_of(node):
            array = np.asarray(value)
            if array.dtype != np.float64 or not array.size:
                continue
            most = float(max(array.max(), -array.min()))
            if most > float(np.finfo(np.float32).max):
                raise ParameterError(
                    "is beyond the numbers that float32 has",
                    node=node.name,
                    parameter=what,
                    got=f"{most:.3g}",
                    wanted="at most 3.4e+38",
                    way_out="Compile with precision='float64', or scale the network.",
                )


def _numbers_of(node: Node) -> Iterator[tuple[str, Any]]:
    """(what it is, array) of all that a node computes with."""
    if isinstance(node, Connection):
        kept = node.map
        found = {"weight": getattr(kept, "weight", None), "scale": getattr(kept, "scale", None), "bias": kept.bias}
        yield from ((name, value) for name, value in found.items() if value is not None)
    elif isinstance(node, Threshold):
        yield "threshold", node.threshold
    elif isinstance(node, Neurons):
        for row in (*node.rows, *node.resets):
            yield from ((f"{row.state} from {state}", value) for state, value in row.terms)
            yield from ((f"{row.state}", value) for value in (row.gain, row.bias) if value is not None)
        if node.condition is not None:
            yield "threshold", node.condition.constant
        yield from ((f"initial {state}", value) for state, value in node.initial.items())


def earliest(found: Iterable[tuple[str, int]], program: Program) -> tuple[str, int]:
    """Of (node, step), the first step; of several nodes, the first in the order of evaluation."""
    place = {name: i for i, name in enumerate(program.by_name)}
    return min(found, key=lambda one: (one[1], place[one[0]]))
