"""The processes of ours without Lava: engines, clock, memory, frames; and that the worker's code is Python 3.10."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from hasn.backends.lava import worker
from hasn.backends.lava.worker.engines import Delayed, Instant, Neurons, Relay, Threshold
from hasn.backends.lava.worker.frames import pack, unpack
from hasn.backends.lava.worker.host_engine import Feed, HostEngine, Tape, Variable
from hasn.backends.lava.worker.memory import Clock, Memory

WEIGHTS = np.array([[1.0, 2.0], [0.0, -1.0], [4.0, 0.5]])


def play(engine, xs):
    """Outputs for a run of inputs."""
    found = []
    for step, x in enumerate(xs):
        engine.clock.tick(step)
        if engine.buffered:
            found.append(np.array(engine.emit()))
            engine.take(x)
        else:
            found.append(np.array(engine.respond(x)))
        engine.end()
    return np.array(found)


def test_a_delayed_connection_sums_what_arrives_by_each_delay_and_forgets_at_the_end_of_a_sample():
    x = np.random.default_rng(1).standard_normal((14, 2))
    other = np.random.default_rng(2).standard_normal((3, 2))
    engine = Delayed(Clock(7), Memory(None, "c"), [(1, WEIGHTS), (4, other)], (2,), (3,))
    y = play(engine, x)
    for t in range(14):
        u = t % 7
        expected = sum(w @ x[t - d] for d, w in ((1, WEIGHTS), (4, other)) if u >= d)
        np.testing.assert_allclose(y[t], np.zeros(3) + expected, rtol=0, atol=1e-15)


def test_an_instant_connection_takes_a_batch_as_the_leading_axis():
    x = np.random.default_rng(1).standard_normal((5, 2))
    engine = Instant(Clock(0), Memory(None, "c"), WEIGHTS)
    np.testing.assert_allclose(engine.respond(x), x @ WEIGHTS.T, rtol=0, atol=1e-15)


def test_neurons_hold_still_before_their_onset_and_start_anew_with_each_sample():
    cell = {
        "onset": 2,
        "drives": [[3, "late"]],
        "states": ["v"],
        "condition": {"terms": [["v", "one"]], "constant": "th"},
        "resets": [{"state": "v", "terms": [["v", "one"]], "gain": None, "bias": "jump", "before": False}],
        "held": None,
        "rows": [{"state": "v", "terms": [["v", "a"]], "gain": "g", "bias": "b", "before": False}],
    }
    arrays = {
        "initial.v": np.array([0.5]),
        "late": np.array([2.0]),
        "one": np.array([1.0]),
        "th": np.array([-3.0]),
        "jump": np.array([-1.25]),
        "a": np.array([0.5]),
        "g": np.array([2.0]),
        "b": np.array([0.25]),
    }
    tape = np.zeros((6, 2, 1))
    engine = Neurons(Clock(9), Memory(None, "p"), cell, arrays, (1,), tape)
    xs = np.random.default_rng(1).random((18, 1))
    y = play(engine, xs)
    for sample in range(2):
        v = 0.5
        assert not y[9 * sample : 9 * sample + 2].any()
        for t in range(6):
            v = 0.5 * v + 2.0 * (xs[9 * sample + 2 + t, 0] + (2.0 if t >= 3 else 0.0)) + 0.25
            z = v > 3.0
            v -= 1.25 * z
            assert y[9 * sample + 2 + t, 0] == z
            assert tape[t, sample, 0] == pytest.approx(v, abs=1e-14)
    assert 0 < y.sum() < y.size


def test_compare_is_strict_and_a_relay_passes_on():
    cell = {"onset": 0, "drives": [[1, "d"]]}
    arrays = {"threshold": np.array([0.5, 0.5]), "d": np.array([0.5, 0.0])}
    xs = [np.array([0.5, 0.75])] * 2
    np.testing.assert_array_equal(
        play(Threshold(Clock(5), Memory(None, "p"), cell, arrays, (2,)), xs), [[0, 1], [1, 1]]
    )
    np.testing.assert_array_equal(play(Relay(Clock(5), Memory(None, "p"), cell, arrays, (2,)), xs), [xs[0], [1, 0.75]])


def test_the_host_feeds_late_and_records_late():
    data, tape = np.arange(1.0, 7.0).reshape(3, 2, 1), np.zeros((3, 2, 1))
    host = HostEngine(Clock(5), [Feed(data, 1, (1,))], [Tape(tape, 2, (1,), slice(None))], [])
    sent = []
    for step in range(10):
        host.clock.tick(step)
        sent.append(float(host.feed(0)[0]))
        host.record(0, np.array([100.0 + step]))
    assert sent == [0, 1, 3, 5, 0, 0, 2, 4, 6, 0]
    np.testing.assert_array_equal(tape[:, :, 0], [[102, 107], [103, 108], [104, 109]])


def test_a_part_of_a_population_is_joined_and_freed_of_what_is_not_its_own():
    tape = np.zeros((2, 1, 3))
    part = Tape(tape, 1, (2,), np.array([2, 0]))
    var = Variable("p", "u", part, np.array([64, 0]), True, np.zeros(2))
    host = HostEngine(Clock(4), [], [], [var])
    seen = []
    for step in range(4):
        host.clock.tick(step)
        seen.append((host.probes(var), host.setting(var), host.reads_vars))
        if host.probes(var):
            host.probe(var, np.array([100 + step, 7]))
    assert seen == [(False, None, False), (True, None, True), (True, None, True), (False, var.initial, True)]
    np.testing.assert_array_equal(tape[:, 0], [[7, 0, 37], [7, 0, 38]])


def test_a_var_that_goes_on_from_a_state_is_set_at_the_end_of_each_samples_first_steps():
    lead = np.arange(1, 9).reshape(2, 2, 2)
    held, set_back = (Variable("p", "v", None, 0, clear, np.zeros(2), lead) for clear in (False, True))
    for var, last in ((held, None), (set_back, [0, 0])):
        host = HostEngine(Clock(4), [], [], [var])
        seen = []
        for step in range(8):
            host.clock.tick(step)
            value = host.setting(var)
            assert host.reads_vars == (value is not None)
            seen.append(None if value is None else value.tolist())
        assert seen == [[1, 2], [5, 6], None, last, [3, 4], [7, 8], None, last]


def test_a_stream_keeps_its_state_in_files_that_the_caller_can_change(tmp_path):
    control = np.array([0])
    memory = Memory(str(tmp_path), "c")
    engine = Delayed(Clock(0, control), memory, [(2, WEIGHTS)], (1, 2), (1, 3))
    for step in range(3):
        control[0] = step
        play(engine, [np.full((1, 2), step + 1.0)])
    ring = np.load(tmp_path / "c.ring.npy", mmap_mode="r+")
    np.testing.assert_array_equal(sorted(ring[:, 0, 0]), [2, 3])
    ring[...] = 10.0
    control[0] = 3
    np.testing.assert_allclose(play(engine, [np.zeros((1, 2))])[0], [WEIGHTS @ [10.0, 10.0]], rtol=0, atol=1e-14)


def test_frames_come_out_as_they_went_in_however_they_are_cut():
    messages = [{"op": "run", "names": ["é", "b"]}, {"done": {}}]
    data = b"".join(pack(message) for message in messages)
    buffer, found = bytearray(), []
    for i in range(len(data)):
        buffer += data[i : i + 1]
        while (message := unpack(buffer)) is not None:
            found.append(message)
    assert found == messages
    assert not buffer


@pytest.mark.parametrize("data", [b"\xff" * 9, (3).to_bytes(8, "little") + b"[1]"])
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(ValueError, match="frame"):
        unpack(bytearray(data))


def test_the_worker_is_python_310_without_hasn_and_the_process_folder_holds_processes_alone():
    folder = Path(worker.__file__).parent
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(), feature_version=(3, 10))
        imported = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level]
        imported += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
        assert not [name for name in imported if name.split(".")[0] == "hasn"], path
    for path in (folder / "processes").glob("[!_]*.py"):
        assert re.search(r"class \w+\((AbstractProcess|LearningDense)\):", path.read_text()), path
