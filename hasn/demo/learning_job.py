"""The demo that learns, from digits to figures: hasn.demo.unsupervised with files and a progress bar."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hasn.demo.digits import SIDE, load_digits
from hasn.demo.fields import draw_fields
from hasn.demo.job import Bar, Stage
from hasn.demo.unsupervised import Learned, Told, answers, judged, learn
from hasn.ir.outputs import ready_folder, ready_to_write
from hasn.ir.save import save
from hasn.ir.whole import whole_file
from hasn.jsonable import plain
from hasn.models.diehl_cook import diehl_cook

STATE = "state.npz"
FILES = ("learned.nir", "fields.png", "learned.json")


@dataclass(frozen=True)
class LearningResult:
    """What was learned, and how fast.

    Attributes:
        learned: labels of the neurons, and how well they tell held-out digits apart.
        options: neurons, images, passes, steps, seed, backend and precision.
        seconds: stage -> wall time; of "learn" what this call took, where it went on from a state that was kept.
        files: what was written.
    """

    learned: Learned
    options: dict[str, Any]
    seconds: dict[str, float]
    files: tuple[Path, ...]

    def summary(self) -> dict[str, Any]:
        """The figures, for a script."""
        assigned = self.learned.assigned
        return {
            "accuracy": self.learned.accuracy,
            "silent": self.learned.silent,
            "neurons_of_class": np.bincount(assigned[assigned >= 0], minlength=10).tolist(),
            "neurons_of_none": int((assigned < 0).sum()),
            **self.options,
            "seconds": self.seconds,
            "files": [str(path) for path in self.files],
        }


def run_learning(
    out: Path,
    stage: Stage,
    *,
    neurons: int = 400,
    images: int = 4000,
    passes: int = 1,
    steps: int = 250,
    seed: int = 0,
    backend: str = "snntorch",
    precision: str = "float32",
    resume: bool = False,
    force: bool = False,
) -> LearningResult:
    """Learn from training digits, label the neurons by them, judge by the 1,000 held-out ones.

    Args:
        out: folder for learned.nir (plain NIR, which learns no more), fields.png, learned.json, and state.npz, which
            keeps what has been learned as it goes; made if it is not there.
        stage: shows the progress of each stage.
        neurons, images, passes, steps, seed: of the network, and of what it is shown.
        backend, precision: who runs it.
        resume: go on from state.npz if it is there; the options have to be those with which it began.
        force: replace files that are there.

    Raises:
        FileError: a file is there already or cannot be written, or no digits are installed.
        OptionError: state.npz is of another learning.
    """
    ready_folder(out)
    for name in FILES:
        ready_to_write(out / name, force=force)
    kept = out / STATE
    if not resume:
        ready_to_write(kept, force=force).unlink(missing_ok=True)
    digits = load_digits(seed)
    chosen = np.random.default_rng(seed).permutation(len(digits.train_labels))[:images]
    shown, labels = digits.train_images[chosen], digits.train_labels[chosen]
    options = {"neurons": neurons, "images": len(chosen), "passes": passes, "steps": steps, "seed": seed}
    seconds: dict[str, float] = {}
    running: Any = {"steps": steps, "backend": backend, "precision": precision}
    with stage("Learning") as bar, _timed(seconds, "learn"):
        graph = diehl_cook(neurons, seed=seed)
        learned = learn(graph, shown, passes=passes, seed=seed, keep=kept, told=_told(bar), **running)
    with stage("Labelling neurons") as bar, _timed(seconds, "label"):
        counts = answers(learned, shown, seed=seed + 1, told=_told(bar), **running)
    with stage("Held-out digits") as bar, _timed(seconds, "test"):
        held_out = answers(learned, digits.test_images, seed=seed + 2, told=_told(bar), **running)
    found = judged(counts, labels, held_out, digits.test_labels)
    files = tuple(out / name for name in (*FILES, STATE))
    result = LearningResult(found, {**options, "backend": backend, "precision": precision}, seconds, files)
    save(learned, files[0], force=force)
    with whole_file(files[1], force=force) as temporary:
        draw_fields(learned.nodes["fc1"].weight, SIDE, temporary)
    with whole_file(files[2], force=force) as temporary:
        temporary.write_text(json.dumps(plain(result.summary()), indent=2, allow_nan=False) + "\n")
    return result


def _told(bar: Bar) -> Told:
    return lambda done, total, spikes: bar(done, total, f"{done:,} images, {spikes:.1f} spikes each")


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
