"""How many samples at once, compiled or not, streams and refusals: no network of Brian2's is made here."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import hasn
from hasn.backends.brian2 import BACKEND, engine, live, preferences
from hasn.backends.brian2 import backend as backend_module
from hasn.backends.brian2.engine import Engine, Options
from hasn.backends.brian2.monitors import Recorded, Wanted, wanted
from hasn.backends.brian2.plan import samples_at_once
from hasn.errors import OptionError, UnsupportedError
from hasn.signals import Signals
from hasn.state import Snapshot
from tests.unit.backends.brian2.formulas import DT
from tests.unit.backends.brian2.networks import loop
from tests.unit.backends.brian2.test_plan import plan_of

PLAN = plan_of(loop())


class Stand:
    """In place of Live: says of each sample which one it is, and how often it was made."""

    made: ClassVar[list[tuple[int, Any]]] = []

    def __init__(self, plan: Any, copies: int, what: Any) -> None:
        self.copies, self.what = copies, what
        self.made.append((copies, what))

    def resume(self, at: Any, kept: Any) -> None:
        assert at is None

    def run(self, feed: Any, steps: int, start: Any = None, kept: Any = None) -> Recorded:
        x = feed["in"].reshape(steps, self.copies, -1)
        numbers = np.repeat(x[:, :, :1], 4, axis=2)
        peak = float(x.max())
        states = dict.fromkeys(self.what.states, numbers)
        end = None if kept is None else start
        return Recorded(dict.fromkeys(self.what.spikes, numbers > 0), states, {"p": peak}, end)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """The networks that are made."""
    monkeypatch.setattr(live, "Live", Stand)
    monkeypatch.setattr(Stand, "made", [])
    return Stand.made


def engine_of(max_synapses: int = 10_000, target: Any = "numpy", build_dir: Any = None) -> Engine:
    return Engine(PLAN, Options(target, build_dir, max_synapses))


def given(batch: int, steps: int = 3) -> Signals:
    """Sample i is i + 1 everywhere."""
    return Signals({"in": np.ones((steps, batch, 6)) * np.arange(1, batch + 1)[:, np.newaxis]}, steps, batch, True)


STATES = Wanted((), (("slow", "v"),))


@pytest.mark.parametrize(
    ("batch", "at_once", "copies"), [(5, 2, 2), (5, 4, 3), (4, 3, 2), (4, 4, 4), (1, 9, 1), (6, 1, 1), (7, 5, 4)]
)
def test_a_batch_is_cut_into_as_few_parts_as_may_be_of_one_size(
    batch: int, at_once: int, copies: int, made: list[Any]
) -> None:
    one = engine_of(at_once * (PLAN.synapses + PLAN.line_elements))
    found = one.run(given(batch), STATES)
    np.testing.assert_array_equal(found.states["slow", "v"], np.repeat(given(batch).values["in"][:, :, :1], 4, axis=2))
    assert found.peaks == {"p": float(batch)}
    assert made == [(copies, STATES)]


def test_what_is_recorded_at_once_has_a_limit(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample: 3 steps of a's 6 spikes, b's 4, and the voltages of slow and b: 54 values."""
    what = Wanted(("a", "b"), (("slow", "v"), ("b", "v")))
    monkeypatch.setattr(engine, "RECORD_AT_ONCE", 108)
    engine_of().run(given(4), what)
    monkeypatch.setattr(engine, "RECORD_AT_ONCE", 107)
    engine_of().run(given(4), what)
    monkeypatch.setattr(engine, "RECORD_AT_ONCE", 10)
    engine_of().run(given(4), what)
    assert [copies for copies, _ in made] == [2, 1, 1]
    engine_of().run(given(4), Wanted((), ()))  # nothing is recorded: nothing to be limited
    assert made[-1][0] == 4


def test_a_network_is_made_again_only_for_another_size_or_recording(made: list[Any]) -> None:
    one = engine_of()
    one.run(given(2), STATES)
    one.run(given(2, steps=5), STATES)
    assert len(made) == 1
    one.run(given(3), STATES)
    one.run(given(3), Wanted(("b",), ()))
    one.run(given(2), STATES)
    assert [copies for copies, _ in made] == [2, 3, 3, 2]
    assert len(one._built) == 1
    one.close()
    assert not one._built


def test_auto_compiles_where_a_run_is_long_and_cython_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for works in (True, False):
        monkeypatch.setattr(preferences, "cython_works", lambda works=works: works)
        found = [engine_of(target="auto")._target(steps) for steps in (0, 99_999, 100_000, 200_000)]
        assert found == ["numpy", "numpy", *(["cython"] * 2 if works else ["numpy"] * 2)]
        assert engine_of(target="numpy")._target(1_000_000) == "numpy"
    monkeypatch.setattr(preferences, "cython_trouble", lambda: ("OSError: no room", "Look at /cache."))
    with pytest.raises(
        UnsupportedError, match=r"a test compilation failed: OSError: no room.*Look at /cache\."
    ) as error:
        engine_of(target="cython")._target(1)
    assert (error.value.parameter, error.value.got) == ("target", "'cython'")
    monkeypatch.setattr(preferences, "cython_trouble", lambda: ("", ""))
    assert engine_of(target="cython")._target(1) == "cython"


