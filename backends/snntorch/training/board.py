"""Logging that never holds up a training step: a thread of its own, a bounded queue, and a count of what it dropped."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hasn.errors import BackendUnavailable, OptionError

#: Seconds that the end of training waits for entries still under way.
PATIENCE = 10.0


def writer_of(log: Any) -> Any:
    """A writer with ``add_scalar(tag, value, step)``: TensorBoard's for a folder, or the one given.

    Raises:
        BackendUnavailable: a folder is given and tensorboard is not installed.
        OptionError: neither a folder nor a writer.
    """
    if hasattr(log, "add_scalar"):
        return log
    if not isinstance(log, str | Path):
        wanted = "a folder, or a writer with add_scalar(tag, value, step)"
        raise OptionError("no log", parameter="log", got=type(log).__name__, wanted=wanted)
    if find_spec("tensorboard") is None:
        raise BackendUnavailable("tensorboard is not installed", parameter="log", way_out="pip install 'hasn[train]'")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(log))


class Board:
    """Hands scalars to a writer in a thread.

    Args:
        writer: see :func:`writer_of`.
        size: entries that may wait; more are dropped and counted.

    Attributes:
        dropped: entries that were not written so far.
    """

    def __init__(self, writer: Any, size: int) -> None:
        self.dropped = 0
        self._writer = writer
        self._queue: queue.Queue[tuple[int, dict[str, float]] | None] = queue.Queue(size)
        self._error: Exception | None = None
        self._under_way = 0
        self._thread = threading.Thread(target=self._write, name="hasn-log", daemon=True)
        self._thread.start()

    def add(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Queue the scalars of a step, or drop them; returns at once."""
        entry = {tag: value for tag, value in scalars.items() if value is not None}
        try:
            self._queue.put_nowait((step, entry))
        except queue.Full:
            self.dropped += len(entry)

    def _write(self) -> None:
        while (item := self._queue.get()) is not None:
            step, entry = item
            self._under_way = len(entry)
            for tag, value in entry.items():
                if self._error is None:
                    try:
                        self._writer.add_scalar(tag, value, step)
                    except Exception as error:  # a full disk must not end the training
                        self._error = error
                self.dropped += self._error is not None
                self._under_way -= 1

    def close(self, patience: float = PATIENCE) -> int:
        """Wait for the writer, but not for ever; the entries that were dropped in all."""
        try:
            self._queue.put(None, timeout=patience)
        except queue.Full:
            pass
        else:
            self._thread.join(patience)
        if self._thread.is_alive():
            left = [item for item in list(self._queue.queue) if item]
            self.dropped += self._under_way + sum(len(entry) for _, entry in left)
            warnings.warn("the log's writer did not finish and is left behind", RuntimeWarning, stacklevel=2)
        elif hasattr(self._writer, "flush"):
            self._writer.flush()
        if self._error is not None:
            warnings.warn(f"the log could not be written: {self._error}", RuntimeWarning, stacklevel=2)
        return self.dropped
