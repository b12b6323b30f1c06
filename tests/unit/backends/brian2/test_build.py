"""What Brian2 is given: names, slots, delays, preferences, and what its C++ program is made with."""

from __future__ import annotations

import contextlib
import gc
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import nir
import numpy as np
import pytest

from hasn.backends.brian2 import standalone
from hasn.backends.brian2.build import build
from hasn.backends.brian2.code import quotient
from hasn.backends.brian2.load import _contained, brian2
from hasn.backends.brian2.monitors import Wanted, make_monitors
from hasn.backends.brian2.preferences import COMPILER_FLAGS, _cache_dir, _quiet, isolated
from hasn.backends.brian2.schedule import slots
from hasn.errors import UnsupportedError
from tests.unit.backends.brian2.networks import loop
from tests.unit.backends.brian2.test_plan import plan_of

PLAN = plan_of(loop())


@pytest.fixture(scope="module", autouse=True)
def unused() -> Iterator[None]:
    """Brian2 would complain of every object that is never run."""
    logger = logging.getLogger("brian2")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    gc.collect()
    logger.setLevel(level)


@pytest.fixture(scope="module")
def network() -> Any:
    with isolated("float64", "numpy"):
        parts = build(PLAN, 2)
        monitors = make_monitors(parts, Wanted(("a",), (("slow", "v"),)))
        return parts, monitors, parts.network(PLAN.depth, *monitors.all)


def test_objects_are_named_by_their_place(network: Any) -> None:
    """Names go into the code that Brian2 compiles and keeps: so they are the same for every network of this form."""
    _, _, net = network
    names = {obj.name for obj in net.sorted_objects}
    groups = {"in": 0, "a": 1, "b": 2, "slow": 3}
    assert all(name.startswith("hasn_p") for name in names)
    assert {
        "hasn_p1",
        "hasn_p1_update",
        "hasn_p1_spike_thresholder",
        "hasn_p1_spike_resetter",
        "hasn_p1_spikes",
    } <= names
    assert {"hasn_p3_line", "hasn_p3_line_copy", "hasn_p3_line_shift", "hasn_p3_v_values"} <= names
    assert {"hasn_p1_from_p0", "hasn_p2_from_p1", "hasn_p1_from_p2", "hasn_p1_from_p2_pre"} <= names
    assert net.name == "hasn_network"
    assert network[0].clock.name == "hasn_clock"
    assert [network[0].groups[name].name for name in groups] == [f"hasn_p{i}" for i in groups.values()]


def test_everything_has_the_slot_of_its_level(network: Any) -> None:
    """in is of level 0, a of 1, b of 2, slow of 3."""
    _, _, net = network
    assert net.schedule == slots(5)
    when = {obj.name: obj.when for obj in net.sorted_objects}
    assert when["hasn_p0_spike_thresholder"] == "level0_threshold"
    assert when["hasn_p1_from_p0_pre"] == "level0_synapses"
    assert when["hasn_p2_update"] == "level2_update"
    assert when["hasn_p2_spike_thresholder"] == "level2_threshold"
    assert when["hasn_p1_from_p2_pre"] == "level2_synapses"
    assert when["hasn_p2_spike_resetter"] == "level2_reset"
    assert when["hasn_p3_line_copy"] == when["hasn_p3_line_shift"] == "level3_line"
    assert when["hasn_p3_line_spike_thresholder"] == "level3_threshold"
    assert when["hasn_p1_spikes"] == when["hasn_p3_v_values"] == "end"
    order = {obj.name: obj.order for obj in net.sorted_objects}
    assert order["hasn_p3_line_copy"] < order["hasn_p3_line_shift"]
    names = [obj.name for obj in net.sorted_objects]
    assert names.index("hasn_p3_line_copy") < names.index("hasn_p3_line_shift")


def test_all_run_on_one_clock_and_in_one_type(network: Any) -> None:
    parts, _, net = network
    assert {obj.clock.name for obj in net.sorted_objects} == {"hasn_clock"}
    with isolated("float32", "numpy"):
        single = build(plan_of(loop(), "float32"), 1)
    for made, dtype in ((parts, np.float64), (single, np.float32)):
        everything = [*made.groups.values(), *made.lines.values(), *made.synapses]
        found = {
            obj.variables[n].dtype for obj in everything for n in ("v", "sent", "w", "summed") if n in obj.variables
        }
        assert found == {np.dtype(dtype)}
    assert single.clock.dt_ == parts.clock.dt_ == 1e-3


