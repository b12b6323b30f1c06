"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hasn.conversions.loihi.export.bundle.folder import whole_folder
from hasn.errors import FileError, InputError
from hasn.ir import litter


def written(path: Path, text: str = "new", **options: Any) -> None:
    with whole_folder(path, **{"force": False, "mark": "mark.json", **options}) as folder:
        assert folder.parent == path.absolute().parent  # a rename does not leave the file system
        (folder / "mark.json").write_text(text)


def old(path: Path, name: str = "mark.json") -> Path:
    path.mkdir()
    (path / name).write_text("old")
    (path / "more.txt").write_text("old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_with_the_rights_of_any_new_folder(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        written(tmp_path / "a")
    finally:
        os.umask(mask)
    assert (tmp_path / "a" / "mark.json").read_text() == "new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o750
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty")
    assert names(tmp_path) == ["a", "empty"]


def test_a_name_alone_is_beside_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with whole_folder("a", force=False, mark="m") as folder:
        (folder / "m").write_text("new")
    assert names(tmp_path) == ["a"]


def test_force_replaces_what_was_ours_with_all_that_was_in_it(tmp_path: Path) -> None:
    there = old(tmp_path / "a")
    with pytest.raises(FileError, match="the folder exists and is kept") as error:
        written(there)
    assert (error.value.parameter, error.value.way_out) == (str(there), "Pass force=True to replace it.")
    assert (there / "mark.json").read_text() == "old"
    written(there, force=True)
    assert names(there) == ["mark.json"]
    assert (there / "mark.json").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_ours_is_kept(tmp_path: Path, force: bool) -> None:
    other = old(tmp_path / "other", "thesis.tex")
    file = tmp_path / "file"
    file.write_text("old")
    (tmp_path / "link").symlink_to(old(tmp_path / "mine"))
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    before = names(tmp_path)
    for path, words in (
        (other, r"holds something else \(it has no mark.json\) and is kept"),
        (file, "is no folder"),
        (tmp_path / "link", "is no folder"),
        (tmp_path / "nowhere", "is no folder"),
    ):
        with pytest.raises(FileError, match=words) as error:
            written(path, force=force)
        assert error.value.parameter == str(path)
        assert error.value.wanted == "the name of a new folder"
    with pytest.raises(FileError, match="there is no such folder") as error:
        written(tmp_path / "no" / "a", force=force)
    assert (error.value.parameter, error.value.way_out) == (str(tmp_path / "no"), "Make it first.")
    assert names(tmp_path) == before
    assert (other / "thesis.tex").read_text() == file.read_text() == (tmp_path / "mine" / "mark.json").read_text()


def failing(path: Path, error: BaseException) -> None:
    with whole_folder(path, force=True, mark="mark.json") as folder:
        (folder / "half.npz").write_text("half")
        raise error


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("wrong"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, there: bool, error: BaseException) -> None:
    if there:
        old(tmp_path / "a")
    raised = FileError if isinstance(error, OSError) else type(error)
    with pytest.raises(raised) as caught:
        failing(tmp_path / "a", error)
    if raised is FileError:
        assert "No space left on device" in str(caught.value)
    assert names(tmp_path) == (["a"] if there else [])
    if there:
        assert names(tmp_path / "a") == ["mark.json", "more.txt"]


def test_a_rename_that_fails_brings_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, whole = old(tmp_path / "a"), Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(5, "Input/output error")
        return whole(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(FileError, match="Input/output error"):
        written(there, force=True)
    assert names(tmp_path) == ["a"]
    assert (there / "more.txt").read_text() == "old"
    with pytest.raises(FileError, match="Input/output error"):
        written(tmp_path / "b")
    assert names(tmp_path) == ["a"]


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: Any) -> str:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(litter.tempfile, "mkdtemp", refused)
    with pytest.raises(FileError, match="cannot write here: Permission denied") as error:
        written(tmp_path / "a")
    assert error.value.parameter == str(tmp_path)
