"""The main job, from digits to report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hasn.agreement import Comparison, compare
from hasn.demo.digits import SIDE, Digits, encode, load_digits
from hasn.demo.network import digit_network
from hasn.ir.load import load
from hasn.ir.outputs import ready_folder, ready_to_write
from hasn.ir.save import save
from hasn.ir.whole import whole_file
from hasn.jsonable import plain

if TYPE_CHECKING:
    from hasn.energy import EnergyTable

LABELS = ("brian2", "snntorch", "snntorch:float32", "lava")
FILES = ("model.nir", "report.html", "demo.json")


class Bar(Protocol):
    """A progress display: ``update(done, total, text)``."""

    def __call__(self, done: float, total: float, text: str) -> None: ...


Stage = Callable[[str], AbstractContextManager[Bar]]
"""A stage of the job: ``with stage("Training") as bar: ...``."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        comparison: all backends on the held-out digits.
        accuracy: label -> share of the compared digits that it classifies rightly.
        same_predictions: whether every backend gives every digit the same class.
        test_accuracy: snnTorch, float64, on all held-out digits.
        seconds: stage -> wall time.
        files: what was written.
    """

    comparison: Comparison
    accuracy: dict[str, float]
    same_predictions: bool
    test_accuracy: float
    seconds: dict[str, float]
    files: tuple[Path, ...]

    @property
    def ok(self) -> bool:
        """No differing spike and no differing prediction."""
        return self.comparison.ok and self.same_predictions

    def table(self) -> str:
        """The agreement table with accuracies."""
        from hasn.report.table import comparison_table

        return comparison_table(self.comparison, self._columns())

    def energy(self) -> EnergyTable | str | None:
        """The reference's run on chips, in arithmetic and in tissue; a text says why not."""
        from hasn.report.energy import energy_of

        return energy_of(self.comparison)

    def _columns(self) -> dict[str, dict[str, str]]:
        return {label: {"accuracy": f"{100 * value:.1f} %"} for label, value in self.accuracy.items()}


def run_demo(
    out: Path,
    stage: Stage,
    *,
    compared: int = 1000,
    epochs: int = 10,
    steps: int = 25,
    seed: int = 0,
    force: bool = False,
) -> DemoResult:
    """Train, write ``model.nir``, read it back, run it on every backend, compare, write ``report.html``.

    Args:
        out: folder for the files; made if it is not there.
        stage: shows the progress of each stage.
        compared: held-out digits that every backend runs.
        epochs, steps, seed: of the training; time steps a digit.
        force: replace files that are there.

    Raises:
        FileError: a file is there already, cannot be written, or the digits are not installed.
        BackendUnavailable: snnTorch or Brian2 is not installed. A missing Lava is only listed.
    """
    _make_ready(out, force)
    began = time.time()
    try:
        return _run(out, stage, compared, epochs, steps, seed, force)
    except KeyboardInterrupt as stop:
        stop.add_note(_kept(out, began))
        raise


def _kept(out: Path, began: float) -> str:
    """What a stopped demo has written."""
    files = [str(path) for name in FILES if (path := out / name).is_file() and path.stat().st_mtime >= began]
    return f"Kept: {', '.join(files)}. hasn demo --force begins anew." if files else "Nothing was written."


def _run(out: Path, stage: Stage, compared: int, epochs: int, steps: int, seed: int, force: bool) -> DemoResult:
    seconds: dict[str, float] = {}
    digits = load_digits(seed)
    _train(digits, out / "model.nir", stage, seconds, epochs, steps, seed, force)
    graph = load(out / "model.nir")
    spikes = encode(digits.test_images, steps, seed + 1)
    labels = digits.test_labels
    with stage("Running the held-out digits") as bar:
        start = time.perf_counter()
        done: list[str] = []

        def show(label: str) -> None:
            bar(len(done), len(LABELS), label)
            done.append(label)

        comparison = compare(graph, spikes[:, :compared], backends=LABELS, reference="brian2", progress=show)
        bar(len(LABELS), len(LABELS), "done")
        seconds["compare"] = time.perf_counter() - start
    counts = {label: r.output.sum(axis=0) for label, r in comparison.recordings.items()}
    said = {label: np.asarray(c.argmax(axis=-1)) for label, c in counts.items()}
    accuracy = {label: float((p == labels[:compared]).mean()) for label, p in said.items()}
    first = next(iter(said.values()))
    same = all(np.array_equal(p, first) for p in said.values())
    result = DemoResult(
        comparison,
        accuracy,
        same,
        _test_accuracy(graph, spikes, labels, compared, accuracy),
        seconds,
        tuple(out / name for name in FILES),
    )
    with stage("Writing the report"):
        start = time.perf_counter()
        _write_report(result, digits, said, counts, out / "report.html", epochs, force)
        seconds["report"] = time.perf_counter() - start
    _write_json(result, out / "demo.json", force)
    return result


