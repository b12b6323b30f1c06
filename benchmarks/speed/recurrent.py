"""A training step of 256 neurons whose spikes come back to all of them a step later.

100 inputs of which 10 % spike, a readout of 10; batch 64, 250 steps.
"""

from __future__ import annotations

from benchmarks.network import recurrent, spikes
from benchmarks.peers import snntorch
from benchmarks.results import BARE, HASN, JELLY, LOOP, NORSE, Result, Target
from benchmarks.speed.training import Field
from benchmarks.timing import Settings

SIZES, BATCH, STEPS, RATE = (100, 256, 10), 64, 250, 0.1
#: --quick.
FEW_SIZES, FEW_BATCH, FEW_STEPS = (40, 24, 6), 4, 20
RECURRENT_LEAKY = "snnTorch's RLeaky"
ORDER = (LOOP, RECURRENT_LEAKY, JELLY, NORSE, BARE, HASN)
TARGETS = (
    Target(LOOP, HASN),
    Target(RECURRENT_LEAKY, HASN),
    Target(JELLY, HASN),
    Target(NORSE, HASN),
    Target(HASN, BARE, "at most"),
)


def run(settings: Settings) -> Result:
    """Measure it."""
    sizes, batch, steps = (FEW_SIZES, FEW_BATCH, FEW_STEPS) if settings.quick else (SIZES, BATCH, STEPS)
    spec = recurrent(*sizes)
    field = Field(spec, spikes(spec, steps, batch, RATE), settings)
    field.add(RECURRENT_LEAKY, snntorch.RecurrentLeaky)
    field.add_tools(JELLY, NORSE)
    setting = {"sizes": sizes, "batch": batch, "steps": steps, "rate": RATE}
    title = f"Training step, {sizes[0]}-{sizes[1]} recurrent-{sizes[2]}, batch {batch}, T = {steps}"
    result = Result("recurrent", title, "ms", setting)
    field.measure(result, ORDER)
    result.hold_against(TARGETS)
    return result
