"""The page of one run: what it did, and what its connections learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from hasn.ir.whole import whole_file
from hasn.plasticity.rule import Rule
from hasn.recordings.histograms import WeightHistogram
from hasn.report.learning import learning_sections
from hasn.report.page import page
from hasn.report.section import Section, html_table


def write_run_report(
    path: str | Path,
    title: str,
    subtitle: str,
    rows: Sequence[Sequence[str]],
    rules: Mapping[str, Rule],
    histograms: Mapping[str, WeightHistogram],
    dt: float,
    *,
    force: bool = False,
) -> None:
    """Write a run as one self-contained HTML file.

    Args:
        path: the file; its folder must exist.
        title, subtitle: what ran, on what and for how long.
        rows: node, what of it, shape, spikes, mean rate in Hz, values.
        rules: connection that learns -> its rule.
        histograms: connection that learns -> its weights over time.
        dt: seconds a step.
        force: replace a file that is already there.

    Raises:
        FileError: the file exists and ``force`` is False, its folder is missing, or the disk is full.
    """
    columns = ("node", "recorded", "shape (time first)", "spikes", "mean rate (Hz)", "values")
    sections = [Section("Node by node", html_table(columns, rows, left=3)), *learning_sections(rules, histograms, dt)]
    head = f'<h1>{escape(title)}</h1><p class="subtitle">{escape(subtitle)}</p>'
    text = page(title, head, sections, "Written by hasn. One file, no network, no script.")
    with whole_file(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf8")
