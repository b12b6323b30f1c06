"""What became of mutants, kept between runs: what is known to be noticed is not tried again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        status: "killed", "survived", "no test".
        test: the first test that failed.
        seconds: what it cost.
        tests: digest of the tests it was tried against.
        file: digest of the file without the slip.
    """

    status: str
    test: str
    seconds: float
    tests: str
    file: str


class Verdicts:
    """All of them, in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
        self.found = {key: Verdict(**value) for key, value in raw.items()}

    def known(self, mutant: Mutant, tests: str, file: str, there: Collection[str]) -> Verdict | None:
        """What is still true of it: killed, in this file and by a test that is there; or not, by these very tests."""
        verdict = self.found.get(name(mutant))
        if verdict is None or verdict.file != file:
            return None
        killed = verdict.status == "killed" and (verdict.test in there or verdict.test.startswith("("))
        return verdict if killed or verdict.tests == tests else None

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Keep one."""
        self.found[name(mutant)] = verdict

    def save(self) -> None:
        """Write them, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({key: asdict(value) for key, value in self.found.items()}, indent=0), encoding="utf8")
        new.replace(self.path)


def name(mutant: Mutant) -> str:
    """A short name for a mutant's key."""
    return hashlib.sha256(mutant.key.encode()).hexdigest()[:20]
