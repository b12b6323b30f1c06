"""Which images are shown, what is drawn of them, and what is written about them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from hasn.report.digits import _choose, article, digits_section, png
from tests.unit.report.drawn import Page

TRUTH = np.arange(40) % 10


def _said(*changes: tuple[str, int, int]) -> dict[str, Any]:
    said = {"a": TRUTH.copy(), "b": TRUTH.copy()}
    for label, image, value in changes:
        said[label][image] = value
    return said


def _counts(said: dict[str, Any], *ties: int) -> dict[str, Any]:
    """Three spikes of the class that is read; in ``ties`` as many of the true one."""
    counts = {label: 3 * np.eye(10, dtype=int)[values] for label, values in said.items()}
    for image in ties:
        for values in counts.values():
            values[image, TRUTH[image]] = 3
    return counts


def _page(said: dict[str, Any], counts: dict[str, Any], truth: Any = TRUTH) -> Page:
    return Page(digits_section(np.ones((len(truth), 2, 2)), truth, said, counts).html)


@pytest.mark.parametrize(
    ("changes", "ties", "chosen"),
    [
        ((), (), [0, 1, 2, 3, 4, 5, 6, 7]),  # one of each class in turn
        ((("b", 37, 2), ("a", 29, 1)), (), [0, 1, 2, 3, 4, 5, 37, 29]),  # both split: by class, then by number
        ((("a", 33, 2), ("b", 33, 2)), (), [0, 1, 2, 3, 33, 4, 5, 6]),  # both wrong
        # four splits and two errors at most
        (
            (
                *[("b", image, 9) for image in (20, 21, 22, 23, 24, 25)],
                *[(label, image, 8) for label in "ab" for image in (35, 36, 37)],
            ),
            (),
            [0, 20, 1, 21, 22, 23, 35, 36],
        ),
        # errors come before ties, though ties come first in the data, and one tie is shown
        ([(label, image, 0) for label in "ab" for image in (15, 16, 38, 39)], (15, 16), [0, 1, 2, 3, 4, 15, 38, 39]),
    ],
)
def test_splits_then_errors_then_a_tie_then_one_of_each_class(changes: Any, ties: Any, chosen: list[int]) -> None:
    said = _said(*changes)
    assert _choose(TRUTH, said, _counts(said, *ties)) == chosen


def test_without_a_run_there_is_one_of_each_class() -> None:
    assert _choose(TRUTH, {}, {}) == list(range(8))


def test_fewer_images_than_places_are_each_shown_once() -> None:
    assert _choose(np.array([3, 1, 3]), {"a": np.array([3, 1, 1])}, {"a": np.eye(4)[[3, 1, 1]]}) == [1, 0, 2]


def test_one_bar_a_class_where_all_runs_count_the_same() -> None:
    page = _page({"a": [2], "b": [2]}, {"a": [[0, 4, 8]], "b": [[0, 4, 8]]}, np.array([2]))
    bars = page.all("rect", "bar")
    assert [bar["class"] for bar in bars] == ["bar all", "bar all", "bar all read"]
    heights = [float(bar["height"] or 0) for bar in bars]
    assert heights == pytest.approx([0, heights[2] / 2, heights[2]])
    assert heights[2] > 0
    assert [text for given, text in page.texts if given["class"] == "tick across"] == ["0", "4", "1", "8"]
    assert [text for given, text in page.texts if given["class"] == "true across"] == ["2"]
    assert page.all("i") == []  # no key of colours


def test_a_bar_for_each_run_where_they_count_differently_and_there_alone() -> None:
    """Image 0 is a 2: a reads a 1 from (0, 5, 3), b a 2 from (0, 4, 6); image 1 is a 0, as both say."""
    counts = {"a": np.array([[0, 5, 3], [7, 0, 0]]), "b": np.array([[0, 4, 6], [7, 0, 0]])}
    page = _page({"a": np.array([1, 0]), "b": np.array([2, 0])}, counts, np.array([2, 0]))
    kinds = [bar["class"] for bar in page.all("rect", "bar")]
    assert kinds[:3] == ["bar all read", "bar all", "bar all"]  # image 1, a 0, comes first
    assert kinds[3:] == ["bar all", "bar run-0", "bar run-1", "bar run-0", "bar run-1"]
    heights = [float(bar["height"] or 0) for bar in page.all("rect", "bar")][4:]
    assert np.array(heights) / heights[3] == pytest.approx(np.array([5, 4, 3, 6]) / 6, abs=0.05 / 64)
    lefts = [float((bar["x"] or "").rstrip("%")) for bar in page.all("rect", "bar")]
    widths = [float((bar["width"] or "").rstrip("%")) for bar in page.all("rect", "bar")]
    assert lefts[4] + widths[4] == pytest.approx(lefts[5], abs=0.02)
    assert widths[4] == pytest.approx(widths[3] / 2, abs=0.02)
    assert [text for given, text in page.texts if given["class"] == "differs across"] == ["≠", "≠"]
    assert [given["class"] for given in page.all("i")] == ["swatch run-0", "swatch run-1"]
    assert [given["class"] for given in page.all("li")] == ["digit right", "digit split"]
    assert [given["class"] for given in page.all("span") if given.get("class") == "wrong"] == ["wrong"]
    assert "a: 1" in page.words
    assert "b: 2" in page.words
    assert page.all("svg", "bars")[1]["aria-label"] == (
        "a 2, 1 by a and 2 by b. Output spikes by class: a 1: 5, 2: 3; b 1: 4, 2: 6"
    )
    assert (
        "The runs disagree on 1 of the 2. a reads 1 rightly and 1 wrongly. b reads 2 rightly and 0 wrongly."
        in page.text
    )


def test_an_error_and_a_tie_are_told_apart() -> None:
    """An 8 read as 3 with more spikes of 3 than of 8; an 8 read as 2 with as many of 2 as of 8."""
    counts = np.zeros((2, 10), dtype=int)
    counts[0, [3, 8]], counts[1, [2, 8]] = (6, 5), (4, 4)
    page = _page({"a": [3, 2], "b": [3, 2]}, {"a": counts, "b": counts}, np.array([8, 8]))
    assert [given["class"] for given in page.all("li")] == ["digit error", "digit tie"]
    assert "read as 3: an error" in page.words
    assert "read as 2: a tie, 4 spikes each" in page.words
    assert page.words.count("an 8") == 2
    assert "a 8" not in page.text
    assert "All runs read all 2 alike. They read 0 rightly and 2 wrongly, 1 of these by a tie" in page.text
    assert page.all("svg", "bars")[0]["aria-label"] == "an 8, read as 3. Output spikes by class: 3: 6, 8: 5"


@pytest.mark.parametrize(
    ("number", "word"), [(0, "a"), (1, "a"), (8, "an"), (11, "an"), (18, "an"), (80, "an"), (81, "an"), (10, "a")]
)
def test_an_before_a_vowels_sound(number: int, word: str) -> None:
    assert article(number) == word


def test_figures_are_over_all_images_not_those_shown() -> None:
    said = _said(*[("b", image, 9) for image in range(10, 17)])
    text = _page(said, _counts(said)).text
    assert "8 of 40 images" in text
    assert "The runs disagree on 7 of the 40." in text
    assert "a reads 40 rightly and 0 wrongly." in text
    assert "b reads 33 rightly and 7 wrongly." in text


def test_a_single_run_is_not_compared() -> None:
    page = _page({"a": np.array([1])}, {"a": np.array([[0, 2]])}, np.array([1]))
    assert "a reads 1 rightly and 0 wrongly." in page.text
    assert "alike" not in page.text


def test_an_image_is_black_and_as_opaque_as_it_is_bright() -> None:
    """So that the page's paper, light or dark, shows through: there is no white box."""
    url = png(np.array([[0.0, 0.5, 1.0], [0.25, 0.0, 0.0]]))
    kind, data = url.split(",")
    assert kind == "data:image/png;base64"
    pixels = imread(io.BytesIO(base64.b64decode(data)))
    assert pixels.shape == (2, 3, 4)
    assert not pixels[..., :3].any()
    assert pixels[..., 3] == pytest.approx(np.array([[0, 0.5, 1], [0.25, 0, 0]]), abs=1 / 255)
    assert png(np.array([[0, 128, 255]])) == png(np.array([[0, 128 / 255, 1.0]]))  # whatever the scale


def test_every_image_and_every_chart_says_what_it_shows() -> None:
    page = _page(_said(), _counts(_said()))
    assert [given["alt"] for given in page.all("img")] == [f"The image of a {n}" for n in range(8)]
    assert [given["aria-label"] for given in page.all("svg", "bars")] == [
        f"a {n}, read as {n}. Output spikes by class: {n}: 3" for n in range(8)
    ]
    assert digits_section(np.ones((1, 2, 2)), [0], {}, {}, title="Seen").title == "Seen"
