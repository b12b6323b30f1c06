"""The suite's judge: what it lets pass, what it names, and by how much."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.recording import Counts, Recording
from hasn.testing import gaps, matrix
from hasn.testing.cases import CASES
from hasn.testing.gaps import gap
from hasn.testing.judge import assert_close, assert_same, tolerance, without_batch
from hasn.testing.matrix import Cell, expected
from hasn.testing.reference import Reference


def _pair(**changes: Any) -> tuple[Recording, Reference]:
    """A recording that is the reference's, but for ``changes``: 4 steps, 3 neurons."""
    spikes = np.zeros((4, 3), dtype=bool)
    spikes[1, 2] = spikes[3, 0] = True
    volts, out = np.arange(12.0).reshape(4, 3) / 8, np.full((4, 1), -2.0)
    found = Recording({"o": out.copy()}, {"n": spikes.copy()}, {"n": volts.copy()}, 1e-3, {}, Counts({"n": 2}))
    return dataclasses.replace(found, **changes), Reference({"o": out}, {"n": spikes}, {"n": volts}, {})


def test_the_same_passes() -> None:
    found, wanted = _pair()
    assert_same(found, wanted, 0.0)


def test_each_kind_of_difference_is_named() -> None:
    plain, wanted = _pair()
    spikes, volts, out = plain.spikes["n"], plain.voltages["n"], plain.outputs["o"]
    late = spikes.copy()
    late[2, 1] = True
    off, shown = volts.copy(), out.copy()
    off[2, 1] += 0.01
    shown[3, 0] += 0.01
    nan = volts.copy()
    nan[2, 1] = np.nan
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"spikes": {}}, None),
        ({"spikes": {"n": spikes, "more": spikes}}, None),
        ({"spikes": {"n": spikes.astype(int)}}, None),
        ({"spikes": {"n": spikes[:3]}}, "spikes of n"),
        ({"spikes": {"n": late}}, r"n: 1 differing spikes, the first at \(step, ...\) \[2 1\]"),
        ({"voltages": {}}, None),
        ({"voltages": {"n": volts[:3]}}, "voltage of n"),
        ({"voltages": {"n": off}}, r"voltage of n is off by 1.00e-02 at \(step, ...\) "),
        ({"voltages": {"n": nan}}, "voltage of n is not finite"),
        ({"outputs": {"o": shown}}, "output of o is off by"),
        ({"outputs": {}}, None),
        ({"counts": Counts({"n": 3})}, None),
        ({"counts": Counts({})}, None),
    ]
    for changes, message in cases:
        with pytest.raises(AssertionError, match=message):
            assert_same(_pair(**changes)[0], wanted, 1e-9)


def test_the_tolerance_is_a_part_of_the_largest_magnitude() -> None:
    """The largest is 8, negative: a part of 1/16 is 0.5, in whichever direction."""
    wanted = np.array([[-8.0, 1.0], [0.0, 2.0]])
    for error, good in ((0.5, True), (-0.5, True), (0.5001, False), (-0.5001, False)):
        found = wanted.copy()
        found[1, 0] += error
        if good:
            assert_close("x", {"n": found}, {"n": wanted}, 1 / 16)
        else:
            with pytest.raises(AssertionError, match=r"x of n is off by 5.00e-01 at \(step, ...\) \(.*1.*, .*0.*\)"):
                assert_close("x", {"n": found}, {"n": wanted}, 1 / 16)
    zeros = {"n": np.zeros((2, 2))}
    assert_close("x", zeros, zeros, 0.1)


def test_tolerances() -> None:
    assert tolerance("float64", 200) == tolerance("float64", 1) == 1e-9
    assert tolerance("float32", 10) == tolerance("float32", 40) == pytest.approx(2e-5)
    assert tolerance("float32", 41) == pytest.approx(2.05e-5)


def test_the_batch_axis_is_taken_out_of_all_arrays() -> None:
    arrays = [np.arange(12 * k).reshape(3, 2, 2 * k) for k in (1, 2, 3)]
    cut = without_batch(Reference({"o": arrays[0]}, {"s": arrays[1]}, {"v": arrays[2]}, {"s": 0.5}, 3.0))
    for found, array in zip((cut.outputs["o"], cut.spikes["s"], cut.voltages["v"]), arrays, strict=True):
        assert np.array_equal(found, array[:, 0])
    assert (cut.margins, cut.scale) == ({"s": 0.5}, 3.0)


