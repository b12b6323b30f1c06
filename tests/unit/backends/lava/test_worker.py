"""A worker that dies, hangs or is killed gives a clear error and leaves no process and no folder behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import hasn
from hasn.errors import WorkerError
from tests.graphs import DT
from tests.unit.backends.lava.nets import feed_forward, group_members, needs_lava, some_spikes

pytestmark = needs_lava

#: Ending a group takes some 20 ms; a loaded machine may need seconds.
PATIENCE = 15.0


def gone(group, folder):
    """Whether the group has no member and the folder is removed, before patience is lost."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not group_members(group) and not Path(folder).exists():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def executable():
    with hasn.compile(feed_forward(), "lava", dt=DT) as made:
        made.run(some_spikes(5))
        yield made


def during_a_long_run(executable, action):
    """Start a run of minutes, do ``action(worker)`` once Lava's processes are there, and return the run's error."""
    worker = executable._worker
    started = threading.Event()
    executable.progress = lambda done, total: started.set() if done else None

    def act():
        started.wait(60)
        action(worker)

    thread = threading.Thread(target=act)
    thread.start()
    with pytest.raises(WorkerError) as caught:
        executable.run(np.zeros((200_000, 6)))
    thread.join()
    return caught.value


def test_progress_is_told_to_the_last_step(executable):
    heard = []
    executable.progress = lambda done, total: heard.append((done, total))
    executable.run(some_spikes(30, 2))
    # 2 samples of 30 steps, the longest shift of 2, and one step of padding.
    assert heard[-1] == (66, 66)


def test_a_killed_worker(executable):
    error = during_a_long_run(executable, lambda worker: os.kill(worker.pid, signal.SIGKILL))
    assert "died (killed by SIGKILL)" in str(error)
    assert gone(executable._worker.pid, executable._worker.folder)
    # The next run starts another worker.
    assert executable.run(some_spikes(40)).output.any()


def test_a_lava_process_that_is_killed_is_reported_at_once(executable):
    def kill_the_youngest(worker):
        os.kill(max(pid for pid in group_members(worker.pid) if pid != worker.pid), signal.SIGKILL)

    start = time.monotonic()
    error = during_a_long_run(executable, kill_the_youngest)
    assert "a Lava process" in str(error)
    assert "died" in str(error)
    assert time.monotonic() - start < executable.time_limit / 2
    assert gone(executable._worker.pid, executable._worker.folder)


def test_a_worker_that_gives_no_sign_of_life_is_ended(executable):
    executable._worker.time_limit = 0.7
    error = during_a_long_run(executable, lambda worker: os.killpg(worker.pid, signal.SIGSTOP))
    assert "no sign of life for 0.7 s" in str(error)
    assert "time_limit" in str(error)
    assert gone(executable._worker.pid, executable._worker.folder)


def test_an_error_in_the_worker_comes_with_its_last_words(executable):
    worker = executable._worker
    (executable._bundle / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(WorkerError, match="bundle format 99"):
        executable.run(some_spikes(5))
    assert gone(worker.pid, worker.folder)


def test_a_failed_stream_is_not_silently_restarted(executable):
    x = 2 * np.ones(6)
    before = [executable.step(x).output for _ in range(4)]
    assert np.any(before)
    os.killpg(executable._worker.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(WorkerError, match="killed by SIGKILL"):
            executable.step(x)
    executable.reset()
    np.testing.assert_array_equal([executable.step(x).output for _ in range(4)], before)


def test_close_and_garbage_collection_end_the_worker(executable):
    for forget in (lambda made: made.close(), lambda made: None):
        other = hasn.compile(feed_forward(), "lava", dt=DT)
        other.step(np.ones(6))
        group, folder = other._worker.pid, other._worker.folder
        assert len(group_members(group)) > 4
        forget(other)
        del other
        assert gone(group, folder)


CALLER = """
    import sys, time
    import numpy as np
    import hasn
    from tests.unit.backends.lava.nets import feed_forward
    executable = hasn.compile(feed_forward(), "lava", dt=1e-3)
    executable.step(np.ones(6))
    executable.progress = lambda done, total: done and print("running", flush=True)
    print(executable._worker.pid, executable._worker.folder, flush=True)
    {ending}
"""


@pytest.mark.parametrize(
    ("ending", "number"),
    [
        ("raise RuntimeError('as it happens')", None),
        ("time.sleep(60)", signal.SIGKILL),
        ("executable.run(np.zeros((200_000, 6)))", signal.SIGINT),
    ],
    ids=["exception", "killed", "ctrl-c"],
)
def test_no_process_outlives_its_caller(ending, number):
    root = Path(__file__).parents[4]
    code = textwrap.dedent(CALLER.format(ending=ending))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root
    ) as caller:
        group, folder = caller.stdout.readline().split()
        if number is not None:
            assert len(group_members(int(group))) > 4
            if number == signal.SIGINT:
                assert caller.stdout.readline() == "running\n"
            caller.send_signal(number)
        caller.wait(PATIENCE)
    assert gone(int(group), folder)


def test_shared_memory_is_freed(executable):
    executable.step(np.ones(6))
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in group_members(executable._worker.pid)]
    segments = {Path(line.split()[-1]) for text in maps for line in text.splitlines() if "/dev/shm/psm_" in line}
    assert segments
    os.kill(executable._worker.pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while any(path.exists() for path in segments) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(path.exists() for path in segments)
