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
    finders = {name: find.__wrapped__ for name, find in implementation._FINDERS.items()}
    monkeypatch.setattr(implementation, "_FINDERS", finders)


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert (available().name, available().why, bool(available())) == ("none", "HASN_KERNELS=0", False)
    with pytest.raises(RuntimeError, match="no implementation here: HASN_KERNELS=0"):
        scan_forward(Scan(1, 1, 1, Rows.ONE, Reset.NONE), 1, 1, States(), 1)


def test_a_switch_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "nunba")
    with pytest.raises(OptionError, match="HASN_KERNELS: no such kernels; got 'nunba'; wanted 0, 1, or one of c, numb"):
        available()


@pytest.mark.usefixtures("forgetful")
def test_an_old_or_missing_build_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "c")
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", None)
    assert "c: not built when hasn was installed" in available().why
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", type(sys)("old"))
    assert available().why == "c: built from older sources: install hasn again"


@pytest.mark.usefixtures("forgetful")
def test_numba_stands_in_where_no_c_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="pip install 'hasn[kernels]'")
    monkeypatch.setitem(sys.modules, "hasn.kernels._scan", None)
    assert (available().name, len(available().targets)) == ("numba", 1)


@pytest.mark.usefixtures("forgetful")
def test_without_either_the_reasons_and_the_way_out_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_scan", "numba_scan"):
        monkeypatch.setitem(sys.modules, f"hasn.kernels.{name}", None)
    assert available().name == "none"
    assert "c: not built" in available().why
    assert "numba: pip install 'hasn[kernels]'" in available().why


def test_numba_is_imported_only_where_it_is_needed() -> None:
    """It takes half a second, and C comes first."""
    program = (
        "import sys, hasn, hasn.kernels as k; assert 'numba' not in sys.modules; "
        "sys.exit(k.available().name == 'c' and 'numba' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != implementation.SWITCH}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_numba_works_where_nothing_can_be_kept() -> None:
    """No folder for what it compiled costs the time to compile, and no more: numba's own decorator raises."""
    pytest.importorskip("numba", reason="pip install 'hasn[kernels]'")
    program = "from hasn.kernels.numba_loops import forward; assert forward.stats.cache_path is None, forward.stats"
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **nowhere}, check=True)


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
