"""The placement as a page: the chip's mesh as two heat maps, one of what fills a core and one of what it sends."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.conversions.loihi.placement.mesh import slots
from hasn.conversions.loihi.placement.text import (
    baseline_text,
    core_rows,
    fullest_text,
    hops_text,
    inputs_text,
    traffic_text,
)
from hasn.ir.whole import refuse_existing, whole_file
from hasn.report.css import CSS
from hasn.report.figure import figure_html, new_figure
from hasn.report.section import Section, caption, html_table
from hasn.report.style import INK

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement.result import Placement

#: Lines that are drawn at most: the pairs of cores with most messages.
_LINES = 80
_EMPTY = "#8a949e"
_LINE = "#ff7a1a"


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
    body = "".join(f"<section><h2>{escape(s.title)}</h2>{s.html}</section>" for s in placement_sections(placement))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f"<header><h1>{escape(title)}</h1><div class='verdict {mark}'><strong>{headline}</strong>"
        f"{escape(fullest_text(placement))}. {escape(traffic_text(placement))}</div></header><main>{body}</main>"
        "<footer>Written by hasn. Estimated from the published limits, nothing was measured on a chip.</footer>"
        "</body></html>\n"
    )


def placement_sections(placement: Placement) -> list[Section]:
    """The parts of the page, also for other reports."""
    routers = f"{placement.profile.mesh[0]} x {placement.profile.mesh[1]} routers, {placement.profile.cores_per_router}"
    mesh = (
        f"All {placement.profile.cores} cores on {routers} cores each; a core's number and the share of its fullest "
        "resource. Below: messages that leave or reach each core, and as lines the pairs with most of them; the "
        f"wider a line, the more messages. {hops_text(placement)}. {inputs_text(placement)}. {baseline_text(placement)}"
    )
    headings, rows = core_rows(placement)
    sources = [(key, str(getattr(placement.profile, key)), text) for key, text in placement.profile.sources.items()]
    sent = [
        (name, f"{s.messages:,}", f"{s.message_hops:,}", f"{s.local:,}") for name, s in placement.populations.items()
    ]
    return [
        Section("The mesh", figure_html(mesh_figure(placement), mesh) + caption(mesh)),
        Section("Who sends", html_table(("population", "messages", "message hops", "stay on a core"), sent)),
        Section("Cores", html_table(headings, rows, left=3, kind="compact")),
        Section(
            "The chip's limits, and where they are from", html_table(("limit", "value", "source"), sources, left=3)
        ),
    ]


# --- the figure


def mesh_figure(placement: Placement) -> Any:
    """Two maps of the chip: how full each core is, and who talks to whom."""
    centres = _centres(placement)
    width, height = (float(centres[:, axis].max() - centres[:, axis].min()) + 1.6 for axis in (0, 1))
    figure = new_figure(10.2, 2 * 9.0 * height / width + 0.9)
    above, below = figure.subplots(2, 1)
    shares = np.max(list(placement.shares.values()), axis=0)
    _map(figure, above, placement, centres, shares, "How full: share of the fullest resource", "YlGnBu", 1.0)
    for core, slot in enumerate(placement.slots):
        _label(above, centres[slot], f"{core}\n{100 * shares[core]:.0f}%", shares[core] > 0.55)
    between = placement.between
    load = (between.sum(axis=0) + between.sum(axis=1)).astype(float)
    _map(figure, below, placement, centres, load, "Who talks: messages sent and received", "YlGnBu", load.max())
    _lines(below, placement, centres)
    for core, slot in enumerate(placement.slots):
        _label(below, centres[slot], str(core), load[core] > 0.55 * load.max())
    figure.subplots_adjust(left=0.01, right=0.925, top=0.965, bottom=0.01, hspace=0.12)
    return figure


def _centres(placement: Placement) -> Any:
    """(cores of the chip, 2) where each is drawn: the cores of a router in a block, blocks a little apart."""
    profile = placement.profile
    across = int(np.ceil(np.sqrt(profile.cores_per_router)))
    within = np.arange(profile.cores) % profile.cores_per_router
    return slots(profile) * _pitch(placement) + np.stack([within % across, within // across], axis=1)


def _pitch(placement: Placement) -> Any:
    """(2,) from router to router: its cores in a block, and a gap."""
    there = placement.profile.cores_per_router
    across = int(np.ceil(np.sqrt(there)))
    return np.array([across, -(-there // across)]) + 0.35


def _map(
    figure: Any, axes: Any, placement: Placement, centres: Any, values: Any, title: str, colours: str, top: float
) -> None:
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    scale = mpl.colors.Normalize(0.0, top or 1.0)
    colour = mpl.colormaps[colours]
    value = dict(zip(placement.slots.tolist(), values.tolist(), strict=True))
    for slot, (x, y) in enumerate(centres):
        used = slot in value
        axes.add_patch(
            Rectangle(
                (x - 0.46, y - 0.46), 0.92, 0.92, gid=f"core {'used' if used else 'free'}",
                facecolor=colour(scale(value[slot])) if used else "none",
                edgecolor=INK if used else _EMPTY, linewidth=0.8 if used else 0.4,
            )
        )  # fmt: skip
    for x, y in np.unique(np.floor(centres / _pitch(placement)), axis=0) * _pitch(placement):
        wide, high = _pitch(placement) - 0.35
        axes.add_patch(
            Rectangle(
                (x - 0.58, y - 0.58), wide + 0.16, high + 0.16, facecolor=_EMPTY, alpha=0.13, zorder=0, linewidth=0
            )
        )
    axes.set_xlim(centres[:, 0].min() - 0.8, centres[:, 0].max() + 0.8)
    axes.set_ylim(centres[:, 1].max() + 0.8, centres[:, 1].min() - 0.8)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, color=INK, fontsize=10, loc="left", pad=3)
    bar = figure.colorbar(mpl.cm.ScalarMappable(scale, colour), ax=axes, fraction=0.02, pad=0.01)
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(colors=INK, labelsize=8, width=0.5)
    if top == 1.0:
        bar.ax.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0))
    else:
        bar.ax.yaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))


def _label(axes: Any, centre: Any, text: str, dark: bool) -> None:
    from matplotlib.patheffects import withStroke

    # On a coloured cell: its own ink, not the page's, which may be white; a rim keeps it readable over lines.
    ink, rim = ("#ffffff", "#0f2f66") if dark else ("#1c2126", "#ffffff")
    axes.text(
        *centre, text, ha="center", va="center", fontsize=7, color=ink, zorder=5,
        path_effects=[withStroke(linewidth=1.6, foreground=rim, alpha=0.75)],
    )  # fmt: skip


def _lines(axes: Any, placement: Placement, centres: Any) -> None:
    """The pairs of cores with most messages (both directions), the most on top."""
    both = np.triu(placement.between + placement.between.T, 1)
    pairs = np.argsort(both, axis=None)[::-1][:_LINES]
    most = int(both.max(initial=0))
    for place in pairs[::-1]:
        a, b = np.unravel_index(int(place), both.shape)
        if both[a, b] == 0:
            continue
        share = both[a, b] / most
        ends = centres[placement.slots[[a, b]]]
        axes.plot(
            ends[:, 0], ends[:, 1], color=_LINE, linewidth=0.3 + 4.2 * share, alpha=0.2 + 0.6 * share,
            solid_capstyle="round", gid=f"messages {a} {b}", zorder=3,
        )  # fmt: skip
