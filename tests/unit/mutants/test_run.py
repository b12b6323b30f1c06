"""A mutant is run in a tree of its own, and what its tests say is reported."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hasn.kernels.events import events_available
from tests.mutants.cover import Contexts
from tests.mutants.mutant import Mutant
from tests.mutants.page import Outcome, table, write_page
from tests.mutants.rooms import ROOT, Room
from tests.mutants.run import BUILD, Cover, tried
from tests.mutants.verdicts import Verdict, Verdicts

TEST = "tests/unit/test_errors.py"
EVENTS, KERNELS = "hasn/kernels/_events.c", "tests/unit/kernels/test_events.py"


def mutant(old: str, new: str, file: str = "hasn/errors.py", line: int = 1) -> Mutant:
    source = (ROOT / file).read_text(encoding="utf8")
    assert source.count(old) >= 1
    return Mutant(file, "f", line, line, "number", old, new, 0, source.replace(old, new))


def cover() -> Cover:
    return Cover({TEST: 1.0}, {"hasn/errors.py": {1: [TEST]}}, "digest", "not slow")


def test_a_slip_is_noticed_or_not_and_the_checkout_stays_as_it_is() -> None:
    """In C too, where only the kernel that the file is part of is built, and the old one comes back."""
    before = (ROOT / "hasn/errors.py").read_bytes()
    names = {
        line.split("(")[0].removeprefix("def ")
        for line in (ROOT / TEST).read_text().splitlines()
        if line.startswith("def test")
    }
    tests = {f"{TEST}::{name}": 0.1 for name in names}
    same = mutant("class HasnError(Exception)", "class HasnError(  Exception)")
    gone = mutant("from __future__ import annotations", "import what_is_not_there")
    lost, wrong = (mutant("count += x[i] != 0;", new, EVENTS) for new in ("count += x[i] > 0;", "count += x[i] != no;"))
    events = f"{KERNELS}::test_what_is_not_finite_is_not_lost"
    lines = {"hasn/errors.py": {1: list(tests)}, "hasn/kernels/events.py": {1: [events]}}
    there = Cover({**tests, events: 0.1}, lines, "digest", "not slow")
    kernels = BUILD / "tree-0/hasn/kernels"
    wanted = {same: "survived", gone: "killed", wrong: "killed"} | ({lost: "killed"} if events_available() else {})
    found = dict(tried(list(wanted), there, 1))
    assert {slip: result["status"] for slip, result in found.items()} == wanted
    assert found[wrong]["test"] == "(the compiler)"
    assert not events_available() or found[lost]["test"] == events
    assert (ROOT / "hasn/errors.py").read_bytes() == before
    for built in (ROOT / "hasn/kernels").glob("*.so"):
        assert (kernels / built.name).read_bytes() == built.read_bytes()


def test_what_collecting_tests_runs_too_is_judged_by_all_tests_of_its_file() -> None:
    """A function with a cache is run once, and every test reads what it gave."""
    lines = {"hasn/errors.py": {7: ["", "b"], 8: ["a"], 9: ["c"]}, "hasn/signals.py": {1: ["d"]}}
    there = Cover({"a": 0.1, "b": 0.5, "c": 0.2, "d": 0.1}, lines, "digest", "not slow")
    assert there.tests(mutant("class", "klass", line=7)) == ["b", "a", "c"]
    assert there.tests(mutant("class", "klass", line=9)) == ["c"]


def test_of_what_no_line_is_seen_the_tests_of_its_caller_are_run() -> None:
    lines = {"hasn/kernels/events.py": {3: ["b"]}, "hasn/errors.py": {1: ["a"]}}
    slip = mutant("SHARE", "Share", "hasn/kernels/_events.c")
    assert Cover({"a": 1.0, "b": 1.0}, lines, "digest", "not slow").tests(slip) == ["b"]


def test_the_tests_of_a_line_come_fastest_first_and_slow_ones_not_at_all() -> None:
    seconds = {"a": 3.0, "b": 0.1, "c": 99.0, "d": 0.2}
    there = Cover(seconds, {"hasn/errors.py": {7: ["a", "b", "c"], 9: ["d"]}}, "digest", "not slow")
    slip = mutant("class", "klass", line=7)
    assert there.tests(slip) == ["b", "a"]
    assert there.tests(Mutant(**{**vars(slip), "line": 9, "statement": 7})) == ["b", "d", "a"]
    assert there.tests(Mutant(**{**vars(slip), "line": 8, "statement": 8})) == ["b", "d", "a"]  # imports alone run it


def test_what_is_known_is_not_tried_again(tmp_path: Path) -> None:
    kept = Verdicts(tmp_path / "a" / "verdicts.json")
    killed, alive = mutant("class", "klass"), mutant("import", "export")
    kept.add(killed, Verdict("killed", "t", 1.0, "tests 1", "file 1"))
    kept.add(alive, Verdict("survived", "", 1.0, "tests 1", "file 1"))
    kept.save()
    again = Verdicts(kept.path)
    assert again.known(killed, "tests 2", "file 1", {"t"}) == Verdict("killed", "t", 1.0, "tests 1", "file 1")
    assert again.known(killed, "tests 2", "file 1", {"u"}) is None  # the test that noticed is gone
    assert again.known(killed, "tests 1", "file 2", {"t"}) is None
    assert again.known(alive, "tests 1", "file 1", {"t"}) is not None
    assert again.known(alive, "tests 2", "file 1", {"t"}) is None


def test_code_that_runs_in_another_process_is_judged_by_the_tests_that_are_named() -> None:
    seconds, lines = {"t/a.py::one": 1.0, "t/b.py::two": 0.5}, {"hasn/errors.py": {7: ["t/b.py::two"]}}
    there = Cover(seconds, lines, "digest", "not slow", {"hasn/errors.py": ["t/a.py"]})
    found = [there.tests(Mutant("hasn/errors.py", "", line, line, "", "", "", 0, "")) for line in (7, 9)]
    assert found == [["t/b.py::two"], ["t/a.py::one"]]


def test_the_report_counts_and_shows_survivors(tmp_path: Path) -> None:
    room = Room("hasn/x", ("hasn/errors.py",), (TEST,), 90, 10)
    killed, alive, same = mutant("class", "klass"), mutant("import", "<export>"), mutant("def", "fed")
    verdicts = {killed: Verdict("killed", "fast", 1.0, "", ""), alive: Verdict("survived", "", 1.0, "", "")}
    outcome = Outcome(room, 1234, verdicts, {same: "a reason"}, {"fast": 0.1, "slow": 9.0})
    assert outcome.rate == 50.0
    assert outcome.idle() == [("slow", 9.0)]
    assert table([outcome]).splitlines()[-1] == "| `hasn/x` | 1,234 | 2 | 1 | 1 | 50.0 % | 90 % |"
    write_page(tmp_path / "report.html", [outcome])
    page = (tmp_path / "report.html").read_text(encoding="utf8")
    assert "&lt;export&gt;" in page
    assert "klass" not in page
    assert "a reason" in page
    assert "slow: 9.0 s" in page
    assert 'class="short"' in page


SHARED = """
import time, pytest

@pytest.fixture(scope="module")
def dear():
    time.sleep(0.2)

@pytest.fixture
def through(dear): pass

def test_first(dear): pass
def test_second(through): pass
def test_cheap(): pass
"""


def test_a_fixture_that_tests_share_is_charged_to_each_of_them(tmp_path: Path) -> None:
    """In the fork of a mutant nobody has made it yet."""
    (tmp_path / "test_shared.py").write_text(SHARED)
    measured: Any = SimpleNamespace(switch_context=lambda name: None)
    contexts = Contexts(measured)
    assert (
        pytest.main(["-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)], plugins=[contexts]) == 0
    )
    first, second, cheap = contexts.seconds.values()
    assert min(first, second) >= 0.2
    assert cheap < 0.1