def _make_ready(out: Path, force: bool) -> None:
    ready_folder(out)
    for name in FILES:
        ready_to_write(out / name, force=force)


def _train(
    digits: Digits, path: Path, stage: Stage, seconds: dict[str, float], epochs: int, steps: int, seed: int, force: bool
) -> None:
    from hasn.backend import require_backend

    require_backend("snntorch", "float32")
    from hasn.demo.train import train_digits

    with stage("Training") as bar:
        start = time.perf_counter()

        def show(done: int, total: int, loss: float, hits: float) -> None:
            bar(done, total, f"loss {loss:.3f}, accuracy {100 * hits:.0f} %")

        graph = train_digits(digit_network(seed=seed), digits, epochs=epochs, steps=steps, seed=seed, progress=show)
        seconds["train"] = time.perf_counter() - start
    save(graph, path, force=force)


def _test_accuracy(
    graph: Any, spikes: NDArray[np.bool_], labels: NDArray[np.int64], compared: int, accuracy: dict[str, float]
) -> float:
    """Accuracy on all held-out digits; the comparison has it already if it ran them all."""
    if compared >= len(labels) and "snntorch" in accuracy:
        return accuracy["snntorch"]
    from hasn.compiler import compile as compile_graph

    counts = compile_graph(graph, "snntorch").run(spikes).output.sum(axis=0)
    return float((counts.argmax(axis=-1) == labels).mean())


def _write_report(
    result: DemoResult,
    digits: Digits,
    said: dict[str, Any],
    counts: dict[str, Any],
    path: Path,
    epochs: int,
    force: bool,
) -> None:
    from hasn.report.digits import digits_section
    from hasn.report.html import write_report

    n = len(next(iter(said.values())))
    images = digits.test_images[:n].reshape(-1, SIDE, SIDE)
    section = digits_section(images, digits.test_labels[:n], said, counts)
    subtitle = (
        f"784-128-10 LIF trained on 4,000 handwritten digits for {epochs} epoch{'s' * (epochs != 1)}, test accuracy "
        f"{100 * result.test_accuracy:.1f}\u00a0%; the file model.nir on {n:,} held-out digits."
    )
    write_report(
        path,
        result.comparison,
        title="One network, several simulators",
        subtitle=subtitle,
        extra_sections=[section],
        extra=result._columns(),
        force=force,
    )


def _write_json(result: DemoResult, path: Path, force: bool) -> None:
    with whole_file(path, force=force) as temporary:
        temporary.write_text(json.dumps(plain(summary(result)), indent=2, allow_nan=False) + "\n")


def summary(result: DemoResult) -> dict[str, Any]:
    """The figures of the demo, for a script."""
    from hasn.energy import EnergyTable
    from hasn.report.facts import shared

    energy = result.energy()
    comparison = result.comparison
    backends = {
        label: {
            "precision": r.precision,
            "accuracy": result.accuracy[label],
            "spikes": r.counts.total_spikes,
            "differing": comparison.differing[label],
            "ties": comparison.ties[label],
            "after_ties": comparison.after_ties[label],
            "agreement": shared(comparison, label),
            "max_voltage_error": comparison.max_voltage_error[label],
            "synaptic_operations": r.counts.total_synaptic_operations,
            "shifts": r.shifts,
            "seconds": r.seconds,
            "first_divergence": str(comparison.first_divergence(label) or "") or None,
        }
        for label, r in comparison.recordings.items()
    }
    return {
        "ok": result.ok,
        "compared": result.comparison.compared,
        "same_predictions": result.same_predictions,
        "test_accuracy": result.test_accuracy,
        "backends": backends,
        "energy": energy.to_dict() if isinstance(energy, EnergyTable) else None,
        "skipped": comparison.skipped,
        "seconds": result.seconds,
        "files": [str(path) for path in result.files],
    }
