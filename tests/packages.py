"""Packages of other people, as pip would install them: a folder with modules and entry points, and a Python there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import hasn

#: Where the hasn lies that is tested.
HERE = Path(hasn.__file__).parents[1]


def install(folder: Path, name: str, modules: Mapping[str, str], points: str) -> Path:
    """Write a package's modules (name -> source) and its ``entry_points.txt`` into a folder."""
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(points)
    return folder


def python(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Python in that folder, with its package, the hasn that is tested, and nothing of this session's own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "HASN_SUPPORT", "COV"))}
    where = {**kept, "PYTHONPATH": os.pathsep.join((str(folder), str(HERE))), **more}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=where, capture_output=True, text=True, timeout=300, check=False
    )


def judged(folder: Path, cases: str) -> dict[str, set[str]]:
    """What the conformance suite makes of a package's cases: backend that can run here -> names of those that passed.

    One session for all backends, whose start costs seconds. Fails where a case fails, or is skipped on such a backend.
    """
    there = [name for name, info in hasn.list_backends().items() if info.available]
    chosen = [part for name in there for part in ("--backend", name)]
    record = folder / "judged.json"
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "hasn.testing", "-k", cases, *chosen)
    done = python(folder, *command, HASN_SUPPORT=str(record))
    assert done.returncode == 0, done.stdout[-3000:]
    rows = json.loads(record.read_text())
    assert {row[4] for row in rows} == {"passed"}
    return {name: {row[3] for row in rows if row[0] == name and row[2] == "run"} for name in there}
