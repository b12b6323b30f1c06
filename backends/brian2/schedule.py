"""The order of events within a step: every topological level has its own slots, so an edge takes no time."""

from __future__ import annotations

UPDATE, LINE, THRESHOLD, SYNAPSES, RESET = PHASES = ("update", "line", "threshold", "synapses", "reset")

#: After all levels: what is learned from the step.
LEARN = "learn"

#: Brian2 asks that its own slots stay in the list; monitors sit in "end".
DEFAULT = ("start", "groups", "thresholds", "synapses", "resets", "end")


def slot(level: int, phase: str) -> str:
    """Name of a slot."""
    return f"level{level}_{phase}"


def slots(depth: int) -> list[str]:
    """All slots, in order: levels one after the other, then Brian2's own."""
    return [DEFAULT[0], *(slot(level, phase) for level in range(depth) for phase in PHASES), LEARN, *DEFAULT[1:]]