def test_each_part_starts_from_its_own_samples_and_the_ends_are_joined(made: list[Any]) -> None:
    """Five samples, two at a time: the last part is filled up, and what filled it is taken off again."""
    v = np.arange(15.0).reshape(5, 3)
    past = np.arange(20.0).reshape(2, 5, 2)
    start = Snapshot(7, {"fast": {"v": v}}, {"fast": v.astype(np.int64)}, {"in": past})
    one = engine_of(2 * (PLAN.synapses + PLAN.line_elements))
    end = one.run(replace(given(5), start=start, keep=True), STATES).end
    assert made == [(2, STATES)]
    assert end is not None
    assert end.step == 7
    np.testing.assert_array_equal(end.states["fast"]["v"], v)
    np.testing.assert_array_equal(end.held["fast"], v)
    np.testing.assert_array_equal(end.past["in"], past)
    with pytest.raises(UnsupportedError, match="initial state") as error:
        engine_of(target="cpp_standalone").run(replace(given(1), keep=True), STATES)
    assert error.value.parameter == "target"


def test_a_stream_is_one_network(made: list[Any]) -> None:
    one = engine_of(3 * (PLAN.synapses + PLAN.line_elements))
    with pytest.raises(RuntimeError, match="no stream"):
        _ = one.stream
    with pytest.raises(UnsupportedError, match="step fewer samples") as error:
        one.start(4)
    assert error.value.parameter == "max_synapses"
    assert error.value.wanted == f">= {4 * PLAN.synapses}"
    one.start(3)
    assert made == [(3, Wanted((), ()))]
    assert one.stream.copies == 3
    one.end()
    with pytest.raises(RuntimeError, match="no stream"):
        _ = one.stream
    one.start(1)
    one.close()
    with pytest.raises(RuntimeError, match="no stream"):
        _ = one.stream
    with pytest.raises(UnsupportedError, match="cannot be stepped") as error:
        engine_of(target="cpp_standalone").start(1)
    assert (error.value.parameter, error.value.got) == ("target", "'cpp_standalone'")


def test_as_many_samples_as_synapses_and_lines_allow() -> None:
    assert samples_at_once(PLAN, PLAN.synapses) == 1  # one sample always, its lines not counted
    with pytest.raises(UnsupportedError, match="Raise max_synapses") as error:
        samples_at_once(PLAN, PLAN.synapses - 1)
    largest = max(PLAN.links, key=lambda link: len(link.weights))
    assert error.value.node == largest.target
    assert f"{PLAN.synapses} synapses, {len(largest.weights)} of them from '{largest.source}'" in str(error.value)
    assert (error.value.got, error.value.wanted) == (PLAN.synapses - 1, f">= {PLAN.synapses}")
    # in 6, ab 24, ba 24, b > slow 4, b > outb and slow > outslow
    assert PLAN.synapses == sum(np.count_nonzero(p.weights.toarray()) for p in PLAN.network.projections)


# --- what is recorded


def test_outputs_and_what_was_asked_for_are_recorded_and_nothing_else() -> None:
    assert wanted(PLAN, frozenset()) == Wanted(("b",), (("outslow", "sent"),))
    assert wanted(PLAN, frozenset({"spikes"})) == Wanted(("a", "b"), (("outslow", "sent"),))
    voltages = (("a", "v"), ("b", "v"), ("slow", "v"), ("outslow", "sent"))
    assert wanted(PLAN, frozenset({"voltages"})) == Wanted(("b",), voltages)
    currents = (("a", "u"), ("b", "u"), ("slow", "u"), ("outslow", "sent"))
    assert wanted(PLAN, frozenset({"currents"})) == Wanted(("b",), currents)


# --- options


@pytest.mark.parametrize(
    ("options", "got", "wanted"),
    [
        ({"target": "fortran"}, "'fortran'", "auto or numpy or cython or cpp_standalone"),
        ({"build_dir": "x"}, "'x'", "None"),
        ({"build_dir": "x", "target": "numpy"}, "'x'", "None"),
        ({"max_synapses": 0}, "0", "an integer >= 1"),
        ({"max_synapses": True}, "True", "an integer >= 1"),
        ({"max_synapses": 5.0}, "5.0", "an integer >= 1"),
        ({"max_synapses": "9"}, "'9'", "an integer >= 1"),
    ],
)
def test_options_without_meaning_are_refused_by_name(options: dict[str, Any], got: str, wanted: str) -> None:
    with pytest.raises(OptionError) as error:
        hasn.compile(loop(), "brian2", dt=DT, **options)
    assert error.value.parameter == next(iter(options))
    assert (error.value.got, error.value.wanted) == (got, wanted)


def test_options_arrive() -> None:
    made = hasn.compile(
        loop(), "brian2", dt=DT, precision="float32", target="cpp_standalone", build_dir="x", max_synapses=70
    )
    assert made.engine.options == Options("cpp_standalone", "x", 70)
    assert made.plan.dtype == "float32"
    assert made.result == np.float32
    assert hasn.compile(loop(), "brian2", dt=DT).engine.options == Options("auto", None, 20_000_000)
    assert (BACKEND.name, BACKEND.latency, BACKEND.precisions) == ("brian2", 0, ("float64", "float32", "loihi"))


@pytest.mark.parametrize(
    ("numpy_version", "brian2_version", "runs"),
    [
        ("2.3.9", "2.9.0", True), ("2.4", "2.9.0", False), ("2.4.1", "2.10.0", True), ("3.0", "2.9", False),
        ("1.26.4", "2.5.1", True), ("2.10.0", "2.9.0", False),
    ],
)  # fmt: skip
def test_which_versions_go_together(
    numpy_version: str, brian2_version: str, runs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"numpy": numpy_version, "brian2": brian2_version}
    monkeypatch.setattr(backend_module, "version", versions.__getitem__)
    monkeypatch.setattr(backend_module, "find_spec", lambda name: SimpleNamespace())
    assert (BACKEND.why_not() == "") == runs
    assert BACKEND.version() == brian2_version
    if not runs:
        assert f"Brian2 {brian2_version} cannot be imported with numpy {numpy_version}" in BACKEND.why_not()
