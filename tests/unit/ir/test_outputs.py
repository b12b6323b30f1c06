"""Outputs are tried before the work, with what writing them needs, and nothing is left of the trial."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hasn.errors import FileError
from hasn.ir.outputs import apart, ready_folder, ready_to_write

#: A folder in which nobody can make a file, root included.
NOWHERE = Path("/proc")


def test_a_place_that_takes_a_file_stays_as_it_was(tmp_path: Path) -> None:
    assert ready_to_write(str(tmp_path / "x"), force=False) == tmp_path / "x"
    assert ready_folder(tmp_path / "a/b") == tmp_path / "a/b"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_a_file_that_is_there_is_kept_unless_it_may_go(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileError, match="the file exists and is kept"):
        ready_to_write(tmp_path / "x", force=False)
    ready_to_write(tmp_path / "x", force=True)
    assert (tmp_path / "x").read_text() == "mine"


@pytest.mark.skipif(not NOWHERE.is_dir(), reason="/proc is Linux's")
def test_a_folder_that_takes_no_file_is_found_out() -> None:
    for ready in (lambda: ready_to_write(NOWHERE / "x.nir", force=True), lambda: ready_folder(NOWHERE)):
        with pytest.raises(FileError, match=r"^/proc.*: cannot be written: .*Nothing was begun"):
            ready()


@pytest.mark.parametrize(("number", "words"), [(errno.EROFS, "Read-only file system"), (errno.ENOSPC, "No space left")])
def test_what_the_system_says_is_passed_on(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(**_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(FileError, match=f"cannot be written: {words}"):
        ready_to_write(tmp_path / "x", force=False)
    with pytest.raises(FileError, match=f"cannot be written: {words}"):
        ready_folder(tmp_path / "log")


@pytest.mark.parametrize("name", ["x" * 250, "a\0b"])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written: "):
        ready_to_write(tmp_path / name, force=False)


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    for force in (True, False):
        with pytest.raises(FileError, match="/dev/null: is no plain file"):
            ready_to_write("/dev/null", force=force)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FileError, match="is no folder"):
        ready_folder(tmp_path / "file")
    with pytest.raises(FileError, match="cannot be written: Not a directory"):
        ready_folder(tmp_path / "file/log")


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    apart(out=tmp_path / "a", log=tmp_path / "b", checkpoint=None, other=None)
    with pytest.raises(FileError, match=r"^log: is the file of out too; got .*Give each a name of its own"):
        apart(out=tmp_path / "a", log=tmp_path / "b/../a")


def test_an_output_that_would_replace_an_input(tmp_path: Path) -> None:
    """Also where the folder has two names; a link is a name of its own, which a rename replaces."""
    (tmp_path / "model").write_text("mine")
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "model")
    apart({"FILE": tmp_path / "model", "--input": None}, out=tmp_path / "link")
    for out in (tmp_path / "model", tmp_path / "folder" / "model"):
        with pytest.raises(FileError, match=r"^out: is the file of FILE too; got .*Give each a name of its own"):
            apart({"FILE": tmp_path / "model", "--input": None}, out=out)
