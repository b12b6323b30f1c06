"""The README's Python as a user runs it: a second time, in the folder where the first one left its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.cli.conftest import need

README = Path(__file__).parents[2] / "README.md"
FILES = ("report.html", "trained.nir", "at100.npz")


def test_the_readmes_python_runs_over_its_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("snntorch", "brian2")
    code = "\n".join(re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf8"), re.DOTALL))
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        (tmp_path / name).write_text("of the first time")
    found: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), found)
    assert found["comparison"].ok  # type: ignore[attr-defined]
    assert found["comparison"].compared  # type: ignore[attr-defined]
    for name in FILES:
        assert (tmp_path / name).read_bytes() != b"of the first time"
