"""Arrays of .npy and .npz files: what their headers claim is looked at before any data is read."""

from __future__ import annotations

import io
import math
import os
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hasn.errors import FileError
from hasn.ir.seal import seal, seal_of
from hasn.ir.whole import whole_file

#: What a .npz file may take in memory: this, and as many times its own size. What packs better is stored as it is.
FREE, TIMES = 256 * 2**20, 64
_FORMAT: Any = np.lib.format  # ships no types
#: Bytes of the longest header that is read; numpy's own are 118 to 10,000.
_HEADER = 1 << 16
_GROUP = Path("/sys/fs/cgroup")
_STORED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Damaged(Exception):
    """The bytes are not what they claim to be; the text says how."""


@dataclass(frozen=True)
class Declared:
    """What the header of an array claims.

    Attributes:
        shape, dtype, fortran: of the array.
        start: bytes of the header.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int

    @property
    def nbytes(self) -> int:
        """Of the data."""
        return math.prod(self.shape) * self.dtype.itemsize


def header(file: BinaryIO) -> Declared:
    """Read a .npy header.

    Raises:
        Damaged: there is none, or the array holds Python objects.
    """
    start = file.read(12)
    if start[:6] != b"\x93NUMPY" or len(start) < 12 or start[6] not in (1, 2, 3):
        raise Damaged("not a .npy or .npz file")
    narrow = start[6] == 1
    (length,) = struct.unpack("<H", start[8:10]) if narrow else struct.unpack("<I", start[8:12])
    offset = 10 if narrow else 12
    if length > _HEADER:
        raise Damaged(f"its header is {length:,} bytes")
    text = start[8:] + file.read(offset + length - len(start))
    read = _FORMAT.read_array_header_1_0 if narrow else _FORMAT.read_array_header_2_0
    try:
        shape, fortran, dtype = read(io.BytesIO(text))
    except Exception as error:  # numpy evaluates it, and raises nearly anything
        raise Damaged(f"its header is broken ({type(error).__name__})") from None
    if dtype.hasobject:
        raise Damaged("holds Python objects, which are not read")
    if any(n < 0 for n in shape) or (dtype.itemsize == 0 and math.prod(shape)):
        raise Damaged(f"its header claims the shape {shape} of {dtype}")
    return Declared(tuple(map(int, shape)), dtype, bool(fortran), offset + length)


class Archive:
    """The arrays of a .npz file; use :func:`archive`.

    Attributes:
        declared: name -> what its header claims.
        sealed: whether the file has a digest, which holds.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile, sealed: bool = False) -> None:
        self.path = path
        self.file = file
        self.sealed = sealed
        members = file.infolist()
        _check_members(members, file.start_dir)
        self.members = {info.filename.removesuffix(".npy"): info for info in members}
        if len(self.members) < len(members):
            raise Damaged("two of its arrays have one name")
        self.declared = {name: self._header(name, info) for name, info in self.members.items()}

    def _header(self, name: str, info: zipfile.ZipInfo) -> Declared:
        try:
            with self.file.open(info) as member:
                found = header(member)  # type: ignore[arg-type]  # a file to read from
        except Damaged as error:
            raise Damaged(f"array {name!r}: {error}") from None
        if found.start + found.nbytes != info.file_size:
            there = info.file_size - found.start
            raise Damaged(
                f"array {name!r}: its header claims {found.nbytes:,} bytes of data, and the file has {there:,}"
            )
        return found

    def fits(self, names: Iterable[str] | None = None) -> None:
        """Make sure that arrays (default: all) may be read.

        Raises:
            FileError: they take more than a file of this size may, or than the machine has.
        """
        size = self.path.stat().st_size
        claimed = sum(self.declared[name].nbytes for name in (self.declared if names is None else names))
        if claimed > FREE + TIMES * size:
            raise FileError(
                f"a file of {size:,} bytes would take {claimed:,} bytes of memory",
                parameter=str(self.path),
                wanted=f"at most {FREE + TIMES * size:,} bytes",
                way_out="If you trust it, store it as it is (numpy.savez, not numpy.savez_compressed), or cut it.",
            )
        require_memory(claimed, self.path)

    def read(self, name: str) -> NDArray[Any]:
        """An array.

        Raises:
            KeyError: there is none of that name.
            Exception: its data is damaged; zipfile, zlib and numpy raise nearly anything.
        """
        with self.file.open(self.members[name]) as member:
            found: NDArray[Any] = _FORMAT.read_array(member, allow_pickle=False)
            if member.read(1):
                raise Damaged(f"array {name!r}: more data than its header claims")
        return found

    def mapped(self) -> dict[str, NDArray[Any]]:
        """The arrays that are not compressed, as read-only maps of the file."""
        found: dict[str, NDArray[Any]] = {}
        with self.path.open("rb") as file:
            for name, info in self.members.items():
                of = self.declared[name]
                if info.compress_type != zipfile.ZIP_STORED or of.fortran or 0 in of.shape or of.shape == ():
                    continue
                file.seek(info.header_offset + 26)  # of the local header, whose extra field may have another length
                lengths = struct.unpack("<HH", file.read(4))
                start = info.header_offset + 30 + sum(lengths) + of.start
                found[name] = np.memmap(self.path, of.dtype, "r", start, of.shape)
        return found


