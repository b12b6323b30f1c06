"""Where a Python 3.10 is: each candidate is run, since a pyenv shim on PATH may answer with an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

WANTED = (3, 10)
_CHECK = "import sys; print('%d.%d' % sys.version_info[:2])"
RUN_SECONDS = 20.0
INSTALL_SECONDS = 600.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        python: an interpreter that says it is 3.10, or None.
        tried: one line for each place, with what came of it.
    """

    python: Path | None
    tried: tuple[str, ...]


def find_python(tell: Tell = lambda text: None) -> Search:
    """Look for Python 3.10: ``$HASN_LAVA_PYTHON``, pyenv's versions, ``python3.10`` on PATH, then uv's managed one.

    Args:
        tell: hears about what takes long.
    """
    tried: list[str] = []
    for place, candidate in _candidates(tell):
        if candidate is None:
            tried.append(f"{place}: none")
            continue
        problem = problem_with(candidate)
        tried.append(f"{place}: {candidate}: {problem or 'Python 3.10'}")
        if not problem:
            return Search(candidate, tuple(tried))
    return Search(None, tuple(tried))


def problem_with(python: Path) -> str:
    """Why this is no Python 3.10 that runs; empty if it is."""
    try:
        done = subprocess.run(
            [str(python), "-c", _CHECK], capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error})"
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return f"does not run ({lines[0] if lines else f'exit status {done.returncode}'})"
    version = done.stdout.strip()
    return "" if version == "{}.{}".format(*WANTED) else f"is Python {version}"


def _candidates(tell: Tell) -> Iterator[tuple[str, Path | None]]:
    given = os.environ.get("HASN_LAVA_PYTHON")
    if given:
        yield "$HASN_LAVA_PYTHON", Path(given)
    versions = pyenv_versions()
    for python in versions:
        yield "pyenv", python
    if not versions:
        yield "pyenv", None
    on_path = shutil.which("python3.10")
    yield "PATH", Path(on_path) if on_path else None
    yield "uv", _managed_by_uv(tell)


def pyenv_versions() -> list[Path]:
    """Interpreters of pyenv's 3.10.x versions, newest first."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = []
    for folder in root.glob("3.10.*"):
        patch = re.fullmatch(r"3\.10\.(\d+)", folder.name)
        python = folder / "bin" / "python3.10"
        if patch and python.exists():
            found.append((int(patch[1]), python))
    return [python for _, python in sorted(found, reverse=True)]


def _managed_by_uv(tell: Tell) -> Path | None:
    uv = shutil.which("uv")
    if uv is None:
        return None
    found = _output([uv, "python", "find", "--python-preference", "only-managed", "3.10"], RUN_SECONDS)
    if found is None:
        tell("uv installs Python 3.10")
        _output([uv, "python", "install", "3.10"], INSTALL_SECONDS)
        found = _output([uv, "python", "find", "--python-preference", "only-managed", "3.10"], RUN_SECONDS)
    return None if found is None else Path(found)


def _output(command: list[str], seconds: float) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
