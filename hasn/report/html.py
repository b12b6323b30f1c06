"""The report: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from hasn.ir.whole import refuse_existing, whole_file
from hasn.program.describe import shape_text, summaries
from hasn.report.css import CSS
from hasn.report.divergences import divergence_section
from hasn.report.facts import Extra, Verdict, agreement_table, others, sentence, verdict
from hasn.report.figure import figure_html
from hasn.report.graph import graph_svg
from hasn.report.provenance import provenance_section
from hasn.report.rasters import raster_figure
from hasn.report.section import Section, caption, html_table
from hasn.report.select import samples, spiking_inputs, spiking_nodes
from hasn.report.style import Look, in_order, looks
from hasn.report.traces import neuron_name, pick, trace_figure

if TYPE_CHECKING:
    from hasn.agreement import Comparison


def write_report(
    path: str | Path,
    comparison: Comparison,
    *,
    title: str = "Do the backends run the same network?",
    subtitle: str = "",
    extra_sections: Sequence[Section] = (),
    extra: Extra | None = None,
    force: bool = False,
) -> None:
    """Write a comparison as one self-contained HTML file.

    Args:
        path: the file; its folder must exist.
        comparison: what :func:`hasn.compare` gives.
        title: heading of the page.
        subtitle: a line under it (which network, which data).
        extra_sections: shown between the agreement table and the rasters.
        extra: more columns of the agreement table, {label: {column: text}}.
        force: replace a file that is already there.

    Raises:
        FileError: the file exists and ``force`` is False, its folder is missing, or the disk is full.
    """
    refuse_existing(path, force=force)  # before the figures are drawn
    text = report_html(comparison, title=title, subtitle=subtitle, extra_sections=extra_sections, extra=extra)
    with whole_file(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf8")


def report_html(
    comparison: Comparison,
    *,
    title: str = "Do the backends run the same network?",
    subtitle: str = "",
    extra_sections: Sequence[Section] = (),
    extra: Extra | None = None,
) -> str:
    """The page as text; see :func:`write_report`."""
    sections = [
        Section("Agreement", _agreement(comparison, extra)),
        *extra_sections,
        *[section for section in (divergence_section(comparison),) if section is not None],
        Section("Spikes, all backends over each other", _rasters(comparison)),
        Section("Membrane potentials", _traces(comparison)),
        Section("The network", _graph(comparison)),
        provenance_section(comparison),
    ]
    result = verdict(comparison)
    under = f'<p class="subtitle">{escape(subtitle)}</p>' if subtitle else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{under}"
        f'<div class="verdict {_mark(result)}"><strong>{escape(result.headline)}</strong>'
        f"{escape(result.sentence)}</div></header><main>"
        + "".join(f"<section><h2>{escape(section.title)}</h2>{section.html}</section>" for section in sections)
        + "</main><footer>Written by hasn. One file, no network, no script.</footer></body></html>\n"
    )


def _mark(result: Verdict) -> str:
    """Class of the verdict's box: green is for what was compared."""
    if not result.ok:
        return "bad"
    return "good" if result.compared else "none"


def _agreement(comparison: Comparison, extra: Extra | None) -> str:
    table = agreement_table(comparison, extra)
    counted = {table.columns.index("differing")}
    head = "".join(f"<th{'' if k < 2 else ' class=number'}>{escape(c)}</th>" for k, c in enumerate(table.columns))
    rows = []
    for cells in table.rows.values():
        marked = []
        for place, cell in enumerate(cells):
            mark = "" if place < 2 else "number"
            if place in counted and cell.replace(",", "").isdigit():
                mark += " zero" if cell == "0" else " some"
            marked.append(f'<td class="{mark}">{escape(cell)}</td>')
        rows.append(f"<tr>{''.join(marked)}</tr>")
    wide = len(table.columns) - 1
    for label, reason in table.skipped.items():
        cell = f'<td colspan="{wide}">not run: {escape(" ".join(reason.split()))}</td>'
        rows.append(f'<tr class="skipped"><td>{escape(label)}</td>{cell}</tr>')
    note = (
        "Differing: spikes (node, neuron, sample, step) that one of the two has and the other has not. A tie is a "
        "spike that differs because a voltage lies within rounding of its threshold; it is counted apart, and so is "
        "what it can have caused (after). Agreement: common spikes of all spikes. max |ΔV|: the largest difference of "
        "any recorded membrane potential. Steps shifted: how late a backend runs its nodes, already taken out."
    )
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="agreement">{body}</table></div>{caption(note)}'


def _legend(comparison: Comparison) -> str:
    order = looks(in_order(list(comparison.recordings), comparison.reference))
    target = _target(order, "all spike")
    return (
        f'<div class="legend">{target}{"".join(_target([look], look.label) for look in order)}{_missing(order)}</div>'
    )


def _target(order: Sequence[Look], text: str, circle: bool = False) -> str:
    discs = "".join(f'<circle cx="13" cy="13" r="{8.5 * look.size:.2f}" fill="{look.colour}"/>' for look in order)
    ring = '<circle cx="13" cy="13" r="11.8" fill="none" stroke="#e5203a" stroke-width="2"/>' if circle else ""
    drawing = f'<svg width="26" height="26" aria-hidden="true">{discs}{ring}</svg>'
    return f"<span>{drawing}{escape(text)}</span>"


def _missing(order: Sequence[Look]) -> str:
    if len(order) < 2:
        return ""
    return _target(order[:-1], f"{order[-1].label} is missing: a difference", circle=True)


def _rasters(comparison: Comparison) -> str:
    if not spiking_nodes(comparison) and not spiking_inputs(comparison):
        return "<p>Nothing in the network spikes.</p>"
    parts = [_legend(comparison)]
    for place, sample in enumerate(samples(comparison)):
        figure, text = raster_figure(comparison, sample)
        drawn = figure_html(figure, f"Spike raster of all backends. {text}") + caption(text)
        parts.append(drawn if place == 0 else f"<details><summary>Sample {sample}</summary>{drawn}</details>")
    return "".join(parts)


def _traces(comparison: Comparison) -> str:
    chosen = pick(comparison)
    if not chosen:
        return "<p>The network has no membrane potential to show.</p>"
    against = (
        f"each backend's distance from {comparison.reference}" if others(comparison) else "nothing to compare with"
    )
    parts = []
    for trace in chosen:
        text = (
            f"{sentence(neuron_name(comparison, trace), stop='')}, sample {trace.sample}. Above: its potential after "
            "the reset on all backends (lines that coincide lie inside each other) and its spikes; below, on a log "
            f"axis: {against}. Values of exactly 0 lie on the line marked 0."
        )
        parts.append(figure_html(trace_figure(comparison, trace), text) + caption(text))
    return "".join(parts)


def _graph(comparison: Comparison) -> str:
    program = comparison.program
    late = any(edge.delay for edge in program.edges)
    note = "Signals run from left to right." + (
        " Edges with steps on them bring an earlier value; dashed ones close a cycle." if late else ""
    )
    rows = [
        (s.name, s.kind, shape_text(s.shape), "\n".join(s.details), "\n".join(s.sources)) for s in summaries(program)
    ]
    steps = html_table(("node", "kind", "shape", "what it does at each step", "from"), rows, left=5, kind="steps")
    return (
        f"{graph_svg(program)}{caption(note)}<details open><summary>The {len(rows)} nodes in the order of evaluation"
        f"</summary>{steps}</details>"
    )
