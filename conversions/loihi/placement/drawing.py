"""The mesh as SVG: a square for each core of the chip, tinted by a quantity, and lines between cores."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.conversions.loihi.placement.mesh import slots
from hasn.report.section import scroll
from hasn.report.style import key

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement.result import Placement

Floats = NDArray[np.float64]
#: Lines that are drawn at most: the pairs of cores with most messages.
MOST_LINES = 80
#: Pixels from core to core, of a core, and between blocks of cores.
_PITCH, _CORE, _GAP = 50.0, 46.0, 16.0
#: Opacity of the tint at the end of its scale: ink stays readable on it, light or dark.
DARKEST = 0.6


def fill_map(placement: Placement, alt: str) -> str:
    """Each core in use with its number and the share of its fullest resource."""
    shares = np.max(list(placement.shares.values()), axis=0)
    words = [(str(core), f"{100 * value:.0f} %") for core, value in enumerate(shares)]
    scale = key({"100 %": "scale"}, "0")
    return scale + _drawing(placement, shares, words, "", alt)


def talk_map(placement: Placement, alt: str) -> str:
    """Each core in use by the messages that leave or reach it, and lines between those that talk most."""
    between = placement.between
    load = (between.sum(axis=0) + between.sum(axis=1)).astype(float)
    most = load.max(initial=0.0)
    if most == 0:
        return "<p>No message travels between cores.</p>"
    words = [(str(core), f"{value:,.0f}") for core, value in enumerate(load)]
    return key({f"{most:,.0f} messages": "scale"}, "0") + _drawing(
        placement, load / most, words, _lines(placement), alt
    )


def centres(placement: Placement) -> Floats:
    """(cores of the chip, 2) where each is drawn, in pixels: the cores of a router in a block, blocks a gap apart."""
    profile = placement.profile
    across, down = _block(placement)
    within = np.arange(profile.cores) % profile.cores_per_router
    inside = np.stack([within % across, within // across], axis=1)
    routers = slots(profile) * (np.array([across, down]) * _PITCH + _GAP)
    return np.asarray(routers + (inside + 0.5) * _PITCH + _GAP / 2)


def _block(placement: Placement) -> tuple[int, int]:
    """Cores of a router across and down."""
    there = placement.profile.cores_per_router
    across = int(np.ceil(np.sqrt(there)))
    return across, -(-there // across)


def _drawing(placement: Placement, shares: Any, words: list[tuple[str, str]], lines: str, alt: str) -> str:
    at = centres(placement)
    width, height = (float(value) for value in at.max(axis=0) + _PITCH / 2 + _GAP / 2)
    core_of = {int(slot): core for core, slot in enumerate(placement.slots)}
    squares, texts = [], []
    for slot, (x, y) in enumerate(at):
        core = core_of.get(slot)
        kind = "free" if core is None else "used"
        tint = "" if core is None else f' fill-opacity="{DARKEST * float(shares[core]):.3f}"'
        squares.append(
            f'<rect class="{kind}" x="{x - _CORE / 2:g}" y="{y - _CORE / 2:g}" width="{_CORE:g}" '
            f'height="{_CORE:g}"{tint}/>'
        )
        if core is not None:
            number, value = words[core]
            texts.append(
                f'<text class="name" x="{x:g}" y="{y - 3:g}">{number}</text>'
                f'<text x="{x:g}" y="{y + 12:g}">{value}</text>'
            )
    body = _routers(placement, at) + "".join(squares) + lines + "".join(texts)
    return scroll(
        f'<svg class="mesh" role="img" aria-label="{escape(alt, quote=True)}" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">{body}</svg>',
        "The mesh",
    )


def _routers(placement: Placement, at: Floats) -> str:
    """A box behind the cores of each router."""
    across, down = _block(placement)
    return "".join(
        f'<rect class="router" x="{x - _PITCH / 2 - 3:g}" y="{y - _PITCH / 2 - 3:g}" width="{across * _PITCH + 6:g}" '
        f'height="{down * _PITCH + 6:g}" rx="3"/>'
        for x, y in at[:: placement.profile.cores_per_router]
    )


def _lines(placement: Placement) -> str:
    """The pairs of cores with most messages (both directions), the most on top."""
    both = np.triu(placement.between + placement.between.T, 1)
    most, at, parts = int(both.max(initial=0)), centres(placement), []
    for place in np.argsort(both, axis=None)[::-1][:MOST_LINES][::-1]:
        a, b = np.unravel_index(int(place), both.shape)
        if both[a, b] == 0:
            continue
        (x1, y1), (x2, y2) = at[placement.slots[[a, b]]]
        share = both[a, b] / most
        parts.append(
            f'<line class="messages" data-cores="{a} {b}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
            f'stroke-width="{0.5 + 4 * share:.2f}" stroke-opacity="{0.05 + 0.4 * share**2:.2f}"/>'
        )
    return "".join(parts)
