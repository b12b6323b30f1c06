"""Which kernels are in use, how to do without, and an installation where nothing can be compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hasn.errors import OptionError
from hasn.kernels import Reset, Rows, Scan, States, available, bf16, events, implementation, scan_forward
from hasn.kernels.implementation import built

ROOT = Path(__file__).parents[3]


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """No memory of what was found, and no switch."""
    monkeypatch.delenv(implementation.SWITCH, raising=False)
    monkeypatch.setattr(implementation, "_compiled", implementation._compiled.__wrapped__)


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert (available().name, available().why, bool(available())) == ("none", "HASN_KERNELS=0", False)
    with pytest.raises(RuntimeError, match="no implementation here: HASN_KERNELS=0"):
        scan_forward(Scan(1, 1, 1, Rows.ONE, Reset.NONE), 1, 1, States(), 1)


def test_a_switch_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "numba")
    with pytest.raises(OptionError, match="HASN_KERNELS: no such choice of kernels; got 'numba'; wanted 0 or 1"):
        available()


@pytest.mark.usefixtures("forgetful")
def test_an_old_or_missing_build_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", None)
    assert available().name == "none"
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
    assert not list(tmp_path.rglob("_*.so"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_where_there_is_a_compiler_the_kernels_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every other test would quietly judge the fallback."""
    monkeypatch.delenv(implementation.SWITCH, raising=False)
    found = available()
    assert found.name == "c", found.why
    assert "default" in found.targets
    assert found.openmp or sys.platform != "linux"
    assert events.events_available()
    assert built("_product", bf16.INTERFACE)[1] == ""


def test_an_old_or_missing_event_product_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(implementation.SWITCH, raising=False)
    monkeypatch.setattr(events, "_extension", events._extension.__wrapped__)
    for found in (None, type(sys)("old")):
        monkeypatch.setitem(sys.modules, "hasn.kernels._events", found)
        assert not events.events_available()
        with pytest.raises(RuntimeError, match="no event-driven product here"):
            events.event_product(events.EventProduct(1, 1, 1), 1, 1, 1)
