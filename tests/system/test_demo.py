"""The main job on few digits, and from nothing in a copy of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nir
import pytest

import hasn

ROOT = Path(__file__).parents[2]
HASN = [sys.executable, "-c", "from hasn.cli import main; main()"]
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
@pytest.mark.timeout(1500)
def test_make_demo_from_nothing(tmp_path: Path) -> None:
    """A copy of the tracked files, no .venv and no Lava environment: `make demo` makes them, and is safe to repeat."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / name)
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HASN_", "VIRTUAL_ENV", "MAKE", "PYTEST"))
    }
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if p != str(Path(sys.executable).parent))
    done = subprocess.run(["make", "demo"], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=1400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads((tmp_path / "demo-out" / "demo.json").read_text())
    assert figures["ok"]
    assert figures["test_accuracy"] >= 0.92
    assert figures["seconds"]["train"] + figures["seconds"]["compare"] + figures["seconds"]["report"] < 240
    if "lava" not in figures["skipped"]:
        assert figures["backends"]["lava"]["differing"] == 0
    again = subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, text=True, env=env, timeout=120)
    assert again.returncode == 0, again.stderr
    assert "Collecting" not in again.stdout
