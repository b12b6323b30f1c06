"""Drawings that scale: places across in percent, marks at their step and row."""

from __future__ import annotations

import numpy as np
import pytest

from hasn.report import svg
from hasn.report.section import caption, html_table
from hasn.report.select import Window
from hasn.report.style import in_order, key, run_class
from tests.unit.report.drawn import Page, starts


def test_a_figure_is_as_wide_as_the_page_and_says_what_it_shows() -> None:
    (given,) = Page(svg.figure("", 123.4, 'a "b" < c')).all("svg")
    assert given == {
        "class": "chart", "role": "img", "aria-label": 'a "b" < c', "width": "100%", "height": "123",
    }  # fmt: skip


def test_a_plots_x_is_a_step_and_its_strokes_do_not_stretch_the_type() -> None:
    (given,) = Page(svg.plot(Window(10, 35), 24.0, 90.0, "")).all("svg")
    assert given["viewbox"] == "9.5 0 25 90"  # half a step before the first, half a one after the last
    assert (given["y"], given["width"], given["height"], given["preserveaspectratio"]) == ("24", "100%", "90", "none")
    assert given["class"] == "plot"


@pytest.mark.parametrize(("steps", "kind"), [(60, "plot"), (61, "plot dense")])
def test_many_steps_have_thin_marks(steps: int, kind: str) -> None:
    assert Page(svg.plot(Window(0, steps), 0, 1, "")).all("svg")[0]["class"] == kind


@pytest.mark.parametrize(
    ("start", "stop", "ticks"),
    [
        (0, 6, [0, 1, 2, 3, 4, 5]),
        (0, 7, [0, 2, 4, 6]),
        (0, 25, [0, 5, 10, 15, 20]),
        (260, 380, [260, 280, 300, 320, 340, 360]),
        (19, 60, [20, 30, 40, 50]),
        (3, 4, [3]),
    ],
)
def test_ticks_are_round_steps_and_few_enough_for_a_phone(start: int, stop: int, ticks: list[int]) -> None:
    assert svg.step_ticks(Window(start, stop)) == ticks


def test_the_axis_says_its_steps_and_how_long_one_is() -> None:
    page = Page(svg.step_axis(Window(10, 20), 5.0, 100.0, 2e-3))
    assert [(given["x"], text) for given, text in page.texts] == [
        ("5.00%", "10"), ("25.00%", "12"), ("45.00%", "14"), ("65.00%", "16"), ("85.00%", "18"),
        ("100%", "time step, 2 ms each"),
    ]  # fmt: skip
    assert [(line["x1"], line["x2"], line["y1"], line["y2"]) for line in page.all("line", "grid")][1] == (
        "25.00%", "25.00%", "5", "100",
    )  # fmt: skip


def test_a_line_breaks_where_a_value_is_not_finite() -> None:
    values = np.array([1.0, 2.0, np.nan, 3.0, np.inf, np.inf, 4.0])
    assert svg.line(values, Window(5, 12)) == "M5 1.0L6 2.0M8 3.0M11 4.0"


def test_one_mark_where_all_spike_and_lanes_where_they_differ() -> None:
    """Two rows of 15 and 20 pixels; step 1: both spike in row 0, a alone in row 1; step 2: b alone in row 1."""
    a = np.array([[0, 0], [1, 1], [0, 0]], dtype=bool)
    b = np.array([[0, 0], [1, 0], [0, 1]], dtype=bool)
    wrong = a != b
    agreed, apart = svg.split_spikes({"a": a, "b": b}, wrong)
    page = Page(svg.spike_marks(agreed, apart, wrong, Window(7, 10), [0.0, 15.0], [15.0, 20.0], 12.0, "n"))
    assert page.paths("spikes all", "n") == ["M8 1.5v12.0"]
    assert page.paths("differing", "n") == ["M7.5 15h1v20h-1zM8.5 15h1v20h-1z"]
    lane = svg.LANE
    assert starts(page.paths("spikes run-0", "a")) == [(pytest.approx(7.7), pytest.approx(25 - lane / 2, abs=0.06))]
    assert starts(page.paths("spikes run-1", "b")) == [(pytest.approx(8.7), pytest.approx(25 + lane / 2, abs=0.06))]
    assert len(page.all("path")) == 4


def test_nothing_is_drawn_where_nothing_is() -> None:
    none = np.zeros((3, 2), dtype=bool)
    assert svg.spike_marks(none, {"a": none}, none, Window(0, 3), [0.0, 9.0], [9.0, 9.0], 7.0, "n") == ""


def test_lanes_lie_one_under_another_within_their_row() -> None:
    height = svg.room_for_lanes(4)
    lanes = [svg.lane_middle(height, 4, lane) for lane in range(4)]
    assert np.diff(lanes) == pytest.approx([svg.LANE] * 3)
    assert lanes[0] - svg.LANE / 2 == pytest.approx(height - lanes[-1] - svg.LANE / 2) == pytest.approx(1.0)


def test_names_are_escaped() -> None:
    text = svg.path("k", "M0 0", '"<b>') + svg.label("0", 1, "<b>") + svg.heading(1, "<i>", "<u>") + key({"<s>": "k"})
    assert not any(tag in text for tag in ("<b>", "<i>", "<u>", "<s>"))


def test_runs_have_colours_of_their_own_in_order() -> None:
    assert [run_class(place) for place in range(7)] == [f"run-{k}" for k in (0, 1, 2, 3, 4, 5, 0)]
    assert in_order(["a", "b", "c"], "b") == ["b", "a", "c"]


def test_a_key_says_in_words_what_its_swatches_are() -> None:
    page = Page(key({"all": "line", "b: 2 V": "line run-1"}, "Here:"))
    assert page.words == ["Here:", "all", "b: 2 V"]
    assert [given["class"] for given in page.all("i")] == ["swatch line", "swatch line run-1"]
    assert all(given["aria-hidden"] == "true" for given in page.all("i"))
    assert Page(key({"x": "k"})).words == ["x"]


def test_a_table_of_words_and_numbers() -> None:
    text = html_table(("a<", "b", "c"), [("x", "1\n2", "&"), ("y", "3", "4")], left=2, kind="facts")
    assert text == (
        '<div class="scroll" role="region" tabindex="0" aria-label="Table: a&lt;, b, c"><table class="facts"><thead>'
        '<tr><th>a&lt;</th><th>b</th><th class="number">c</th></tr></thead><tbody><tr><td>x</td><td>1<br>2</td>'
        '<td class="number">&amp;</td></tr><tr><td>y</td><td>3</td><td class="number">4</td></tr></tbody></table></div>'
    )
    assert '<td>x</td><td class="number">1</td>' in html_table(("a", "b"), [("x", "1")])
    assert caption("a<b") == '<p class="caption">a&lt;b</p>'
