"""The worker's server, family and start, on Lava's double."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.backends.lava.worker import family, frames, serve
from hasn.backends.lava.worker.frames import pack, unpack
from hasn.backends.lava.worker.serve import Server
from hasn.backends.lava.worker_process import MAIN
from tests.unit.backends.lava import double

#: In place of the process, a thread ends by SystemExit.
ends_by_exit = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def read(fd: int, buffer: bytearray) -> Any:
    """The next message of a pipe."""
    while (message := unpack(buffer)) is None:
        data = os.read(fd, 1 << 16)
        assert data, "the pipe is closed"
        buffer += data
    return message


def dead_process() -> int:
    """The pid of a process that has ended and been waited for."""
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid


# --- requests


class Paced(Server):
    """A network whose steps take ``pace`` seconds each; the clock is told so."""

    def __init__(self, pace: Any) -> None:
        super().__init__(Path("/none"), -1, -1)
        self.pace, self.now, self.pieces, self.said, self.stopped = pace, 0.0, [], [], []

    def send(self, message: Any) -> None:
        self.said.append(message)

    def _launch(self, request: Any) -> str:
        return "host"

    def _advance(self, host: Any, steps: int) -> None:
        assert host == "host"
        self.pieces.append(steps)
        self.now += steps * self.pace(len(self.pieces))

    def _stop(self, host: Any) -> None:
        self.stopped.append(host)


@pytest.mark.parametrize(
    ("pace", "steps", "pieces"),
    [
        (lambda n: 0.1, 20, [8, 5, 5, 2]),  # half a second a piece
        (lambda n: 10.0, 11, [8, 1, 1, 1]),  # at least a step
        (lambda n: 0.0, 100, [8, 32, 60]),  # at most four times the last
        (lambda n: 0.03 if n == 1 else 0.001, 500, [8, 16, 64, 256, 156]),
        (lambda n: 0.1, 3, [3]),
    ],
)
def test_a_run_goes_in_pieces_of_half_a_second_with_a_word_after_each(
    pace: Any, steps: int, pieces: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Paced(pace)
    monkeypatch.setattr(serve, "time", SimpleNamespace(perf_counter=lambda: server.now))
    assert server._run({"steps": steps}) == {}
    assert server.pieces == pieces
    assert server.said == [{"progress": [int(done), steps]} for done in np.cumsum(pieces)]
    assert server.stopped == ["host"]


def test_streams_live_beside_each_other_and_end_one_by_one_or_all_together() -> None:
    server = Paced(lambda n: 0.0)
    assert server._end({}) == {}
    for folder in "ab":
        assert server._start({"folder": folder}) == {}
    assert server._step({"folder": "b"}) == {}
    assert server.pieces == [1]
    assert server._end({"folder": "a"}) == {}
    assert (server.stopped, list(server.streams)) == (["host"], ["b"])
    assert server._start({"folder": "c"}) == {}
    assert server._end({"op": "end"}) == {}
    assert (server.stopped, server.streams) == (["host"] * 3, {})


class Runtime:
    """A host's, with processes."""

    def __init__(self, *pids: int) -> None:
        self.pids, self.runtime, self.tag, self.log = pids, None, "fixed_pt", []

    def create_runtime(self, run_cfg: Any, compile_config: Any) -> None:
        self.log.append(("made", run_cfg.select_tag, compile_config))
        actors = [SimpleNamespace(pid=pid) for pid in self.pids]
        self.runtime = SimpleNamespace(_messaging_infrastructure=SimpleNamespace(actors=actors))

    def run(self, condition: Any) -> None:
        self.log.append(("run", condition.num_steps))

    def stop(self) -> None:
        self.log.append(("stop",))


def test_which_processes_should_be_alive() -> None:
    with double.lava():
        server = Server(Path("/none"), -1, -1)
        one, other = Runtime(1, 2), Runtime(3)
        server._advance(one, 5)
        before = server.running
        server._advance(other, 7)
        server._advance(one, 6)
        assert (set(before), set(server.running)) == ({1, 2}, {1, 2, 3})
        server._stop(one)
        assert set(server.running) == {3}
        server._stop(Runtime(9))  # never ran
        assert set(server.running) == {3}
    made = ("made", "fixed_pt", {"pypy_channel_size": 8})
    assert one.log == [made, ("run", 5), ("run", 6), ("stop",)]
    assert other.log == [made, ("run", 7)]


