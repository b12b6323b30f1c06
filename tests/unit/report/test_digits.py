"""Which images are shown, and what is written about them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from hasn.report.digits import _choose, digits_section
from hasn.report.style import DIFFERENT, INK

TRUTH = np.arange(40) % 10


def _said(*changes: tuple[str, int, int]) -> dict[str, Any]:
    said = {"a": TRUTH.copy(), "b": TRUTH.copy()}
    for label, image, value in changes:
        said[label][image] = value
    return said


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ((), [0, 1, 2, 3, 4, 5, 6, 7]),  # one of each class in turn
        ((("b", 37, 2), ("a", 29, 1)), [0, 1, 2, 3, 4, 5, 37, 29]),  # both split: sorted by class, then by number
        ((("a", 33, 2), ("b", 33, 2)), [0, 1, 2, 3, 33, 4, 5, 6]),  # both wrong
        # four splits and two mistakes at most
        (
            (
                *[("b", image, 9) for image in (20, 21, 22, 23, 24, 25)],
                *[(label, image, 8) for label in "ab" for image in (35, 36, 37)],
            ),
            [0, 20, 1, 21, 22, 23, 35, 36],
        ),
    ],
)
def test_splits_then_mistakes_then_one_of_each_class(changes: Any, chosen: list[int]) -> None:
    assert _choose(TRUTH, _said(*changes)) == chosen


def test_without_a_backend_there_is_one_of_each_class() -> None:
    assert _choose(TRUTH, {}) == list(range(8))


def test_fewer_images_than_places_are_each_shown_once() -> None:
    assert _choose(np.array([3, 1, 3]), {"a": np.array([3, 1, 1])}) == [1, 0, 2]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What is drawn on axes: the method, its arguments."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def noting(name: str, real: Any) -> Any:
        def note(axes: Axes, *args: Any, **kwargs: Any) -> Any:
            calls.append((name, args, kwargs))
            return real(axes, *args, **kwargs)

        return note

    for name in ("annotate", "barh", "imshow", "set_title"):
        monkeypatch.setattr(Axes, name, noting(name, getattr(Axes, name)))
    return calls


def test_words_bars_and_marks_of_an_image_that_is_read_in_two_ways(drawn: list[Any]) -> None:
    """Image 0 is a 2: a (the wider bar) reads a 1 from (0, 5, 3), b a 2 from (0, 4, 6); image 1 is a 0, as both say."""
    images = np.stack([np.full((2, 2), 0.5), np.ones((2, 2))])
    counts = {"a": np.array([[0, 5, 3], [7, 0, 0]]), "b": np.array([[0, 4, 6], [7, 0, 0]])}
    said = {"a": np.array([1, 0]), "b": np.array([2, 0])}
    section = digits_section(images, np.array([2, 0]), said, counts, title="Seen")
    assert section.title == "Seen"
    titles = [args[0] for name, args, _ in drawn if name == "set_title" and args[0]]
    assert titles == ["a 0", "a 2"]
    words = [(args[0], kwargs["color"]) for name, args, kwargs in drawn if name == "annotate" and args[0] != "≠"]
    assert words == [("read as 0", INK), ("a: 1", DIFFERENT), ("b: 2", INK)]
    assert [args[0][0, 0] for name, args, _ in drawn if name == "imshow"] == [1.0, 0.5]
    bars = [(args[0].tolist(), args[1].tolist(), kwargs["height"]) for name, args, kwargs in drawn if name == "barh"]
    assert [bar[:2] for bar in bars] == [
        ([0, 1, 2], [7, 0, 0]), ([0, 1, 2], [7, 0, 0]), ([0, 1, 2], [0, 5, 3]), ([0, 1, 2], [0, 4, 6]),
    ]  # fmt: skip
    assert bars[2][2] > bars[3][2]
    marks = [args[1] for name, args, _ in drawn if name == "annotate" and args[0] == "≠"]
    assert marks == [(5, 1), (6, 2)]  # at the end of the longer bar


def test_what_is_read_wrongly_by_all_is_one_red_word(drawn: list[Any]) -> None:
    section = digits_section(np.ones((1, 2, 2)), [3], {"a": [1], "b": [1]}, {"a": [[0, 1]], "b": [[0, 1]]})
    words = [(args[0], kwargs["color"]) for name, args, kwargs in drawn if name == "annotate"]
    assert words == [("read as 1", DIFFERENT)]
    assert "1 of 1 images, with the spikes" in section.html
    assert "All backends give the same prediction for every one of the 1 images." in section.html
    assert 'aria-label="Images and output spikes: a 3 read as 1 by a, 1 by b"' in section.html


def test_splits_are_counted_over_all_images_not_those_shown() -> None:
    said = _said(*[("b", image, 9) for image in range(10, 17)])
    counts = {label: np.eye(10, dtype=int)[values] for label, values in said.items()}
    section = digits_section(np.zeros((40, 2, 2)), TRUTH, said, counts)
    assert "8 of 40 images" in section.html
    assert "Backends disagree on 7 of the 40 images." in section.html


def test_images_have_places_of_their_own_and_the_true_classs_name_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr("hasn.report.digits.figure_html", lambda figure, alt: kept.append(figure) or alt)
    said = _said()
    digits_section(np.zeros((40, 2, 2)), TRUTH, said, {k: np.eye(10, dtype=int)[v] for k, v in said.items()})
    figure = kept[0]
    boxes = [axes.get_position().bounds for axes in figure.axes]
    assert len(boxes) == 16
    for k, (x, y, width, height) in enumerate(boxes):
        assert 0 <= x <= x + width <= 1
        assert 0 <= y <= y + height <= 1
        for left, low, wide, high in boxes[k + 1 :]:
            assert x + width <= left or left + wide <= x or y + height <= low or low + high <= y
    assert len({round(x, 3) for x, *_ in boxes[::2]}) == 4
    bold = [[t.get_text() for t in axes.get_yticklabels() if t.get_weight() == "bold"] for axes in figure.axes[1::2]]
    assert bold == [[str(n)] for n in range(8)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    first = figure.axes[1]
    assert first.get_ylim() == (9.6, -0.6)  # classes from the top
    assert first.get_xlim() == (0.0, 1.08)
    assert re.findall(r"\d+", " ".join(t.get_text() for t in first.get_yticklabels())) == [str(n) for n in range(10)]
