"""What becomes of the accuracy in the chip's integers: the demo's digits, and recurrent speech (Japanese vowels).

    python benchmarks/loihi_accuracy.py [--digits FILE] [--speech FILE] [--out DIR] [--json FILE]

Trains both networks (or loads them), quantises them with training data as calibration, and runs the test data: float64
on snnTorch, integers on snnTorch, and a part of the same on Lava's fixed_pt models, which must agree bit for bit. Exits
with 1 where it does not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
from common import machine, machine_line, stage, write_json
from numpy.typing import NDArray

import hasn
from hasn.cli.console import add_row, show, table

#: Training inputs that set the scales: enough that every neuron is driven as hard as it gets, give or take.
CALIBRATION = 270
STEPS, EPOCHS = 25, 10
RECORD = ("spikes", "voltages", "currents")


@dataclass(frozen=True)
class Task:
    """A trained network and its data.

    Attributes:
        name: for the table.
        graph: the float network.
        calibration: training inputs (T, N, n).
        inputs, labels: test data (T, N, n) and (N,).
        decide: an Output's values (T, N, classes) -> classes.
        on_lava: samples that Lava runs.
    """

    name: str
    graph: nir.NIRGraph
    calibration: NDArray[np.bool_]
    inputs: NDArray[np.bool_]
    labels: NDArray[np.int64]
    decide: Callable[[NDArray[Any]], NDArray[np.int64]]
    on_lava: int


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        samples: test samples on torch.
        float_accuracy, integer_accuracy: parts of them.
        disagree: samples whose class differs between float and integers.
        spikes, differing_spikes: of the float run, and places at which only one of the two runs has one.
        lava_samples, lava_accuracy: the first samples, on Lava; None if it did not run.
        torch_accuracy_there: integers on torch, on the same samples.
        compared: values (spikes, v, u, outputs) of Lava and torch that were compared.
        different: how many of them are not the same integer.
    """

    samples: int
    float_accuracy: float
    integer_accuracy: float
    disagree: int
    spikes: int
    differing_spikes: int
    lava_samples: int | None = None
    lava_accuracy: float | None = None
    torch_accuracy_there: float | None = None
    different: int | None = None
    compared: int | None = None


# --- the two tasks


def digits_task(file: Path | None, epochs: int, seed: int, on_lava: int) -> Task:
    """784-128-10 LIF, rate-coded digits, spike counts."""
    from hasn.demo.digits import encode, load_digits
    from hasn.demo.network import digit_network

    digits = load_digits(seed)
    if file is None:
        from hasn.demo.train import train_digits

        with stage("Training on digits") as bar:
            graph = train_digits(
                digit_network(seed=seed), digits, epochs=epochs, steps=STEPS, seed=seed, progress=_told(bar)
            )
    else:
        graph = hasn.load(file)
    return Task(
        "digits",
        graph,
        encode(digits.train_images[:CALIBRATION], STEPS, seed + 2),
        encode(digits.test_images, STEPS, seed + 1),
        digits.test_labels,
        lambda output: np.asarray(output.sum(axis=0).argmax(axis=-1)),
        on_lava,
    )


def speech_task(file: Path | None, epochs: int | None, seed: int, on_lava: int) -> Task:
    """24-64-9, recurrent, delta-coded utterances, summed voltages."""
    from hasn.demo.delta import DeltaCode
    from hasn.demo.speech import speakers, speech_network
    from hasn.demo.vowels import load_vowels

    vowels = load_vowels()
    code = DeltaCode.of(vowels.train)
    if file is None:
        from hasn.demo.train_speech import EPOCHS as SPEECH_EPOCHS
        from hasn.demo.train_speech import train_speech

        with stage("Training on speech") as bar:
            graph = train_speech(
                speech_network(code.dt, seed=seed),
                vowels.train,
                code,
                epochs=epochs or SPEECH_EPOCHS,
                seed=seed,
                progress=_told(bar),
            )
    else:
        graph = hasn.load(file)
    # The test file is sorted by speaker: shuffled, so that the first samples are of all of them.
    order = np.random.default_rng(seed).permutation(len(vowels.test))
    test = vowels.test.subset(order)
    return Task(
        "speech", graph, code.encode(vowels.train)[:, :CALIBRATION], code.encode(test), test.speakers, speakers, on_lava
    )


def _told(bar: Any) -> Callable[[int, int, float, float], None]:
    return lambda done, total, loss, hits: bar(done, total, f"loss {loss:.3f}, accuracy {100 * hits:.0f} %")


# --- measuring


