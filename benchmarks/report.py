"""The figures as tables: for the terminal, and in Markdown to paste."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.agreement import Agreement
from benchmarks.results import HASN, Ratio, Result
from hasn.cli.console import add_row, show, table

COLUMNS = ("", "median", "range", "spikes that differ", "in float64", "gradients differ by")
TARGET_COLUMNS = ("ratio", "target", "measured", "met")
UNITS = {"us": "µs"}


def rows(result: Result) -> Iterator[tuple[str, ...]]:
    """A line for each row, and one for each that is missing."""
    for name, values in result.rows.items():
        median, low, high = statistics.median(values), min(values), max(values)
        unit = UNITS.get(result.unit, result.unit)
        yield (
            name,
            f"{number(median)} {unit}",
            f"{number(low)} to {number(high)}",
            *_agreement(result.agreement(name)),
        )
    for name, reason in result.missing.items():
        yield (name, "–", "", f"left out: {' '.join(reason.split())}", "", "")


def _agreement(one: Agreement | None) -> tuple[str, str, str]:
    if one is None:
        return "–", "–", "–"
    ties = f" ({one.ties} samples with a tie)" if one.ties else ""
    double = "–" if one.differ_float64 is None else f"{one.differ_float64:,}"
    gradient = "–" if one.gradient is None else f"{one.gradient:.0e}"
    return f"{one.differ:,} of {one.places:,}{ties}", double, gradient


def targets(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """A line for each ratio."""
    for result in results:
        for one in result.ratios:
            yield (ratio_name(result, one), _target(one), _measured(one), _verdict(one))


def ratio_name(result: Result, one: Ratio) -> str:
    """What over what."""
    if one.target.what.startswith("slope"):
        return f"{result.name}: {one.target.above}, {one.target.what}"
    what = f"{one.target.what} of " if one.target.what else ""
    return f"{result.name}: {what}{one.target.above} / {one.target.below}"


def _target(one: Ratio) -> str:
    if one.target.value is None:
        return "none"
    return f"{'≥' if one.target.sign == 'at least' else '≤'} {one.target.value:g}"


def _measured(one: Ratio) -> str:
    return "not measured" if one.measured is None else f"{one.measured:.2f}"


def _verdict(one: Ratio) -> str:
    return "–" if one.met is None else "yes" if one.met else "no"


def number(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def series(result: Result) -> Iterator[tuple[str, ...]]:
    """Milliseconds of a training step at each length, and the slope."""
    for name, times in result.series.items():
        yield (name, *(number(1e3 * value) for value in times.values()), f"{result.more['slopes'][name]:.2f}")


def series_columns(result: Result) -> tuple[str, ...]:
    """Their heads."""
    lengths = next(iter(result.series.values()), {})
    return ("ms", *(f"T = {steps}" for steps in lengths), "slope")


def tables(results: Sequence[Result]) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """(title, columns, lines) of everything."""
    for result in results:
        if result.series:
            yield result.title.split(":")[0], series_columns(result), list(series(result))
        yield result.title, COLUMNS, list(rows(result))
    yield "Ratios: median of the ratios of neighbours", TARGET_COLUMNS, list(targets(results))


def print_tables(results: Sequence[Result]) -> None:
    """To the terminal."""
    for title, columns, lines in tables(results):
        show(f"\n{title}")
        made = table(*columns, numbers=columns[1:])
        for line in lines:
            add_row(made, *line)
        show(made)


def machine_line(found: dict[str, Any]) -> str:
    """Where and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{found['cpu']}, {found['cores']} cores, {found['threads']} threads, load {found['load']} before and "
        f"{found['load_after']} after; Python {found['python']}, {versions}; kernels: {found['kernels']}; "
        f"{found['date']}; {found['pairs']} measurements of each, in turns"
    )


def markdown(results: Sequence[Result], machine: dict[str, Any]) -> str:
    """The same tables, for a README."""
    parts = [machine_line(machine)]
    for title, columns, lines in tables(results):
        heads = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
        parts.append("\n".join([f"**{title}**", "", *heads, *(_line(line) for line in lines)]))
    return "\n\n".join(parts) + "\n"


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(f'**{cell}**' if cell == HASN else cell for cell in escaped)} |"
