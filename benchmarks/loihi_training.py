"""What quantisation-aware training gets back where rounding to few bits loses: digits and recurrent speech.

    python benchmarks/loihi_training.py [--digits FILE] [--speech FILE] [--digit-bits 2 ...] [--speech-bits 3 2 ...]
                                        [--json FILE]

Trains both float networks (or loads them), quantises them to so many bits a weight (the chip's num_weight_bits) without
and with training, and runs the test data in integers on torch. Calibration and training see the training data alone;
every accuracy but "training data" is of test data. Exits with 1 where training gets back less than half of what
rounding lost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, machine_line, stage, write_json
from loihi_accuracy import EPOCHS, STEPS, Task, digits_task, speech_task
from numpy.typing import NDArray

import hasn
from hasn.cli.console import add_row, show, table
from hasn.conversions.loihi.train import Training
from hasn.demo.train_speech import EPOCHS as SPEECH_EPOCHS


@dataclass(frozen=True)
class Figures:
    """What was measured, at one number of bits.

    Attributes:
        bits: of the weights.
        float_accuracy, rounded_accuracy, trained_accuracy: on the test data: float64, integers after rounding, integers
            after training.
        regained: part of the accuracy that rounding lost.
        on_training_data: accuracy of the trained integers there, as it was given at the first pass.
        seconds: of quantising with training.
        levels: connection -> distinct weights after training.
    """

    bits: int
    float_accuracy: float
    rounded_accuracy: float
    trained_accuracy: float
    regained: float
    on_training_data: float
    seconds: float
    levels: dict[str, int]


def digits_training(passes: int, seed: int) -> Training:
    """The training digits, shifted by up to a pixel and coded anew at every pass; loss: spike counts."""
    from hasn.demo.digits import SIDE, encode, load_digits
    from hasn.demo.train import SHIFT

    digits = load_digits(seed)
    images = digits.train_images.reshape(-1, SIDE, SIDE)

    def coded(epoch: int) -> NDArray[np.bool_]:
        moves = np.random.default_rng([seed, epoch]).integers(-SHIFT, SHIFT + 1, (len(images), 2))
        moved = np.stack([np.roll(image, move, (0, 1)) for image, move in zip(images, moves, strict=True)])
        return encode(moved.reshape(len(moved), -1), STEPS, seed + 10 + epoch)

    return Training(coded, digits.train_labels, epochs=passes)


def speech_training(passes: int, seed: int) -> Training:
    """The training utterances, at every pass with new noise and spikes left out, as in the float training; loss: mean
    voltages, by which the demo decides.
    """
    from torch.nn.functional import cross_entropy

    from hasn.demo.delta import DeltaCode
    from hasn.demo.train_speech import BATCH, DROPPED, NOISE, VOLTS
    from hasn.demo.vowels import load_vowels

    vowels = load_vowels()
    code = DeltaCode.of(vowels.train)
    clean = [code.normalised(frames) for frames in vowels.train.frames]

    def coded(epoch: int) -> NDArray[np.bool_]:
        rng = np.random.default_rng([seed, epoch])
        spikes = code.spikes([frames + NOISE * rng.standard_normal(frames.shape) for frames in clean])
        return np.asarray(spikes & (rng.random(spikes.shape) >= DROPPED))

    def loss(outputs: Any, labels: Any) -> Any:
        return cross_entropy(outputs.mean(0) / VOLTS, labels)

    return Training(coded, vowels.train.speakers, epochs=passes, batch=BATCH, loss=loss)


def measure(task: Task, training: Training, bits: int, exact: float, target: str, seed: int) -> Figures:
    """Quantise twice, with and without training."""

    def accuracy(executable: hasn.Executable, inputs: Any, labels: Any) -> float:
        return float(np.mean(task.decide(executable.run(inputs).output) == labels))

    options: dict[str, Any] = {"target": target, "calibrate": task.calibration, "weight_bits": bits, "seed": seed}
    rounded = hasn.quantise(task.graph, **options)
    with stage(f"{task.name}, {bits} bits: training") as bar:
        start = time.perf_counter()
        made = hasn.quantise(
            task.graph, **options, train=training, progress=lambda text, done, total: bar(done, total, text)
        )
        seconds = time.perf_counter() - start
    before, after = (accuracy(q.compile(), task.inputs, task.labels) for q in (rounded, made))
    inputs = training.inputs(0) if callable(training.inputs) else training.inputs
    regained = (after - before) / (exact - before) if exact > before else 1.0
    levels = {w.node: w.levels for w in made.report().weights}
    there = accuracy(made.compile(), inputs, training.labels)
    return Figures(bits, exact, before, after, regained, there, seconds, levels)


# --- the command


def _table(results: dict[str, Sequence[Figures]]) -> Any:
    numbers = ("bits", "float64", "rounded", "trained", "got back", "training data", "seconds")
    made = table("network", *numbers, "levels of the weights", numbers=numbers)
    for name, rows in results.items():
        for f in rows:
            add_row(
                made,
                name,
                f.bits,
                f"{f.float_accuracy:.2%}",
                f"{f.rounded_accuracy:.2%}",
                f"{f.trained_accuracy:.2%}",
                f"{f.regained:.0%}",
                f"{f.on_training_data:.2%}",
                f"{f.seconds:.0f}",
                ", ".join(f"{node} {levels}" for node, levels in f.levels.items()),
            )
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=Path, help="trained digit model (.nir) instead of training one")
    parser.add_argument("--speech", type=Path, help="trained speech model (.nir) instead of training one")
    parser.add_argument("--digit-bits", type=int, nargs="*", default=[2], help="bits of a weight, 2..8")
    parser.add_argument("--speech-bits", type=int, nargs="*", default=[3, 2])
    parser.add_argument("--digit-epochs", type=int, default=EPOCHS, help="of the float training")
    parser.add_argument("--speech-epochs", type=int, default=SPEECH_EPOCHS)
    parser.add_argument("--digit-passes", type=int, default=EPOCHS, help="over the training data, with the integers")
    parser.add_argument("--speech-passes", type=int, default=SPEECH_EPOCHS)
    parser.add_argument("--target", default="loihi2", help="loihi1 or loihi2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> int:
    """Run the benchmark; 1 where training gets back less than half."""
    options = _options()
    results: dict[str, Sequence[Figures]] = {}
    for name, all_bits in (("digits", options.digit_bits), ("speech", options.speech_bits)):
        if not all_bits:
            continue
        if name == "digits":
            task, training = (
                digits_task(options.digits, options.digit_epochs, options.seed, 0),
                digits_training(options.digit_passes, options.seed),
            )
        else:
            task, training = (
                speech_task(options.speech, options.speech_epochs, options.seed, 0),
                speech_training(options.speech_passes, options.seed),
            )
        output = hasn.compile(task.graph, "snntorch").run(task.inputs).output
        exact = float(np.mean(task.decide(output) == task.labels))
        results[name] = [measure(task, training, bits, exact, options.target, options.seed) for bits in all_bits]
    where = machine()
    show(_table(results))
    show(machine_line(where))
    write_json(options.json, {"machine": where, "target": options.target}
               | {name: [asdict(f) for f in rows] for name, rows in results.items()})  # fmt: skip
    return int(any(f.regained < 0.5 for rows in results.values() for f in rows))


if __name__ == "__main__":
    sys.exit(main())