def test_synapses_of_two_samples_stand_side_by_side(network: Any) -> None:
    parts, _, _ = network
    links = {(link.source, link.target): link for link in PLAN.links}
    link, synapses = links["b", "a"], next(s for s in parts.synapses if s.name == "hasn_p1_from_p2")
    n = len(link.weights)
    np.testing.assert_array_equal(np.asarray(synapses.i), np.concatenate([link.pre, link.pre + 4]))
    np.testing.assert_array_equal(np.asarray(synapses.j), np.concatenate([link.post, link.post + 6]))
    np.testing.assert_array_equal(np.asarray(synapses.w_), np.tile(link.weights, 2))
    np.testing.assert_allclose(np.asarray(synapses.delay_), np.tile(link.steps, 2) * 1e-3, rtol=1e-12)
    assert n == len(synapses) // 2
    sizes = {"in": 12, "a": 12, "b": 8, "slow": 8, "outslow": 8}
    assert {name: len(group) for name, group in parts.groups.items()} == sizes
    line = parts.lines["slow"]
    assert len(line) == 2 * 5 * 4
    np.testing.assert_array_equal(np.asarray(line.first_), np.tile([1] * 4 + [0] * 16, 2))


def test_a_delay_that_all_have_is_the_connection_s(network: Any) -> None:
    """a's spikes reach b after 3 steps; a is not evaluated before b then, so that one of them is a's lateness."""
    net = loop()
    nodes = {**net.nodes, "wait": nir.Delay(np.full(4, 3e-3))}
    edges = [edge for edge in net.edges if edge != ("ab", "b")] + [("ab", "wait"), ("wait", "b")]
    with isolated("float64", "numpy"):
        parts = build(plan_of(nir.NIRGraph(nodes, edges, type_check=False)), 1)
    late, now = (next(s for s in p.synapses if s.name == "hasn_p2_from_p1") for p in (parts, network[0]))
    assert float(np.asarray(late.delay_)) == pytest.approx(2e-3, rel=1e-12)
    assert float(np.asarray(now.delay_)) == 0.0


@pytest.mark.parametrize(
    ("above", "below", "unit"),
    [
        ("volt", "volt", "1"), ("volt", "1", "volt"), ("volt", "amp", "ohm"), ("amp", "volt", "siemens"),
        ("1", "volt", "1/volt"), ("1", "amp", "1/amp"), ("amp", "second", "amp/second"), ("1", "1", "1"),
    ],
)  # fmt: skip
def test_units_of_coefficients(above: str, below: str, unit: str) -> None:
    assert quotient(above, below) == unit


# --- preferences


def test_what_brian2_is_set_to() -> None:
    for precision, dtype in (("float64", np.float64), ("float32", np.float32)):
        with isolated(precision, "cython"):
            found = {name: brian2.prefs[name] for name in WANTED}
            assert brian2.prefs["core.default_float_dtype"] is dtype
        assert found == WANTED


WANTED = {
    "codegen.target": "cython",
    "codegen.string_expression_target": "numpy",
    "codegen.loop_invariant_optimisations": False,
    "codegen.cpp.extra_compile_args": None,
    "codegen.cpp.extra_compile_args_gcc": COMPILER_FLAGS,
    "core.stop_on_keyboard_interrupt": False,
    "devices.cpp_standalone.openmp_threads": 0,
}
OTHERS = {
    "codegen.target": "numpy",
    "codegen.string_expression_target": "cython",
    "codegen.loop_invariant_optimisations": True,
    "codegen.cpp.extra_compile_args": ["-O1"],
    "codegen.cpp.extra_compile_args_gcc": ["-ffast-math"],
    "core.stop_on_keyboard_interrupt": True,
    "devices.cpp_standalone.openmp_threads": 2,
    "codegen.runtime.cython.cache_dir": "/users/own",
}


def test_a_user_s_own_preferences_do_not_reach_a_run_and_come_back() -> None:
    before = {name: brian2.prefs[name] for name in OTHERS}
    try:
        for name, value in OTHERS.items():
            brian2.prefs[name] = value
        with isolated("float64", "cython"):
            assert {name: brian2.prefs[name] for name in WANTED} == WANTED
            assert Path(brian2.prefs["codegen.runtime.cython.cache_dir"]).parent == Path("/users/own")
            brian2.prefs["codegen.cpp.include_dirs"].append("/of/a/run")
        assert {name: brian2.prefs[name] for name in OTHERS} == OTHERS
        assert "/of/a/run" not in brian2.prefs["codegen.cpp.include_dirs"]
    finally:
        for name, value in before.items():
            brian2.prefs[name] = value


def test_the_cache_is_named_by_the_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _cache_dir("/cache")
    monkeypatch.setattr("hasn.backends.brian2.preferences.COMPILER_FLAGS", ["-O0"])
    assert first is not None
    assert Path(first).name.startswith("hasn_")
    assert first != _cache_dir("/cache")
    from brian2.codegen.runtime.cython_rt import extension_manager  # not at the top: it is Brian2's own import

    monkeypatch.setattr(extension_manager, "get_cython_cache_dir", lambda: None)
    assert _cache_dir(None) is None
    assert _cache_dir("/cache") is not None


