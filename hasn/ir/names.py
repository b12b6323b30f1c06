"""What a node may be called: what every file can hold, every terminal shows, and one reader cannot take for another."""

from __future__ import annotations

import unicodedata

#: Categories of Unicode (UAX 44) of which no name is made: controls, lone surrogates, breaks of line and paragraph.
_REFUSED = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line break", "Zp": "a paragraph break"}
#: They turn the direction of what is written around them (UAX 9), so that a name looks like another.
_TURNING = {*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def fault_of(name: str) -> str:
    """Why a node cannot have this name; empty: it can."""
    if not name or "/" in name or name == ".":
        return "no name that a file can hold: HDF5 takes '/' for a path"
    if not name.strip("."):
        return "no name: a path of dots leads elsewhere"
    for letter in name:
        turns = "a mark that turns the direction of text" if letter in _TURNING else None
        what = turns or _REFUSED.get(unicodedata.category(letter))
        if what is not None:
            return f"its name has {what}, U+{ord(letter):04X}, which not every file and terminal takes"
    return ""


def shown(name: str) -> str:
    """A name as any terminal shows it: what :func:`fault_of` refuses is written as an escape."""
    bad = {letter for letter in name if letter in _TURNING or unicodedata.category(letter) in _REFUSED}
    return "".join(letter.encode("unicode_escape").decode() if letter in bad else letter for letter in name)
