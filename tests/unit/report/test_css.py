"""Colours, computed: readable on their paper, light and dark, and apart for the colour-blind.

Contrast: WCAG 2.2, 1.4.3 (text 4.5:1) and 1.4.11 (marks 3:1). Colour vision: Machado, Oliveira & Fernandes, IEEE Trans.
Visualization and Computer Graphics 15, 2009, severity 1. Distance: CIE 1976 in CIELAB, white D65.
"""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.conversions.loihi.placement.drawing import DARKEST
from hasn.report.css import CSS
from hasn.report.style import COLOURS

RUNS = [f"run-{place}" for place in range(COLOURS)]
TEXTS = ("ink", "soft", "bad", "doubt")
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def _colours(theme: str) -> dict[str, NDArray[np.float64]]:
    """Name -> linear RGB of a theme's colours; the dark one changes what it names."""
    roots = [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)]
    assert len(roots) == 2
    assert set(roots[1]) == set(roots[0])  # no colour is left as it is on white
    return {name: _linear(text) for name, text in roots[theme == "dark"].items()}


def _linear(text: str) -> NDArray[np.float64]:
    srgb = np.array([int(text[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def _contrast(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    light, dark = sorted((float(c @ (0.2126, 0.7152, 0.0722)) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _mixed(over: NDArray[np.float64], under: NDArray[np.float64], opacity: float) -> NDArray[np.float64]:
    """As a browser mixes: in sRGB."""
    srgb = opacity * _srgb(over) + (1 - opacity) * _srgb(under)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    xyz = np.array(matrix) @ np.clip(linear, 0, 1) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_can_be_read(theme: str) -> None:
    colour = _colours(theme)
    for paper in ("paper", "card"):
        assert {name: _contrast(colour[name], colour[paper]) >= 4.5 for name in TEXTS} == dict.fromkeys(TEXTS, True)
    assert _contrast(colour["ink"], colour["cell"]) >= 4.5
    for paper in ("paper", "tint"):  # lines on paper, lanes on a tinted place
        found = {name: round(_contrast(colour[name], colour[paper]), 2) for name in RUNS}
        assert min(found.values()) >= 3, (paper, found)
    darkest = _mixed(colour["fill"], colour["card"], DARKEST)
    assert _contrast(colour["ink"], darkest) >= 4.5  # a core's number on the fullest core


@pytest.mark.parametrize("sight", ["trichromacy", *SIGHT])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_of_four_runs_stay_apart(theme: str, sight: str) -> None:
    """Beyond 10 units two colours are told at a glance (2.3 is just noticeable); a lane's place tells a run besides."""
    colour, seen = _colours(theme), np.array(SIGHT.get(sight, np.eye(3)))
    lab = {name: _lab(seen @ colour[name]) for name in RUNS[:4]}
    distance = {(a, b): round(float(np.linalg.norm(lab[a] - lab[b])), 1) for a, b in combinations(lab, 2)}
    assert min(distance.values()) > 10, distance


def test_nothing_is_taken_from_elsewhere() -> None:
    assert not re.search(r"url\(|@import|@font-face|https?:", CSS)


def test_the_sheet_is_for_dark_screens_phones_and_paper() -> None:
    for wanted in ("(prefers-color-scheme: dark)", "(max-width: 40rem)", "print"):
        assert f"@media {wanted}" in CSS
    assert CSS.count("{") == CSS.count("}")