# --- the loop


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A server in a thread, with pipes for requests and answers."""
    requests, answers = os.pipe(), os.pipe()
    ended: list[Any] = []

    def end(folder: Any) -> None:
        ended.append(folder)
        raise SystemExit

    watched: list[Any] = []
    monkeypatch.setattr(family, "end_group", end)
    monkeypatch.setattr(family, "watch", lambda *given: watched.append(given))
    folder = tmp_path / "shared"
    folder.mkdir()
    server = Server(folder, requests[0], answers[1])
    with double.lava():
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        buffer = bytearray()
        yield SimpleNamespace(
            server=server, thread=thread, folder=folder, ended=ended, watched=watched,
            write=lambda data: os.write(requests[1], data), read=lambda: read(answers[0], buffer),
            hang_up=lambda: os.close(requests[1]),
        )  # fmt: skip
        server.inbox.put({"op": "quit"})
        thread.join(10)


def test_it_answers_one_request_after_the_other(served: SimpleNamespace) -> None:
    assert served.read() == {"ready": {"lava": "double", "numpy": np.__version__}}
    served.write(pack({"op": "end"}) + pack({"op": "step"})[:9])
    assert served.read() == {"done": {}}
    served.server.running = {dead_process(): SimpleNamespace(exception=None), os.getpid(): SimpleNamespace()}
    served.write(pack({"op": "step"})[9:])
    error = served.read()["error"].splitlines()
    assert "a Lava process (pid" in error[0]
    assert error[1].startswith("Traceback")
    assert "KeyError" in error[-1]
    served.write(pack({"op": "end"}))
    assert served.read() == {"done": {}}
    ((folder, running, report),) = served.watched
    assert folder == served.folder
    assert running() is served.server.running
    assert report == served.server._fatal
    served.write(pack({"op": "quit"}))
    served.thread.join(10)
    assert not served.thread.is_alive()
    assert not served.folder.exists()
    assert served.ended == []


@ends_by_exit
def test_a_caller_that_is_gone_ends_it(served: SimpleNamespace) -> None:
    served.read()
    served.hang_up()
    end = time.monotonic() + 10
    while not served.ended and time.monotonic() < end:
        time.sleep(0.01)
    assert served.ended == [served.folder]


def test_a_process_that_died_is_told_and_the_folder_left_to_the_caller(served: SimpleNamespace) -> None:
    served.read()
    with pytest.raises(SystemExit):
        served.server._fatal("its last words")
    assert served.read() == {"error": "its last words"}
    assert served.ended == [None]


def test_an_answer_is_whole_however_little_the_pipe_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(serve, "os", SimpleNamespace(write=lambda fd, data: taken.write(bytes(data[:3]))))
    Server(Path("/none"), -1, 7).send({"done": {"text": "x" * 50}})
    assert unpack(bytearray(taken.getvalue())) == {"done": {"text": "x" * 50}}


LOGS = "import logging, warnings; logging.warning('beware'); logging.info('no'); warnings.warn('odd')"
STUB = "print('Lava prints'); import sys; __version__ = str(sys.stdin.read() == '')"


def test_it_starts_by_its_path_with_nothing_but_frames_on_its_pipes(tmp_path: Path) -> None:
    """A package of the name ``lava`` that prints and reads: its words go elsewhere, and stdin is empty for it."""
    (tmp_path / "stub/lava").mkdir(parents=True)
    # A module of Lava's dependencies that is named like one in the worker's folder.
    (tmp_path / "stub/frames.py").write_text("theirs = True")
    (tmp_path / "stub/lava/__init__.py").write_text(f"{STUB}\nimport frames; assert frames.theirs\n{LOGS}")
    (tmp_path / "shared").mkdir()
    with subprocess.Popen(
        [sys.executable, str(MAIN), str(tmp_path / "shared")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "stub")},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        buffer = bytearray()
        assert read(process.stdout.fileno(), buffer) == {"ready": {"lava": "True", "numpy": np.__version__}}
        process.stdin.write(pack({"op": "end"}))
        process.stdin.flush()
        assert read(process.stdout.fileno(), buffer) == {"done": {}}
        process.stdin.write(pack({"op": "quit"}))
        process.stdin.flush()
        assert process.wait(20) == 0
        said = process.stderr.read().decode()
    assert said.splitlines() == ["Lava prints", "WARNING:root:beware"]
    assert not (tmp_path / "shared").exists()


# --- the family


def test_who_is_dead() -> None:
    child = subprocess.Popen(["sleep", "60"])
    assert not family.dead(child.pid)
    child.kill()
    end = time.monotonic() + 10
    while not family.dead(child.pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert Path(f"/proc/{child.pid}").exists()  # a zombie
    assert family.dead(child.pid)
    child.wait()
    assert family.dead(child.pid)


class Unreadable:
    """A process whose pipe is broken."""

    @property
    def exception(self) -> Any:
        raise EOFError


def test_last_words_are_the_end_of_the_traceback() -> None:
    trace = "\n".join(f"line {i}" for i in range(9)) + "\n\n"
    failed = SimpleNamespace(exception=(ValueError(), trace))
    wanted = ["a Lava process failed:", *(f"line {i}" for i in range(3, 9))]
    assert family.last_words(7, failed).splitlines() == wanted
    for silent in (SimpleNamespace(exception=None), Unreadable(), None):
        assert family.last_words(7, silent) == "a Lava process (pid 7) died, perhaps for want of memory"


def test_the_watch_reports_who_died_unless_it_was_to_stop() -> None:
    gone, stopped = dead_process(), dead_process()
    looks: list[int] = []
    told: list[str] = []

    def running() -> dict[int, Any]:
        looks.append(1)
        # One that has been stopped as it should is there at the first look, and not at the second.
        return {stopped: None} if len(looks) == 1 else {} if len(looks) < 4 else {os.getpid(): None, gone: None}

    family.watch(Path("/none"), running, told.append)
    end = time.monotonic() + 10
    while not told and time.monotonic() < end:
        time.sleep(0.02)
    assert told == [f"a Lava process (pid {gone}) died, perhaps for want of memory"]


@ends_by_exit
def test_the_watch_ends_all_when_the_caller_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ended: list[Any] = []

    def end(folder: Any) -> None:
        ended.append(folder)
        raise SystemExit

    parents = iter([11, 11])
    monkeypatch.setattr(family, "end_group", end)
    monkeypatch.setattr(family, "os", SimpleNamespace(getppid=lambda: next(parents, 1)))
    family.watch(tmp_path, dict, lambda words: None)
    until = time.monotonic() + 10
    while not ended and time.monotonic() < until:
        time.sleep(0.02)
    assert ended == [tmp_path]


@pytest.mark.parametrize(("leads", "given"), [(True, True), (False, True), (True, False)])
def test_ending_the_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leads: bool, given: bool) -> None:
    """The group is ours alone if we lead it: as a part of the caller's, only this process ends."""
    (tmp_path / "shared").mkdir()
    done: list[Any] = []
    fake = SimpleNamespace(
        getpgrp=lambda: 5, getpid=lambda: 5 if leads else 6, killpg=lambda *what: done.append(what), _exit=done.append
    )
    monkeypatch.setattr(family, "os", fake)
    family.end_group(tmp_path / "shared" if given else None)
    assert done == [(0, signal.SIGTERM), 1] if leads else [1]
    assert (tmp_path / "shared").exists() is not given


# --- frames


def test_a_frame_s_length_has_a_limit_and_is_little_endian() -> None:
    assert pack({}) == b"\x02\0\0\0\0\0\0\0{}"
    assert unpack(bytearray(b"\x02\0\0\0\0\0\0\0{}")) == {}
    assert unpack(bytearray((1 << 30).to_bytes(8, "little"))) is None
    with pytest.raises(ValueError, match="1073741825 bytes"):
        frames.unpack(bytearray(((1 << 30) + 1).to_bytes(8, "little")))
    buffer = bytearray(pack({"a": 1}) + b"rest")
    unpack(buffer)
    assert buffer == b"rest"
