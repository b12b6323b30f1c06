"""Files that appear complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hasn.errors import FileError
from hasn.ir.litter import part_of
from hasn.room import text_of


def refuse_existing(path: str | Path, *, force: bool) -> Path:
    """``path``, once it is sure that writing it destroys nothing.

    Raises:
        FileError: it exists and ``force`` is False, it is a folder, or its folder is missing.
    """
    target = Path(path)
    if target.is_dir():
        raise FileError("is a folder", parameter=str(target), wanted="a file name")
    if target.exists() and not force:
        raise FileError(
            "the file exists and is kept",
            parameter=str(target),
            way_out="Pass force=True to replace it.",
        )
    if not target.parent.is_dir():
        raise FileError("there is no such folder", parameter=str(target.parent), way_out="Make it first.")
    return target


@contextmanager
def whole_file(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path``; it takes the place of ``path`` when the block ends well, else it goes.

    A process that is killed within the block leaves it behind, and the next one that writes ``path`` removes it: so
    work out what is to be written before the block.

    Raises:
        FileError: see :func:`refuse_existing`; or the operating system refuses to write (disk full, no right).
    """
    target = refuse_existing(path, force=force)
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(part_of(target))
        except OSError as error:
            raise FileError(f"cannot write here: {error.strerror or error}", parameter=str(target.parent)) from error
        with told(target):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~umask())
            temporary.replace(target)


@contextmanager
def told(target: Path) -> Iterator[None]:
    """What the operating system refuses in the block is a FileError that names ``target``."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"could not be written: {error.strerror or error}",
            parameter=str(target),
            got=_left(target) if error.errno in _FULL else None,
            way_out="Nothing was changed; make room and try again.",
        ) from error


#: No space, a quota, or a limit on a file's size.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _left(target: Path) -> str | None:
    """How much room the disk has."""
    try:
        return f"{text_of(shutil.disk_usage(target.parent).free)} free on that disk"
    except OSError:
        return None


def umask() -> int:
    """The rights that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
