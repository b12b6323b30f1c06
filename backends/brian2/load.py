"""The one place that imports Brian2."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def _contained() -> Iterator[None]:
    """Keep what the import does to the process from reaching the user."""
    # Brian2 installs a hook that calls any uncaught error a bug of Brian2 and leaves its log files behind.
    hook = sys.excepthook
    handler: Any = signal.signal
    # It also handles Ctrl-C, which Python allows in the main thread alone: elsewhere the import would fail. And what it
    # hands Ctrl-C on to must be a function: where it is ignored (nohup, jobs of a script), it stays so.
    in_main = threading.current_thread() is threading.main_thread()
    if not (in_main and callable(signal.getsignal(signal.SIGINT))):
        signal.signal = lambda number, action: None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of its own libraries
            yield
    finally:
        sys.excepthook = hook
        signal.signal = handler


with _contained():
    import brian2

__all__ = ["brian2"]
