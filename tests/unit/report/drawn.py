"""A page read back: its tags, its text, and what is drawn in its SVG."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"meta", "br", "img", "link", "hr", "input"}
Attributes = dict[str, str | None]


class Page(HTMLParser):
    """Tags that close in order, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, Attributes]] = []
        self.words: list[str] = []
        self.texts: list[tuple[Attributes, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)
            if self.open[-1:] == ["text"]:
                self.texts.append((self.tags[-1][1], data))

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str, kind: str = "") -> list[Attributes]:
        """Attributes of the tags of this name that have all these classes."""
        return [
            given
            for name, given in self.tags
            if name == tag and set(kind.split()) <= set((given.get("class") or "").split())
        ]

    def paths(self, kind: str, of: str | None = None) -> list[str]:
        """What the paths of these classes draw, and of whom."""
        return [given["d"] or "" for given in self.all("path", kind) if of in (None, given.get("data-of"))]


def starts(paths: list[str]) -> list[tuple[float, float]]:
    """(x, y) at which each mark of these paths begins."""
    return [(float(x), float(y)) for d in paths for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", d)]


def points(d: str) -> list[tuple[float, float]]:
    """(x, y) through which a line goes."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", d)]
