"""The source files of what is installed as hasn, parsed."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("backends", "models", "conversions")


def sources() -> dict[str, Path]:
    """Module name -> file, of everything that is installed as hasn.*; the links to the rooms are not followed."""
    found: dict[str, Path] = {}
    for room in ("hasn", *ROOMS):
        for path in sorted((ROOT / room).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if any((ROOT / parent).is_symlink() for parent in inside.parents):
                continue
            parts = list(inside.with_suffix("").parts)
            parts = parts if room == "hasn" else ["hasn", *parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(SOURCES[name].read_text(encoding="utf8"))
