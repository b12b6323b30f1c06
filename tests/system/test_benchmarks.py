"""The benchmarks run, on little, and their own checks hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hasn

ROOT = Path(__file__).parents[2]
missing = hasn.list_backends()["snntorch"].why_not
no_lava = hasn.list_backends()["lava"].why_not
pytestmark = pytest.mark.skipif(bool(missing), reason=missing or "there")


def measured(tmp_path: Path, script: str, *options: str) -> dict[str, Any]:
    file = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures


@pytest.mark.slow
def test_accuracy_in_integers(tmp_path: Path) -> None:
    """Digits after one pass, speech after ten: well above chance, and every integer the same on Lava."""
    few = ("--digit-epochs", "1", "--speech-epochs", "10", "--lava-digits", "2", "--lava-utterances", "2")
    found = measured(tmp_path, "loihi_accuracy.py", *few, "--out", str(tmp_path))
    for name, samples, chance in (("digits", 1000, 1 / 10), ("speech", 370, 88 / 370)):
        figures = found[name]
        assert figures["samples"] == samples
        assert figures["float_accuracy"] > 2 * chance
        assert figures["integer_accuracy"] > 2 * chance
        assert 0 < figures["differing_spikes"] < figures["spikes"]  # 8 bits are not 53, but not nothing
        assert hasn.load(tmp_path / f"{name}.nir").nodes
        if not no_lava:
            assert figures["lava_samples"] == 2
            assert figures["compared"] > 10_000
            assert figures["different"] == 0


@pytest.mark.slow
def test_training_in_integers(tmp_path: Path) -> None:
    """Digits after one pass in floats and one in integers, of three levels: better than rounded alone."""
    few = ("--digit-epochs", "1", "--digit-passes", "1", "--digit-bits", "2", "--speech-bits")
    (figures,) = measured(tmp_path, "loihi_training.py", *few)["digits"]
    assert figures["trained_accuracy"] > figures["rounded_accuracy"]
    assert figures["trained_accuracy"] > 0.8  # chance is 0.1
    assert set(figures["levels"].values()) == {3}


@pytest.mark.lava
@pytest.mark.skipif(bool(no_lava), reason=no_lava or "there")
def test_speed_is_measured_on_the_same_outputs(tmp_path: Path) -> None:
    """No claim on the ratio here: a test that is timed fails on a busy machine."""
    from hasn.demo.network import digit_network

    hasn.save(digit_network(seed=1), tmp_path / "digits.nir")
    few = ("--model", str(tmp_path / "digits.nir"), "--pairs", "1", "--samples", "3", "--short", "1")
    found = measured(tmp_path, "loihi_speed.py", *few)
    assert found["same_output"] is True
    assert len(found["ratios"]) == 1
    assert found["machine"]["lava"] == "0.10.0"
