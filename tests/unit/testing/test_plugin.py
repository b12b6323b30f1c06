"""The suite as a third party runs it: the option, a backend that is right, one that is wrong, one with gaps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hasn

#: Three backends of another project: the interpreter as it is, one that never resets, and one that says so.
MODULE = """
from hasn.backend import Backend
from hasn.program.model import Neurons
from hasn.testing.interpreter import NetworkInterpreter


class Right(Backend):
    name, precisions = "right", ("float64",)

    def why_not(self):
        return ""

    def version(self):
        return "1"

    def compile(self, program, graph, precision):
        return self.interpreter(program)

    interpreter = NetworkInterpreter


class NeverResets(NetworkInterpreter):
    def evaluate(self, step, total, inputs):
        z = super().evaluate(step, total, inputs)
        if isinstance(step, Neurons) and step.spiking and step.reset == "subtract":
            states = self.populations[step.name].states
            states["v"] = states["v"] + z * step.firing.jump
        return z


class Wrong(Right):
    name, interpreter = "wrong", NeverResets


class Frank(Wrong):
    name = "frank"
    conformance_gaps = {"*/*-subtract": "it cannot subtract"}


class Absent(Right):
    name = "absent"

    def why_not(self):
        return "its simulator is not there"


RIGHT, WRONG, FRANK, ABSENT = Right(), Wrong(), Frank(), Absent()
"""

ENTRY_POINTS = """[hasn.backends]
right = third_party:RIGHT
wrong = third_party:WRONG
frank = third_party:FRANK
absent = third_party:ABSENT
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with another project's package in it, as pip would install it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "third_party.py").write_text(MODULE)
    info = folder / "third_party-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "test_own.py").write_text("def test_own():\n    pass\n")
    return folder


def session(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest in that folder, with nothing of this session's own settings but the hasn that it tests."""
    here = str(Path(hasn.__file__).parents[1])
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "HASN_SUPPORT", "COV"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=200, check=False,
        env={**kept, "PYTHONPATH": os.pathsep.join((str(folder), here)), **environment},
    )  # fmt: skip


def test_the_plugin_imports_nothing_heavy() -> None:
    code = "import sys, hasn.testing.plugin; print(*{name.split('.')[0] for name in sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hasn" in found
    assert not {"numpy", "nir", "pytest", "hypothesis", "torch", "brian2"} & set(found)


def test_other_peoples_sessions_have_no_such_option(elsewhere: Path) -> None:
    assert session(elsewhere, "test_own.py").returncode == 0
    done = session(elsewhere, "test_own.py", "--backend", "right")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --backend" in done.stderr


def test_an_unknown_backend_is_named_with_those_there_are(elsewhere: Path) -> None:
    done = session(elsewhere, "--pyargs", "hasn.testing", "--backend", "nobody")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    text = done.stdout + done.stderr
    assert "unknown backend; got 'nobody'" in text
    assert "frank" in text
    assert "Traceback" not in text


def judged(folder: Path, name: str, *more: str) -> tuple[int, dict[str, str]]:
    """The exit status, and outcome by case, of a dozen cases on a backend."""
    record = folder / f"{name}.json"
    chosen = ("-k", "LIF-euler and not stream and not Adaptive and not refractory", *more)
    done = session(folder, "--pyargs", "hasn.testing", "--backend", name, *chosen, HASN_SUPPORT=str(record))
    rows = json.loads(record.read_text())
    assert {row[0] for row in rows} == {name}, done.stdout
    return done.returncode, {row[3]: row[4] for row in rows if row[2] == "run"}


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_a_right_backend_passes(elsewhere: Path, more: tuple[str, ...]) -> None:
    """Also where xdist spreads the tests: the option and the record cross to and from its processes."""
    status, found = judged(elsewhere, "right", *more)
    assert status == 0
    assert len(found) == 8
    assert set(found.values()) == {"passed"}


def test_a_wrong_backend_is_caught(elsewhere: Path) -> None:
    status, found = judged(elsewhere, "wrong")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert found["LIF-euler-subtract"] == found["CubaLIF-euler-subtract-batch"] == "failed"
    assert found["LIF-euler-zero"] == "passed"


def test_a_gap_is_an_expected_failure_with_its_reason(elsewhere: Path) -> None:
    status, found = judged(elsewhere, "frank", "-k", "LIF-euler and not batch and not stream and not Adaptive")
    assert status == 0
    assert found == {
        "LIF-euler-zero": "passed",
        "LIF-euler-subtract": "xfailed",
        "CubaLIF-euler-zero": "passed",
        "CubaLIF-euler-subtract": "xfailed",
    }
    assert "it cannot subtract" in (elsewhere / "frank.json").read_text()


def test_what_cannot_run_here_is_skipped_with_the_reason(elsewhere: Path) -> None:
    status, found = judged(elsewhere, "absent")
    assert status == 0
    assert set(found.values()) == {"skipped"}
    assert "its simulator is not there" in (elsewhere / "absent.json").read_text()
