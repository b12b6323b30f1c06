"""A process for each input, forked from one that has loaded everything; watched, and ended when it takes too much."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import SECRET, run

#: Of the processor, and ``PATIENCE`` times as long by the clock: other processes may want the processor too.
SECONDS, PATIENCE = 10.0, 4
#: Of memory, with all that was loaded before.
BYTES = 2**30
#: Files under this size must keep to these limits.
SMALL = 2**20


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        fault: what was wrong, the first line a name for it; empty: all is well.
        seconds: that it took.
        peak: largest resident memory, in bytes, of all that was loaded before too.
    """

    fault: str
    seconds: float
    peak: int


def make_secrets(folder: Path) -> None:
    """Files that nobody may read, for links to them."""
    import h5py
    import numpy as np

    (folder / "secret.bin").write_bytes(np.full(6, SECRET).tobytes())
    with h5py.File(folder / "secret.h5", "w") as file:
        file["data"] = np.full(6, SECRET)


def tried(kind: str, path: Path, folder: Path) -> Outcome:
    """Run one input in a fork of this process.

    Args:
        kind: of file.
        path: of the input; what the run writes goes beside it.
        folder: with the secrets and the bundle, see :func:`make_secrets`.
    """
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(kind, path, folder, writing)
    os.close(writing)
    peak, limit = 0, ""
    while not limit:
        time.sleep(0.01)
        peak = max(peak, _peak(child))
        if _worked(child) > SECONDS or time.monotonic() - start > PATIENCE * SECONDS:
            limit = f"hangs: {SECONDS:g} s"
        elif peak > BYTES:
            limit = f"memory: {peak:,} bytes"
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
    else:
        os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    peak = max(peak, used.ru_maxrss * 1024)
    if not limit and peak > BYTES:  # over before it was looked at
        limit = f"memory: {peak:,} bytes"
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    died = f"dies: signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ""
    return Outcome(limit or said or died, time.monotonic() - start, peak)


def _in_child(kind: str, path: Path, folder: Path, writing: int) -> None:
    """Never returns."""
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    said = ""
    try:
        run(kind, path, folder)
    except BaseException as error:
        said = f"{type(error).__name__}: {error}\n{traceback.format_exc()[-3000:]}"
    secrets = [name for name in opened if "secret." in name]
    if secrets:
        said = f"reads another file: {secrets[0]}"
    os.write(writing, said.encode(errors="replace")[:60_000])
    os._exit(0)


def _worked(pid: int) -> float:
    """Seconds that the processor has spent on a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        user, system = text.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def _peak(pid: int) -> int:
    """Largest resident memory so far."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError):
        return 0
