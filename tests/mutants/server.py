"""Runs mutants in one tree: ``python -m tests.mutants.server``, jobs and results as lines of JSON.

The process has the simulators and pytest loaded, but nothing of hasn; each mutant is a fork of it that imports hasn
from the tree with the slip in it. So a mutant costs its tests, and a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.mutants.cover import arguments, load


class _Chosen:
    """The tests that were asked for, in that order; remembers the first that fails."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {name: i for i, name in enumerate(tests)}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the others out."""
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda i: self.place[i.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Put the slip in, run the tests, take it out: {"status", "test", "seconds"}."""
    path = Path(job["file"])
    original = path.read_bytes()
    begin = time.monotonic()
    try:
        path.write_text(job["code"], encoding="utf8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink(missing_ok=True)
        with _rebuilt(path) as whole:
            status, test = _forked(job) if whole else ("killed", "(the compiler)")
    finally:
        path.write_bytes(original)
    return {"status": status, "test": test, "seconds": round(time.monotonic() - begin, 3)}


#: Builds the extensions that a file is part of, and fails where one cannot be built: they are optional only to users.
_BUILD = """
import sys, setuptools
from distutils.core import run_setup
file, folder = sys.argv[1:]
command = ["-q", "build_ext", "--build-lib", folder, "--build-temp", folder + "/objects"]
made = run_setup("setup.py", command, stop_after="commandline")
made.ext_modules = [e for e in made.ext_modules if file in e.sources + e.depends]
for extension in made.ext_modules:
    extension.optional = False
made.run_commands()
"""


@contextlib.contextmanager
def _rebuilt(source: Path) -> Iterator[bool]:
    """The kernels that a file in C is part of, built anew for as long as this lasts; whether they could be built."""
    if source.suffix not in {".c", ".h"}:
        yield True
        return
    with TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", _BUILD, str(source), folder], capture_output=True)
        made = list(Path(folder).rglob("*.so"))
        before = {path: path.read_bytes() for path in (source.parent / new.name for new in made) if path.exists()}
        for new in made:  # never written in place: a process may have it loaded
            (source.parent / new.name).unlink(missing_ok=True)
            shutil.copy2(new, source.parent)
    try:
        yield done.returncode == 0
    finally:
        for new in made:
            path = source.parent / new.name
            path.unlink()
            if path in before:
                path.write_bytes(before[path])


def _forked(job: dict[str, Any]) -> tuple[str, str]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(read)
        _child(job, write)
    os.close(write)
    end = time.monotonic() + 20 * job["seconds"]  # tests may wait for processes, and the machine be busy
    code: int | None = None
    while code is None and time.monotonic() < end:
        done, state = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(state)
        else:
            time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started goes with them
    if code is None:
        os.waitpid(child, 0)
        os.close(read)
        return "killed", "(it took too long)"
    with os.fdopen(read, encoding="utf8") as said:
        test = said.read()
    if code < 0:
        return "killed", "(it took too long)"
    if code == 0:
        return "survived", ""
    return ("no test", "") if code == 5 else ("killed", test or "(nothing could be imported)")


def _child(job: dict[str, Any], write: int) -> None:
    chosen = _Chosen(job["tests"])
    code = 70
    resource.setrlimit(resource.RLIMIT_CPU, (int(job["seconds"]), int(job["seconds"]) + 1))
    try:
        with Path("mutant.log").open("wb") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        files = sorted({name.split("::")[0] for name in job["tests"]})
        code = int(pytest.main(["-x", *arguments(files, job["marks"])], plugins=[chosen]))
        sys.stdout.flush()
        os.write(write, chosen.failed.encode())
    finally:
        os._exit(code)


def main() -> None:
    """Answer jobs until there are none."""
    sys.path.insert(0, str(Path.cwd()))
    sys.dont_write_bytecode = True
    load()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201 - this is the answer


if __name__ == "__main__":
    main()
