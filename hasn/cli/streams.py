"""stdout and stderr as they are found: a pipe that closes, a full disk, a terminal that knows no delta."""

from __future__ import annotations

import codecs
import errno
import os
import sys
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

#: What the command line writes beyond ASCII, in ASCII.
_PLAIN = {
    "Δ": "d", "θ": "theta", "τ": "tau", "Σ": "sum", "µ": "u", "μ": "u", "–": "-", "—": "-", "−": "-", "×": "x",
    "·": "*", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "←": "=", "→": ">", "∞": "inf", "…": "...",
    "•": "*", "✓": "ok", "✗": "no", "│": "|", "┃": "|", "─": "-", "━": "-", "═": "=", "▁": "_", "█": "#", "░": ".",
    "▒": ":", "▓": "%",
}  # fmt: skip
HANDLER = "hasn.readable"


def is_utf8(stream: Any) -> bool:
    """Whether a stream can say everything."""
    return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").replace("_", "") == "utf8"


def readable(error: UnicodeError) -> tuple[str, int]:
    """An error handler: what a stream cannot encode in letters that it has, or escaped."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(letter: str) -> str:
    if letter in _PLAIN:
        return _PLAIN[letter]
    if "─" <= letter <= "╿":  # the corners and crossings of a table
        return "+"
    near = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return near or letter.encode("ascii", "backslashreplace").decode()


def make_writable() -> None:
    """Let stdout and stderr take every letter, and be there at all: a caller may have closed them."""
    codecs.register_error(HANDLER, readable)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _null())
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def finish(status: int) -> int:
    """Write out what waits; the exit status, which is 1 where that could not be done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            status = gone(error) or status
    return status


def is_stream_error(error: OSError) -> bool:
    """Whether it is the output that failed, and no file: writing to a stream names none."""
    return error.filename is None and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG)


def gone(error: OSError) -> int:
    """Say that the output cannot be written, unless its reader just left; the exit status.

    What still waits in the streams is given up: the interpreter would complain of it at its end.
    """
    if error.errno != errno.EPIPE:
        _last_words(f"Error: the output could not be written: {error.strerror}. What was written to files is whole.\n")
    _silence(sys.stdout)
    return 1


def _last_words(text: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _silence(stream: TextIO) -> None:
    """Let the stream's own file be the null device, so that its last flush cannot fail."""
    with suppress(OSError, ValueError):
        os.dup2(_null().fileno(), stream.fileno())


def _null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
