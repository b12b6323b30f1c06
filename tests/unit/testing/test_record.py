"""What is written of a session: outcomes, facts, the page; and a graph in words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

from hasn.errors import OptionError
from hasn.nodes.lookup import kind_names
from hasn.testing import facts as module
from hasn.testing import graphs, plugin, support
from hasn.testing.cases.case import Case
from hasn.testing.facts import FEATURES, count, inner, nested
from hasn.testing.outcomes import JUDGES, Outcomes
from hasn.testing.readable import readable
from hasn.testing.support import Row, Table, carried, cell, main, not_judged, page, read, tables

# --- outcomes


def _report(outcome: str, when: str = "call", name: str = "c", **more: Any) -> Any:
    properties = [("other", 1), (JUDGES, ["r", "float64", "run", name])] if name else [("other", 1)]
    return SimpleNamespace(
        outcome=outcome, when=when, user_properties=properties, skipped=outcome == "skipped", longrepr=None, **more
    )


@pytest.mark.parametrize(
    ("reports", "found"),
    [
        ([_report("passed", "setup"), _report("passed"), _report("passed", "teardown")], ("passed", "")),
        ([_report("passed", "setup"), _report("failed"), _report("passed", "teardown")], ("failed", "")),
        ([_report("failed", "setup")], ("failed", "")),
        ([_report("passed"), _report("failed", "teardown")], ("failed", "")),
        ([_report("failed"), _report("passed")], ("failed", "")),
        ([_report("passed", "setup")], None),
        ([_report("skipped", wasxfail="reason: it cannot")], ("xfailed", "it cannot")),
        ([_report("failed", wasxfail="it did")], ("failed", "")),
        ([_report("skipped", "setup")], ("skipped", "")),
        ([_report("passed", name="")], None),
    ],
)
def test_the_outcome_of_a_test_is_its_worst_phase(
    reports: list[Any], found: tuple[str, str] | None, tmp_path: Path
) -> None:
    made = Outcomes(str(tmp_path / "x" / "r.json"))
    for report in reports:
        made.pytest_runtest_logreport(report)
    assert made.found == ({} if found is None else {("r", "float64", "run", "c"): found})


def test_outcomes_are_written_sorted_in_a_folder_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "r.json"
    made = Outcomes(str(path))
    skipped = _report("skipped", name="b")
    skipped.longrepr = ("file", 3, "Skipped: why")
    for report in (skipped, _report("passed", name="a")):
        made.pytest_runtest_logreport(report)
    made.pytest_sessionfinish()
    made.pytest_sessionfinish()
    assert json.loads(path.read_text()) == [
        ["r", "float64", "run", "a", "passed", ""], ["r", "float64", "run", "b", "skipped", "Skipped: why"],
    ]  # fmt: skip


# --- the plug-in


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        (["--pyargs", "hasn.testing"], True),
        (["-q", "hasn/testing/test_random.py"], True),
        (["tests", "hasn"], False),
        ([], False),
    ],
)
def test_the_option_is_there_for_this_suite_alone(args: list[str], asked: bool) -> None:
    heard: list[Any] = []
    parser: Any = SimpleNamespace(
        getgroup=lambda name: SimpleNamespace(addoption=lambda *a, **k: heard.append((name, a, k)))
    )
    plugin.pytest_load_initial_conftests(None, parser, args)  # type: ignore[arg-type]
    assert bool(heard) == asked
    if asked:
        ((group, names, options),) = heard
        assert (group, names) == ("hasn", ("--backend",))
        assert (options["action"], options["dest"]) == ("append", "hasn_backends")


@pytest.mark.parametrize(
    ("record", "worker", "registered"), [("r.json", False, True), ("r.json", True, False), ("", False, False)]
)
def test_outcomes_are_taken_down_once_where_they_are_asked_for(
    record: str, worker: bool, registered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASN_SUPPORT", record)
    heard: list[Any] = []
    config: Any = SimpleNamespace(
        getoption=lambda name, default: ["program"] if name == "hasn_backends" else 1 / 0,
        addinivalue_line=lambda *given: heard.append(given[0]),
        pluginmanager=SimpleNamespace(register=lambda made, name: heard.append((made.path, name))),
    )
    if worker:
        config.workerinput = {}
    plugin.pytest_configure(config)
    assert heard == ["markers", *([(record, "hasn-outcomes")] if registered else [])]


def test_unknown_backends_are_a_mistake_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        if name == "b":
            raise OptionError("unknown backend", got=name)

    monkeypatch.setattr("hasn.testing.runners.precisions", unknown)
    plugin._require(["a"])
    with pytest.raises(pytest.UsageError, match="unknown backend; got b"):
        plugin._require(["a", "b"])


# --- facts of a case


def _case(graph: nir.NIRGraph, **settings: Any) -> Case:
    return Case("made", lambda draw: graph, **settings)


def test_every_feature_of_a_case() -> None:
    draw = graphs.Draw(1)
    deep = graphs.graph({"i": graphs.inp(2), "x": nir.Scale(np.ones(2)), "o": graphs.out(2)}, "i > x > o")
    one = graphs.graph({"i": graphs.inp(2), "g": deep, "o": graphs.out(2)}, "i > g > o")
    two = graphs.graph({"i": graphs.inp(2), "g": one, "o": graphs.out(2)}, "i > g > o")
    nodes = {"a": graphs.inp(2), "b": graphs.inp(2), "n": draw.lif(2), "o": graphs.out(2), "p": graphs.out(2)}
    wide = graphs.graph(nodes, "a > n > o", "b > n > p", "n > n")
    plain = graphs.small_net()

    def of(case: Case) -> set[str]:
        return {name for name, holds in FEATURES.items() if holds(case)}

    usual = {"method euler", "reset zero", "no batch axis", "timing synchronous"}
    assert of(_case(plain)) == usual
    assert of(_case(plain, method="exact", reset="subtract", batch=1, timing="hardware", graded=True)) == {
        "method exact", "reset subtract", "batch", "timing hardware", "inputs of real numbers",
    }  # fmt: skip
    assert of(_case(one)) == usual | {"nested graphs"}
    assert of(_case(two)) == usual | {"nested graphs", "nested two deep"}
    assert of(_case(wide)) == usual | {"several Inputs", "several Outputs", "recurrence"}
    assert (nested(plain), nested(one), nested(two)) == (0, 1, 2)
    assert count(_case(wide), nir.Input) == 2
    assert sum(isinstance(node, nir.Scale) for node in inner(two)) == 1
    assert not any(isinstance(node, nir.NIRGraph) for node in inner(two))


def test_facts_are_primitives_and_features(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = graphs.graph({"i": graphs.inp(2), "x": nir.Scale(np.ones(2)), "o": graphs.out(2)}, "i > x > o")
    one = graphs.graph({"i": graphs.inp(2), "g": deep, "o": graphs.out(2)}, "i > g > o")
    monkeypatch.setattr(module, "CASES", {"one": _case(one), "plain": _case(graphs.small_net(), batch=2)})
    usual = {"method euler", "reset zero", "timing synchronous"}
    wrapped: Any = module.facts.__wrapped__
    ends = {"Input", "Output"} & set(kind_names())
    assert wrapped("one") == usual | ends | {"Scale", "NIRGraph", "nested graphs", "no batch axis"}
    assert wrapped("plain") == usual | ends | {"Affine", "Linear", "LIF", "batch"}


# --- the page


def _row(runner: str, name: str, outcome: str, kind: str = "run", precision: str = "float64", reason: str = "") -> Row:
    return Row(runner, precision, kind, name, outcome, reason)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cases: x is a LIF with a batch, y a Conv2d."""
    known = {"x": {"LIF", "batch"}, "y": {"Conv2d", "no batch axis"}}
    monkeypatch.setattr(support, "facts", lambda name: known[name])
    versions = {"a": "1.2+cpu", "b": "", "c": "3"}
    monkeypatch.setattr(support, "get_backend", lambda name: SimpleNamespace(version=lambda: versions[name]))


