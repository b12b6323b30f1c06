"""What killed writers leave: gone with the next one that writes the same name, and nobody else's work with it."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.export.bundle.folder import whole_folder
from hasn.errors import FileError
from hasn.ir import litter
from hasn.ir.litter import clear, part_of
from hasn.ir.whole import whole_file
from hasn.recordings.spool import Spool
from tests.graphs import small_net

#: Writers that are killed in the middle.
KILLED = {
    "file": "from hasn.ir.whole import whole_file\nwith whole_file(target) as at:\n    at.write_text('a')\n    die()",
    "folder": (
        "from hasn.conversions.loihi.export.bundle.folder import whole_folder\n"
        "with whole_folder(target, force=True, mark='m') as at:\n    (at / 'm').write_text('half')\n    die()"
    ),
    "spool": (
        "from hasn.recordings.spool import Spool\nimport numpy as np\n"
        "spool = Spool(target)\nspool.append('x', np.zeros(5))\ndie()"
    ),
}
START = "import os, signal, sys\nfrom pathlib import Path\ntarget = Path(sys.argv[1])\n"
DIE = "def die():\n    os.kill(os.getpid(), signal.SIGKILL)\n"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("writer", KILLED)
def test_what_a_killed_writer_leaves_goes_with_the_next(writer: str, tmp_path: Path) -> None:
    target = tmp_path / "net.nir"
    done = subprocess.run([sys.executable, "-c", START + DIE + KILLED[writer], str(target)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".net.nir.")
    # Another's file, and names that only look alike, stay.
    others = [".net.nir.part", ".net.nir.notes.part", ".net.nir.aaaaaaaa.parts.txt", ".net.nirx.aaaaaaaa.part"]
    for other in others:
        (tmp_path / other).write_text("mine")
    hasn.save(small_net(), target)
    assert names(tmp_path) == sorted([*others, "net.nir"])


def test_a_living_writer_s_part_stays(tmp_path: Path) -> None:
    """Two writers of one name: each keeps its own; the last one wins."""
    target = tmp_path / "x"
    with whole_file(target) as one:
        one.write_text("one")
        with whole_file(target) as two:
            assert one.exists()
            two.write_text("two")
        assert target.read_text() == "two"
        assert one.exists()
    assert target.read_text() == "one"
    assert names(tmp_path) == ["x"]
    spool = Spool(target)
    spool.append("a", np.arange(3))
    with whole_folder(tmp_path / "y", force=False, mark="m") as folder:
        clear(target)
        clear(tmp_path / "y")
        assert folder.is_dir()
    spool.write({}, {}, force=True)
    spool.close()
    assert names(tmp_path) == ["x", "y"]


def test_a_folder_that_made_room_for_one_that_never_came_is_back(tmp_path: Path) -> None:
    old = tmp_path / ".out.abcdefgh.old"
    old.mkdir()
    (old / "m").write_text("old")
    with pytest.raises(FileError, match="exists and is kept"), whole_folder(tmp_path / "out", force=False, mark="m"):
        pass
    assert (tmp_path / "out" / "m").read_text() == "old"
    # Where the new one came, the old one is litter.
    (tmp_path / ".out.hgfedcba.old").mkdir()
    with whole_folder(tmp_path / "out", force=True, mark="m") as folder:
        (folder / "m").write_text("new")
    assert names(tmp_path) == ["out"]


def test_one_who_took_a_new_part_for_litter_is_outlived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making and the lock another writer may remove it: a new one is made."""
    taken: list[int] = []
    whole = fcntl.flock

    def flock(handle: int, how: int) -> None:
        if not taken:
            taken.append(handle)
            Path(f"/proc/self/fd/{handle}").readlink().unlink()
        elif len(taken) == 1:
            taken.append(handle)
            raise BlockingIOError
        whole(handle, how)

    monkeypatch.setattr(litter.fcntl, "flock", flock)
    with part_of(tmp_path / "x") as path:
        assert path.exists()
    assert len(taken) == 2


def test_without_locks_nothing_is_taken_for_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(litter.fcntl, "flock", none)
    (tmp_path / ".x.aaaaaaaa.part").write_text("perhaps another's")
    with whole_file(tmp_path / "x") as path:
        path.write_text("new")
    assert names(tmp_path) == [".x.aaaaaaaa.part", "x"]
