"""Runs mutants in one tree: ``python -m tests.mutants.server``, jobs and results as lines of JSON.

The process has the simulators and pytest loaded, but nothing of hasn; each mutant is a fork of it that imports hasn
from the tree with the slip in it. So a mutant costs its tests, and a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
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
        if path.suffix in {".c", ".h"} and not _built():
            return {"status": "killed", "test": "(the compiler)", "seconds": time.monotonic() - begin}
        status, test = _forked(job)
    finally:
        path.write_bytes(original)
        if path.suffix in {".c", ".h"}:
            _built()
    return {"status": status, "test": test, "seconds": round(time.monotonic() - begin, 3)}


def _built() -> bool:
    """The kernels, built anew in this tree."""
    for made in Path("hasn/kernels").glob("*.so"):
        made.unlink()
    done = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--force"], capture_output=True)
    return done.returncode == 0 and len(list(Path("hasn/kernels").glob("*.so"))) == len(
        list(Path("hasn/kernels").glob("*.c"))
    )


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
