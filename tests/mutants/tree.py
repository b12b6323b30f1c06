"""A tree of its own for mutants: the checkout's files, copied, with the kernels that are built."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.mutants.rooms import ROOT, tracked

LINKED = ("backends", "models", "conversions")


def lay(folder: Path) -> Path:
    """Copy what changed since the last time, take away what is gone, lay the rooms' links; the folder."""
    names = [*tracked(), *(str(p.relative_to(ROOT)) for p in (ROOT / "hasn/kernels").glob("*.so"))]
    for name in names:
        here, there = ROOT / name, folder / name
        if not there.exists() or there.read_bytes() != here.read_bytes():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(here, there)
    for room in LINKED:
        link = folder / "hasn" / room
        if not link.is_symlink():
            link.symlink_to(Path("..", room))
    for path in [p for suffix in ("*.py", "*.toml") for p in folder.rglob(suffix)]:
        if str(path.relative_to(folder)) not in set(names) and not _behind_a_link(path, folder):
            path.unlink()
    return folder


def _behind_a_link(path: Path, folder: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent != folder and folder in parent.parents)
