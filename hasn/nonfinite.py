"""Numbers that leave their range: the same error, at the same node and step, from every backend.

A state that is not finite is no state of SEMANTICS: inf and NaN do not spike alike everywhere. Backends look once, when
a run or a piece of it is over. That is enough because such a state stays: sums keep inf and NaN, and every reset is
written so that they outlive it (``0 * inf`` is NaN). Only then they look for the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from hasn.errors import NotFiniteError
from hasn.program.model import Connection, Program, Sink, Source


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


def not_finite(node: str, step: int | str, precision: str) -> NotFiniteError:
    """The error.

    Args:
        node: the first in the order of evaluation.
        step: the first; or, in words, among which steps it is.
        precision: "float64" or "float32".
    """
    largest = np.finfo(precision).max
    wider = "" if precision == "float64" else ", or compile with precision='float64'"
    return NotFiniteError(
        f"its state or value is not finite at step {step}",
        node=node,
        got="inf or NaN",
        wanted=f"numbers up to {largest:.2g}, which {precision} has",
        way_out=f"Make its weights, resistance or input smaller{wider}. "
        "A sum that grows at every step has a loop or a decay over 1.",
    )


def earliest(found: Iterable[tuple[str, int]], program: Program) -> tuple[str, int]:
    """Of (node, step), the first step; of several nodes, the first in the order of evaluation."""
    place = {name: i for i, name in enumerate(program.by_name)}
    return min(found, key=lambda one: (one[1], place[one[0]]))