# --- gaps, cells


def test_a_gap_is_that_runners_and_by_its_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        gaps, "GAPS", {("mine", "float32/*"): "no", ("mine", "*/Conv*"): "nor this", ("other", "*"): "x"}
    )
    own = SimpleNamespace(conformance_gaps={"float64/LIF": "its own"})
    monkeypatch.setattr(gaps, "get_backend", lambda name: own if name == "mine" else object())
    asked = [("float32", "A"), ("float64", "A"), ("float64", "Conv1d"), ("float64", "LIF"), ("float64", "lif")]
    assert [gap("mine", *place) for place in asked] == ["no", "", "nor this", "its own", ""]
    assert gap("other", "float64", "A") == "x"
    assert gap("third", "float64", "A") == ""
    monkeypatch.setattr(gaps, "get_backend", lambda name: 1 / 0)
    assert gap("program", "float64", "A") == gap("network", "float64", "A") == ""


def _config(given: Any) -> Any:
    return SimpleNamespace(getoption=lambda name, default: given if name == "hasn_backends" else default)


def test_who_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "everyone", lambda: ("a", "b"))
    assert matrix.chosen(_config(["x", "y"])) == ("x", "y")
    assert matrix.chosen(_config(None)) == matrix.chosen(_config([])) == ("a", "b")


def test_cells_of_a_test_with_their_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        matrix, "precisions", lambda runner: ("float64", "float32") if runner == "lava" else ("float64",)
    )
    monkeypatch.setattr(matrix, "gap", lambda *cell: "why" if cell == ("lava", "float32", "two") else "")
    made: list[Any] = []
    metafunc: Any = SimpleNamespace(config=_config(["lava", "b"]), parametrize=lambda *a, **k: made.append((a, k)))
    names = {"lava": ["one", "two"], "b": ["three"]}
    matrix.parametrise(metafunc, "stream", lambda runner: names[runner])
    matrix.parametrise(metafunc, "run", lambda runner: names[runner], ("float32",))
    ((name, cells), options), ((_, only), _) = made
    assert (name, options) == ("cell", {"indirect": True})
    assert [cell.values[0] for cell in cells] == [
        Cell("lava", "float64", "stream", "one"), Cell("lava", "float64", "stream", "two"),
        Cell("lava", "float32", "stream", "one"), Cell("lava", "float32", "stream", "two"),
        Cell("b", "float64", "stream", "three"),
    ]  # fmt: skip
    assert [cell.id for cell in cells][3:] == ["lava-float32-two", "b-float64-three"]
    assert [[mark.name for mark in cell.marks] for cell in cells] == [["lava"]] * 3 + [["lava", "xfail"], []]
    assert cells[3].marks[1].kwargs == {"reason": "why", "strict": True}
    assert [cell.id for cell in only] == ["lava-float32-one", "lava-float32-two"]


@pytest.mark.parametrize("name", ["LIF-euler-zero", "LIF-exact-subtract-batch", "LIF-euler-zero-hardware"])
def test_what_is_expected_is_the_references_run_with_the_cases_own_options(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in CASES:
        name = next(key for key, case in CASES.items() if case.timing == "hardware")
    case = CASES[name]
    heard: list[Any] = []
    arrays = {"o": np.zeros((3, 2, 1))}
    monkeypatch.setattr(matrix.reference, "run", lambda *given: heard.append(given) or Reference(arrays, {}, {}, {}))
    found = expected.__wrapped__(name)
    ((graph, inputs, *rest),) = heard
    assert set(graph.nodes) == set(case.graph().nodes)
    assert rest == [case.dt, case.method, case.reset, case.timing]
    for key, value in case.inputs().items():
        assert np.array_equal(inputs[key], value if case.batch is not None else value[:, np.newaxis])
    assert found.outputs["o"].shape == ((3, 2, 1) if case.batch is not None else (3, 1))


def test_a_cell_is_compiled_as_its_case_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "make", lambda *given: given)
    runner, graph, options, precision = Cell("who", "float32", "run", "LIF-exact-subtract").compiled()  # type: ignore[misc]
    assert (runner, precision, options) == ("who", "float32", CASES["LIF-exact-subtract"].options())
    assert set(graph.nodes) == set(CASES["LIF-exact-subtract"].graph().nodes)
