"""Arrays that grow on disk, and the .npz file that is made of them: memory for one piece is all it takes."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.ir.litter import part_of
from hasn.ir.seal import seal
from hasn.ir.whole import told, whole_file

_COPIED = 1 << 20
_FORMAT: Any = np.lib.format  # ships no types


class Spool:
    """Arrays that grow along their first axis, each in a file of a temporary folder beside ``target``.

    Args:
        target: the file that :meth:`write` makes.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._stack = ExitStack()
        with told(target):
            self._folder = self._stack.enter_context(part_of(target, folder=True, suffix=".parts"))
        self._files: dict[str, Any] = {}
        self._like: dict[str, NDArray[Any]] = {}
        self._rows: dict[str, int] = {}

    def append(self, key: str, array: NDArray[Any]) -> None:
        """More rows of an array; all its parts have one type and one shape behind the first axis."""
        with told(self.target):
            if key not in self._files:
                self._files[key] = (self._folder / str(len(self._files))).open("w+b")
                self._like[key], self._rows[key] = array[:0], 0
            self._files[key].write(np.ascontiguousarray(array, dtype=self._like[key].dtype).data)
            self._rows[key] += len(array)

    def write(self, arrays: Mapping[str, NDArray[Any]], stacked: Mapping[str, tuple[str, ...]], force: bool) -> None:
        """Make the file, whole or not at all.

        Args:
            arrays: small ones that are written as well.
            stacked: name in the file -> keys whose arrays are its rows; every other key is a name itself.
            force: whether to replace a file.
        """
        alone = set(self._files) - {key for keys in stacked.values() for key in keys}
        with whole_file(self.target, force=force) as temporary:
            with zipfile.ZipFile(temporary, "w") as file:
                self._fill(file, arrays, stacked, alone)
            seal(temporary)

    def _fill(
        self,
        file: zipfile.ZipFile,
        arrays: Mapping[str, NDArray[Any]],
        stacked: Mapping[str, tuple[str, ...]],
        alone: set[str],
    ) -> None:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w") as member:
                _FORMAT.write_array(member, array, allow_pickle=False)
        for name, keys in ({name: (name,) for name in sorted(alone)} | dict(stacked)).items():
            like, rows = self._like[keys[0]], self._rows[keys[0]]
            shape = (rows, *like.shape[1:]) if name in alone else (len(keys), rows, *like.shape[1:])
            self._member(file, name, keys, {"shape": shape, "descr": like.dtype.str, "fortran_order": False})

    def _member(self, file: zipfile.ZipFile, name: str, keys: tuple[str, ...], header: dict[str, Any]) -> None:
        with file.open(f"{name}.npy", "w", force_zip64=True) as member:
            _FORMAT.write_array_header_1_0(member, header)
            for key in keys:
                self._files[key].seek(0)
                shutil.copyfileobj(self._files[key], member, _COPIED)

    def close(self) -> None:
        """Let go of what was not written."""
        for file in self._files.values():
            file.close()
        self._stack.close()
