"""The placement benchmark runs, on small networks, and what it says holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import hasn

ROOT = Path(__file__).parents[2]
missing = hasn.list_backends()["snntorch"].why_not
pytestmark = pytest.mark.skipif(bool(missing), reason=missing or "there")


def test_limits_are_kept_and_less_is_sent_than_by_greedy(tmp_path: Path) -> None:
    pytest.importorskip("pymetis")
    file = tmp_path / "figures.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "placement.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())["placements"]
    assert all(one["ok"] for one in found)
    several = [one for one in found if one["cores"] > 1]
    assert {one["target"] for one in several} == {"loihi1", "loihi2"}
    assert all(one["greedy"]["fits"] and one["traffic"] < one["greedy"]["traffic"] for one in several)
