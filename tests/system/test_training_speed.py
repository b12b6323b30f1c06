"""The benchmark of a training step runs, on little, and finds the same spikes and gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hasn

ROOT = Path(__file__).parents[2]
missing = hasn.list_backends()["snntorch"].why_not


@pytest.mark.skipif(bool(missing), reason=missing or "there")
def test_the_figures_of_a_training_step(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    few = ["--pairs", "1", "--batch", "4", "--steps", "6", "--json", str(file)]
    command = [sys.executable, str(ROOT / "benchmarks" / "training_speed.py"), *few]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    assert (found["output_spikes_that_differ"], found["output_spikes"] > 10) == (0, True)
    assert 0 < found["gradients_differ_by"] < 1e-5
    assert all(value > 0 for value in found["ratios"].values())
