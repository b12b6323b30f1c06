"""Compiled modules: whole files or none, in a folder that can be written, and the reason where it fails."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

brian2 = pytest.importorskip("brian2", reason="brian2 is not installed")

from brian2.codegen.runtime.cython_rt import cython_rt  # noqa: E402  # after the skip
from brian2.codegen.runtime.cython_rt.extension_manager import CythonExtensionManager  # noqa: E402

from hasn.backends.brian2 import cython_cache, preferences  # noqa: E402
from hasn.backends.brian2.cython_cache import WholeModules  # noqa: E402

FOLDER = "codegen.runtime.cython.cache_dir"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A double of Brian2's manager, which compiles where there is no file, and reads what it finds."""
    made: list[Path] = []

    def load(self: Any, module_path: str, *others: Any, **options: Any) -> bytes:
        path = Path(module_path)
        if not path.exists():
            made.append(path)
            path.write_bytes(b"compiled")
        return path.read_bytes()

    monkeypatch.setattr(CythonExtensionManager, "_load_module", load)
    return made


@pytest.mark.parametrize("spoilt", [b"", b"comp", b"another"])
def test_a_module_that_is_not_whole_is_built_anew(spoilt: bytes, built: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "m.so"
    assert WholeModules()._load_module(str(path)) == b"compiled"
    assert WholeModules()._load_module(str(path)) == b"compiled"
    assert built == [path]  # what is whole is loaded
    path.write_bytes(spoilt)
    assert WholeModules()._load_module(str(path)) == b"compiled"
    assert built == [path, path]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.so", "m.so.sha256"]


@pytest.mark.parametrize("said", [None, "", "0" * 64])
def test_a_module_without_its_digest_is_built_anew(said: str | None, built: list[Path], tmp_path: Path) -> None:
    """One whose building was killed."""
    path, digest = tmp_path / "m.so", tmp_path / "m.so.sha256"
    path.write_bytes(b"half")
    if said is not None:
        digest.write_text(said)
    assert WholeModules()._load_module(str(path)) == b"compiled"
    assert built == [path]


def test_a_folder_that_cannot_be_written_is_left_for_one_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an unwritable HOME is: here a file stands in the way, which stops root, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "file").write_text("in the way")
    seen: list[str] = []
    monkeypatch.setattr(
        CythonExtensionManager, "create_extension", lambda self, code, **options: seen.append(brian2.prefs[FOLDER])
    )
    found = brian2.prefs[FOLDER]
    try:
        for folder in (tmp_path / "good" / "cache", tmp_path / "file" / "cache"):
            brian2.prefs[FOLDER] = str(folder)
            WholeModules().create_extension("")
    finally:
        brian2.prefs[FOLDER] = found
    assert seen[0] == str(tmp_path / "good" / "cache")
    own = Path(seen[1])
    assert own.name == "cache"
    assert own.parent.parent == tmp_path / "temporary"
    assert own.parent.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_may_write_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = cython_cache._own_folder("c").parent
    assert cython_cache._own_folder("c").parent == first
    first.chmod(0o777)
    assert cython_cache._own_folder("c").parent != first


def test_only_hasn_loads_this_way() -> None:
    before = cython_rt.cython_extension_manager
    with preferences.isolated("float64", "numpy"):
        assert isinstance(cython_rt.cython_extension_manager, WholeModules)
    assert cython_rt.cython_extension_manager is before


@pytest.mark.parametrize(
    ("error", "reason", "way_out"),
    [
        (
            RuntimeError("command 'g++' failed: No such file or directory"),
            "RuntimeError: command 'g++'",
            "Install gcc and",
        ),
        (OSError(28, "No space left on device"), "No space left on device", "Look at the compiler and at its cache, "),
        (
            ImportError("m.so: file too short"),
            "ImportError: m.so: file too short",
            "Look at the compiler and at its cache",
        ),
        (ImportError("Cython is not available"), "Cython is not available", "Install gcc and `pip install cython`"),
        (
            ModuleNotFoundError("No module named 'setuptools'"),
            "No module named 'setuptools'",
            "`pip install cython setup",
        ),
    ],
)
def test_the_reason_is_passed_on(error: Exception, reason: str, way_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a failure is not remembered: what was in the way may be gone at the next run."""

    def fails(self: Any, code: str, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(preferences, "_compiled", [])
    with monkeypatch.context() as broken:
        broken.setattr(WholeModules, "create_extension", fails)
        found = preferences.cython_trouble()
        assert not preferences.cython_works()
    assert reason in found[0]
    assert found[1].startswith(way_out)
    assert found[1].endswith("pass target='numpy': it gives the same numbers.")
    if "cache" in way_out:
        assert "hasn_" in found[1]  # the folder
    monkeypatch.setattr(WholeModules, "create_extension", lambda self, code, **options: type("M", (), {"main": print}))
    assert preferences.cython_works()
