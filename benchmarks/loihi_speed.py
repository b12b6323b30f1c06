"""Time a sample in the chip's integers: torch at batch 64 against Lava fixed_pt, on the digits' 784-128-10 network.

    OMP_NUM_THREADS=1 python benchmarks/loihi_speed.py [--model FILE] [--pairs 5] [--json FILE]

Both run the same digits, 25 steps each, and record the Output alone. Lava plays samples one after the other in one run,
whose start-up (compiling, starting its processes) is not counted: its time a sample is the difference of a long and a
short run, divided by the difference of their samples. Torch's is a run of one batch, divided by 64. Measured in turns;
medians. Where the spikes are not the same this stops with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import nir
import numpy as np
from common import machine, machine_line, stage, write_json
from numpy.typing import NDArray

import hasn
from hasn.cli.console import add_row, show, table
from hasn.demo.digits import Digits, encode, load_digits
from hasn.demo.network import digit_network

STEPS, BATCH, CALIBRATION = 25, 64, 256
#: Runs of one batch that a measurement of torch is the median of: a single one takes milliseconds.
RUNS = 11


def model(file: Path | None, digits: Digits) -> nir.NIRGraph:
    """The digits' network: read, or trained for one pass, so that it is about as active as a trained one."""
    if file is not None:
        return hasn.load(file)
    from hasn.demo.train import train_digits

    with stage("Training") as bar:
        return train_digits(
            digit_network(),
            digits,
            epochs=1,
            steps=STEPS,
            progress=lambda done, total, loss, hits: bar(done, total, f"loss {loss:.3f}"),
        )


def timed(executable: hasn.Executable, spikes: NDArray[np.bool_]) -> tuple[float, Any]:
    """Seconds of the whole call, and the output."""
    start = time.perf_counter()
    output = executable.run(spikes, record=()).output
    return time.perf_counter() - start, output


def torch_seconds(executable: hasn.Executable, spikes: NDArray[np.bool_]) -> float:
    """Seconds a sample."""
    seconds: float = statistics.median(timed(executable, spikes)[0] for _ in range(RUNS))
    return seconds / len(spikes[0])


def lava_seconds(executable: hasn.Executable, spikes: NDArray[np.bool_], short: int) -> tuple[float, Any]:
    """Seconds a sample, without what a run costs however short it is; and the long run's output."""
    brief, _ = timed(executable, spikes[:, :short])
    whole, output = timed(executable, spikes)
    return (whole - brief) / (spikes.shape[1] - short), output


def measure(graph: nir.NIRGraph, digits: Digits, pairs: int, samples: int, short: int) -> dict[str, Any]:
    """Times of each pair, and whether both gave the same output."""
    quantised = hasn.quantise(graph, target="loihi2", calibrate=encode(digits.train_images[:CALIBRATION], STEPS, 2))
    spikes = encode(digits.test_images[:BATCH], STEPS, 1)
    ours, theirs = quantised.compile("snntorch"), quantised.compile("lava")
    expected = ours.run(spikes, record=()).output  # also warms up
    found: dict[str, list[float]] = {"torch": [], "lava": []}
    same = True
    with stage("Measuring in turns") as bar, _session():
        theirs.run(spikes[:, :1], record=())  # starts the worker
        for pair in range(pairs):
            bar(pair, pairs, "torch")
            found["torch"].append(torch_seconds(ours, spikes))
            bar(pair + 0.5, pairs, "Lava")
            seconds, output = lava_seconds(theirs, spikes[:, :samples], short)
            found["lava"].append(seconds)
            same = same and bool(np.array_equal(output, expected[:, :samples]))
    return {"seconds_per_sample": found, "same_output": same}


def _session() -> Any:
    from hasn.backend import get_backend

    return get_backend("lava").session()


def main() -> int:
    """Run the benchmark; 1 where the outputs differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="trained digit model (.nir) instead of training one for a pass")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each, in turns")
    parser.add_argument("--samples", type=int, default=36, help="digits in Lava's long run (at most 64)")
    parser.add_argument("--short", type=int, default=4, help="digits in Lava's short run")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    digits = load_digits()
    found = measure(model(options.model, digits), digits, options.pairs, options.samples, options.short)
    seconds = found["seconds_per_sample"]
    ratios = [lava / ours for ours, lava in zip(seconds["torch"], seconds["lava"], strict=True)]
    made = table("", "a sample (median)", "smallest", "largest", numbers=("a sample (median)", "smallest", "largest"))
    for label, name in ((f"torch, batch {BATCH}", "torch"), ("Lava fixed_pt", "lava")):
        values = seconds[name]
        times = (f"{1e3 * value:.3g} ms" for value in (statistics.median(values), min(values), max(values)))
        add_row(made, label, *times)
    add_row(made, "ratio", *(f"{value:.0f}" for value in (statistics.median(ratios), min(ratios), max(ratios))))
    where = machine()
    show(made)
    show(machine_line(where))
    show("the same outputs" if found["same_output"] else "THE OUTPUTS DIFFER")
    write_json(
        options.json,
        {"machine": where, "batch": BATCH, "steps": STEPS, "ratio": statistics.median(ratios), "ratios": ratios}
        | found,
    )
    return int(not found["same_output"])


if __name__ == "__main__":
    sys.exit(main())
