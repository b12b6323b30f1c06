"""What a recording takes, before it is made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hasn.program.model import Program
from hasn.recordings.asked import Asked, synapses
from hasn.room import require

FEWER = (
    "Run fewer steps at a time (keep_state=True, then state=...) or fewer samples, record less, or keep the recording "
    "in a file (to='run.npz')."
)
_BYTES = {"spikes": 1}
_NEVER_THINNED = ("spikes", "outputs")


def require_room(program: Program, inputs: Any, steps: int | None, asked: Asked) -> None:
    """Refuse a recording that does not fit in memory; data that have no shape, and such as do not fit, are not judged.

    Raises:
        OutOfMemoryError: names the node that takes most of it.
    """
    ends = {source.name: source.shape for source in program.inputs if not source.modulates}
    given = inputs if isinstance(inputs, dict) else dict.fromkeys(ends, inputs)
    name = next((name for name in ends if name in given), None)
    shape: tuple[int, ...] = () if name is None else tuple(getattr(given[name], "shape", ()))
    if isinstance(steps, int) and not program.inputs:
        rows = steps
    elif shape and name is not None:
        rows = math.prod(shape[: max(1, len(shape) - len(ends[name]))])
    else:
        return
    sizes = {name: rows * each for name, each in row_bytes(program, asked).items()}
    if sizes:
        largest = max(sizes, key=lambda name: sizes[name])
        require(sum(sizes.values()), f"the recording of {rows:,} steps of all samples", node=largest, way_out=FEWER)


def row_bytes(program: Program, asked: Asked) -> dict[str, float]:
    """Node -> bytes that a step of one sample takes of it, in a recording and as data.

    What is not kept plainly is kept piece by piece: thinned, spikes as events, whose number nobody knows, data as they
    are.
    """
    sizes: dict[str, float] = {}
    for group, nodes in asked.chosen.items():
        if group == "histograms" or (group == "spikes" and not asked.plain):
            continue
        thinned = 1 if group in _NEVER_THINNED else asked.every
        for name, some in nodes.items():
            width = _width(program, group, name) if some is None else int(np.size(some))
            sizes[name] = sizes.get(name, 0) + width * _BYTES.get(group, 8) / thinned
    for source in program.inputs if asked.plain else ():
        sizes[source.name] = sizes.get(source.name, 0) + 8 * math.prod(source.shape)
    return sizes


def _width(program: Program, group: str, name: str) -> int:
    return synapses(program, name) if group == "weights" else math.prod(program.node(name).shape)


def widest(program: Program) -> str | None:
    """The node with most elements."""
    return max(program.nodes, key=lambda node: math.prod(node.shape)).name if program.nodes else None
