"""The demo's job on a few digits, untrained: what it says where backends agree, and where they do not."""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.demo import job
from hasn.demo.digits import SIDE, Digits
from hasn.demo.job import run_demo
from hasn.demo.network import digit_network
from hasn.energy import PROFILES_COMPARED, estimate
from hasn.executable import Executable
from hasn.recording import Recording

LABELS, STEPS = ("snntorch", "snntorch:float32"), 15


@contextmanager
def quiet(title: str) -> Any:
    yield lambda done, total, text: None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six digits, no training, snnTorch in two precisions; the network is right on the first two and the fourth."""
    pytest.importorskip("torch")
    images = np.random.default_rng(1).random((6, SIDE * SIDE)) * 0.8
    shown = hasn.compile(digit_network(seed=3), "snntorch").run(job.encode(images, STEPS, 1)).output
    labels = (shown.sum(axis=0).argmax(axis=-1) + np.array([0, 0, 1, 0, 1, 1])) % 10

    def saved(digits: Digits, path: Path, *rest: Any) -> None:
        hasn.save(digit_network(seed=3), path)

    def pair(graph: Any, spikes: Any, *, backends: Any, reference: str, progress: Any) -> Any:
        assert (backends, reference) == (("brian2", "snntorch", "snntorch:float32", "lava"), "brian2")
        return hasn.compare(graph, spikes, backends=LABELS, reference="snntorch", progress=progress)

    def page(result: Any, digits: Any, said: Any, counts: Any, path: Path, epochs: int, force: bool) -> None:
        path.write_text(f"accuracy {result.test_accuracy}")

    monkeypatch.setattr(job, "load_digits", lambda seed: Digits(images, labels, images, labels))
    monkeypatch.setattr(job, "_train", saved)
    monkeypatch.setattr(job, "compare", pair)
    monkeypatch.setattr(job, "_write_report", page)  # drawn in the tests of hasn.report, and in those of the system


def made(out: Path, compared: int = 6) -> Any:
    return run_demo(out, quiet, compared=compared, steps=STEPS)


def changed_in_float32(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """``change(spikes of the readout, voltages of it, outputs)`` of the run in float32."""
    run = Executable.run

    def wrong(self: Executable, *arguments: Any, **options: Any) -> Recording:
        found = run(self, *arguments, **options)
        if found.precision != "float32":
            return found
        spikes, voltages, outputs = (
            {name: array.copy() for name, array in group.items()}
            for group in (found.spikes, found.voltages, found.outputs)
        )
        (readout,) = (name for name, array in spikes.items() if array.shape[-1] == 10)
        change(spikes[readout], voltages[readout], next(iter(outputs.values())))
        return dataclasses.replace(found, spikes=spikes, voltages=voltages, outputs=outputs)

    monkeypatch.setattr(Executable, "run", wrong)


@pytest.mark.usefixtures("small")
def test_backends_that_agree(tmp_path: Path) -> None:
    result = made(tmp_path)
    assert result.ok
    assert result.same_predictions
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert figures["ok"] is True
    assert set(figures["backends"]) == set(LABELS)
    assert figures["backends"]["snntorch:float32"]["spikes"] > 100
    assert result.accuracy == dict.fromkeys(LABELS, 0.5)
    assert result.test_accuracy == 0.5
    energy = json.loads((tmp_path / "demo.json").read_text())["energy"]
    reference = result.comparison.recordings["snntorch"]
    assert list(energy["profiles"]) == list(PROFILES_COMPARED)
    for name, found in energy["profiles"].items():
        assert found["joules_per_inference"] == pytest.approx(estimate(reference, name).per_inference, rel=1e-12, abs=0)
    assert energy["break_even"]["synapses"] == 784 * 128 + 128 * 10
    assert (tmp_path / "report.html").read_text() == "accuracy 0.5"


@pytest.mark.usefixtures("small")
def test_a_spike_that_differs_is_told_though_the_predictions_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flip(spikes: Any, voltages: Any, outputs: Any) -> None:
        spikes[9, 2, 4] = not spikes[9, 2, 4]
        voltages[8:, 2, 4] += 0.05  # no tie

    changed_in_float32(monkeypatch, flip)
    result = made(tmp_path)
    assert (result.ok, result.same_predictions) == (False, True)
    figures = json.loads((tmp_path / "demo.json").read_text())
    assert (figures["ok"], figures["same_predictions"]) == (False, True)
    assert figures["backends"]["snntorch:float32"]["differing"] == 1
    assert "step 9" in figures["backends"]["snntorch:float32"]["first_divergence"]


@pytest.mark.usefixtures("small")
def test_a_prediction_that_differs_is_told_though_the_spikes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shout(spikes: Any, voltages: Any, outputs: Any) -> None:
        outputs[:, 5, 7] += 100  # the last digit alone

    changed_in_float32(monkeypatch, shout)
    result = made(tmp_path)
    assert result.comparison.ok
    assert (result.ok, result.same_predictions) == (False, False)
    assert json.loads((tmp_path / "demo.json").read_text())["ok"] is False


@pytest.mark.usefixtures("small")
def test_fewer_digits_are_compared_than_tested(tmp_path: Path) -> None:
    result = made(tmp_path, compared=2)
    assert {r.output.shape[1] for r in result.comparison.recordings.values()} == {2}
    assert result.accuracy == dict.fromkeys(LABELS, 1.0)
    assert result.test_accuracy == 0.5