def _check_members(members: list[zipfile.ZipInfo], end: int) -> None:
    """Refuse what makes a small zip file large: members that share their bytes, and other ways to compress.

    Raises:
        Damaged: names the member.
    """
    for info in members:
        if info.compress_type not in _STORED or info.flag_bits & 1:
            raise Damaged(f"{info.filename!r} is encrypted, or compressed otherwise than with deflate")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise Damaged(f"{info.filename!r} has two sizes")
    last = end
    for info in sorted(members, key=lambda info: info.header_offset, reverse=True):
        if info.header_offset < 0 or info.header_offset + 30 + len(info.orig_filename) + info.compress_size > last:
            raise Damaged(f"{info.filename!r} lies over another part of the file")
        last = info.header_offset


@contextmanager
def archive(path: Path, what: str, *, verify: bool = True) -> Iterator[Archive]:
    """The arrays of a .npz file of hasn's, for the block; whatever the block finds damaged is a FileError.

    Args:
        path: the file.
        what: what it should be, for messages: "a recording", "a state of hasn".
        verify: read the whole file and compare its digest.

    Raises:
        FileError: there is no such file, it is none, or it is damaged.
    """
    require_file(path)
    with told_of(path, what, "Take another copy of it, or make it anew."), path.open("rb") as plain:
        sealed = seal_of(plain) if verify else "whole"
        if sealed == "broken":
            raise Damaged("its content has another digest than when it was written")
        with zipfile.ZipFile(path) as file:
            yield Archive(path, file, sealed == "whole")


def require_file(path: Path, way_out: str = "Check the path.") -> None:
    """Raise FileError unless there is a file of that name."""
    if path.is_dir():
        raise FileError("is a folder", parameter=str(path), wanted="a file", way_out=way_out)
    if not path.is_file():
        raise FileError("there is no such file", parameter=str(path), way_out=way_out)


def require_memory(count: int, path: Path) -> None:
    """Make sure that the machine has room for data.

    Raises:
        FileError: it has not; names the bytes.
    """
    free = free_memory()
    if count > free:
        raise FileError(
            f"its data take {count:,} bytes of memory, and this machine has {free:,} left",
            parameter=str(path),
            way_out="Take fewer steps or samples at a time, or a machine with more memory.",
        )


def free_memory() -> int:
    """Bytes that may still be taken, swap left out: of the machine, and of the container where that has a limit."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        (line,) = (line for line in text.splitlines() if line.startswith("MemAvailable:"))
        free = int(line.split()[1]) * 1024
    except (OSError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        most, taken = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or "max"
        return free
    return min(free, max(0, most - taken))


def arrays_of(path: Path, way_out: str) -> Mapping[str, Declared] | Declared:
    """What the headers of a .npy (one) or .npz (by name) file claim; the data is not read.

    Args:
        path: the file.
        way_out: where there is no such file.

    Raises:
        FileError: there is no such file, it is neither, or it is cut short.
    """
    require_file(path, way_out)
    with _told(path), path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            with zipfile.ZipFile(path) as opened:
                return Archive(path, opened).declared
        file.seek(0)
        found = header(file)
        there = path.stat().st_size - found.start
        if there < found.nbytes:
            raise Damaged(f"cut short: its header claims {found.nbytes:,} bytes of data, and {there:,} are there")
        return found


def read_arrays(path: Path) -> Any:
    """The array of a .npy file, or {name: array} of a .npz.

    Raises:
        FileError: see :func:`arrays_of`; it takes more than the machine has, or than a file of its size may.
    """
    with _told(path), path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            with zipfile.ZipFile(path) as opened:
                made = Archive(path, opened)
                made.fits()
                return {name: made.read(name) for name in made.declared}
        file.seek(0)
        require_memory(header(file).nbytes, path)
        file.seek(0)
        return _FORMAT.read_array(file, allow_pickle=False)


def write_arrays(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], *, force: bool = False, compress: bool = True
) -> None:
    """Write a .npz file, sealed; what :func:`archive` would not unpack is not compressed.

    Raises:
        FileError: it exists and ``force`` is False, or cannot be written.
    """
    write = np.savez_compressed if compress and sum(array.nbytes for array in arrays.values()) <= FREE else np.savez
    with whole_file(path, force=force) as temporary:
        with temporary.open("wb") as file:
            write(file, **arrays)  # type: ignore[arg-type]  # allow_pickle is no array's name
        seal(temporary)


@contextmanager
def told_of(path: Path, what: str, way_out: str | None = None, wanted: str | None = None) -> Iterator[None]:
    """Whatever is raised in the block while ``path`` is read is a FileError that names it."""
    try:
        yield
    except FileError:
        raise
    except MemoryError as error:
        raise FileError(
            "its data take more memory than this machine has left",
            parameter=str(path),
            way_out="Take fewer steps or samples at a time.",
        ) from error
    except Exception as error:  # damaged bytes make numpy, zipfile and json raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileError(
            f"not {what}, or a damaged one ({reason})", parameter=str(path), wanted=wanted, way_out=way_out
        ) from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    wanted = "arrays of numbers, as numpy.save or numpy.savez writes them"
    with told_of(path, "a .npy or .npz file", wanted=wanted):
        try:
            yield
        except Damaged as error:
            raise FileError(str(error), parameter=str(path), wanted=wanted) from None
