"""Mutants against the tests that run them, on as many processes as there are cores."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.mutants.kernels import CALLERS
from tests.mutants.mutant import Mutant
from tests.mutants.rooms import ROOT, Room, digest, tracked
from tests.mutants.tree import lay

BUILD = ROOT / "build" / "mutants"
#: A test that takes longer is left to the whole suite.
SLOWEST = 15.0
#: The tests of one mutant are cut off here; the fastest come first.
ENOUGH = 30.0
#: One thread a process: mutants run side by side. A fixed hash seed, so that sets are walked in one order.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True)
class Cover:
    """What tests run which lines.

    Attributes:
        seconds: test -> how long it takes.
        lines: file -> line -> tests; "" where it is run outside of them too.
        digest: of the tests' files.
        marks, judges: as in :class:`tests.mutants.rooms.Room`.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[int, list[str]]]
    digest: str
    marks: str
    judges: dict[str, list[str]] = field(default_factory=dict)

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests of this mutant, fastest first; then, of code that collecting tests runs too, all of its file's."""
        of_file = self.lines.get(CALLERS.get(mutant.file, mutant.file), {})
        lines = range(mutant.statement, mutant.line + 1) if mutant.file not in CALLERS else ()
        found = {test for line in lines for test in of_file.get(line, ())}
        others: set[str] = set()
        if not found or "" in found:  # what a cache keeps from then on, every test reads
            judges = self.judges.get(mutant.file, ())
            others = {test for test in self.seconds if test.split("::")[0] in judges}
            others = others or {test for tests in of_file.values() for test in tests} - {""} or set(self.seconds)
        found.discard("")
        chosen: list[str] = []
        total = 0.0
        for test in [*self._sorted(found), *self._sorted(others - found)]:
            total += self.seconds[test]
            if self.seconds[test] > SLOWEST or total > ENOUGH:
                break
            chosen.append(test)
        return chosen

    def _sorted(self, tests: set[str]) -> list[str]:
        return sorted(tests, key=lambda name: (self.seconds[name], name))


class TestsFail(Exception):
    """The tests fail without any slip."""


def covered(room: Room, tree: Path) -> Cover:
    """What the tests of a room run, measured where they or the code have changed since the last time.

    Raises:
        TestsFail: one of them fails.
    """
    parts = [_covered_by(name, tree, room.marks) for name in room.tests]
    lines: dict[str, dict[int, list[str]]] = {}
    for part in parts:
        for file, by_line in part["lines"].items():
            for line, names in by_line.items():
                lines.setdefault(file, {}).setdefault(int(line), []).extend(names)
    seconds = {name: took for part in parts for name, took in part["seconds"].items()}
    return Cover(seconds, lines, "".join(part["digest"] for part in parts), room.marks, room.judges)


def _covered_by(tests: str, tree: Path, marks: str) -> dict[str, Any]:
    kept = BUILD / "cover" / (f"{tests} {marks}".replace("/", "-") + ".json")
    code = [
        n for n in tracked() if n.endswith((".py", ".c", ".h", ".toml")) and not n.startswith(("tests/", "benchmarks/"))
    ]
    own = [n for n in tracked() if n.startswith(tests) or (n.startswith("tests/") and n.count("/") == 1)]
    stamp = digest([*code, *own])
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf8"))
        if found["stamp"] == stamp:
            return found
    lay(tree)
    kept.parent.mkdir(parents=True, exist_ok=True)
    out = kept.with_suffix(".new")
    command = [sys.executable, "-m", "tests.mutants.cover", str(out), marks, tests]
    done = subprocess.run(command, cwd=tree, env=_environment(tree), capture_output=True, text=True)
    if done.returncode:
        raise TestsFail(f"{tests} fails without any slip:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    found = {**json.loads(out.read_text(encoding="utf8")), "stamp": stamp, "digest": digest(own)}
    out.write_text(json.dumps(found), encoding="utf8")
    out.replace(kept)
    return found


def tried(mutants: list[Mutant], cover: Cover, jobs: int) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Each mutant with what became of it, as they finish."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Mutant, dict[str, Any]] | BaseException] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)

    def work(number: int) -> None:
        try:
            with _Server(BUILD / f"tree-{number}") as server:
                while True:
                    mutant = waiting.get_nowait()
                    done.put((mutant, server.run(mutant, cover)))
        except queue.Empty:
            pass
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(min(jobs, len(mutants)))]
    for thread in threads:
        thread.start()
    for _ in mutants:
        result = done.get()
        if isinstance(result, BaseException):
            raise result
        yield result


class _Server:
    """A process that runs mutants in a tree."""

    def __init__(self, tree: Path) -> None:
        self.tree = lay(tree)

    def __enter__(self) -> _Server:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.server"],
            cwd=self.tree,
            env=_environment(self.tree),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.tree / "server.log").open("w"),
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def run(self, mutant: Mutant, cover: Cover) -> dict[str, Any]:
        """What became of a mutant."""
        tests = cover.tests(mutant)
        seconds = 10.0 + 3.0 * sum(cover.seconds[test] for test in tests)
        job = {"file": mutant.file, "code": mutant.code, "tests": tests, "marks": cover.marks, "seconds": seconds}
        if not tests:
            return {"status": "no test", "test": "", "seconds": 0.0}
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the server has no pipes")
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the server of {self.tree} ended: {(self.tree / 'server.log').read_text()[-2000:]}")
        result: dict[str, Any] = json.loads(answer)
        return result


def _environment(tree: Path) -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(tree)}
