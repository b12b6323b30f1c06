"""How many bytes a network takes, as far as its shapes say: before anything of that size is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hasn.errors import OutOfMemoryError
from hasn.finding import Finding
from hasn.ir.structure import FlatGraph
from hasn.program.model import Shape
from hasn.room import free_bytes, text_of

#: Bytes of a number, and how many of them a step keeps for each element: its value, and what it is summed from.
_NUMBER, _KEPT = 8, 2
#: Bytes that are worth a word.
_NOTED = 10**9


def bytes_of(node: Any, shape: Shape) -> int:
    """What a node takes: a step of one sample, and its parameters once more, as a backend has them."""
    parameters = sum(np.asarray(value).nbytes for value in vars(node).values() if isinstance(value, np.ndarray))
    return _NUMBER * _KEPT * math.prod(shape) + parameters


def size_findings(flat: FlatGraph, shapes: dict[str, tuple[Shape, Shape]]) -> Iterator[Finding]:
    """An error where one step of one sample needs more memory than there is, and a note where it needs much.

    Shapes come out of numbers in a file (a Conv's padding, a Flatten's or an Input's shape), not out of its size.
    """
    sizes = {name: bytes_of(flat.nodes[name], result) for name, (_, result) in shapes.items()}
    total = sum(sizes.values())
    if total < _NOTED:
        return
    free = free_bytes()
    largest = max(sizes, key=lambda name: sizes[name])
    shape = shapes[largest][1]
    what = f"the network takes {text_of(total)} for one step of one sample; most of it, {text_of(sizes[largest])}, here"
    if total <= free:
        yield Finding("note", largest, "", what, f"It has shape {shape}.", got=f"{math.prod(shape):,} elements")
        return
    way = "Make its shape smaller (an Input's or a Flatten's shape, a convolution's padding), or take a larger machine."
    wanted = f"at most {text_of(free)}, which is free here"
    yield Finding("error", largest, "", what, way, f"{math.prod(shape):,} elements", wanted, OutOfMemoryError)
