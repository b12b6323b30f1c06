"""The page of a run that learns: the rule's window, and the picture of the weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hasn.errors import FileError
from hasn.plasticity import STDP, Oja, RewardSTDP, Rule
from hasn.recordings.histograms import Histograms, WeightHistogram
from hasn.report.learning import histogram_html, learning_sections, picture_of, window_html
from hasn.report.run import write_run_report


def histogram(*times: tuple[int, list[float]], low: float = 0.0, high: float = 1.0) -> WeightHistogram:
    made = Histograms(low, high, times[0][0], np.array(times[0][1]))
    for step, weights in times[1:]:
        made.add(step, np.array(weights))
    return WeightHistogram.of(made.table)


def path_of(html: str) -> list[tuple[float, float]]:
    """The points of the one line that is drawn."""
    (d,) = re.findall(r'<path[^>]* d="M([^"]*)"', html)
    return [tuple(map(float, point.split())) for point in d.split("L")]  # type: ignore[misc]


# --- the picture of the weights


def test_the_picture_has_time_across_and_large_weights_on_top() -> None:
    """All in the middle, then a quarter on top and the rest at the bottom; 96 columns, each the nearest time."""
    found = picture_of(histogram((0, [0.5] * 4), (10, [1.0, 0.0, 0.0, 0.0]), (40, [0.0] * 4)))
    assert found.shape == (64, 96)
    columns = {"first": 0, "second": 96 // 4, "last": 95}  # a quarter of the way is step 10
    marks = {name: {int(row): found[row, c] for row in np.flatnonzero(found[:, c])} for name, c in columns.items()}
    assert marks == {"first": {31: 1.0}, "second": {0: 0.5, 63: pytest.approx(0.75**0.5)}, "last": {63: 1.0}}
    changes = np.flatnonzero(np.abs(np.diff(found, axis=1)).sum(axis=0)) + 1
    assert changes.tolist() == [96 // 8, 60]  # halfway from 0 to 10, and from 10 to 40


def test_the_line_is_the_mean_and_the_axes_say_where() -> None:
    html = histogram_html(histogram((100, [0.25] * 2), (300, [1.0, 0.5])), dt=1e-3)
    assert path_of(html) == [(0.0, 0.75 * 220), (200.0, 0.25 * 220)]
    for text in ("0.1", "0.15", "0.3"):  # seconds
        assert f">{text}</text>" in html
    for text in ("1", "0.75", "0"):  # weights
        assert f">{text}</text>" in html
    assert "mean goes from 0.25 to 0.75" in html
    assert html.count("data:image/png") == 1


# --- the window


def test_the_line_of_a_window_and_its_ends() -> None:
    """150 pixels for -1 .. 2: nothing is 100 pixels down."""
    html = window_html(np.array([-2e-3, -1e-3, 0.0, 1e-3, 2e-3]), np.array([-0.5, -1.0, 0.0, 2.0, 1.0]))
    assert path_of(html) == [(-2, 125.0), (-1, 150.0), (0, 100.0), (1, 0.0), (2, 50.0)]
    for text in ("-1", "2", "0"):
        assert f">{text}</text>" in html
    assert "from -1 to 2 within 2 ms" in html


def test_numbers_at_the_axis_do_not_lie_upon_each_other() -> None:
    html = window_html(np.array([-1e-3, 0.0, 1e-3]), np.array([-0.001, 0.0, 2.0]))
    assert ">-0.001</text>" not in html
    assert ">2</text>" in html
    flat = window_html(np.array([-1e-3, 0.0, 1e-3]), np.zeros(3))
    assert {y for _, y in path_of(flat)} == {0.0}


# --- the page


def test_each_connection_has_its_rule_its_window_and_its_weights() -> None:
    rules = {"a": STDP(), "b<i>": RewardSTDP(), "v": Oja(), "odd": Rule("post", name="<b>")}
    sections = learning_sections(rules, {"a": histogram((0, [0.2, 1.0]), (9, [0.0, 0.0]))}, 1e-3)
    assert [section.title for section in sections] == [f"What '{name}' learned" for name in rules]
    a, b, v, odd = (section.html for section in sections)
    assert "dw = a_plus * x * post - a_minus * y * pre" in a
    assert "<td>start</td>" in a
    assert re.search(r"<td>end</td>.*>0<.*>100 %<", a)
    assert "Modulators are 1" not in a
    assert "Modulators are 1" in b
    assert "over time" not in b
    assert "potential" in v
    assert "<svg" not in v
    assert "&lt;b&gt;" in odd


def test_the_page_is_written_whole_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "run.html"

    def write(title: str, force: bool = False) -> None:
        rows = [("n<1>", "spikes", "(5, 2)", "3", "6", "")]
        write_run_report(path, title, "told & done", rows, {"a": STDP()}, {}, 1e-3, force=force)

    write("x < y")
    text = path.read_text(encoding="utf8")
    for part in ("<h1>x &lt; y</h1>", "told &amp; done", "n&lt;1&gt;", "What &#x27;a&#x27; learned"):
        assert part in text
    with pytest.raises(FileError, match="exists"):
        write("other")
    assert path.read_text(encoding="utf8") == text
    write("other", force=True)
    assert "<h1>other</h1>" in path.read_text(encoding="utf8")