def test_cells_of_all_outcomes() -> None:
    assert cell(["passed", "passed", "xfailed", "failed", "skipped"], " cases") == "2 cases, 1 gaps, **1 fail**"
    assert cell(["passed"]) == "1"
    assert cell(["failed"] * 3) == "**3 fail**"
    assert cell(["xfailed"] * 2) == "2 gaps"
    assert cell([]) == cell(["skipped"]) == "–"


@pytest.mark.usefixtures("few")
def test_tables_of_a_record() -> None:
    rows = [
        _row("b", "x", "passed"), _row("a", "x", "passed"), _row("a", "y", "failed"),
        _row("a", "y", "passed", "stream"), _row("a", "x", "passed", "random", "float32"),
        _row("a", "x", "xfailed", "stream beside a run"),
    ]  # fmt: skip
    rows += [_row("a", "pair", "passed", "learning"), _row("a", "two-layers", "failed", "learning")]
    primitive, feature, rule, tests = tables(rows)
    assert [table.title for table in (primitive, feature, rule, tests)] == [
        "node kind", "feature", "learning rule", "tests",
    ]  # fmt: skip
    assert list(rule.cells) == ["a float64", "b float64"]
    assert rule.cells["a float64"]["pair STDP"] == "1 cases, **1 fail**"
    assert rule.cells["a float64"]["Oja"] == rule.cells["b float64"]["pair STDP"] == "–"
    assert (primitive.rows, feature.rows) == (kind_names(), tuple(FEATURES))
    assert list(primitive.cells) == ["a float64", "a float32", "b float64", "b float32"]
    assert (primitive.cells["a float64"]["LIF"], primitive.cells["a float64"]["Conv2d"]) == ("1 cases", "**1 fail**")
    assert primitive.cells["a float64"]["Scale"] == primitive.cells["a float32"]["LIF"] == "–"
    assert set(primitive.cells["b float32"].values()) == set(feature.cells["b float32"].values()) == {"not offered"}
    assert (feature.cells["a float64"]["batch"], feature.cells["b float64"]["no batch axis"]) == ("1 cases", "–")
    assert tests.rows == (
        "version", "cases, whole sequences", "cases, step by step, state saved and loaded", "a run beside a stream",
        "tests of random networks", "cases that learn", "cases on Lava's learning engine",
        "the same, two steps for one",
    )  # fmt: skip
    assert [tests.cells["a float64"][row] for row in tests.rows] == [
        "1.2", "1, **1 fail**", "1", "1 gaps", "–", "1, **1 fail**", "–", "–",
    ]  # fmt: skip
    assert [tests.cells["a float32"][row] for row in tests.rows] == ["1.2", "–", "–", "–", "1", "–", "–", "–"]
    assert tests.cells["b float64"]["version"] == "not installed"


