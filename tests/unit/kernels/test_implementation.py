"""Which kernels are in use, how to do without, and an installation where nothing can be compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hasn.kernels import Reset, Rows, Scan, States, available, implementation, scan_forward

ROOT = Path(__file__).parents[3]


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory of what was found, and no switch."""
    monkeypatch.delenv(implementation.SWITCH, raising=False)
    implementation._extension.cache_clear()
    monkeypatch.setattr(implementation, "_extension", implementation._extension.__wrapped__)


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert (available().name, available().why, bool(available())) == ("none", "HASN_KERNELS=0", False)
    with pytest.raises(RuntimeError, match="no implementation here: HASN_KERNELS=0"):
        scan_forward(Scan(1, 1, 1, Rows.ONE, Reset.NONE), 1, 1, States(), 1)


@pytest.mark.usefixtures("forgetful")
def test_an_old_or_missing_build_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", None)
    assert "not built when hasn was installed" in available().why
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", type(sys)("old"))
    assert available().why == "built from older sources: install hasn again"


def test_without_a_compiler_the_installation_goes_through(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "setup.py",
        "build_ext",
        "--build-temp",
        str(tmp_path / "t"),
        "--build-lib",
        str(tmp_path),
    ]
    environment = {**os.environ, "CC": "false"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("_scan*.so"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_where_there_is_a_compiler_the_kernels_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every other test would quietly judge the fallback."""
    monkeypatch.delenv(implementation.SWITCH, raising=False)
    found = available()
    assert found.name == "c", found.why
    assert "default" in found.targets
