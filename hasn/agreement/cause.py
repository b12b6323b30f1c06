"""Why two recordings part: the first explanation that the data bears out."""

from __future__ import annotations

import numpy as np

from hasn.program.model import Neurons, Program
from hasn.recording import Array, Recording

#: Longest shift, in steps, that is looked for.
_SHIFTS = (1, 2, 3, -1, -2, -3)
#: Voltages that differ by more than this, relative to the largest of the node, have not merely been rounded otherwise.
_APART = {"float64": 1e-9, "float32": 1e-4}


def cause_of(
    program: Program,
    one: Recording,
    other: Recording,
    node: str,
    step: int,
    sample: int,
    index: tuple[int, ...],
    tie: bool,
) -> str:
    """One sentence that says why ``other`` parts from ``one`` at a spike.

    Looked for, in this order: a tie at the threshold; the same spikes some steps late or early; an earlier node or
    step at which voltages already differ.
    """
    precisions = {one.precision, other.precision}
    if tie:
        kind = "float32 rounding" if "float32" in precisions else "rounding"
        return f"a tie: the voltage lies within {kind} of the threshold, so the order of summation decides"
    late = _shift(one.spikes[node][:, sample], other.spikes[node][:, sample])
    if late:
        word = "late" if late > 0 else "early"
        return f"a shift: the same spikes come {abs(late)} step(s) {word}"
    tolerance = max(_APART.get(precision, 1e-9) for precision in precisions)
    origin = _first_apart(program, one, other, sample, step, tolerance)
    if origin is None:
        return (
            "the voltages agree up to this step, so the update, the threshold or the reset of this neuron differs here"
        )
    where, when = origin
    if (where, when) == (node, step):
        return "the voltages part at this very step: this step's input, or its update, differs"
    return f"the voltages part earlier, at node '{where}' step {when}"


def _shift(one: Array, other: Array) -> int:
    """k if ``other`` is ``one`` k steps later (earlier if negative), 0 if it is no shift; both must spike."""
    for k in _SHIFTS:
        a, b = (one[:-k], other[k:]) if k > 0 else (one[-k:], other[:k])
        if a.size and a.any() and np.array_equal(a, b):
            return k
    return 0


def _first_apart(
    program: Program, one: Recording, other: Recording, sample: int, last: int, tolerance: float
) -> tuple[str, int] | None:
    """The first (node, step) up to ``last`` at which voltages differ by more than rounding."""
    found: tuple[str, int] | None = None
    for step in program.steps:
        if not isinstance(step, Neurons) or step.name not in one.voltages or step.name not in other.voltages:
            continue
        a, b = one.voltages[step.name][: last + 1, sample], other.voltages[step.name][: last + 1, sample]
        scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
        apart = (np.abs(a - b) > tolerance * scale).reshape(a.shape[0], -1).any(axis=1)
        if apart.any() and (found is None or int(apart.argmax()) < found[1]):
            found = (step.name, int(apart.argmax()))
    return found
