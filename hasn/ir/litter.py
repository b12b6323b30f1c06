"""What a writer that was killed leaves behind, and how the next one tells it from another's work: by a lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TRIES = 10


@contextmanager
def part_of(target: Path, *, folder: bool = False, suffix: str = ".part") -> Iterator[Path]:
    """A new empty file or folder beside ``target``, held by a lock until the block ends; then it goes, if it is there.

    What earlier writers of ``target`` left when they were killed goes first.

    Raises:
        OSError: the folder cannot be written.
    """
    beside = target.absolute().parent
    with contextlib.suppress(OSError):
        clear(target)
    for _ in range(_TRIES):
        if folder:
            name = tempfile.mkdtemp(prefix=f".{target.name}.", suffix=suffix, dir=beside)
        else:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=suffix, dir=beside)
            os.close(handle)
        path = Path(name)
        with held(path) as mine:
            if mine is False or not path.exists():  # another writer took it for litter before it was locked
                continue
            try:
                yield path
            finally:
                remove(path)
            return
    raise OSError(f"other writers of {target.name} remove what this one makes")


@contextmanager
def held(path: Path) -> Iterator[bool | None]:
    """Whether ``path`` is ours alone: no living process holds it. None: this file system knows no locks."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:
            yield None
        else:
            yield True
    finally:
        os.close(handle)


def clear(target: Path) -> None:
    """Remove what writers of ``target`` left that live no more; a folder that had to make room comes back."""
    mark = re.compile(re.escape(f".{target.name}.") + r"[a-z0-9_]{8}\.(part|parts|old)")
    for path in target.absolute().parent.iterdir():
        if not mark.fullmatch(path.name):
            continue
        with held(path) as mine:
            if mine and path.suffix == ".old" and not target.exists():
                path.rename(target)
            elif mine:
                remove(path)


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
