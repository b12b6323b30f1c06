"""How each run looks where it differs; where all agree there is one ink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

#: Colours of runs, ``--run-0`` and so on in the style sheet; a seventh run has the first one's again.
COLOURS = 6


def in_order(labels: Sequence[str], reference: str) -> list[str]:
    """The reference first, then the others as they stand."""
    return [*[label for label in labels if label == reference], *[label for label in labels if label != reference]]


def run_class(place: int) -> str:
    """The class of what belongs to the run at this place of :func:`in_order`."""
    return f"run-{place % COLOURS}"


def key(entries: Mapping[str, str], intro: str = "") -> str:
    """A key of swatches, {text: class of its swatch}, after a few words."""
    start = f"<span>{escape(intro)}</span>" if intro else ""
    items = "".join(
        f'<span><i class="swatch {kind}" aria-hidden="true"></i>{escape(text)}</span>' for text, kind in entries.items()
    )
    return f'<p class="key">{start}{items}</p>'
