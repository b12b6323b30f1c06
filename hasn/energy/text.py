"""Energies as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hasn.energy.report import EnergyReport, Price

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
    """A bar a node, a colour a term, a panel an account with its own scale; where nothing has a price it says so."""
    from matplotlib.figure import Figure

    accounts = report.accounts or ("",)
    figure = Figure(figsize=(max(7, 4 * len(accounts)), 4), layout="constrained")
    figure.suptitle(report.title)
    terms = list(dict.fromkeys(price.term for price in report.prices))
    for axes, account in zip(figure.subplots(1, len(accounts), squeeze=False)[0], accounts, strict=True):
        _bars(axes, [price for price in report.prices if price.account == account], terms)
        axes.set_ylabel("energy (J)")
        axes.set_title(account)
    if not report.known:
        figure.axes[0].set_axis_off()
        figure.axes[0].text(0.5, 0.5, "unknown: nothing that was done has a price", ha="center")
    return figure


def _bars(axes: Any, prices: Sequence[Price], terms: Sequence[str]) -> None:
    nodes = list(dict.fromkeys(price.node for price in prices))
    bottom = [0.0] * len(nodes)
    for number, term in enumerate(terms):
        heights = [sum(p.joules for p in prices if (p.node, p.term) == (node, term)) for node in nodes]
        if any(price.term == term for price in prices):
            axes.bar(nodes, heights, bottom=bottom, label=term.replace("_", " "), color=f"C{number}")
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    if nodes:
        axes.set_ylim(0, 1.1 * max(bottom) or 1.0)
        axes.tick_params(axis="x", rotation=90 if len(nodes) > 8 else 0)
        axes.legend()
