"""The slips in C, from ``kernels.toml``: text for text, since C is not parsed here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from tests.mutants.mutant import Mutant
from tests.mutants.rooms import HERE, ROOT

#: File whose lines no test is seen to run (C) -> the Python file that calls it.
CALLERS = {
    "hasn/kernels/_portable.h": "hasn/kernels/scan.py",
    "hasn/kernels/_scan.c": "hasn/kernels/scan.py",
    "hasn/kernels/_scan.h": "hasn/kernels/scan.py",
    "hasn/kernels/_rows.h": "hasn/kernels/rows.py",
    "hasn/kernels/_events.c": "hasn/kernels/events.py",
    "hasn/kernels/_product.c": "hasn/kernels/bf16.py",
    "hasn/kernels/_product.h": "hasn/kernels/bf16.py",
}


def kernel_mutants(files: Iterable[str]) -> list[Mutant]:
    """Those of these files.

    Raises:
        ValueError: what a slip replaces does not stand exactly once in its file.
    """
    wanted = {name for name in files if name.endswith((".c", ".h"))}
    found: list[Mutant] = []
    for entry in tomllib.loads((HERE / "kernels.toml").read_text(encoding="utf8")).get("slip", []):
        file, old, new = entry["file"], entry["old"], entry["new"]
        if file not in wanted:
            continue
        source = (ROOT / file).read_text(encoding="utf8")
        if source.count(old) != 1:
            raise ValueError(f"kernels.toml: {old!r} stands {source.count(old)} times in {file}, wanted once")
        line = source[: source.index(old)].count("\n") + 1
        found.append(Mutant(file, "", line, line, "by hand", old, new, 0, source.replace(old, new)))
    return found
