"""The main job on few digits, and what it made from nothing in a clean checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nir
import pytest

import hasn

ROOT = Path(__file__).parents[2]
HASN = [sys.executable, "-c", "import sys; from hasn.cli import main; sys.exit(main())"]
missing = "; ".join(info.why_not for name, info in hasn.list_backends().items() if name != "lava" and info.why_not)
pytestmark = pytest.mark.skipif(bool(missing), reason=missing or "all there")


def demo(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HASN, "demo", *options], capture_output=True, text=True, timeout=280, env={**os.environ, **(env or {})}
    )


def test_few_digits_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = demo("--out", str(out), "--digits", "12", "--epochs", "1", "--steps", "20", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    ran = {label for label in ("brian2", "snntorch", "snntorch:float32", "lava") if label not in figures["skipped"]}
    assert set(figures["backends"]) == ran >= {"brian2", "snntorch", "snntorch:float32"}
    assert figures["ok"]
    assert figures["same_predictions"]
    assert figures["test_accuracy"] > 0.6  # one pass over the training digits; 0.1 is chance
    for row in figures["backends"].values():
        assert row["differing"] == 0
        assert row["spikes"] == figures["backends"]["brian2"]["spikes"] > 1000
        assert row["synaptic_operations"] > 100_000
    assert json.loads((out / "demo.json").read_text()) == figures
    assert {type(node).__name__ for node in nir.read(out / "model.nir").nodes.values()} == {
        "Input",
        "Linear",
        "LIF",
        "Output",
    }
    page = (out / "report.html").read_text()
    assert "What the network saw" in page
    assert not re.search(r'(src|href)="http', page)


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "model.nir").write_text("mine")
    done = demo("--out", str(tmp_path), "--digits", "1", "--epochs", "1")
    assert done.returncode == 1
    assert "exists and is kept" in done.stderr
    assert (tmp_path / "model.nir").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.nir"]


def test_without_lava_the_table_says_why(tmp_path: Path) -> None:
    done = demo(
        "--out",
        str(tmp_path),
        "--digits",
        "3",
        "--epochs",
        "1",
        "--steps",
        "8",
        env={"HASN_LAVA_ENV": str(tmp_path / "no")},
    )
    assert done.returncode == 0, done.stderr
    assert "lava did not run" in done.stdout
    assert "hasn lava setup" in done.stdout


@pytest.mark.slow
def test_what_make_demo_made_from_nothing() -> None:
    """.ci/run begins with `make demo` in a clean checkout, so that all that is there is what that set up."""
    made = ROOT / "demo-out" / "demo.json"
    if not made.is_file():
        pytest.skip("there is no demo-out: run `make demo` first")
    figures = json.loads(made.read_text())
    assert figures["ok"]
    assert figures["test_accuracy"] >= 0.92
    assert figures["seconds"]["train"] + figures["seconds"]["compare"] + figures["seconds"]["report"] < 240
    if "lava" not in figures["skipped"]:
        assert figures["backends"]["lava"]["differing"] == 0


@pytest.mark.slow
def test_make_setup_is_safe_to_repeat() -> None:
    environment = ROOT / ".venv"
    if environment.is_symlink() or not (environment / ".hasn-installed").is_file():  # a link is another checkout's
        pytest.skip("this checkout has no environment of its own: run `make setup` first")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "PYTEST"))}
    again = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, env=kept, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "Collecting" not in again.stdout
