"""A part of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Section:
    """A part of the report: a heading and what stands under it.

    Attributes:
        title: plain text, escaped by the page.
        html: trusted HTML; escape names and other outside text with ``html.escape``.
    """

    title: str
    html: str


def caption(text: str) -> str:
    """A figure's caption; ``text`` is plain."""
    return f'<p class="caption">{escape(text)}</p>'


def scroll(html: str, what: str) -> str:
    """Something wide that scrolls by itself, by keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(what, quote=True)}">{html}</div>'


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, kind: str = "") -> str:
    """An HTML table of plain text; the first ``left`` columns are words, the others numbers."""

    number = ' class="number"'

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{'' if place < left else number}>{escape(text).replace(chr(10), '<br>')}</{tag}>"
            for place, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = f"<thead><tr>{cells('th', columns)}</tr></thead>"
    return scroll(
        f'<table class="{kind}">{head}<tbody>{body}</tbody></table>', f"Table: {', '.join(filter(None, columns))}"
    )
