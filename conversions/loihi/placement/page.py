"""The placement as a page: the chip's mesh as two heat maps, one of what fills a core and one of what it sends."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from hasn.conversions.loihi.placement.drawing import fill_map, talk_map
from hasn.conversions.loihi.placement.text import (
    baseline_text,
    core_rows,
    fullest_text,
    hops_text,
    inputs_text,
    nothing_text,
    traffic_text,
)
from hasn.ir.whole import refuse_existing, whole_file
from hasn.report.facts import sentence
from hasn.report.page import page
from hasn.report.section import Section, caption, html_table

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement.result import Placement


def write_page(path: str | Path, placement: Placement, *, force: bool = False) -> None:
    """Write the page.

    Raises:
        FileError: the file exists and ``force`` is False, its folder is missing, or the disk is full.
    """
    refuse_existing(path, force=force)
    text = page_html(placement)
    with whole_file(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf8")


def page_html(placement: Placement) -> str:
    """The page as text."""
    title = f"Placement on {placement.profile.title}"
    mark = "good" if placement.counted else "none"
    headline = f"{placement.cores} of {placement.profile.cores} cores"
    head = (
        f'<p class="asked">{escape(title)}</p><h1 class="{mark}">{headline}</h1>'
        f'<p class="lede">{escape(sentence(fullest_text(placement)))}</p><p>{escape(traffic_text(placement))}</p>'
        + (f"<p>{escape(nothing_text(placement))}</p>" if not placement.counted else "")
        + '<p class="note">Estimated from the published limits; nothing was measured on a chip.</p>'
    )
    return page(f"{headline}: {title}", head, placement_sections(placement), "Written by hasn. One file, no network.")


def limit_text(value: object) -> str:
    """A field of a profile for a reader."""
    if value is None:
        return "no limit"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def placement_sections(placement: Placement) -> list[Section]:
    """The parts of the page, also for other reports."""
    profile = placement.profile
    full = (
        f"All {profile.cores} cores on {profile.mesh[0]} x {profile.mesh[1]} routers, {profile.cores_per_router} cores "
        "each. In a core: its number, and how much of its fullest resource is in use."
    )
    talk = (
        "The same cores; a stronger tint, more messages that leave or reach it. Lines join the pairs with most "
        f"messages; the wider, the more. {hops_text(placement)}. {inputs_text(placement)}. {baseline_text(placement)}"
    )
    headings, rows = core_rows(placement)
    sources = [(key, limit_text(getattr(profile, key)), text) for key, text in profile.sources.items()]
    sent = [
        (name, f"{s.messages:,}", f"{s.message_hops:,}", f"{s.local:,}") for name, s in placement.populations.items()
    ]
    return [
        Section("How full the cores are", fill_map(placement, full) + caption(full)),
        Section("Which cores talk", talk_map(placement, talk) + caption(talk)),
        Section("Who sends", html_table(("population", "messages", "message hops", "stay on a core"), sent)),
        Section("Cores", html_table(headings, rows, left=3, kind="compact first")),
        Section(
            "The chip's limits, and where they are from", html_table(("limit", "value", "source"), sources, left=3)
        ),
    ]
