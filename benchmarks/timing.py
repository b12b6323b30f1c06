"""Measuring in turns: a load that comes and goes meets all, and neighbours are compared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import torch

from benchmarks.common import Bar

Work = Callable[[], object]
#: Turns before the measured ones: memory is mapped, and libraries choose their code.
WARM = 2


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        pairs: measured turns.
        quick: tiny sizes, to see that all works.
        tools: the other tools that are there.
        missing: {tool: why it is not there}.
        bar: shows how far it is.
    """

    pairs: int
    quick: bool
    tools: Mapping[str, ModuleType]
    missing: Mapping[str, str]
    bar: Bar


def seconds(work: Work) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    works: Mapping[str, Work], settings: Settings, pairs: int | None = None, warm: int = WARM
) -> dict[str, list[float]]:
    """Seconds of each, one after the other in every turn; every turn starts with another."""
    names, turns = list(works), (settings.pairs if pairs is None else pairs) + warm
    found: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    for turn in range(turns):
        first = turn % max(1, len(names))
        for name in (*names[first:], *names[:first]):
            settings.bar(turn, turns, name)
            found[name].append(seconds(works[name]))
    return {name: values[warm:] for name, values in found.items()}


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """torch's precision of float32 products, and back again: "highest", or "medium" (bfloat16 where the CPU has it)."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
