"""Energies as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hasn.energy.report import EnergyReport

_PREFIXES = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ"), (1e-9, "nJ"), (1e-12, "pJ"), (1e-15, "fJ"))


def joules_text(joules: float) -> str:
    """Three digits and a unit: "1.23 nJ"; 0 only where it is exactly 0."""
    if joules == 0:
        return "0 J"
    factor, unit = next(((f, u) for f, u in _PREFIXES if abs(joules) >= 0.9995 * f), _PREFIXES[-1])
    return f"{joules / factor:.3g} {unit}"


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: tuple[int, ...] = (0,)) -> str:
    """Columns side by side, words left and numbers right."""
    cells = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            text.ljust(wide) if place in left else text.rjust(wide)
            for place, (text, wide) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    return "\n".join([line(columns), "  ".join("-" * wide for wide in widths), *map(line, rows)])


def report_text(report: EnergyReport) -> str:
    """A table for each account, the whole, and what is left out."""
    lines = [report.title]
    for account in report.accounts:
        if account:
            lines.append(f"\nAccount: {account}")
        priced = [price for price in report.prices if price.account == account]
        rows = [(p.node, p.term, f"{p.count:,.6g}", joules_text(p.joules), p.grade) for p in priced]
        lines.append(plain_table(("node", "term", "count", "energy", "grade"), rows, left=(0, 1, 4)))
    band, inference, second = report.band, report.per_inference, report.per_second
    if report.joules is None or band is None or inference is None or second is None:
        lines.append("Unknown: nothing that was done has a price.")
    else:
        low, high = (joules_text(end / report.samples) for end in band)
        several = ", the geometric mean of accounts that disagree" if len(report.accounts) > 1 else ""
        watts = joules_text(second).replace("J", "W")
        lines.append(f"{joules_text(inference)} an inference ({low} to {high}){several}; {watts} of model time")
    lines += [f"Not in it: {what}: {why}" for what, why in report.left_out.items()]
    return "\n".join(lines)


def report_figure(report: EnergyReport) -> Figure:
    """A bar a node and account, a colour a term."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes: Any = figure.subplots()
    several = len(report.accounts) > 1
    bars = list(dict.fromkeys((price.account, price.node) for price in report.prices))
    names = [f"{node}\n{account}" if several else node for account, node in bars]
    bottom = [0.0] * len(bars)
    for term in dict.fromkeys(price.term for price in report.prices):
        heights = [
            sum(p.joules for p in report.prices if (p.account, p.node, p.term) == (account, node, term))
            for account, node in bars
        ]
        axes.bar(names, heights, bottom=bottom, label=term.replace("_", " "))
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    axes.set_ylabel("energy (J)")
    axes.set_title(report.title)
    if bars:
        axes.legend()
    return figure
