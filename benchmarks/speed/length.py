"""Cost against the number of steps: a training step of 784-1000-1000-10, batch 8, T = 25 .. 800.

The slope of log(time) against log(T) by least squares: 1 where the cost is linear in T.
"""

from __future__ import annotations

import statistics

import numpy as np

from benchmarks.network import dense, spikes
from benchmarks.results import HASN, JELLY, LOOP, NORSE, Ratio, Result, Target
from benchmarks.speed.training import Field, work
from benchmarks.timing import Settings, interleaved

SIZES, BATCH, LENGTHS, RATE = (784, 1000, 1000, 10), 8, (25, 50, 100, 200, 400, 800), 0.2
#: --quick.
FEW_SIZES, FEW_BATCH, FEW_LENGTHS = (60, 40, 30, 10), 4, (8, 16, 32)
#: Tools are compared (gradients and float64, too) at this length, and timed at all.
COMPARED = 100
#: A slope up to this is called linear: over a factor of 32 in T, 1.1 is 1.4 times more than 1 (caches end somewhere).
LINEAR = 1.1
#: Turns of each length, and those before: the long ones take seconds, and the network has run already.
TURNS, WARM = 3, 1


def run(settings: Settings) -> Result:
    """Measure it."""
    sizes, batch, lengths = (FEW_SIZES, FEW_BATCH, FEW_LENGTHS) if settings.quick else (SIZES, BATCH, LENGTHS)
    spec = dense(sizes)
    compared = min(COMPARED, lengths[-1])
    field = Field(spec, spikes(spec, compared, batch, RATE), settings)
    field.add_tools(JELLY, NORSE)
    setting = {"sizes": sizes, "batch": batch, "lengths": lengths, "rate": RATE, "compared_at": compared}
    title = f"Training step against T, {'-'.join(map(str, sizes))}, batch {batch}: time for each of the T steps"
    result = Result("length", title, "ms", setting, agreements=field.agreements, missing=field.missing)
    order = [name for name in (LOOP, JELLY, NORSE, HASN) if name in field.rows]
    result.series = {name: {} for name in order}
    turns = min(TURNS, settings.pairs)
    for steps in lengths:
        x = spikes(spec, steps, batch, RATE)
        found = interleaved({name: work(field.rows[name], x) for name in order}, settings, turns, WARM)
        for name, values in found.items():
            result.series[name][steps] = statistics.median(values)
            result.rows.setdefault(name, []).extend(1e3 * value / steps for value in values)
    slopes = {name: slope(times) for name, times in result.series.items()}
    result.more["slopes"] = slopes
    result.hold_against([Target(name, HASN) for name in order if name != HASN])
    linear = Target(HASN, "T", "at most", LINEAR, what="slope of log time against log T")
    result.ratios.insert(0, Ratio(linear, slopes[HASN], len(lengths)))
    return result


def slope(times: dict[int, float]) -> float:
    """Least squares on logarithms."""
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])
