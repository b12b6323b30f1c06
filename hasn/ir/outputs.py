"""Outputs, tried before the work whose results they will take: a training must not end where it cannot be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hasn.errors import FileError
from hasn.ir.litter import part_of
from hasn.ir.whole import refuse_existing


def ready_to_write(path: str | Path, *, force: bool) -> Path:
    """``path``, once a file beside it could be made, as writing it will do; nothing is left there.

    Raises:
        FileError: it exists and ``force`` is False, it is no plain file, or its folder is missing or takes no file.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():  # force would not help
            raise FileError("is no plain file", parameter=str(target), wanted="the name of a file")
        refuse_existing(target, force=force)
        _try(target.parent, target.name)
    except (OSError, ValueError) as error:
        raise _refusal(error, target) from error
    return target


def ready_folder(path: str | Path) -> Path:
    """``path``, a folder that is made if it is not there, once a file could be made in it.

    Raises:
        FileError: it is a file, cannot be made, or takes no file.
    """
    folder = Path(path)
    try:
        if folder.exists() and not folder.is_dir():
            raise FileError("is no folder", parameter=str(folder), wanted="the name of a folder")
        folder.mkdir(parents=True, exist_ok=True)
        _try(folder, "hasn")
    except (OSError, ValueError) as error:
        raise _refusal(error, folder) from error
    return folder


def apart(inputs: Mapping[str, str | Path | None] | None = None, /, **outputs: str | Path | None) -> None:
    """Refuse two outputs of one name, of which the second would replace the first, and one that replaces an input.

    Raises:
        FileError: naming both.
    """
    seen = {_place(path): name for name, path in (inputs or {}).items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        place = _place(path)
        if place in seen:
            raise FileError(
                f"is the file of {seen[place]} too",
                parameter=name,
                got=str(path),
                way_out="Give each a name of its own.",
            )
        seen[place] = name


def _place(path: str | Path) -> Path:
    """The absolute name whose file a rename replaces: links to folders followed, a link to a file not."""
    return Path(path).parent.resolve() / Path(path).name


def _try(folder: Path, name: str) -> None:
    """Make and remove what :func:`hasn.ir.whole.whole_file` makes."""
    with part_of(folder / name):
        pass


def _refusal(error: Exception, target: Path) -> FileError:
    if isinstance(error, FileError):
        return error
    reason = getattr(error, "strerror", None) or str(error)
    way_out = "Nothing was begun: name a place that can be written."
    return FileError(f"cannot be written: {reason}", parameter=str(target), way_out=way_out)
