"""A figure in the page: SVG or pixels, names that stay apart, the page's ink."""

from __future__ import annotations

import re

import pytest

from hasn.report import figure as module
from hasn.report.figure import _inline, dress, figure_html, new_figure
from hasn.report.section import caption, html_table
from hasn.report.style import COLOURS, INK, in_order, looks

SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://w3" xmlns:xlink="http://x" width="9">'
    "<metadata>\nhttp://here\n</metadata><metadata>second</metadata>"
    f'<g id="spikes lava" fill="{INK}"/><path id="m1" stroke="#000000"/>'
    '<use xlink:href="#m1" clip-path="url(#c1)"/><svg width="1"/></svg>'
)


def test_an_svg_becomes_an_element_of_the_page() -> None:
    text = _inline(SVG, 'a "b"')
    number = re.search(r'id="f(\d+)-m1"', text)
    assert number is not None
    n = number[1]
    assert text == (
        '<svg role="img" aria-label="a &quot;b&quot;" width="9"><metadata>second</metadata>'
        '<g class="spikes lava" fill="currentColor"/>'
        f'<path id="f{n}-m1" stroke="currentColor"/><use href="#f{n}-m1" clip-path="url(#f{n}-c1)"/>'
        '<svg width="1"/></svg>'
    )
    assert f'id="f{int(n) + 1}-m1"' in _inline(SVG, "")


@pytest.mark.parametrize(("more", "pixels"), [(-1, True), (0, False)])
def test_a_figure_above_the_limit_becomes_pixels(monkeypatch: pytest.MonkeyPatch, more: int, pixels: bool) -> None:
    figure = new_figure(2, 1)
    figure.savefig = lambda buffer, format, **_: buffer.write(SVG if format == "svg" else b"pixels")  # type: ignore[method-assign]
    monkeypatch.setattr(module, "_LARGEST_SVG", len(SVG) + more)
    text = figure_html(figure, "a < b")
    assert text.startswith('<div class="figure"><' + ("img" if pixels else "svg"))
    assert text.endswith("</div>")
    if pixels:
        assert 'alt="a &lt; b" src="data:image/png;base64,cGl4ZWxz"' in text


def test_text_stays_text_and_the_same_figure_gives_the_same_names() -> None:
    texts = []
    for _ in range(2):
        figure = new_figure(2, 1)
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([0, 3], [0, 1], marker="o")
        dress(axes, xlabel="time here", ylabel="level", title="on top")
        texts.append(re.sub(r"f\d+-", "", figure_html(figure, "x")))
    assert texts[0] == texts[1]
    for word in ("time here", "level", "on top"):
        assert re.search(rf">{word}</text>", texts[0])
    assert figure.get_size_inches().tolist() == [2, 1]


def test_a_heading_is_there_only_where_it_is_given() -> None:
    axes = new_figure(2, 1).add_axes((0, 0, 1, 1))
    dress(axes)
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("", "", "")
    assert [axes.spines[side].get_visible() for side in ("top", "right", "left", "bottom")] == [False] * 2 + [True] * 2


def test_a_table_of_words_and_numbers() -> None:
    text = html_table(("a<", "b", "c"), [("x", "1\n2", "&"), ("y", "3", "4")], left=2, kind="facts")
    assert text == (
        '<div class="scroll"><table class="facts"><thead><tr><th>a&lt;</th><th>b</th><th class=number>c</th></tr>'
        "</thead><tbody><tr><td>x</td><td>1<br>2</td><td class=number>&amp;</td></tr>"
        "<tr><td>y</td><td>3</td><td class=number>4</td></tr></tbody></table></div>"
    )
    assert "<td>x</td><td class=number>1</td>" in html_table(("a", "b"), [("x", "1")])
    assert caption("a<b") == '<p class="caption">a&lt;b</p>'


def test_discs_lie_inside_each_other_and_lines_over_each_other() -> None:
    made = looks("abcdefg")
    assert [look.label for look in made] == list("abcdefg")
    assert [look.colour for look in made] == [*COLOURS, COLOURS[0]]
    assert [round(look.size, 6) for look in made] == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert [round(look.width, 6) for look in made] == [5.0, 4.35, 3.7, 3.05, 2.4, 1.75, 1.1]
    assert [(look.size, look.width) for look in looks("a")] == [(1.0, 5.0)]
    assert [(look.size, look.width) for look in looks("ab")] == [(1.0, 5.0), (0.4, pytest.approx(1.1))]


def test_the_reference_comes_first() -> None:
    assert in_order(["a", "b", "c"], "b") == ["b", "a", "c"]