def test_a_table_as_text() -> None:
    table = Table("t", ("x", "y"), {"a 1": {"x": "2", "y": "3"}, "b 1": {"x": "4"}})
    assert table.text() == "| t | a 1 | b 1 |\n| --- | --- | --- |\n| x | 2 | 4 |\n| y | 3 |  |"


def test_columns_of_absent_backends_are_carried_over() -> None:
    fresh = Table("t", ("x", "y", "new"), {k: dict.fromkeys(("x", "y", "new"), "-") for k in ("a 1", "b 1", "c 1")})
    old = (
        "# Page\n\n| s | b 1 |\n| --- | --- |\n| x | 9 |\n\n"
        "| t | b 1 | a 1 |\n| --- | --- | --- |\n| x | 1 | 2 |\n| y | 3 | 4 |\n"
    )
    found = carried(fresh, old, {"b", "c"})
    assert (found.title, found.rows) == ("t", fresh.rows)
    assert found.cells["a 1"] == fresh.cells["a 1"]
    assert found.cells["b 1"] == {"x": "1", "y": "3"}
    assert found.cells["c 1"] == fresh.cells["c 1"]  # the old page does not know it
    assert fresh.cells["b 1"]["x"] == "-"
    assert carried(fresh, "", {"b"}) is fresh
    assert carried(fresh, "| other | b 1 |\n", {"b"}) is fresh
    assert carried(fresh, old, set()).cells == fresh.cells


def test_rows_of_other_tables_are_not_carried() -> None:
    fresh = Table("t", ("x", "y"), {"b 1": {"x": "-", "y": "-"}})
    old = "| t | b 1 |\n| --- | --- |\n| x | 1 |\n| y | 2 |\n| x | 7 |\n"
    assert carried(fresh, old, {"b"}).cells["b 1"] == {"x": "1", "y": "2"}


