"""Compiled code that is whole or not there: Brian2's cache of Cython modules, with a digest beside each.

Brian2 loads whatever file has a module's name: an empty one fails for ever, and a cut one ends the process with a bus
error. Here a module is loaded only if the digest that was written after it was built is that of the file; else it is
built anew. A cache folder in which nothing can be written is left for one of hasn's own.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from brian2.codegen.runtime.cython_rt.extension_manager import CythonExtensionManager

from hasn.backends.brian2.load import brian2
from hasn.ir.hdf5 import first_line

_FOLDER = "codegen.runtime.cython.cache_dir"


class WholeModules(CythonExtensionManager):  # type: ignore[misc]  # Brian2 has no types
    """Brian2's manager of compiled modules, which loads no file but a whole one."""

    def create_extension(self, code: str, **options: Any) -> Any:
        """The module of some code, built unless a whole one is there."""
        if not _writable(Path(brian2.prefs[_FOLDER])):
            brian2.prefs[_FOLDER] = str(_own_folder(Path(brian2.prefs[_FOLDER]).name))
        return super().create_extension(code, **options)

    def _load_module(self, module_path: str, *others: Any, **options: Any) -> Any:
        path = Path(module_path)
        if not _is_whole(path):
            path.unlink(missing_ok=True)  # a process that has loaded it keeps its own
        built = not path.exists()
        module = super()._load_module(module_path, *others, **options)
        if built and path.exists():
            _write(_digest_file(path), _digest(path))
        return module


def _digest_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_whole(path: Path) -> bool:
    try:
        return _digest_file(path).read_text() == _digest(path)
    except (OSError, UnicodeDecodeError):
        return False


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


def _writable(folder: Path) -> bool:
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.expanduser()):
            return True
    except OSError:
        return False


def _own_folder(name: str) -> Path:
    """A cache among temporary files, of this user's alone: what lies in it is run."""
    user = os.getuid() if hasattr(os, "getuid") else 0  # Windows' temporary files are each user's own
    folder = Path(tempfile.gettempdir()) / f"hasn_brian2_{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != user or found.st_mode & 0o022:
        folder = Path(tempfile.mkdtemp(prefix="hasn_brian2_"))
    return folder / name


def trouble() -> tuple[str, str]:
    """(why a test compilation failed, what to do about it); two empty texts where it works. Within ``isolated``."""
    from brian2.codegen.cpp_prefs import get_compiler_and_args
    from brian2.codegen.runtime.cython_rt import cython_rt

    numpy_too = "or pass target='numpy': it gives the same numbers."
    try:
        compiler, arguments = get_compiler_and_args()
        made = cython_rt.cython_extension_manager.create_extension(
            "#cython: language_level=3\ndef main():\n    cdef int x\n    x = 0",
            compiler=compiler,
            extra_compile_args=arguments,
            extra_link_args=brian2.prefs["codegen.cpp.extra_link_args"],
            include_dirs=list(brian2.prefs["codegen.cpp.include_dirs"]),
            library_dirs=brian2.prefs["codegen.cpp.library_dirs"],
            runtime_library_dirs=brian2.prefs["codegen.cpp.runtime_library_dirs"],
        )
        made.main()
    except ModuleNotFoundError as error:
        return first_line(error), f"`pip install cython setuptools`, {numpy_too}"
    except Exception as error:  # compilers, linkers and file systems fail in many words
        reason = f"{type(error).__name__}: {first_line(error)}"
        missing = "No such file or directory" in reason and "command" in reason
        if missing or "Cython is not available" in reason:
            return reason, f"Install gcc and `pip install cython`, {numpy_too}"
        return (
            reason,
            f"Look at the compiler and at its cache, {brian2.prefs[_FOLDER]} (it may be removed), {numpy_too}",
        )
    return "", ""
