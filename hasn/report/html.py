"""The report: one HTML file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from hasn.ir.whole import refuse_existing, whole_file
from hasn.program.describe import shape_text, summaries
from hasn.report.divergences import divergence_section
from hasn.report.energy import energy_section
from hasn.report.facts import Extra, agreement_table, others, sentence
from hasn.report.graph import graph_svg
from hasn.report.page import page
from hasn.report.provenance import provenance_section
from hasn.report.rasters import raster_html, raster_key
from hasn.report.section import Section, caption, html_table, scroll
from hasn.report.select import samples, spiking_inputs
from hasn.report.traces import neuron_name, pick, trace_html
from hasn.report.verdict import Verdict, hardware_note, verdict

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
        title: what was asked; stands above the verdict.
        subtitle: a line under the verdict (which network, which data).
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
        Section("Run by run", _agreement(comparison, extra)),
        *extra_sections,
        *[section for section in (divergence_section(comparison),) if section is not None],
        Section("Spikes", _rasters(comparison)),
        Section("Membrane potentials", _traces(comparison)),
        *[section for section in (energy_section(comparison),) if section is not None],
        Section("The network", _graph(comparison)),
        provenance_section(comparison),
    ]
    result = verdict(comparison)
    under = "".join(
        f'<p class="{kind}">{escape(text)}</p>'
        for kind, text in (
            ("lede", sentence(result.sentence)), ("subtitle", subtitle), ("note", hardware_note(comparison))
        )
        if text
    )  # fmt: skip
    mark = _mark(comparison, result)
    head = f'<p class="asked">{escape(title)}</p><h1 class="{mark}">{escape(result.headline)}</h1>{under}'
    return page(f"{result.headline}: {title}", head, sections, "Written by hasn. One file, no network, no script.")


def _mark(comparison: Comparison, result: Verdict) -> str:
    """Class of the headline."""
    if not result.ok and others(comparison):
        return "bad"
    return "good" if result.ok and result.compared else "none"


#: The page's columns behind the run's name and precision: what was asked comes first.
_FIRST = ("differing", "ties", "agreement", "max")


def _agreement(comparison: Comparison, extra: Extra | None) -> str:
    table = agreement_table(comparison, extra)
    places = sorted(
        range(2, len(table.columns)), key=lambda place: (not table.columns[place].startswith(_FIRST), place)
    )
    heads = "".join(f'<th scope="col" class="number">{escape(table.columns[place])}</th>' for place in places)
    rows = []
    for cells in table.rows.values():
        run = f'<th scope="row">{escape(cells[0])} <small>{escape(cells[1])}</small></th>'
        marked = "".join(_cell(cells[place], table.columns[place] == "differing") for place in places)
        rows.append(f"<tr>{run}{marked}</tr>")
    for label, reason in table.skipped.items():
        cell = f'<td colspan="{len(places)}">not run: {escape(" ".join(reason.split()))}</td>'
        rows.append(f'<tr class="skipped"><th scope="row">{escape(label)}</th>{cell}</tr>')
    note = (
        "Differing: spikes (node, neuron, sample, step) that one of the two has and the other has not. A tie is a "
        "spike that differs because a voltage lies within rounding of its threshold; it is counted apart, and so is "
        "what it can have caused (after). Agreement: common spikes of all spikes. max |⁠ΔV|: the largest difference "
        "of any recorded membrane potential. Steps shifted: how late a backend runs its nodes, already taken out."
    )
    body = f'<thead><tr><th scope="col">run</th>{heads}</tr></thead><tbody>{"".join(rows)}</tbody>'
    return scroll(f'<table class="first agreement">{body}</table>', "Agreement, run by run") + caption(note)


def _cell(text: str, counts: bool) -> str:
    mark = (" zero" if text == "0" else " some") if counts and text.replace(",", "").isdigit() else ""
    return f'<td class="number{mark}">{escape(text)}</td>'


def _rasters(comparison: Comparison) -> str:
    if not any(r.spikes[n].any() for r in comparison.recordings.values() for n in r.spikes) and not spiking_inputs(
        comparison
    ):
        return "<p>Nothing in the network spikes.</p>"
    parts = [raster_key(comparison)]
    for place, sample in enumerate(samples(comparison)):
        drawing, text = raster_html(comparison, sample)
        drawn = drawing + caption(text)
        parts.append(drawn if place == 0 else f"<details><summary>Sample {sample}</summary>{drawn}</details>")
    return "".join(parts)


def _traces(comparison: Comparison) -> str:
    chosen = pick(comparison)
    if not chosen:
        return "<p>The network has no membrane potential to show.</p>"
    parts = []
    for trace in chosen:
        text = (
            f"{sentence(neuron_name(comparison, trace), stop='')}, sample {trace.sample}: its potential after the "
            f"reset, and its spikes.{_against(comparison)}"
        )
        parts.append(trace_html(comparison, trace, text) + caption(text))
    return "".join(parts)


def _against(comparison: Comparison) -> str:
    if not others(comparison):
        return " There is no other run to compare with."
    return (
        f" In ink the run of {comparison.reference}; another has a colour where its line can be told from that one, "
        "and where its spikes differ."
    )


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