def test_backends_of_which_nothing_ran() -> None:
    rows = [_row("a", "x", "skipped"), _row("a", "y", "failed"), _row("b", "x", "skipped"), _row("c", "x", "xfailed")]
    assert not_judged(rows) == {"b"}


@pytest.mark.usefixtures("few")
def test_the_page_ends_with_the_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "NOT_OFFERED", {("a", "float32"): "it is not", ("z", "float32"): "nobody"})
    rows = [
        _row("a", "y", "xfailed", reason="second"), _row("a", "x", "xfailed", reason="first"),
        _row("a", "x", "xfailed", "stream", reason="first"), _row("a", "y", "failed", "stream", reason="no gap"),
    ]  # fmt: skip
    text = page(rows)
    assert text.endswith(
        "## Gaps, and why\n- **a float32**, not offered: it is not\n- **a float64**, x: first\n"
        "- **a float64**, y: second\n"
    )
    assert text.startswith("# What runs where\n")
    assert text.count("\n| --- |") == 4
    assert "## Gaps" not in page([_row("b", "x", "passed")])


def test_interpreters_are_no_backends(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([["program", "float64", "run", "x", "passed", ""], ["b", "p", "k", "n", "o", "r"],
                                ["network", "float64", "run", "x", "passed", ""]]))  # fmt: skip
    assert read(path) == [Row("b", "p", "k", "n", "o", "r")]


@pytest.mark.usefixtures("few")
def test_the_command_names_who_was_absent_and_writes_only_where_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("build").mkdir()
    Path("docs").mkdir()
    Path("build/support.json").write_text(json.dumps([["a", "float64", "run", "x", "passed", ""],
                                                      ["c", "float64", "run", "x", "skipped", ""],
                                                      ["b", "float64", "run", "x", "skipped", ""]]))  # fmt: skip
    assert main(["--check"]) == 1
    assert not Path("docs/support.md").exists()
    assert main([]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == [f"{name} could not run here: its column stays as it was" for name in "bc"]
    assert "docs/support.md is stale: run `make support` and commit it" in said
    assert "--- docs/support.md" in said
    assert main(["--check"]) == 0
    assert Path("docs/support.md").read_text().startswith("# What runs where")


# --- a graph in words


def test_a_graph_in_words() -> None:
    lif = nir.LIF(tau=np.full(2, 0.01), r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.ones(2), v_reset=np.zeros(2))
    lif.metadata = {"v_init": np.array([0.5, 1.0]), "reset": "zero"}
    inside = graphs.graph({"i": graphs.inp(2), "s": nir.Scale(np.array([1.23456789, 2.0])), "o": graphs.out(2)},
                          "i > s > o")  # fmt: skip
    nodes = {"in": graphs.inp(2, 3), "w": nir.Linear(np.arange(13.0).reshape(1, 13)), "n": lif, "g": inside}
    lines = readable(graphs.graph(nodes, "in > w > n > g"), "").splitlines()
    assert lines[0] == "in: Input (2, 3)"
    assert lines[1] == "w: Linear weight=(1, 13) from 0 to 12"
    assert lines[2] == (
        "n: LIF metadata={v_init: [0.5, 1. ], reset: zero} tau=[0.01, 0.01] r=[1., 1.] v_leak=[0., 0.] "
        "v_threshold=[1., 1.] v_reset=[0., 0.]"
    )
    assert lines[3:] == [
        "g: NIRGraph", "    i: Input (2,)", "    s: Scale scale=[1.23457, 2.     ]", "    o: Output (2,)",
        "    edges: i > s, s > o", "edges: in > w, w > n, n > g",
    ]  # fmt: skip
    assert readable(graphs.graph({"w": nir.Linear(np.arange(12.0).reshape(2, 6))}), " ").startswith(
        " w: Linear weight=[[ 0.,  1.,"
    )
    conv = graphs.Draw(1).conv1d(1, 1, 1, stride=2)
    assert "stride=2" in readable(graphs.graph({"c": conv}))
    assert "input_shape" not in readable(graphs.graph({"c": conv}))
    assert "metadata" not in readable(graphs.graph({"c": conv}))
