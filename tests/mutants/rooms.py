"""The rooms of the house as mutation testing sees them: data in ``rooms.toml`` and ``equivalent/``."""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Room:
    """A room.

    Attributes:
        name: as given on the command line.
        files: its source files, from the root.
        tests: files and folders of tests that judge it.
        target: per cent of its mutants, equivalent ones apart, that tests must notice.
        sample: how many mutants are drawn.
        marks: which of the tests, as pytest's -m takes it.
        judges: file -> files of tests that run what is in it in another process, where no line is seen to be run.
    """

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]
    target: float
    sample: int
    marks: str = "not slow"
    judges: dict[str, list[str]] = field(default_factory=dict)


def rooms() -> dict[str, Room]:
    """Every room, by name."""
    found: dict[str, Room] = {}
    for entry in tomllib.loads((HERE / "rooms.toml").read_text(encoding="utf8"))["room"]:
        files = {path for pattern in entry["files"] for path in ROOT.glob(pattern)}
        left = {path for pattern in entry.get("without", ()) for path in ROOT.glob(pattern)}
        names = tuple(sorted(str(path.relative_to(ROOT)) for path in files - left))
        rest = {key: entry[key] for key in ("target", "sample", "marks", "judges") if key in entry}
        found[entry["name"]] = Room(entry["name"], names, tuple(entry["tests"]), **rest)
    return found


def equivalents() -> dict[str, str]:
    """Key of a mutant that means the same as the code, so that no test can notice it -> why; a file a room."""
    files = sorted((HERE / "equivalent").glob("*.toml"))
    entries = [entry for file in files for entry in tomllib.loads(file.read_text(encoding="utf8")).get("mutant", [])]
    return {entry["key"]: entry["why"] for entry in entries}


def tracked() -> list[str]:
    """The checkout's files, with those that git would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def digest(files: Iterable[str]) -> str:
    """One for the contents of these files."""
    total = hashlib.sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return total.hexdigest()[:16]
