"""The worker and Lava's processes: nobody is left behind, whoever dies first."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
#: Of a failed process, the end of its traceback; the rest is Lava's.
LINES = 6
_LIBC: Any = ctypes.CDLL(None, use_errno=True)


def follow_into_death(closing: list[int]) -> None:
    """Make every process that is forked from now on die with this one, and close ``closing`` in it.

    Call it from the thread that forks: the signal comes when that thread ends.
    """
    worker = os.getpid()

    def child() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != worker:
            os._exit(1)
        for fd in closing:
            os.close(fd)

    os.register_at_fork(after_in_child=child)


def remove(folder: Path) -> None:
    """Remove the shared folder, though another thread may be writing into it."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)


def end_group(folder: Path | None) -> None:
    """Remove the shared folder, if one is given, and end the whole process group, this process included.

    SIGTERM, not SIGKILL: Python's resource tracker survives it and frees the shared memory.
    """
    if folder is not None:
        remove(folder)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(1)


def watch(folder: Path, running: Callable[[], dict[int, Any]], report: Callable[[str], None]) -> None:
    """Watch the caller and Lava's processes in a thread.

    Args:
        folder: what to remove when the caller is gone.
        running: Lava's OS processes that should be alive now, {pid: multiprocessing's object}.
        report: tells the caller which of them died.
    """
    caller = os.getppid()

    def loop() -> None:
        while True:
            time.sleep(0.25)
            if os.getppid() != caller:
                end_group(folder)
            for pid, process in running().items():
                # Looked up again: it may have been stopped in the meantime, as it should.
                if dead(pid) and pid in running():
                    report(last_words(pid, process))
                    return

    threading.Thread(target=loop, daemon=True, name="watch").start()


def dead(pid: int) -> bool:
    """Whether a process is gone or a zombie."""
    # Not waitpid: that would take the exit status away from multiprocessing.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def last_words(pid: int, process: Any) -> str:
    """What can be said about a Lava process that is gone."""
    try:
        failure = process.exception
    except Exception:
        failure = None
    if failure is not None:
        return "a Lava process failed:\n" + "\n".join(failure[1].strip().splitlines()[-LINES:])
    return f"a Lava process (pid {pid}) died, perhaps for want of memory"
