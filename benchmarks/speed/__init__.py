"""What is measured: a file an experiment, each with ``run(settings) -> Result``."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.results import Result
from benchmarks.speed import convolution, dense, latency, length, memory, recurrent
from benchmarks.timing import Settings

EXPERIMENTS: dict[str, Callable[[Settings], Result]] = {
    "dense": dense.run,
    "convolution": convolution.run,
    "recurrent": recurrent.run,
    "latency": latency.run,
    "memory": memory.run,
    "length": length.run,
}
