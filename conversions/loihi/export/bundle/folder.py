"""A folder that appears complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hasn.errors import FileError
from hasn.ir.litter import clear, held, part_of, remove
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
    target = Path(path)
    with suppress(OSError):
        clear(target)  # a folder that made room for one that never came is back before it is looked at
    _refuse(target, force, mark)
    with ExitStack() as stack:
        try:
            temporary = stack.enter_context(part_of(target, folder=True))
        except OSError as error:
            raise FileError(f"cannot write here: {error.strerror or error}", parameter=str(target.parent)) from error
        with told(target):
            yield temporary
            temporary.chmod(0o777 & ~umask())
            old = temporary.with_suffix(".old")
            if target.exists():
                stack.enter_context(held(target))  # or another writer takes it for litter once it has made room
                target.rename(old)
            try:
                temporary.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
            remove(old)


def ready_bundle(path: str | Path, *, force: bool, mark: str) -> Path:
    """``path``, once it is sure that a folder may and can be made of it; to be asked before the work.

    Raises:
        FileError: as for :func:`whole_folder`.
    """
    target = Path(path)
    try:
        with suppress(OSError):
            clear(target)
        _refuse(target, force, mark)
        with part_of(target, folder=True):
            pass
    except FileError:
        raise
    except (OSError, ValueError) as error:
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
