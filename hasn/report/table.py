"""The agreement table as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hasn.program.draw import plain_text
from hasn.report.facts import DASH, Extra, Table, agreement_table, divergence_line, others, unit_of

if TYPE_CHECKING:
    from hasn.agreement import Comparison

_WIDEST = 400
_LEFT = ("backend", "precision")
#: Columns that a narrow terminal does without, in this order.
_FIRST_TO_GO = ("steps shifted", "synaptic operations", "seconds", "agreement")


def comparison_table(comparison: Comparison, extra: Extra | None = None, *, width: int | None = None) -> str:
    """One row a backend, then a line for each that did not run and for each first divergence.

    Args:
        comparison: what :func:`hasn.compare` gives.
        extra: more columns, {label: {column: text}}, shown behind the precision.
        width: columns of text that the table may take; default: as many as it needs. What does not fit is left out,
            the least asked for first, rather than broken in the middle of a word.
    """
    table = agreement_table(comparison, extra)
    kept = list(range(len(table.columns)))
    text, left_out = _drawn(table, kept), []
    for column in _FIRST_TO_GO:
        if width is None or _width_of(text) <= width:
            break
        kept.remove(table.columns.index(column))
        left_out.append(column)
        text = _drawn(table, kept)
    lines = [text if width is None or _width_of(text) <= width else plain_text(_rich_table(*_of(table, kept)), width)]
    if left_out:
        lines.append(f"Left out in {width} columns: {', '.join(left_out)}.")
    lines += [f"{label} did not run: {' '.join(reason.split())}" for label, reason in table.skipped.items()]
    for label in others(comparison):
        first = comparison.first_divergence(label)
        if first is not None:
            lines.append(divergence_line(first, unit_of(comparison)))
        weight = comparison.first_weight(label)
        if weight is not None:
            lines.append(str(weight))
    return "\n".join(lines)


def _of(table: Table, kept: list[int]) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]], dict[str, str]]:
    rows = {label: tuple(cells[place] for place in kept) for label, cells in table.rows.items()}
    return tuple(table.columns[place] for place in kept), rows, table.skipped


def _drawn(table: Table, kept: list[int]) -> str:
    return plain_text(_rich_table(*_of(table, kept)), _WIDEST)


def _width_of(text: str) -> int:
    return max(map(len, text.splitlines()))


def _rich_table(columns: tuple[str, ...], rows: dict[str, tuple[str, ...]], skipped: dict[str, str]) -> Any:
    from rich.box import ROUNDED
    from rich.table import Table
    from rich.text import Text

    table = Table(box=ROUNDED)
    for column in columns:
        left = column in _LEFT
        heading = Text(_heading(column))
        table.add_column(heading, justify="left" if left else "right", overflow="fold", vertical="bottom")
    for cells in rows.values():
        table.add_row(*map(Text, cells))
    for label in skipped:
        table.add_row(*map(Text, (label, "not run", *[DASH] * (len(columns) - 2))))
    return table


def _heading(column: str) -> str:
    """One word a line, units left with what they belong to."""
    return column.replace(" ", "\n").replace("\n(", " (")
