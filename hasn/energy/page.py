"""The table of every constant in docs/energy.md, from the profiles: ``python -m hasn.energy.page [--check] [FILE]``.

With ``--check`` nothing is written: the difference from the file is printed, and makes the status 1.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from hasn.energy.profile import GRADES, Constant, Profile, profile, profiles

BEGIN = "<!-- constants: written by python -m hasn.energy.page -->"
END = "<!-- end of constants -->"
HEAD = ("profile", "what", "value", "condition", "source", "grade")


def table() -> str:
    """Every constant of every profile, as Markdown."""
    lines = ["| " + " | ".join(HEAD) + " |", "| " + " | ".join("---" for _ in HEAD) + " |"]
    for name in profiles():
        found = profile(name)
        lines += [_row(found, constant) for constant in found.constants]
    return "\n".join(lines)


def grades() -> str:
    """What each grade does to a band."""
    factors = (f"{grade}: {'no value' if factor is None else f'x {factor:g}'}" for grade, factor in GRADES.items())
    return "Bands by grade (up and down; a choice of hasn's): " + ", ".join(factors) + "."


def _row(of: Profile, constant: Constant) -> str:
    account = f" ({constant.account})" if constant.account else ""
    value = "unknown" if constant.value is None else f"{constant.bound} {constant.value:g} {constant.unit}".strip()
    what = constant.term.replace("_", " ") + (", all in" if constant.all_in else "")
    cells = (f"`{of.name}`{account}", what, value, constant.condition, constant.source, constant.grade)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def written(text: str) -> str:
    """A page with the table that the profiles give.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{grades()}\n\n{table()}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path("docs/energy.md"))
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where the file is stale")
    given = parser.parse_args(arguments)
    old = given.file.read_text(encoding="utf8")
    new = written(old)
    if not given.check:
        given.file.write_text(new, encoding="utf8")
        return 0
    difference = difflib.unified_diff(old.splitlines(), new.splitlines(), str(given.file), "profiles", lineterm="")
    lines = list(difference)
    if lines:
        sys.stdout.write("\n".join([f"{given.file} is stale: run `python -m hasn.energy.page`", *lines]) + "\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
