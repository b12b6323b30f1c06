"""docs/support.md: what passed, what did not and why, and what a machine without a simulator cannot say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hasn.testing.cases import CASES
from hasn.testing.facts import facts
from hasn.testing.support import main

Rows = list[list[str]]


def rows(outcome: str = "passed", reason: str = "", backend: str = "brian2") -> Rows:
    """Three cases in float64, one of them with this outcome."""
    names = {"LIF-euler-zero": "passed", "Conv2d-exact-zero": outcome, "nested_two_deep": "passed"}
    return [[backend, "float64", "run", name, what, reason if what != "passed" else ""] for name, what in names.items()]


def absent(backend: str = "lava") -> Rows:
    return [[backend, "float64", "run", "LIF-euler-zero", "skipped", "no Python 3.10"]]


def run(folder: Path, found: Rows, *arguments: str) -> int:
    (folder / "record.json").write_text(json.dumps(found))
    return main(["--record", str(folder / "record.json"), "--page", str(folder / "page.md"), *arguments])


def line(folder: Path, start: str) -> list[str]:
    """The cells of a row."""
    page = (folder / "page.md").read_text()
    return next(text for text in page.splitlines() if text.startswith(f"| {start} |")).split(" | ")[1:]


def test_facts_of_cases() -> None:
    assert {"LIF", "NIRGraph", "nested two deep", "method euler", "no batch axis"} <= facts("nested_two_deep")
    assert "recurrence" in facts("nested_recurrence")
    assert "recurrence" not in facts("nested_two_deep")
    assert all(facts(name) for name in CASES)


def test_cells_count_what_passed(tmp_path: Path) -> None:
    assert run(tmp_path, rows()) == 0
    assert line(tmp_path, "LIF") == ["3 cases", "not offered |"]
    assert line(tmp_path, "Conv2d") == ["1 cases", "not offered |"]
    assert line(tmp_path, "cases, whole sequences") == ["3", "– |"]


def test_gaps_and_failures_are_shown(tmp_path: Path) -> None:
    run(tmp_path, rows("xfailed", "it has none"))
    assert line(tmp_path, "LIF") == ["2 cases, 1 gaps", "not offered |"]
    assert "- **brian2 float64**, Conv2d-exact-zero: it has none" in (tmp_path / "page.md").read_text()
    run(tmp_path, rows("failed"))
    assert line(tmp_path, "Conv2d") == ["**1 fail**", "not offered |"]


def test_a_stale_page_is_told_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, rows())
    before = (tmp_path / "page.md").read_text()
    assert run(tmp_path, rows(), "--check") == 0
    assert run(tmp_path, rows("failed"), "--check") == 1
    assert (tmp_path / "page.md").read_text() == before
    said = capsys.readouterr().err
    assert "-| Conv2d | 1 cases" in said
    assert "is stale: run `make support`" in said


def test_a_simulator_that_is_not_here_keeps_its_column(tmp_path: Path) -> None:
    run(tmp_path, [*rows(), *rows(backend="lava")])
    assert line(tmp_path, "LIF") == ["3 cases", "not offered", "3 cases", "not offered |"]
    assert run(tmp_path, [*rows(), *absent()], "--check") == 0
    assert run(tmp_path, [*rows("failed"), *absent()], "--check") == 1
    run(tmp_path, [*rows("failed"), *absent()])
    assert line(tmp_path, "LIF") == ["2 cases, **1 fail**", "not offered", "3 cases", "not offered |"]


def test_without_a_record_it_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--record", str(tmp_path / "none.json")])
    assert "run the tests with HASN_SUPPORT=" in capsys.readouterr().err


def test_the_column_of_lavas_learning_engine(tmp_path: Path) -> None:
    """What passed there, how much of it a chip could take, and rules without a place."""
    learnt = [["lava", "float64", "learning", "pair", "passed", ""]]
    engine = {"pair": "passed", "pair-free": "failed", "pair-loop": "passed", "triplet": "passed"}
    found = [*learnt, *(["lava", "float64", "engine", name, how, ""] for name, how in engine.items())]
    run(tmp_path, [*found, ["lava", "float64", "engine-exact", "pair", "passed", ""]])
    assert line(tmp_path, "learning rule") == ["lava float64", "lava engine", "lava engine-exact |"]
    assert line(tmp_path, "pair STDP") == ["1 cases", "2 cases, **1 fail**, 1 deployable", "1 cases, 1 deployable |"]
    assert line(tmp_path, "triplet STDP")[1:] == ["1 cases, 1 deployable", "– |"]
    assert line(tmp_path, "inhibitory STDP")[-1] == "– |"
    assert line(tmp_path, "BCM")[-1] == "refused |"
    assert line(tmp_path, "cases on Lava's learning engine")[0] == "3, **1 fail**"
    run(tmp_path, rows())
    assert line(tmp_path, "learning rule") == ["brian2 float64 |"]