def measure(task: Task, target: str) -> tuple[Figures, str]:
    """Quantise, run everywhere, count. Also the quantisation's own report."""
    with stage(f"{task.name}: quantising") as bar:
        quantised = hasn.quantise(
            task.graph, target=target, calibrate=task.calibration, progress=lambda text, i, n: bar(i, n, text)
        )
    with stage(f"{task.name}: {len(task.labels)} samples on torch"):
        floats = hasn.compile(task.graph, "snntorch").run(task.inputs)
        integers = quantised.compile("snntorch").run(task.inputs, record=RECORD)
    said, said_integer = task.decide(floats.output), task.decide(integers.output)
    populations = set(floats.spikes) & set(integers.spikes)
    figures: dict[str, Any] = {
        "samples": len(task.labels),
        "float_accuracy": float(np.mean(said == task.labels)),
        "integer_accuracy": float(np.mean(said_integer == task.labels)),
        "disagree": int(np.count_nonzero(said != said_integer)),
        "spikes": sum(int(floats.spikes[name].sum()) for name in populations),
        "differing_spikes": sum(
            int(np.count_nonzero(floats.spikes[name] != integers.spikes[name])) for name in populations
        ),
    }
    if task.on_lava and "loihi" in hasn.list_backends()["lava"].precisions and hasn.list_backends()["lava"].available:
        figures |= _on_lava(task, quantised, integers)
    return Figures(**figures), quantised.report().table()


def _on_lava(task: Task, quantised: Any, integers: hasn.Recording) -> dict[str, Any]:
    n = min(task.on_lava, len(task.labels))
    with stage(f"{task.name}: {n} samples on Lava fixed_pt"):
        lava = quantised.compile("lava").run(task.inputs[:, :n], record=RECORD)
    pairs = [
        (ours[name], theirs[name][:, :n])
        for group in (*RECORD, "outputs")
        for ours, theirs in [(getattr(lava, group), getattr(integers, group))]
        for name in sorted(set(ours) | set(theirs))
    ]
    there = task.decide(integers.output[:, :n])
    return {
        "lava_samples": n,
        "lava_accuracy": float(np.mean(task.decide(lava.output) == task.labels[:n])),
        "torch_accuracy_there": float(np.mean(there == task.labels[:n])),
        "different": sum(int(np.count_nonzero(a != b)) for a, b in pairs),
        "compared": sum(a.size for a, _ in pairs),
    }


# --- the command


def _tables(results: dict[str, Figures]) -> list[Any]:
    heads = ("test samples", "float64", "integers", "classes that differ", "spikes (float)", "differing spikes")
    accuracy = table("network", *heads, numbers=heads)
    for name, f in results.items():
        differing = f"{f.differing_spikes:,} ({f.differing_spikes / max(f.spikes, 1):.1%})"
        parts = (f"{f.float_accuracy:.2%}", f"{f.integer_accuracy:.2%}", f.disagree, f"{f.spikes:,}", differing)
        add_row(accuracy, name, f.samples, *parts)
    checked = ("first samples", "torch", "Lava fixed_pt", "values compared", "that differ")
    lava = table("integers", *checked, numbers=checked)
    for name, f in results.items():
        if f.lava_samples is None:
            add_row(lava, name, "", "", "did not run", "", "")
        else:
            there = (f"{f.torch_accuracy_there:.1%}", f"{f.lava_accuracy:.1%}")
            add_row(lava, name, f.lava_samples, *there, f"{f.compared:,}", f.different)
    return [accuracy, lava]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, help="trained digit model (.nir) instead of training one")
    parser.add_argument("--speech", type=Path, help="trained speech model (.nir) instead of training one")
    parser.add_argument("--out", type=Path, help="folder for digits.nir and speech.nir as trained here")
    parser.add_argument("--target", default="loihi2", help="loihi1 or loihi2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digit-epochs", type=int, default=EPOCHS)
    parser.add_argument("--speech-epochs", type=int)
    parser.add_argument("--lava-digits", type=int, default=100, help="digits that Lava runs")
    parser.add_argument("--lava-utterances", type=int, default=50, help="utterances that Lava runs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark; 1 where Lava and torch differ in a bit."""
    options = _options()
    tasks = (
        digits_task(options.digits, options.digit_epochs, options.seed, options.lava_digits),
        speech_task(options.speech, options.speech_epochs, options.seed, options.lava_utterances),
    )
    results: dict[str, Figures] = {}
    for task in tasks:
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            hasn.save(task.graph, options.out / f"{task.name}.nir", force=True)
        results[task.name], report = measure(task, options.target)
        show(f"{task.name}: what quantising did\n{report}")
    where = machine()
    for made in _tables(results):
        show(made)
    show(machine_line(where))
    write_json(options.json, {"machine": where, "target": options.target}
               | {name: asdict(figures) for name, figures in results.items()})  # fmt: skip
    return int(any(f.different for f in results.values()))


if __name__ == "__main__":
    sys.exit(main())
