"""The caller's end of a worker, with a worker that knows no Lava: a script that does what each request names."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hasn.backends.lava import worker_process
from hasn.backends.lava.worker_process import WorkerProcess, shared_worker, take_worker
from hasn.errors import WorkerError
from tests.unit.backends.lava.nets import group_members

SCRIPT = """
import json, os, signal, struct, subprocess, sys, time

def send(message):
    body = json.dumps(message).encode()
    os.write(1, struct.pack("<Q", len(body)) + body)

def receive():
    head = sys.stdin.buffer.read(8)
    return json.loads(sys.stdin.buffer.read(struct.unpack("<Q", head)[0])) if head else {"op": "quit"}

time.sleep(float(os.environ.get("SLOW", "0")))
send({"ready": {"lava-nc": "none", "folder": sys.argv[1]}})
while True:
    request = receive()
    op = request["op"]
    if op == "quit":
        open(os.environ["LOG"], "a").write("quit ")
        sys.exit(0)
    elif op == "echo":
        send({"done": request})
    elif op == "environment":
        send({"done": dict(os.environ)})
    elif op == "progress":
        for i in range(4):
            time.sleep(request["pause"])
            send({"progress": [i, 3]})
        send({"done": {}})
    elif op == "error":
        sys.stderr.write("".join(f"line {i}\\n" for i in range(20)))
        sys.stderr.flush()
        send({"error": "  it went wrong\\n"})
    elif op == "exit":
        sys.stderr.write("the disk is on fire\\n")
        sys.exit(3)
    elif op == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif op == "child":  # it survives SIGTERM, and holds the pipes open
        code = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print(1, flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        child.stdout.readline()
        send({"done": {"pid": child.pid}})
    elif op == "memory":  # shared, as Lava's channels are
        from multiprocessing.shared_memory import SharedMemory
        kept = SharedMemory(create=True, size=64)
        if request["deaf"]:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        send({"done": {"name": kept.name}})
    elif op == "halves":
        body = json.dumps({"done": {"text": "x" * 100}}).encode()
        data = struct.pack("<Q", len(body)) + body
        os.write(1, data[:11]); time.sleep(0.05); os.write(1, data[11:])
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the scripts write when they are told to quit."""
    (tmp_path / "main.py").write_text(SCRIPT)
    monkeypatch.setattr(worker_process, "MAIN", tmp_path / "main.py")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    (tmp_path / "log").touch()
    return tmp_path / "log"


@pytest.fixture
def worker(log: Path) -> Iterator[WorkerProcess]:
    made = WorkerProcess(Path(sys.executable), 20.0)
    yield made
    made._finalizer()


def ended(worker: WorkerProcess) -> bool:
    return not worker.alive and not worker.folder.exists() and not group_members(worker.pid)


def test_it_answers_and_is_a_group_of_its_own(worker: WorkerProcess) -> None:
    assert worker.versions == {"lava-nc": "none", "folder": str(worker.folder)}
    assert worker.alive
    assert os.getpgid(worker.pid) == worker.pid != os.getpgrp()
    for i in range(2):
        assert worker.ask({"op": "echo", "é": [i, None, 0.5]}) == {"op": "echo", "é": [i, None, 0.5]}
    assert worker.ask({"op": "halves"}) == {"text": "x" * 100}


def test_its_environment_is_ours_but_for_python_s_and_one_thread_a_library(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("HASN_PYTHON", "kept")
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    worker = WorkerProcess(Path(sys.executable), 20.0)
    found = worker.ask({"op": "environment"})
    worker.close()
    assert not [key for key in found if key.startswith("PYTHON")]
    assert found["HASN_PYTHON"] == "kept"
    assert {found[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "MKL")} == {"1"}


def test_progress_is_handed_on_and_restarts_the_time_limit(worker: WorkerProcess) -> None:
    heard: list[tuple[int, int]] = []
    worker.time_limit = 1.2
    assert worker.ask({"op": "progress", "pause": 0.35}, lambda *now: heard.append(now)) == {}  # 1.4 s in all
    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert worker.ask({"op": "progress", "pause": 0}) == {}


def test_an_error_has_the_worker_s_last_words_and_ends_it(worker: WorkerProcess) -> None:
    with pytest.raises(WorkerError) as caught:
        worker.ask({"op": "error"})
    lines = str(caught.value).splitlines()
    assert "the Lava worker failed: it went wrong. Its last words:" in lines[0]
    assert [line for line in lines if line.startswith("line ")] == [f"line {i}" for i in range(5, 20)]
    assert caught.value.parameter == "error"
    assert ended(worker)


def test_silence_ends_it(worker: WorkerProcess) -> None:
    worker.time_limit = 0.3
    start = time.monotonic()
    with pytest.raises(WorkerError, match=r"no sign of life for 0\.3 s") as caught:
        worker.ask({"op": "nothing"})
    assert 0.3 <= time.monotonic() - start < 10
    assert "longer time_limit" in str(caught.value)
    assert "last words" not in str(caught.value)
    assert caught.value.parameter == "nothing"
    assert ended(worker)


@pytest.mark.parametrize(("op", "words"), [("exit", "(exit status 3)"), ("kill", "(killed by SIGKILL)")])
def test_death_is_told_with_its_cause(worker: WorkerProcess, op: str, words: str) -> None:
    with pytest.raises(WorkerError) as caught:
        worker.ask({"op": op})
    assert f"the Lava worker died {words}" in str(caught.value)
    assert ("the disk is on fire" in str(caught.value)) == (op == "exit")
    assert ended(worker)
    with pytest.raises(WorkerError) as caught:
        worker.ask({"op": "echo"})
    assert f"the Lava worker is gone {words}" in str(caught.value)
    assert caught.value.parameter == "echo"


def test_death_is_noticed_though_a_child_holds_the_pipe(worker: WorkerProcess) -> None:
    child = worker.ask({"op": "child"})["pid"]
    start = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        worker._receive("echo", 20.0)
    assert time.monotonic() - start < 15
    assert ended(worker)  # SIGTERM was not enough for the child
    assert child not in group_members(worker.pid)


def test_an_answer_that_nobody_waits_for_is_never_taken_for_another(worker: WorkerProcess) -> None:
    def press(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.ask({"op": "progress", "pause": 0.01}, press)
    assert ended(worker)


def test_closing_lets_it_quit_and_may_be_repeated(worker: WorkerProcess, log: Path) -> None:
    worker.close()
    assert log.read_text() == "quit "
    assert ended(worker)
    worker.close()
    with pytest.raises(WorkerError, match="is gone"):
        worker.ask({"op": "echo"})


def children() -> set[int]:
    """Live processes that this one started."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] not in "ZX":
                found.add(int(entry.parent.name))
    return found


def test_one_that_does_not_start_is_an_error(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (log.parent / "main.py").write_text("import sys; sys.stderr.write('no numpy here'); sys.exit(1)")
    before = children()
    with pytest.raises(WorkerError, match=r"(?s)died \(exit status 1\).*no numpy here") as caught:
        WorkerProcess(Path(sys.executable), 20.0)
    assert caught.value.parameter == "start"
    assert children() <= before


@pytest.mark.parametrize(
    ("time_limit", "start_seconds", "starts"), [(0.1, 20.0, True), (20.0, 0.1, True), (0.1, 0.1, False)]
)
def test_a_start_may_take_the_longer_of_two_times(
    log: Path, monkeypatch: pytest.MonkeyPatch, time_limit: float, start_seconds: float, starts: bool
) -> None:
    monkeypatch.setenv("SLOW", "0.5")
    monkeypatch.setattr(worker_process, "START_SECONDS", start_seconds)
    if starts:
        WorkerProcess(Path(sys.executable), time_limit).close()
    else:
        with pytest.raises(WorkerError, match=r"0\.1 s"):
            WorkerProcess(Path(sys.executable), time_limit)


def test_a_fork_of_the_caller_leaves_it_alone(worker: WorkerProcess) -> None:
    worker_process._clean(worker._process, worker.folder, os.getpid() + 1)
    assert worker.ask({"op": "echo"}) == {"op": "echo"}
    assert worker.folder.exists()


def test_who_lives_in_a_group(worker: WorkerProcess) -> None:
    assert worker_process._group_lives(worker._process, worker.pid)
    assert worker_process._alive_in(Path(f"/proc/{worker.pid}"), worker.pid)
    assert not worker_process._alive_in(Path(f"/proc/{worker.pid}"), worker.pid + 1)
    assert not worker_process._alive_in(Path(f"/proc/{os.getpid()}"), worker.pid)
    assert not worker_process._alive_in(Path("/proc/none"), worker.pid)
    worker.close()
    assert not worker_process._group_lives(worker._process, worker.pid)


@pytest.mark.parametrize(("state", "alive"), [("S", True), ("R", True), ("Z", False), ("X", False)])
def test_zombies_are_dead(tmp_path: Path, state: str, alive: bool) -> None:
    (tmp_path / "stat").write_text(f"12 (a (b) c) {state} 1 77 3")
    assert worker_process._alive_in(tmp_path, 77) is alive


# --- a worker for several


def _taken_before_an_error(python: Path) -> WorkerProcess:
    with contextlib.suppress(ZeroDivisionError), shared_worker():
        taken, _ = take_worker(python, 20.0)
        raise ZeroDivisionError
    return taken


def test_within_the_block_one_worker_is_shared_and_the_last_to_leave_ends_it(log: Path) -> None:
    python = Path(sys.executable)
    with shared_worker():
        with shared_worker():
            first, owned = take_worker(python, 20.0)
            assert not owned
        assert first.alive
        again, owned = take_worker(python, 33.0)
        assert (again is first, owned, first.time_limit) == (True, False, 33.0)
        os.kill(first.pid, signal.SIGKILL)
        first._process.wait()
        other, owned = take_worker(python, 20.0)
        assert (other is not first, owned, other.alive) == (True, False, True)
        first._finalizer()
    assert ended(other)
    with shared_worker():
        pass  # none was needed
    assert ended(_taken_before_an_error(python))
    alone, owned = take_worker(python, 20.0)
    assert owned
    assert alone is not take_worker(python, 20.0)[0]
    alone.close()


@pytest.mark.parametrize("deaf", [False, True], ids=["", "deaf to SIGTERM"])
@pytest.mark.parametrize("stopped", [False, True], ids=["", "stopped"])
def test_shared_memory_goes_with_the_worker(worker: WorkerProcess, stopped: bool, deaf: bool) -> None:
    """A stopped worker hears of no SIGTERM, and the resource tracker frees nothing while one lives that may use it."""
    segment = Path("/dev/shm") / worker.ask({"op": "memory", "deaf": deaf})["name"]
    assert segment.exists()
    if stopped:
        os.killpg(worker.pid, signal.SIGSTOP)
    worker._finalizer()
    assert not segment.exists()
    assert ended(worker)
