"""A training step of a convolutional network of N-MNIST's shape, 2 x 34 x 34, of which 5 % spike.

16-16-8 channels, 3 x 3 kernels, means of 2 x 2 between the layers, 10 classes; batch 16, 50 steps.
"""

from __future__ import annotations

from benchmarks.network import convolution, spikes
from benchmarks.results import BARE, HASN, JELLY, LOOP, NORSE, Result, Target
from benchmarks.speed.training import Field
from benchmarks.timing import Settings

SIZE, CHANNELS, BATCH, STEPS, RATE = 34, (16, 16, 8), 16, 50, 0.05
#: --quick.
FEW_SIZE, FEW_CHANNELS, FEW_BATCH, FEW_STEPS = 16, (4, 4, 4), 4, 12
CLASSES = 10
ORDER = (LOOP, JELLY, NORSE, BARE, HASN)
TARGETS = (Target(LOOP, HASN), Target(JELLY, HASN), Target(NORSE, HASN), Target(HASN, BARE, "at most"))


def run(settings: Settings) -> Result:
    """Measure it."""
    size, channels, batch, steps = (
        (FEW_SIZE, FEW_CHANNELS, FEW_BATCH, FEW_STEPS) if settings.quick else (SIZE, CHANNELS, BATCH, STEPS)
    )
    spec = convolution(size, channels, CLASSES)
    field = Field(spec, spikes(spec, steps, batch, RATE), settings)
    field.add_tools(JELLY, NORSE)
    setting = {"input": spec.shape, "channels": channels, "batch": batch, "steps": steps, "rate": RATE}
    title = f"Training step, convolution {'-'.join(map(str, channels))} on 2x{size}x{size}, batch {batch}, T = {steps}"
    result = Result("convolution", title, "ms", setting)
    field.measure(result, ORDER)
    result.hold_against(TARGETS)
    return result