def test_quiet_is_quiet_and_ends() -> None:
    logger = logging.getLogger("brian2")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with _quiet():
                assert logger.level == logging.ERROR
                warnings.warn("of Brian2's libraries", DeprecationWarning, stacklevel=1)
                with pytest.raises(UserWarning):
                    warnings.warn("of the user's", UserWarning, stacklevel=1)
            with pytest.raises(DeprecationWarning):
                warnings.warn("of the user's", DeprecationWarning, stacklevel=1)
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(before)


def test_an_interrupted_run_is_forgotten() -> None:
    with isolated("float64", "numpy"):
        brian2.Network._globally_running = True
    assert brian2.Network._globally_running is False


def test_one_run_at_a_time() -> None:
    """The preferences are the process's: another thread waits."""
    inside, seen = threading.Event(), []

    def other() -> None:
        inside.wait(10)
        with isolated("float32", "numpy"):
            seen.append(brian2.prefs["core.default_float_dtype"])

    thread = threading.Thread(target=other)
    thread.start()
    with isolated("float64", "numpy"):
        inside.set()
        thread.join(0.2)
        assert seen == []
        assert brian2.prefs["core.default_float_dtype"] is np.float64
    thread.join(10)
    assert seen == [np.float32]


def test_what_brian2_s_import_does_to_the_process_is_undone() -> None:
    hook, handler = sys.excepthook, signal.signal
    with contextlib.suppress(ZeroDivisionError), _contained():
        sys.excepthook = lambda *given: None
        raise ZeroDivisionError
    assert sys.excepthook is hook
    seen: list[Any] = []

    def elsewhere() -> None:
        with _contained():
            seen.append(signal.signal(signal.SIGINT, signal.SIG_DFL))  # Python allows it in the main thread alone

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [None]
    assert signal.signal is handler
    with _contained():
        assert signal.signal is handler


# --- as a C++ program


class Device(brian2.devices.cpp_standalone.device.CPPStandaloneDevice):  # type: ignore[misc]
    """Writes no program."""

    built: ClassVar[list[Any]] = []
    error: Exception | None = None

    def build(self, **given: Any) -> None:
        self.built.append((given, self, brian2.get_device() is self))
        if self.error is not None:
            raise self.error


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> type[Device]:
    monkeypatch.setattr(brian2.devices.cpp_standalone.device, "CPPStandaloneDevice", Device)
    monkeypatch.setattr(Device, "built", [])
    monkeypatch.setattr(Device, "error", None)
    return Device


FEED = {"in": np.arange(480.0).reshape(40, 12)}


def test_a_program_is_made_once_of_the_whole_network(device: type[Device], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(standalone, "recorded", lambda *given: seen.append(given) or "recorded")
    what = Wanted(("a",), (("slow", "v"),))
    assert standalone.run_standalone(PLAN, 2, what, FEED, 40, "/build/here") == "recorded"
    ((given, made, active),) = device.built
    assert given == {
        "directory": "/build/here", "compile": True, "run": True, "debug": False, "with_output": False,
    }  # fmt: skip
    assert active
    ((plan, parts, monitors, steps, copies),) = seen
    assert (plan, steps, copies) == (PLAN, 40, 2)
    assert (set(monitors.spikes), set(monitors.states)) == ({"a"}, {("slow", "v")})
    assert monitors.spikes["a"].codeobj_class is None  # compiled too
    feeder = next(obj for obj in parts.groups["in"].contained_objects if obj.name == "hasn_p0_feed")
    assert feeder.when == "level0_update"
    signal_of_in = parts.groups["in"].namespace["signal"]
    np.testing.assert_array_equal(signal_of_in.values, FEED["in"])
    assert (signal_of_in.name, float(signal_of_in.dt)) == ("hasn_p0_signal", 1e-3)
    (net,) = made.networks
    assert net.schedule == slots(5)
    (run,) = [lines for what, lines in made.main_queue if what == "run_network"]
    assert "hasn_network.run(0.0395" in "".join(run[1])
    assert brian2.get_device() is brian2.all_devices["runtime"]


def test_without_a_folder_a_temporary_one_is_used_and_removed(device: type[Device], monkeypatch: Any) -> None:
    monkeypatch.setattr(standalone, "recorded", lambda *given: None)
    standalone.run_standalone(PLAN, 2, Wanted((), ()), FEED, 40, None)
    folder = Path(device.built[0][0]["directory"])
    assert folder.name.startswith("hasn_brian2_")
    assert not folder.exists()


@pytest.mark.parametrize("error", [RuntimeError("no compiler"), OSError("no room")])
def test_a_program_that_cannot_be_made_is_refused(device: type[Device], monkeypatch: Any, error: Exception) -> None:
    monkeypatch.setattr(device, "error", error)
    with pytest.raises(UnsupportedError, match="target='numpy' needs no compiler") as refused:
        standalone.run_standalone(PLAN, 2, Wanted((), ()), FEED, 40, "/build/here")
    assert refused.value.parameter == "target"
    assert refused.value.got == f"'cpp_standalone' ({error})"
    assert "/build/here/results" in str(refused.value)
    assert brian2.get_device() is brian2.all_devices["runtime"]
