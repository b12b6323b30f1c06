"""Figures without pyplot, and how they become part of the page."""

from __future__ import annotations

import base64
import io
import re
from html import escape
from itertools import count
from typing import TYPE_CHECKING, Any

from hasn.report.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUMBER = count(1)
#: Above this an SVG costs more than the same figure as pixels.
_LARGEST_SVG = 500_000


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with the Agg canvas: no display, no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="none")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: Any, *, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Two spines, small ticks, one ink."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(INK)
        axes.spines[side].set_linewidth(0.7)
    axes.tick_params(colors=INK, labelsize=8, width=0.7, length=3)
    axes.set_xlabel(xlabel, color=INK, fontsize=9)
    axes.set_ylabel(ylabel, color=INK, fontsize=9)
    if title:
        axes.set_title(title, color=INK, fontsize=9.5, loc="left", pad=6)


def figure_html(fig: Figure, alt: str) -> str:
    """A matplotlib figure as HTML for the report: inline SVG whose text and axes follow the page's colours.

    A figure that would be larger than half a megabyte as SVG becomes a PNG on white.

    Args:
        fig: the figure; use :func:`hasn.report.style.INK` or black for text and axes.
        alt: what it shows, for those who cannot see it.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hasn"}):
        fig.savefig(buffer, format="svg", transparent=True, dpi=150)
    svg = buffer.getvalue()
    inner = _inline(svg, alt) if len(svg) <= _LARGEST_SVG else _png(fig, alt)
    return f'<div class="figure">{inner}</div>'


def _inline(svg: str, alt: str) -> str:
    """An SVG file's text as an element of a page: no prologue, no namespaces, names of its own, the page's ink."""
    number = next(_NUMBER)
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'\bid="([^"]*)"', lambda m: _named(m[1], number), body)
    body = re.sub(r"url\(#([^)]*)\)", rf"url(#f{number}-\1)", body)
    body = re.sub(r'href="#([^"]*)"', rf'href="#f{number}-\1"', body)
    for ink in (INK, "#000000"):
        body = body.replace(ink, "currentColor")
    label = escape(alt, quote=True)
    return body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _named(gid: str, number: int) -> str:
    """An id that is unique in the page; our own names of artists ("spikes lava") are classes, as they come again."""
    return f'class="{gid}"' if " " in gid else f'id="f{number}-{gid}"'


def _png(fig: Figure, alt: str) -> str:
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=130, facecolor="white")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img class="paper" alt="{escape(alt, quote=True)}" src="data:image/png;base64,{data}">'
