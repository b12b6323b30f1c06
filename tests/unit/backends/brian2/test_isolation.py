"""hasn leaves Brian2, the log and the user's own simulation as it found them."""

import logging
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import hasn
from hasn.backends.brian2 import BACKEND
from hasn.backends.brian2 import backend as backend_module
from hasn.backends.brian2.live import Live
from hasn.backends.brian2.preferences import COMPILER_FLAGS, isolated
from tests.unit.backends.brian2.formulas import DT, graph, lif
from tests.unit.backends.brian2.networks import inputs, loop

brian2 = pytest.importorskip("brian2", reason="Brian2 is not installed (pip install 'hasn[brian2]')")


def preferences():
    names = (
        "codegen.target",
        "codegen.loop_invariant_optimisations",
        "codegen.cpp.extra_compile_args_gcc",
        "codegen.cpp.include_dirs",
        "codegen.runtime.cython.cache_dir",
        "core.default_float_dtype",
        "core.network.default_schedule",
        "logging.console_log_level",
    )
    values = {name: brian2.prefs[name] for name in names}
    return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}


def test_preferences_clock_device_and_log_level_are_put_back():
    brian2.defaultclock.dt = 0.3 * brian2.ms
    before, level, device = preferences(), logging.getLogger("brian2").level, brian2.get_device()
    try:
        made = hasn.compile(loop(), "brian2", dt=DT, precision="float32")
        made.run(inputs())
        made.step(inputs()[0])
        assert preferences() == before
        assert brian2.get_device() is device
        assert logging.getLogger("brian2").level == level
        assert float(brian2.defaultclock.dt) == 0.3e-3
    finally:
        brian2.defaultclock.dt = 0.1 * brian2.ms


def test_preferences_are_put_back_after_an_error():
    before = preferences()
    with pytest.raises(ZeroDivisionError), isolated("float32", "numpy"):
        raise ZeroDivisionError
    assert preferences() == before


def test_runs_beside_a_simulation_of_the_users():
    """The user's own objects, default clock and `run` go on as if nothing had been there."""
    group = brian2.NeuronGroup(1, "dv/dt = -v/(10*ms) : 1", method="exact")
    group.v = 1
    network = brian2.Network(group)
    brian2.prefs.codegen.target = "numpy"  # nothing to compile, and a setting of the user's
    try:
        network.run(1 * brian2.ms)
        hasn.compile(loop(), "brian2", dt=DT).run(inputs())
        network.run(1 * brian2.ms)
        assert brian2.prefs.codegen.target == "numpy"
    finally:
        brian2.prefs.codegen.target = "auto"
    assert group.v[0] == pytest.approx(np.exp(-0.2), rel=1e-12)


def test_runs_while_the_user_prepares_a_standalone_project():
    brian2.set_device("cpp_standalone", build_on_run=False)
    try:
        made = hasn.compile(loop(), "brian2", dt=DT)
        spikes = made.run(inputs()).counts.total_spikes
        assert brian2.get_device() is brian2.all_devices["cpp_standalone"]
    finally:
        brian2.set_device("runtime")
    assert spikes == made.run(inputs()).counts.total_spikes > 50


def test_no_fast_math_and_no_fused_multiply_add():
    with isolated("float64", "numpy"):
        flags = brian2.prefs["codegen.cpp.extra_compile_args_gcc"]
        cache = brian2.prefs["codegen.runtime.cython.cache_dir"]
    assert flags == COMPILER_FLAGS
    assert "-ffast-math" not in flags
    assert "-ffp-contract=off" in flags
    # Brian2's cache key leaves the flags out: code built with its own flags must not be found in ours.
    assert cache != brian2.prefs["codegen.runtime.cython.cache_dir"]


def test_importing_the_backend_imports_no_simulator_and_running_prints_nothing(tmp_path):
    code = """
import sys
import numpy as np, nir, hasn
from hasn.backends.brian2 import BACKEND
assert BACKEND.info().available and "brian2" not in sys.modules
hook = sys.excepthook
one = np.ones(1)
nodes = {"in": nir.Input({"input": np.array([1])}), "out": nir.Output({"output": np.array([1])})}
nodes["n"] = nir.LIF(one * 5e-3, one, one * 0, one / 2, one * 0)
graph = nir.NIRGraph(nodes, [("in", "n"), ("n", "out")])
hasn.compile(graph, "brian2", dt=1e-3).run(np.ones((5, 1)))
assert "brian2" in sys.modules and sys.excepthook is hook
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_why_not_names_the_command(monkeypatch):
    assert BACKEND.why_not() == ""
    monkeypatch.setattr(backend_module, "version", lambda name: {"numpy": "2.4.1", "brian2": "2.9.0"}[name])
    assert "numpy<2.4" in BACKEND.why_not()
    monkeypatch.setattr(backend_module, "version", lambda name: {"numpy": "2.4.1", "brian2": "2.11.0"}[name])
    assert BACKEND.why_not() == ""

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(backend_module, "find_spec", lambda name: None)
    monkeypatch.setattr(backend_module, "version", missing)
    assert "pip install 'hasn[brian2]'" in BACKEND.why_not()
    assert BACKEND.version() == ""


def test_two_networks_at_once_keep_their_own_time():
    nodes, edges = {"in": 1, "n": lif(1), "out": 1}, [("in", "n"), ("n", "out")]
    slow, fast = (
        hasn.compile(graph(nodes, edges), "brian2", dt=1e-3),
        hasn.compile(graph(nodes, edges), "brian2", dt=5e-4),
    )
    x = np.ones((20, 1))
    expected = [made.run(x).output[:, 0] for made in (slow, fast)]
    assert not np.array_equal(*expected)
    seen = np.array([[made.step(x[t]).output[0] for made in (slow, fast)] for t in range(20)])
    np.testing.assert_array_equal(seen.T, expected)


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises, also where a script started the tests and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_interrupts_a_run_and_the_next_one_is_whole(monkeypatch):
    """Brian2 would stop quietly, and the first steps would pass for the whole recording."""
    expected = hasn.compile(loop(), "brian2", dt=DT).run(inputs())
    step, calls = Live.step, []

    def press_at_step_3(self, inputs):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        step(self, inputs)

    monkeypatch.setattr(Live, "step", press_at_step_3)
    made = hasn.compile(loop(), "brian2", dt=DT)
    with pytest.raises(KeyboardInterrupt):
        made.run(inputs())
    assert not brian2.Network._globally_running
    for name, spikes in made.run(inputs()).spikes.items():
        np.testing.assert_array_equal(spikes, expected.spikes[name])


def test_where_ctrl_c_is_ignored_it_stays_so():
    """Brian2's handler would hand it on to SIG_IGN, which is no function."""
    code = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from hasn.backends.brian2.load import brian2
signal.raise_signal(signal.SIGINT)
print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "True\n", run.stderr


def test_the_first_run_may_be_in_a_thread():
    """Brian2's import sets a signal handler, which Python refuses outside the main thread."""
    code = """
import threading
from tests.unit.backends.brian2.networks import inputs, loop
import hasn
counts = []
worker = threading.Thread(target=lambda: counts.append(hasn.compile(loop(), "brian2", dt=1e-3).run(inputs()).counts))
worker.start(); worker.join()
assert counts[0].total_spikes > 50
"""
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
