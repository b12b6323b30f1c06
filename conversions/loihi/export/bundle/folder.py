"""A folder that appears complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hasn.errors import FileError
from hasn.ir.whole import told, umask


@contextmanager
def whole_folder(path: str | Path, *, force: bool, mark: str) -> Iterator[Path]:
    """A temporary folder beside ``path``; it takes the place of ``path`` when the block ends well, else it goes.

    Args:
        path: must not exist, or be an empty folder.
        force: replace a folder that is there, if it holds a file named ``mark`` (so is one of ours).
        mark: see above.

    Raises:
        FileError: something is there that is not to be replaced, the parent is missing, or it cannot be written.
    """
    target = ready_bundle(path, force=force, mark=mark)
    with told(target):
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.absolute().parent))
    try:
        with told(target):
            yield temporary
            temporary.chmod(0o777 & ~umask())
            old = temporary.with_suffix(".old")
            if target.exists():
                target.rename(old)
            try:
                temporary.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def ready_bundle(path: str | Path, *, force: bool, mark: str) -> Path:
    """``path``, once it is sure that a folder may and can be made of it; to be asked before the work.

    Raises:
        FileError: as for :func:`whole_folder`.
    """
    target = Path(path)
    try:
        _refuse(target, force, mark)
        trial = tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.absolute().parent)
        Path(trial).rmdir()
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(f"cannot write here: {reason}", parameter=str(target.parent)) from error
    return target


def _refuse(target: Path, force: bool, mark: str) -> None:
    if not target.absolute().parent.is_dir():
        raise FileError("there is no such folder", parameter=str(target.parent), way_out="Make it first.")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise FileError("is no folder", parameter=str(target), wanted="the name of a new folder")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not (target / mark).is_file():
        raise FileError(
            f"the folder holds something else (it has no {mark}) and is kept",
            parameter=str(target),
            wanted="the name of a new folder",
        )
    if not force:
        raise FileError(
            "the folder exists and is kept", parameter=str(target), way_out="Pass force=True to replace it."
        )
