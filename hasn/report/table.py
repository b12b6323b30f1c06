"""The agreement table as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hasn.program.draw import plain_text
from hasn.report.facts import DASH, Extra, agreement_table, divergence_line, others

if TYPE_CHECKING:
    from hasn.agreement import Comparison

_WIDEST = 400
_LEFT = ("backend", "precision")


def comparison_table(comparison: Comparison, extra: Extra | None = None, *, width: int | None = None) -> str:
    """One row a backend, then a line for each that did not run and for each first divergence.

    Args:
        comparison: what :func:`hasn.compare` gives.
        extra: more columns, {label: {column: text}}, shown behind the precision.
        width: columns of text that the table may take; default: as many as it needs.
    """
    table = agreement_table(comparison, extra)
    lines = [plain_text(_rich_table(table.columns, table.rows, table.skipped), width or _WIDEST)]
    lines += [f"{label} did not run: {' '.join(reason.split())}" for label, reason in table.skipped.items()]
    for label in others(comparison):
        first = comparison.first_divergence(label)
        if first is not None:
            lines.append(divergence_line(first))
    return "\n".join(lines)


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
