"""docs/support.md, from what passed.

First ``HASN_SUPPORT=build/support.json pytest``, then ``python -m hasn.testing.support``.
With ``--check`` nothing is written: the difference from the file that is there is printed, and makes the status 1. The
columns of a backend that could not run here are taken over from that file as they stand.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hasn.backend import get_backend
from hasn.nodes.lookup import kind_names
from hasn.testing.cases.engine import CASES as ENGINE
from hasn.testing.cases.learning import CASES as LEARNING
from hasn.testing.facts import FEATURES, facts
from hasn.testing.gaps import NOT_OFFERED
from hasn.testing.runners import INTERPRETERS, PRECISIONS

HEAD = """# What runs where

Written by `make support` from what passed in the conformance suite (`hasn/testing`); CI fails where this page is stale.
A case is a network and an input: its spikes must be exactly those of the reference, its voltages and outputs must
be equal to rounding (1e-9 of a node's largest in float64, 5e-7 for each step in float32). A cell counts the cases that
contain the primitive, or have the feature, and passed. A case that only repeats another with another method, reset or
batch is run by one of hasn's backends, in turn; `pytest --pyargs hasn.testing --backend NAME` runs them all. What a
backend cannot do stands in `hasn/testing/gaps.py`. Of a learning rule, spikes are the reference's and weights equal to
1e-9 of the largest at each of 1,000 steps (`hasn/testing/test_learning.py`, [plasticity.md](plasticity.md)). Rules run
in float64 on processes and synapses of hasn's own, so none of them is deployable on a chip as it stands, but for the
columns "lava engine" and "lava engine-exact": Lava's own learning engine (`learning="engine"`), held in the same way
to its own order, and with two of its steps for one of the network to the reference's (`hasn/testing/test_engine.py`;
some cases for 400 steps). Deployable are cases that Lava's stock processes run whole, or with them a chip's bounds of
weights, in real numbers still; no chip was at hand. A rule without a place there is refused, by its term.
"""

KINDS = {
    "run": "cases, whole sequences",
    "stream": "cases, step by step, state saved and loaded",
    "stream beside a run": "a run beside a stream",
    "random": "tests of random networks",
    "learning": "cases that learn",
    "engine": "cases on Lava's learning engine",
    "engine-exact": "the same, two steps for one",
}


@dataclass(frozen=True)
class Row:
    """The outcome of one test."""

    runner: str
    precision: str
    kind: str
    name: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class Table:
    """Cells by row and column; every column is ``backend precision``."""

    title: str
    rows: tuple[str, ...]
    cells: dict[str, dict[str, str]]

    def text(self) -> str:
        """As markdown."""
        columns = list(self.cells)
        lines = [[self.title, *columns], ["---"] * (len(columns) + 1)]
        lines += [[row, *(self.cells[column].get(row, "") for column in columns)] for row in self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def read(path: Path) -> list[Row]:
    """The record of a session, without the interpreters, which are no backends."""
    rows = [Row(*row) for row in json.loads(path.read_text(encoding="utf8"))]
    return [row for row in rows if row.runner not in INTERPRETERS]


def cell(outcomes: Iterable[str], what: str = "") -> str:
    """Counts as text: what passed, then what did not."""
    counts = Counter(outcomes)
    parts = [f"{counts['passed']}{what}"] if counts["passed"] else []
    parts += [f"{counts['xfailed']} gaps"] if counts["xfailed"] else []
    parts += [f"**{counts['failed']} fail**"] if counts["failed"] else []
    return ", ".join(parts) or "–"


def tables(rows: list[Row]) -> list[Table]:
    """What the page holds, one column for each backend and precision."""
    backends = sorted({row.runner for row in rows})
    found = {f"{name} {precision}": (name, precision) for name in backends for precision in PRECISIONS}
    mine = {column: [row for row in rows if (row.runner, row.precision) == key] for column, key in found.items()}
    runs = {column: [row for row in mine[column] if row.kind == "run"] for column in found}

    def by_fact(names: Sequence[str], what: str) -> dict[str, dict[str, str]]:
        return {
            column: {name: cell((r.outcome for r in runs[column] if name in facts(r.name)), what) for name in names}
            if mine[column]
            else dict.fromkeys(names, "not offered")
            for column in found
        }

    rules = {name: case.rules() for name, case in LEARNING.items()}
    named = tuple(sorted(set().union(*rules.values())))
    learnt = {
        column: {
            rule: cell((r.outcome for r in mine[column] if r.kind == "learning" and rule in rules[r.name]), " cases")
            for rule in named
        }
        for column in found
        if column.endswith(PRECISIONS[0])
    }
    if "lava" in backends:
        for kind in ("engine", "engine-exact"):
            judged = [row for row in mine[f"lava {PRECISIONS[0]}"] if row.kind == kind]
            learnt[f"lava {kind}"] = {rule: _on_engine(rule, judged) for rule in named}
    kinds = {
        column: {text: cell(r.outcome for r in mine[column] if r.kind == kind) for kind, text in KINDS.items()}
        | {"version": re.sub(r"\+\w+", "", get_backend(name).version()) or "not installed"}  # not the build: cpu, cu130
        for column, (name, _precision) in found.items()
    }
    return [
        Table("node kind", kind_names(), by_fact(kind_names(), " cases")),
        Table("feature", tuple(FEATURES), by_fact(tuple(FEATURES), " cases")),
        Table("learning rule", named, learnt),
        Table("tests", ("version", *KINDS.values()), kinds),
    ]


def _on_engine(rule: str, rows: list[Row]) -> str:
    """What passed on Lava's learning engine, and how much of it a chip could take."""
    names = [name for name, made in ENGINE.items() if rule in made.case.rules()]
    found = [row for row in rows if row.name in names]
    if not names:
        return "refused"
    deployable = [row for row in found if row.outcome == "passed" and not ENGINE[row.name].ours]
    return cell((row.outcome for row in found), " cases") + (f", {len(deployable)} deployable" if found else "")


