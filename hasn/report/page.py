"""The frame of every page: a head, sections, a foot; needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hasn.report.css import CSS
from hasn.report.section import Section


def page(title: str, head: str, sections: Sequence[Section], foot: str) -> str:
    """A whole HTML page.

    Args:
        title: of the window, plain text.
        head: trusted HTML.
        sections: one under another.
        foot: plain text.
    """
    body = "".join(f"<section><h2>{escape(section.title)}</h2>{section.html}</section>" for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>"
        f"<header>{head}</header><main>{body}</main><footer>{escape(foot)}</footer></body></html>\n"
    )
