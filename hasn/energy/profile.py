"""Profiles: what an operation costs, as data; every constant has a unit, a condition, a source and a grade."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hasn.energy.terms import ALL_IN_COVERS, SPLITS, TERMS
from hasn.errors import FileError, OptionError, ParameterError

HERE = Path(__file__).parent / "profiles"
AVOGADRO = 6.02214076e23
#: Grade -> by what factor a constant may be off, up and down. The factors are a choice of hasn's: no source gives any.
#: A disputed constant's band is that of its accounts.
GRADES: dict[str, float | None] = {
    "measured": 1.2, "simulated": 2.0, "derived": 2.0, "estimate": 3.0, "disputed": 1.0, "unknown": None,
}  # fmt: skip
#: Unit -> (what it measures, how many joules, watts, ATP or ATP/s it is).
UNITS: dict[str, tuple[str, float]] = {
    "J": ("J", 1.0), "mJ": ("J", 1e-3), "uJ": ("J", 1e-6), "nJ": ("J", 1e-9), "pJ": ("J", 1e-12), "fJ": ("J", 1e-15),
    "W": ("W", 1.0), "mW": ("W", 1e-3), "uW": ("W", 1e-6), "nJ/ms": ("W", 1e-6), "ATP": ("ATP", 1.0),
    "ATP/s": ("ATP/s", 1.0),
}  # fmt: skip
KINDS = ("chip", "arithmetic", "machine", "tissue")
_FLAGS = ("all_in", "optional")
_TEXTS = ("term", "unit", "condition", "source", "grade")


@dataclass(frozen=True)
class Constant:
    """What one operation costs.

    Attributes:
        term: which operation; see :data:`hasn.energy.terms.TERMS`.
        value: in ``unit``; None where nobody has published it.
        unit: one of :data:`UNITS`.
        condition: voltage, node, what it includes.
        source: with table or page.
        grade: one of :data:`GRADES`.
        bound: "at least", or nothing.
        all_in: whether it holds what other terms would add.
        account: which of several accounts that disagree it belongs to.
        optional: whether it is counted only where static power is asked for.
    """

    term: str
    value: float | None
    unit: str
    condition: str
    source: str
    grade: str
    bound: str = ""
    all_in: bool = False
    account: str = ""
    optional: bool = False

    def joules(self, joules_per_mol: float) -> float | None:
        """Of one operation, or of one second."""
        if self.value is None:
            return None
        kind, factor = UNITS[self.unit]
        return self.value * factor * (joules_per_mol / AVOGADRO if kind.startswith("ATP") else 1.0)

    @property
    def factors(self) -> tuple[float, float]:
        """Of the lower and the upper end of its band."""
        factor = GRADES[self.grade] or 1.0
        return (1.0 if self.bound else 1 / factor), factor


@dataclass(frozen=True)
class Profile:
    """What operations cost on something that computes.

    Attributes:
        name: what it is asked for by, or its file.
        title: for people.
        kind: "chip", "arithmetic", "machine" or "tissue".
        constants: all of them.
        note: what to know about it.
        leaves_out: what it has no price for and does not claim to.
        bounded_by: the profile that may stand in for what is unknown.
    """

    name: str
    title: str
    kind: str
    constants: tuple[Constant, ...]
    note: str = ""
    leaves_out: tuple[str, ...] = ()
    bounded_by: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Accounts of what things cost that disagree; one where none do."""
        return tuple(dict.fromkeys(constant.account for constant in self.constants))

    def of(self, account: str) -> tuple[Constant, ...]:
        """The constants of one account."""
        return tuple(constant for constant in self.constants if constant.account == account)


def profiles() -> tuple[str, ...]:
    """Names of the profiles that come with hasn."""
    return tuple(sorted(path.stem for path in HERE.glob("*.toml")))


