"""What .npy and .npz files claim, against what they hold, what the machine has and what such a file may take."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasn.errors import FileError
from hasn.ir import arrays as module
from hasn.ir.arrays import FREE, TIMES, archive, arrays_of, free_memory, read_arrays, write_arrays

MIB = 2**20


def npy(array: Any) -> bytes:
    made = io.BytesIO()
    np.save(made, array)
    return made.getvalue()


def head(shape: str, dtype: str = "<f8", version: int = 1, fill: int = 0) -> bytes:
    """A header that claims what it likes (NEP 1)."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b" " * fill + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text


def zipped(path: Path, how: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


ARRAYS = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(5, dtype=">i2"),
    np.zeros((0, 4)), np.array(["a", "bc"]), np.array([True, False]),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_what_numpy_writes_is_read_and_declared(array: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", a=array, b=np.ones(2))
    one, several = arrays_of(tmp_path / "x.npy", ""), arrays_of(tmp_path / "x.npz", "")
    assert isinstance(several, dict)
    for declared, found in (
        (one, read_arrays(tmp_path / "x.npy")),
        (several["a"], read_arrays(tmp_path / "x.npz")["a"]),
    ):
        assert (declared.shape, declared.dtype, declared.nbytes) == (array.shape, array.dtype, array.nbytes)
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


def test_a_valid_array_that_is_larger_than_the_memory_is_called_that(tmp_path: Path) -> None:
    """A file of 10^13 bytes, nearly all of them a hole: its header and its size agree."""
    header = head("(1250000000000,)")
    with (tmp_path / "x.npy").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 10**13)
    assert arrays_of(tmp_path / "x.npy", "").nbytes == 10**13  # type: ignore[union-attr]
    with pytest.raises(FileError, match="take 10,000,000,000,000 bytes of memory, and this machine has") as caught:
        read_arrays(tmp_path / "x.npy")
    assert "fewer steps or samples" in str(caught.value)


def test_memory_that_runs_out_all_the_same_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise MemoryError

    np.save(tmp_path / "x.npy", np.ones(3))
    monkeypatch.setattr(np.lib.format, "read_array", full)
    with pytest.raises(FileError, match="more memory than this machine has left"):
        read_arrays(tmp_path / "x.npy")


def test_free_memory_is_the_machine_s_or_its_group_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GROUP", tmp_path)
    machine = free_memory()
    assert MIB < machine < 2**50
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert free_memory() > MIB
    (tmp_path / "memory.max").write_text("6000\n")
    assert free_memory() == 5000
    (tmp_path / "memory.max").write_text("600\n")
    assert free_memory() == 0


#: What stands in the file, and what the message says.
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a .npy or .npz file"),
    "text": (b"hello, this is a text", "not a .npy or .npz file"),
    "a cut header": (npy(np.ones(3))[:50], "header is broken"),
    "cut short": (npy(np.ones(3))[:-1], "cut short: its header claims 24 bytes of data, and 23 are there"),
    "more than there is": (head("(1000,)") + bytes(8), "cut short: its header claims 8,000 bytes"),
    "a negative length": (head("(-5,)") + bytes(8), r"claims the shape \(-5,\)"),
    "many of nothing": (head("(10000000000000,)", "|S0"), "header claims the shape"),
    "a type that is none": (head("(5,)", "hello"), "header is broken"),
    "a long header": (head("(5,)", version=2, fill=100_000), "its header is 100,0.. bytes"),
    "another version": (b"\x93NUMPY\x09\x00" + npy(np.ones(3))[8:], "not a .npy or .npz file"),
    "half a zip": (b"PK\x03\x04" + bytes(100), "not a .npy or .npz file, or a damaged one"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_npy_says_how(name: str, tmp_path: Path) -> None:
    content, words = BROKEN[name]
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(FileError, match=words) as caught:
        arrays_of(tmp_path / "x.npy", "")
    assert caught.value.parameter == str(tmp_path / "x.npy")
    assert caught.value.wanted == "arrays of numbers, as numpy.save or numpy.savez writes them"


def test_python_objects_are_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([None], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=np.array([None], dtype=object), allow_pickle=True)
    for name, array in (("x.npy", ""), ("x.npz", "array 'a': ")):
        with pytest.raises(FileError, match=f": {array}holds Python objects, which are not read"):
            arrays_of(tmp_path / name, "")


# --- zip files


def overlapping(path: Path) -> None:
    """Twenty names for the same stored bytes: the offset of each in the directory is the first's."""
    zipped(path, **{f"a{i:02}": npy(np.zeros(1000)) for i in range(20)})
    content, place = bytearray(path.read_bytes()), 0
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        content[place + 42 : place + 46] = bytes(4)
        place += 4
    path.write_bytes(content)


def two_of_a_name(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", npy(np.ones(1)))
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a.npy", npy(np.ones(2)))


def bzip2(path: Path) -> None:
    zipped(path, zipfile.ZIP_BZIP2, a=npy(np.zeros(10)))


def lzma(path: Path) -> None:
    zipped(path, zipfile.ZIP_LZMA, a=npy(np.zeros(10)))


def claims_less_than_it_has(path: Path) -> None:
    zipped(path, a=head("(3,)") + bytes(8000))


def claims_more_than_it_has(path: Path) -> None:
    zipped(path, a=head("(10000000000,)") + bytes(8))


def holds_no_array(path: Path) -> None:
    zipped(path, a=npy(np.ones(2)), b=b"hello")


def a_header_of_spaces(path: Path) -> None:
    zipped(path, a=head("(1,)", version=2, fill=50 * MIB) + bytes(8))


def a_changed_byte(path: Path) -> None:
    zipped(path, zipfile.ZIP_STORED, a=npy(np.ones(100)))
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)


ZIPS: list[tuple[Callable[[Path], None], str]] = [
    (overlapping, "lies over another part of the file"), (two_of_a_name, "two of its arrays have one name"),
    (bzip2, "compressed otherwise than with deflate"), (lzma, "compressed otherwise than with deflate"),
    (claims_less_than_it_has, "array 'a': its header claims 24 bytes of data, and the file has 8,000"),
    (claims_more_than_it_has, "array 'a': its header claims 80,000,000,000 bytes of data, and the file has 8"),
    (holds_no_array, "array 'b': not a .npy"), (a_header_of_spaces, "array 'a': its header is 52,4.. bytes|52,428,"),
    (a_changed_byte, "Bad CRC-32"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), ZIPS, ids=[make.__name__ for make, _ in ZIPS])
def test_a_zip_file_that_is_not_what_it_claims(make: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    make(tmp_path / "x.npz")
    with pytest.raises(FileError, match=words) as caught:
        read_arrays(tmp_path / "x.npz")
    assert str(caught.value).startswith(str(tmp_path / "x.npz"))
    with pytest.raises(FileError, match=words), archive(tmp_path / "x.npz", "a thing") as file:
        file.read("a")


@pytest.mark.parametrize("count", [1, 300])
def test_zeros_that_pack_to_a_thousandth_are_refused_unread(count: int, tmp_path: Path) -> None:
    """One array of 300 MiB, or 300 of 1 MiB: what counts is all of them together."""
    content = npy(np.zeros(300 // count * MIB, dtype=np.uint8))
    zipped(tmp_path / "x.npz", **{f"a{i}": content for i in range(count)})
    size = (tmp_path / "x.npz").stat().st_size
    assert size < 600_000
    with pytest.raises(FileError, match="would take 314,572,800 bytes of memory") as caught:
        read_arrays(tmp_path / "x.npz")
    assert caught.value.wanted == f"at most {FREE + TIMES * size:,} bytes"


def test_hasn_reads_what_hasn_wrote_however_well_it_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit it is stored as it is; below it is compressed."""
    monkeypatch.setattr(module, "FREE", 10_000)
    for count, how in ((10_000, zipfile.ZIP_DEFLATED), (10_001, zipfile.ZIP_STORED)):
        write_arrays(tmp_path / "x.npz", {"a": np.zeros(count, dtype=np.uint8)}, force=True)
        with zipfile.ZipFile(tmp_path / "x.npz") as file:
            assert file.infolist()[0].compress_type == how
        with archive(tmp_path / "x.npz", "a thing") as opened:
            assert opened.sealed
            opened.fits()
            assert opened.read("a").shape == (count,)
            assert list(opened.mapped()) == (["a"] if how == zipfile.ZIP_STORED else [])
    with pytest.raises(FileError, match="exists and is kept"):
        write_arrays(tmp_path / "x.npz", {"a": np.zeros(1)})


def test_a_broken_digest_is_found_before_anything_is_read(tmp_path: Path) -> None:
    write_arrays(tmp_path / "x.npz", {"a": np.zeros(10)})
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[10] ^= 1  # the time of day in the local header, which nobody reads
    (tmp_path / "x.npz").write_bytes(content)
    with (
        pytest.raises(FileError, match=r"not a thing, or a damaged one \(its content has another digest"),
        archive(tmp_path / "x.npz", "a thing"),
    ):
        pass
    with archive(tmp_path / "x.npz", "a thing", verify=False) as file:
        assert file.read("a").shape == (10,)


def test_a_folder_and_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no such file\. Look there"):
        arrays_of(tmp_path / "x.npy", "Look there.")
    with pytest.raises(FileError, match="is a folder"):
        arrays_of(tmp_path, "")
