"""The report: how many slips were noticed, by room and file; each survivor; slow tests that noticed nothing."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.rooms import Room
from tests.mutants.verdicts import Verdict

#: A test that takes longer is called slow.
SLOW = 1.0


@dataclass(frozen=True)
class Outcome:
    """What was found in a room.

    Attributes:
        room: the room.
        there_are: mutants in all, of which a sample was drawn.
        verdicts: mutant -> what became of it.
        equivalent: mutant of the sample -> why it means the same.
        seconds: test of the room -> how long it takes.
    """

    room: Room
    there_are: int
    verdicts: dict[Mutant, Verdict]
    equivalent: dict[Mutant, str]
    seconds: dict[str, float]

    @property
    def survivors(self) -> list[Mutant]:
        """What no test noticed, by file and line."""
        left = (m for m, v in self.verdicts.items() if v.status != "killed")
        return sorted(left, key=lambda m: (m.file, m.line, m.key))

    @property
    def rate(self) -> float:
        """Per cent of mutants noticed, equivalent ones apart; 100 where there are none."""
        tried = len(self.verdicts)
        return 100.0 * (tried - len(self.survivors)) / tried if tried else 100.0

    def idle(self) -> list[tuple[str, float]]:
        """Slow tests that noticed nothing before a faster one did, slowest first."""
        used = {v.test for v in self.verdicts.values()}
        slow = [(name, took) for name, took in self.seconds.items() if took > SLOW and name not in used]
        return sorted(slow, key=lambda pair: -pair[1])

    def figures(self) -> dict[str, object]:
        """As data."""
        return {
            "room": self.room.name,
            "mutants": self.there_are,
            "tried": len(self.verdicts),
            "killed": len(self.verdicts) - len(self.survivors),
            "equivalent": len(self.equivalent),
            "rate": round(self.rate, 1),
            "target": self.room.target,
            "survivors": [m.key for m in self.survivors],
        }


def table(outcomes: Sequence[Outcome]) -> str:
    """A row a room, in Markdown."""
    rows = ["| room | mutants | tried | noticed | equivalent | rate | target |", "|---|---|---|---|---|---|---|"]
    for o in outcomes:
        tried = len(o.verdicts)
        noticed = tried - len(o.survivors)
        rows.append(
            f"| `{o.room.name}` | {o.there_are:,} | {tried:,} | {noticed:,} | {len(o.equivalent)} "
            f"| {o.rate:.1f} % | {o.room.target:.0f} % |"
        )
    return "\n".join(rows)


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --minus: #c0392b; --plus: #1e8449; }
@media (prefers-color-scheme: dark) { :root { --minus: #ff8a7a; --plus: #7ddc9a; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
td { text-align: right; } td:first-child, th:first-child { text-align: left; }
.short { color: var(--minus); font-weight: 600; }
pre { margin: .2rem 0 1rem; padding: .5rem .8rem; border-left: 3px solid var(--line); white-space: pre-wrap; }
.old { color: var(--minus); } .new { color: var(--plus); }
"""


def write_page(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the report, whole or not at all."""
    body = "".join([_summary(outcomes), *map(_section, outcomes)])
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Slips that no test notices</title><style>{_STYLE}</style><body>{body}</body></html>"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf8")
    new.replace(path)


def _summary(outcomes: Sequence[Outcome]) -> str:
    heads = ("room", "mutants", "tried", "noticed", "equivalent", "rate", "target")
    rows = []
    for o in outcomes:
        tried = len(o.verdicts)
        short = ' class="short"' if o.rate < o.room.target else ""
        cells = (f"{o.there_are:,}", f"{tried:,}", f"{tried - len(o.survivors):,}", str(len(o.equivalent)))
        link = f'<a href="#{html.escape(o.room.name)}">{html.escape(o.room.name)}</a>'
        rows.append(
            f"<tr><td>{link}</td>{''.join(f'<td>{c}</td>' for c in cells)}"
            f"<td{short}>{o.rate:.1f} %</td><td>{o.room.target:.0f} %</td></tr>"
        )
    head = "".join(f"<th>{h}</th>" for h in heads)
    return f"<h1>Slips that no test notices</h1><table><tr>{head}</tr>{''.join(rows)}</table>"


def _section(outcome: Outcome) -> str:
    tried, alive = Counter(m.file for m in outcome.verdicts), Counter(m.file for m in outcome.survivors)
    files = "".join(
        f"<tr><td>{html.escape(f)}</td><td>{n - alive[f]} of {n}</td></tr>" for f, n in sorted(tried.items())
    )
    survivors = "".join(
        f"<div>{html.escape(m.file)}:{m.line} {html.escape(m.function)} ({html.escape(m.kind)})</div>"
        f'<pre><span class="old">- {html.escape(m.old)}</span>\n<span class="new">+ {html.escape(m.new)}</span></pre>'
        for m in outcome.survivors
    )
    same = "".join(
        f"<dt><code>{html.escape(m.key)}</code></dt><dd>{html.escape(w)}</dd>" for m, w in outcome.equivalent.items()
    )
    idle = "".join(f"<li>{html.escape(name)}: {took:.1f} s</li>" for name, took in outcome.idle())
    return (
        f'<h2 id="{html.escape(outcome.room.name)}">{html.escape(outcome.room.name)}</h2>'
        f"<table><tr><th>file</th><th>noticed</th></tr>{files}</table>"
        + (f"<h3>Survivors</h3>{survivors}" if survivors else "<p>No survivors.</p>")
        + (f"<h3>Equivalent</h3><dl>{same}</dl>" if same else "")
        + (f"<h3>Slow tests that noticed nothing before a faster one</h3><ul>{idle}</ul>" if idle else "")
    )
