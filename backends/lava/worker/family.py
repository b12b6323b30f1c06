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


def end_group(folder: Path | None) -> None:
    """Remove the shared folder, if one is given, and end the whole process group, this process included.

    SIGTERM, not SIGKILL: Python's resource tracker survives it and frees the shared memory.
    """
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGTERM)
    os._exit(1)


def watch(folder: Path, running: Callable[[], list[Any]], report: Callable[[str], None]) -> None:
    """Watch the caller and Lava's processes in a thread.

    Args:
        folder: what to remove when the caller is gone.
        running: Lava's OS processes (multiprocessing) that should be alive now.
        report: tells the caller which of them died.
    """
    caller = os.getppid()

    def loop() -> None:
        while True:
            time.sleep(0.25)
            if os.getppid() != caller:
                end_group(folder)
            for process in running():
                if _dead(process.pid):
                    report(_last_words(process))
                    return

    threading.Thread(target=loop, daemon=True, name="watch").start()


def _dead(pid: int) -> bool:
    # Not waitpid: that would take the exit status away from multiprocessing.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"


def _last_words(process: Any) -> str:
    try:
        failure = process.exception
    except Exception:
        failure = None
    if failure is not None:
        return f"a Lava process failed:\n{failure[1]}"
    return f"a Lava process (pid {process.pid}) died, perhaps for want of memory"
