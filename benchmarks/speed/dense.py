"""A training step of 784-1000-1000-10: forward and backward, batch 128, 25 steps, 20 % of the inputs spike."""

from __future__ import annotations

from benchmarks.network import dense, spikes
from benchmarks.peers import snntorch
from benchmarks.results import (
    BARE,
    HASN,
    HASN_BF16,
    HASN_SPLIT,
    JELLY,
    JELLY_MEDIUM,
    LOOP,
    LOOP_MEDIUM,
    NORSE,
    Result,
    Target,
)  # fmt: skip
from benchmarks.speed.training import Field
from benchmarks.timing import Settings

SIZES, BATCH, STEPS, RATE = (784, 1000, 1000, 10), 128, 25, 0.2
#: --quick.
FEW_SIZES, FEW_BATCH, FEW_STEPS = (60, 40, 30, 10), 8, 12
ORDER = (LOOP, LOOP_MEDIUM, JELLY, JELLY_MEDIUM, NORSE, BARE, HASN, HASN_SPLIT, HASN_BF16)
TARGETS = (
    Target(LOOP, HASN, "at least", 1.8),
    Target(JELLY, HASN, "at least", 1.35),
    Target(HASN, BARE, "at most", 1.2),
    Target(LOOP, HASN_SPLIT, "at least", 2.4),
    Target(JELLY_MEDIUM, HASN_BF16, "at least", 1.8),
    Target(NORSE, HASN),
)


def run(settings: Settings) -> Result:
    """Measure it."""
    sizes, batch, steps = (FEW_SIZES, FEW_BATCH, FEW_STEPS) if settings.quick else (SIZES, BATCH, STEPS)
    spec = dense(sizes)
    field = Field(spec, spikes(spec, steps, batch, RATE), settings)
    field.add(LOOP_MEDIUM, snntorch.network, "medium")
    field.add_tools()
    field.add_hasn(HASN_SPLIT, matmul="split-bf16")
    field.add_hasn(HASN_BF16, matmul="bf16")
    setting = {"sizes": sizes, "batch": batch, "steps": steps, "rate": RATE}
    result = Result("dense", f"Training step, {'-'.join(map(str, sizes))}, batch {batch}, T = {steps}", "ms", setting)
    field.measure(result, ORDER)
    result.hold_against(TARGETS)
    return result
