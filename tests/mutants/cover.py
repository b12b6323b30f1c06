"""Which test runs which line, and how long it takes: ``python -m tests.mutants.cover OUT MARKS TESTS ...`` in a tree.

Tests that fail without any slip end this with an error: nothing can be said of mutants then.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

#: How pytest is run here and on mutants: no cache, no other plug-in's order.
PLAIN = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header")


#: What tests import and hasn does not change.
HEAVY = ("scipy.sparse", "scipy.signal", "h5py", "nir", "matplotlib.pyplot", "typer", "rich.progress", "hypothesis")
SIMULATORS = ("torch", "snntorch", "brian2", "nirtorch")


def load() -> None:
    """Import what is slow to import, so that no test is charged for it."""
    for name in (*HEAVY, *SIMULATORS):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


class Contexts:
    """Gives every test a context of its own, and takes its time."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self._seconds: dict[str, float] = defaultdict(float)
        self._now = ""
        self._uses: dict[str, set[str]] = {}
        self._shared: dict[str, tuple[str, float]] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """Test -> how long it takes on its own, as in the fork of a mutant: with the fixtures that others share."""
        return {
            test: took
            + sum(s for name, (first, s) in self._shared.items() if name in self._uses[test] and test != first)
            for test, took in self._seconds.items()
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The context is the test's name."""
        self.measured.switch_context(item.nodeid)
        self._now, self._uses[item.nodeid] = item.nodeid, set(getattr(item, "fixturenames", ()))
        try:
            return (yield)
        finally:
            self.measured.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        """Take the time of a fixture that several tests share; the first of them is charged for it anyway."""
        start = time.monotonic()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                self._shared[fixturedef.argname] = (self._now, time.monotonic() - start)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up set-up, call and clearing away."""
        self._seconds[report.nodeid] += report.duration


def arguments(tests: list[str], marks: str) -> list[str]:
    """What pytest is given for these: the conformance suite runs on one backend."""
    return [
        *PLAIN,
        "-m",
        marks,
        *(["--backend", "snntorch"] if any(t.startswith("hasn/testing") for t in tests) else []),
        *tests,
    ]


def main(out: str, marks: str, *tests: str) -> int:
    """Run the tests and write {"seconds": {test: s}, "lines": {file: {line: [test, ...]}}}."""
    load()
    measured = coverage.Coverage(
        data_file=None, source=["hasn", "backends", "conversions", "models"], config_file=False
    )
    measured.start()
    contexts = Contexts(measured)
    status = pytest.main(arguments(list(tests), marks), plugins=[contexts])
    measured.stop()
    if status:
        return int(status)
    data = measured.get_data()
    lines: dict[str, dict[int, list[str]]] = {}
    for name in data.measured_files():
        path = Path(name).resolve().relative_to(Path.cwd())
        by_line = data.contexts_by_lineno(name)  # the empty one too: what runs when tests are collected
        lines[str(path)] = {line: found for line, found in by_line.items() if any(found)}
    Path(out).write_text(json.dumps({"seconds": contexts.seconds, "lines": lines}), encoding="utf8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main(*sys.argv[1:]))