def not_judged(rows: list[Row]) -> set[str]:
    """Backends of which nothing ran here."""
    ran = {row.runner for row in rows if row.outcome != "skipped"}
    return {row.runner for row in rows} - ran


def carried(fresh: Table, old: str, absent: set[str]) -> Table:
    """The table, with the columns of absent backends as the old page has them."""
    lines = [[part.strip() for part in line.strip("| ").split("|")] for line in old.splitlines() if line[:1] == "|"]
    start = next((i for i, line in enumerate(lines) if line[0] == fresh.title), None)
    if start is None:
        return fresh
    head = lines[start]
    body = {line[0]: line for line in lines[start + 2 : start + 2 + len(fresh.rows)]}
    cells = dict(fresh.cells)
    for column in cells:
        if column.split()[0] in absent and column in head:
            place = head.index(column)
            cells[column] = {row: body[row][place] for row in fresh.rows if len(body.get(row, ())) > place}
    return Table(fresh.title, fresh.rows, cells)


def page(rows: list[Row], old: str = "") -> str:
    """The whole text."""
    parts = [HEAD, *(carried(table, old, not_judged(rows)).text() + "\n" for table in tables(rows))]
    backends = {row.runner for row in rows}
    reasons = [f"- **{name} {p}**, not offered: {why}" for (name, p), why in NOT_OFFERED.items() if name in backends]
    gaps = {(r.runner, r.precision, r.name): r.reason for r in rows if r.outcome == "xfailed"}
    reasons += [f"- **{name} {p}**, {case}: {why}" for (name, p, case), why in sorted(gaps.items())]
    if reasons:
        parts.append("## Gaps, and why\n" + "\n".join(reasons) + "\n")
    return "\n".join(parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where the page is stale."""
    parser = argparse.ArgumentParser(prog="python -m hasn.testing.support", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--record", type=Path, default=Path("build/support.json"), help="what the session wrote")
    parser.add_argument("--page", type=Path, default=Path("docs/support.md"))
    parser.add_argument("--check", action="store_true", help="compare only")
    given = parser.parse_args(arguments)
    if not given.record.is_file():
        parser.error(f"there is no {given.record}; run the tests with HASN_SUPPORT={given.record} first")
    old = given.page.read_text(encoding="utf8") if given.page.is_file() else ""
    rows = read(given.record)
    new = page(rows, old)
    for name in sorted(not_judged(rows)):
        sys.stderr.write(f"{name} could not run here: its column stays as it was\n")
    if not given.check:
        given.page.write_text(new, encoding="utf8")
        return 0
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), str(given.page), "what passed", lineterm="", n=1)
    difference = "\n".join(lines)
    if difference:
        sys.stderr.write(f"{difference}\n{given.page} is stale: run `make support` and commit it\n")
    return int(bool(difference))


if __name__ == "__main__":
    sys.exit(main())
