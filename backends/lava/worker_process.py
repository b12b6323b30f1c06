"""The caller's end of the worker: starts it, talks to it with a time limit, and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hasn.backends.lava.worker.frames import pack, unpack
from hasn.errors import WorkerError

MAIN = Path(__file__).parent / "worker" / "main.py"
#: Importing Lava may take this long on a cold disk.
START_SECONDS = 120.0
LAST_LINES = 15

Progress = Callable[[int, int], None]


class WorkerProcess:
    """A worker in a process group of its own, and the folder that it shares with its caller.

    Args:
        python: Lava's interpreter.
        time_limit: seconds without a sign of life after which it counts as hung.

    Raises:
        WorkerError: it does not start.
    """

    def __init__(self, python: Path, time_limit: float) -> None:
        self.time_limit = time_limit
        self.folder = Path(tempfile.mkdtemp(prefix="hasn-lava-"))
        self._buffer = bytearray()
        # One thread each: Lava's processes share the cores already.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        with (self.folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [str(python), str(MAIN), str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                start_new_session=True,
            )
        self._finalizer = weakref.finalize(self, _clean, self._process, self.folder, os.getpid())
        self.versions: dict[str, str] = self._answer("start", max(time_limit, START_SECONDS))["ready"]

    @property
    def pid(self) -> int:
        """Of the worker, and of its process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._finalizer.alive and self._process.poll() is None

    def ask(self, request: dict[str, Any], progress: Progress | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            WorkerError: the worker died, hung or answered with an error; it is ended then, with all its children.
        """
        operation = str(request["op"])
        stdin = self._process.stdin
        try:
            if stdin is None or not self.alive:
                raise BrokenPipeError
            stdin.write(pack(request))
            stdin.flush()
        except OSError:
            raise self._failure(f"the Lava worker is gone{self._status()}", operation) from None
        try:
            answer: dict[str, Any] = self._answer(operation, self.time_limit, progress)["done"]
        except BaseException:
            # Ctrl-C, say: the answer that is still to come must not be taken for the next request's.
            self._finalizer()
            raise
        return answer

    def close(self) -> None:
        """End the worker and all its children, and remove the folder."""
        if self._finalizer.alive and self._process.poll() is None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(pack({"op": "quit"}))
                self._process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
        self._finalizer()

    # --- the pipe

    def _answer(self, operation: str, limit: float, progress: Progress | None = None) -> dict[str, Any]:
        while True:
            message = self._receive(operation, limit)
            if "progress" in message:
                if progress is not None:
                    progress(*message["progress"])
            elif "error" in message:
                raise self._failure(f"the Lava worker failed: {message['error'].strip()}", operation)
            else:
                return message

    def _receive(self, operation: str, limit: float) -> dict[str, Any]:
        """The next message; every one restarts the time limit."""
        stdout = self._process.stdout
        if stdout is None:
            raise self._failure("the Lava worker has no pipe", operation)
        deadline = time.monotonic() + limit
        while (message := unpack(self._buffer)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._failure(
                    f"the Lava worker gave no sign of life for {limit:g} s", operation,
                    way_out="Pass a longer time_limit (seconds) if the network is merely large.",
                )  # fmt: skip
            # Not only the pipe: a forked child may hold its other end.
            ready, _, _ = select.select([stdout], [], [], min(left, 0.25))
            if ready:
                data = os.read(stdout.fileno(), 1 << 16)
                if data:
                    self._buffer += data
                    continue
            if ready or self._process.poll() is not None:
                self._wait()
                raise self._failure(f"the Lava worker died{self._status()}", operation)
        return message

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)

    def _status(self) -> str:
        code = self._process.poll()
        if code is None:
            return ""
        return f" (killed by {signal.Signals(-code).name})" if code < 0 else f" (exit status {code})"

    def _failure(self, message: str, operation: str, way_out: str | None = None) -> WorkerError:
        words = self._last_words()
        self._finalizer()
        if words:
            message = f"{message}. Its last words:\n{words}"
        return WorkerError(message, parameter=operation, way_out=way_out)

    def _last_words(self) -> str:
        try:
            lines = (self.folder / "stderr").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LAST_LINES:])


@dataclass
class _Sharing:
    """Whether executables share a worker now, and which."""

    depth: int = 0
    worker: WorkerProcess | None = None


_sharing = _Sharing()


@contextmanager
def shared_worker() -> Iterator[None]:
    """Within the block, executables that run one after the other use one worker: it takes a second to start.

    A stream needs a worker of its own while it lives: do not open two streams within the block.
    """
    _sharing.depth += 1
    try:
        yield
    finally:
        _sharing.depth -= 1
        if _sharing.depth == 0 and _sharing.worker is not None:
            _sharing.worker.close()
            _sharing.worker = None


def take_worker(python: Path, time_limit: float) -> tuple[WorkerProcess, bool]:
    """A worker, and whether the caller is to close it (not if it is shared).

    Raises:
        WorkerError: it does not start.
    """
    if _sharing.depth == 0:
        return WorkerProcess(python, time_limit), True
    if _sharing.worker is None or not _sharing.worker.alive:
        _sharing.worker = WorkerProcess(python, time_limit)
    _sharing.worker.time_limit = time_limit
    return _sharing.worker, False


def _clean(process: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    """End the group and remove the folder: on close, when the caller forgets the worker, and when Python exits.

    A fork of the caller (``owner``) leaves them alone. Python's resource tracker, which is in the group, frees the
    shared memory once all others are gone: it ignores SIGTERM, and is killed last. Who was stopped goes on, or he
    would neither hear of SIGTERM nor let the tracker do its work.
    """
    if os.getpid() != owner:
        return
    group = process.pid
    for end, seconds in ((_terminate, 2.0), (_kill_all_but_tracker, 2.0), (_kill, 2.0)):
        if not end(group):
            break
        until = time.monotonic() + seconds
        while time.monotonic() < until and _group_lives(process, group):
            time.sleep(0.01)
    process.poll()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    shutil.rmtree(folder, ignore_errors=True)


def _terminate(group: int) -> bool:
    """Whether there is anybody to end."""
    return _signal(group, signal.SIGTERM) and _signal(group, signal.SIGCONT)


def _kill(group: int) -> bool:
    return _signal(group, signal.SIGKILL)


def _kill_all_but_tracker(group: int) -> bool:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if _alive_in(entry, group) and b"resource_tracker" not in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    return _signal(group, signal.SIGCONT)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _group_lives(process: subprocess.Popen[bytes], group: int) -> bool:
    process.poll()
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    # Killed children count until their new parent has noticed, which may take it a second.
    entries = list(Path("/proc").glob("[0-9]*"))
    return not entries or any(_alive_in(entry, group) for entry in entries)


def _alive_in(entry: Path, group: int) -> bool:
    """Whether this process of /proc is of the group and no zombie."""
    try:
        state, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
    except OSError:
        return False
    return int(of) == group and state not in "ZX"