def profile(name: str | Path) -> Profile:
    """A profile by its name, or a TOML file of your own by its path.

    Raises:
        OptionError: there is no such profile; lists those that there are.
        FileError: the file cannot be read.
        ParameterError: a constant lacks its source, grade, unit, condition or value, or has one that is not known.
    """
    if str(name) in profiles():
        return _shipped(str(name))
    path = Path(name)
    if path.suffix != ".toml":
        raise OptionError(
            "there is no such profile",
            parameter="profile",
            got=repr(str(name)),
            wanted=", ".join(profiles()),
            way_out="Or name a .toml file of your own (docs/energy.md).",
        )
    try:
        data = tomllib.loads(path.read_text(encoding="utf8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError("not a profile that can be read", parameter=str(path), got=str(error)) from error
    return parsed(str(path), data)


@cache
def _shipped(name: str) -> Profile:
    return parsed(name, tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf8")))


def parsed(name: str, data: Mapping[str, Any]) -> Profile:
    """A profile from what its file holds.

    Raises:
        ParameterError: see :func:`profile`.
    """
    entries = data.get("constant")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise _wrong(name, "a profile has at least one [[constant]]", entries)
    known = {"title", "kind", "note", "leaves_out", "bounded_by", "constant"}
    if strange := sorted(set(data) - known):
        raise _wrong(name, "no such key", strange[0], ", ".join(sorted(known)))
    if data.get("kind") not in KINDS:
        raise _wrong(name, "no such kind", data.get("kind"), ", ".join(KINDS))
    leaves_out = data.get("leaves_out", [])
    if not isinstance(leaves_out, list) or not all(isinstance(what, str) for what in leaves_out):
        raise _wrong(name, "leaves_out is a list of texts", repr(leaves_out))
    title, note, bounded_by = (_text(name, data, key) for key in ("title", "note", "bounded_by"))
    if bounded_by and bounded_by not in profiles():
        raise _wrong(name, "bounded_by names no profile", repr(bounded_by), ", ".join(profiles()))
    constants = tuple(_constant(name, place, entry) for place, entry in enumerate(entries, 1))
    made = Profile(name, title or name, data["kind"], constants, note, tuple(leaves_out), bounded_by)
    for one in constants:
        if (UNITS[one.unit][0] in ("ATP", "ATP/s")) != (made.kind == "tissue"):
            raise _wrong(name, f"not a price of a profile of {made.kind}", f"{one.term} in {one.unit}")
    for account in made.accounts:
        _check_account(name, made.of(account))
    return made


def _check_account(name: str, constants: tuple[Constant, ...]) -> None:
    terms = [constant.term for constant in constants]
    if twice := sorted({term for term in terms if terms.count(term) > 1}):
        raise _wrong(name, f"{twice[0]} is priced twice; sources that disagree are accounts", terms)
    for one in (constant for constant in constants if constant.all_in):
        for other in terms:
            if other != one.term and other in ALL_IN_COVERS:
                raise _wrong(name, f"{one.term} has everything in it: {other} cannot be added to it", other)
    for whole, parts in SPLITS.items():
        if whole in terms and (both := [term for term in terms if term in parts]):
            raise _wrong(name, f"{whole} counts {both[0]} too: it would be paid twice; they are accounts", terms)


def _constant(name: str, place: int, entry: Mapping[str, Any]) -> Constant:
    where = f"{name}: constant {place}"
    for key in _TEXTS:
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise _wrong(where, f"it has no {key}", entry.get(key), "a text")
    for key, known in (("term", TERMS), ("unit", UNITS), ("grade", GRADES)):
        if entry[key] not in known:
            raise _wrong(where, f"no such {key}", repr(entry[key]), ", ".join(known))
    if strange := sorted(set(entry) - {*_TEXTS, "value", "bound", "account", *_FLAGS}):
        raise _wrong(where, "no such key", strange[0])
    if UNITS[entry["unit"]][0] not in TERMS[entry["term"]].units:
        raise _wrong(where, f"not a unit of {entry['term']}", entry["unit"], " or ".join(TERMS[entry["term"]].units))
    if entry.get("bound", "") not in ("", "at least"):
        raise _wrong(where, "no such bound", repr(entry["bound"]), "'at least'")
    value = entry.get("value")
    if (entry["grade"] == "unknown") != (value is None):
        raise _wrong(where, "a constant has a value unless its grade is 'unknown'", value)
    if value is not None and not (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    ):
        raise _wrong(where, "not a price", repr(value), "a number > 0")
    for key in _FLAGS:
        if not isinstance(entry.get(key, False), bool):
            raise _wrong(where, f"{key} is true or false", repr(entry[key]))
    if entry.get("optional", False) and TERMS[entry["term"]].part != "static":
        raise _wrong(where, "static power alone may be optional", entry["term"])
    return Constant(
        entry["term"], None if value is None else float(value), entry["unit"], entry["condition"], entry["source"],
        entry["grade"], entry.get("bound", ""), entry.get("all_in", False), _text(where, entry, "account"),
        entry.get("optional", False),
    )  # fmt: skip


def _text(where: str, data: Mapping[str, Any], key: str) -> str:
    found = data.get(key, "")
    if not isinstance(found, str):
        raise _wrong(where, f"{key} is a text", repr(found))
    return found


def _wrong(where: str, message: str, got: object, wanted: str | None = None) -> ParameterError:
    return ParameterError(message, parameter=where, got=got, wanted=wanted)
