"""The suite as a third party runs it: the option, a backend that is right, one that is wrong, one with gaps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages import install, python

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
    """A folder with another project's package in it."""
    folder = install(tmp_path_factory.mktemp("site"), "third_party", {"third_party": MODULE}, ENTRY_POINTS)
    (folder / "test_own.py").write_text("def test_own():\n    pass\n")
    return folder


def session(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest in that folder."""
    return python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, **environment)


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


Judged = tuple[int, dict[str, dict[str, str]]]


def judged(folder: Path, record: str, *more: str) -> Judged:
    """The exit status, and backend -> case -> outcome of a dozen cases."""
    chosen = ("-k", "LIF-euler and not stream and not Adaptive and not refractory", *more)
    done = session(folder, "--pyargs", "hasn.testing", *chosen, HASN_SUPPORT=str(folder / record))
    found: dict[str, dict[str, str]] = {}
    for backend, _, kind, case, outcome, _ in json.loads((folder / record).read_text()):
        if kind == "run":
            found.setdefault(backend, {})[case] = outcome
    assert found, done.stdout
    return done.returncode, found


def of(*names: str) -> tuple[str, ...]:
    return tuple(part for name in names for part in ("--backend", name))


@pytest.fixture(scope="module")
def together(elsewhere: Path) -> Judged:
    """All four in one session, which takes seconds to start."""
    return judged(elsewhere, "together.json", *of("right", "wrong", "frank", "absent"))


def test_a_right_backend_passes(together: Judged) -> None:
    found = together[1]["right"]
    assert len(found) == 12
    assert set(found.values()) == {"passed"}


def test_a_wrong_backend_is_caught(together: Judged) -> None:
    status, found = together
    assert status == pytest.ExitCode.TESTS_FAILED
    assert found["wrong"] == {case: "failed" if "subtract" in case else "passed" for case in found["right"]}


def test_a_gap_is_an_expected_failure_with_its_reason(elsewhere: Path, together: Judged) -> None:
    found = together[1]["frank"]
    assert found == {
        case: "xfailed" if case.endswith("-subtract") else wanted for case, wanted in together[1]["wrong"].items()
    }
    assert set(found.values()) == {"passed", "failed", "xfailed"}
    assert "it cannot subtract" in (elsewhere / "together.json").read_text()


def test_what_cannot_run_here_is_skipped_with_the_reason(elsewhere: Path, together: Judged) -> None:
    assert set(together[1]["absent"].values()) == {"skipped"}
    assert "its simulator is not there" in (elsewhere / "together.json").read_text()


def test_expected_failures_and_skips_end_well_and_xdist_may_spread_the_tests(elsewhere: Path) -> None:
    """The options and the record cross to and from xdist's processes."""
    few = ("-k", "LIF-euler and not stream and not batch and not Adaptive and not refractory")
    status, found = judged(elsewhere, "spread.json", *few, "-n", "2", *of("right", "frank", "absent"))
    assert status == 0
    assert {case: found["frank"][case] for case in found["right"]} == {
        "LIF-euler-zero": "passed",
        "LIF-euler-subtract": "xfailed",
        "CubaLIF-euler-zero": "passed",
        "CubaLIF-euler-subtract": "xfailed",
        "HomeostaticLIF-euler-zero": "passed",
        "HomeostaticLIF-euler-subtract": "xfailed",
    }
    assert set(found["right"].values()) == {"passed"}
    assert set(found["absent"].values()) == {"skipped"}
