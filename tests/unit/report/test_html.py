"""The page: parsed, self-contained, escaped, and with as many red circles as spikes differ."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import nir
import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.errors import FileError
from hasn.report.digits import digits_section
from hasn.report.figure import figure_html, new_figure
from hasn.report.html import _agreement, _graph, _legend, _rasters, _traces, report_html, write_report
from hasn.report.section import Section
from hasn.report.select import MOST_NEURONS
from hasn.report.style import COLOURS
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, by_hand, comparison, sparse

_VOID = {"meta", "br", "img", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags that close in order, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.words: list[str] = []
        self.groups: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given, tuple(self.groups)))
        if tag not in _VOID:
            self.open.append(tag)
            self.groups.append(given.get("class") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs), tuple(self.groups)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.groups.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


@cache
def _page(differing: int) -> str:
    """The page of a comparison with so many differing spikes."""
    return report_html(comparison(flips=FLIPS[:differing]))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = _page(5)
    page = Page(text)
    assert "http" not in text
    assert "<script" not in text
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    for tag, given, _ in page.tags:
        assert (given.get("href") or "#").startswith("#")
        assert (given.get("src") or "data:").startswith("data:"), tag


def test_ids_are_unique_and_every_reference_finds_its_target() -> None:
    text = _page(5)
    page = Page(text)
    ids = Counter(given["id"] for _, given, _ in page.tags if "id" in given)
    assert max(ids.values()) == 1
    wanted = {(given["href"] or "")[1:] for _, given, _ in page.tags if "href" in given}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", text))
    assert wanted <= set(ids)


def test_red_circles_in_the_rasters_are_the_differing_spikes() -> None:
    for number in (0, 2, 5):
        section = _between(_page(number), "Spikes, all backends", "Membrane potentials")
        assert len(_uses(Page(section), "differing")) == number
        assert comparison(flips=FLIPS[:number]).differing["lava"] == number
        assert ("Where they first part" in _page(number)) == (number > 0)


def test_verdict_and_table_say_what_the_comparison_says() -> None:
    bad, good = _page(5), _page(0)
    assert 'class="verdict bad"' in bad
    assert "5 differing spikes in float64, 0 differing spikes in float32" in bad
    assert 'class="number some">5<' in bad
    assert 'class="verdict good"' in good
    assert 'class="number some"' not in good
    assert "not run: not installed" in good


def test_the_divergence_names_its_place_and_shows_the_numbers_round_it() -> None:
    found = comparison(flips=FLIPS)
    section = _between(_page(5), "Where they first part", "Spikes, all backends")
    text = Page(section).text
    assert "lava: node 'n2', neuron 3, sample 1, step 9" in text
    for step in range(6, 13):
        assert f"{found.recordings['lava'].voltages['n2'][step, 1, 3]:.17g}" in text


def test_names_are_escaped_everywhere() -> None:
    name = "<b>&\"l'if"
    plain = graphs.small_net()
    rename = {"n2": name}
    nodes = {rename.get(key, key): node for key, node in plain.nodes.items()}
    edges = [(rename.get(a, a), rename.get(b, b)) for a, b in plain.edges]
    found = comparison(nir.NIRGraph(nodes, edges, type_check=False), flips=[(name, 1, 9, 3)])
    text = report_html(found, title="a <i>title</i>", subtitle="x & <u>y</u>")
    assert not any(tag in text for tag in ("<b>", "<i>", "<u>"))
    page = Page(text)
    assert name in page.text
    assert "a <i>title</i>" in page.text
    assert any(name in (given.get("aria-label") or "") for tag, given, _ in page.tags if tag == "svg")


def test_every_figure_says_what_it_shows() -> None:
    page = Page(_page(5))
    figures = [given for tag, given, _ in page.tags if tag == "svg" and given.get("aria-hidden") != "true"]
    assert len(figures) >= 6
    assert all(len(given.get("aria-label") or "") > 20 for given in figures)


def test_provenance_names_software_settings_and_runs() -> None:
    page = Page(report_html(comparison(reset="subtract", method="exact")))
    for word in ("hasn ", "nir ", "numpy ", "subtract", "exact", "1 ms", "snntorch:float32: float32, 2.25 s", "UTC"):
        assert word in page.text, word


def test_extra_sections_and_columns_stand_where_they_are_given() -> None:
    extra = {"lava": {"accuracy": "93.2 %"}}
    text = report_html(comparison(), extra_sections=[Section("Digits & co", "<p>here</p>")], extra=extra)
    assert (
        text.index("Agreement") < text.index("Digits &amp; co") < text.index("<p>here</p>") < text.index("Spikes, all")
    )
    assert "93.2 %" in text


def test_an_existing_file_is_kept_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(FileError, match="exists"):
        write_report(path, comparison())
    assert path.read_text() == "mine"
    write_report(path, comparison(), force=True)
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_large_and_busy_recording_stays_under_3_megabytes() -> None:
    draw = graphs.Draw(6)
    graph = graphs.chain(draw.linear(400, 300), draw.lif(400), draw.linear(200, 400), draw.lif(200), given=(300,),
                         result=(200,))  # fmt: skip
    found = comparison(graph, sparse(150, 2, 300, 0.5))
    rng = np.random.default_rng(1)
    recordings = {}
    for label, recording in found.recordings.items():
        busy = {name: rng.random(array.shape) < 0.5 for name, array in recording.spikes.items()}
        recordings[label] = dataclasses.replace(recording, spikes=busy)
    text = report_html(dataclasses.replace(found, recordings=recordings))
    assert len(text.encode()) < 3_000_000
    assert f"up to {MOST_NEURONS} neurons" in text
    assert "data:image/png" in text  # so many marks are drawn as a picture
    places = re.search(r"([\d,]+) places in red circles", text)
    assert places is not None
    assert int(places[1].replace(",", "")) > 1000


def test_a_network_without_spikes_or_voltages_has_a_page_too() -> None:
    graph = graphs.chain(graphs.Draw(1).linear(3, 6), given=(6,), result=(3,))
    page = Page(report_html(comparison(graph, graphs.graded((6,), 10, 1))))
    assert "Nothing in the network spikes." in page.text
    assert "The network has no membrane potential to show." in page.text


def test_voltages_that_run_away_are_drawn_as_far_as_they_are_finite() -> None:
    found = comparison()
    recordings = {}
    for label, recording in found.recordings.items():
        voltages = {name: array.copy() for name, array in recording.voltages.items()}
        for array in voltages.values():
            array[20:] = np.inf
            array[25:] = np.nan
        recordings[label] = dataclasses.replace(recording, voltages=voltages)
    assert "Membrane potentials" in Page(report_html(dataclasses.replace(found, recordings=recordings))).text


def test_a_figure_takes_the_pages_ink_and_brings_no_namespace() -> None:
    figure = new_figure(2, 1)
    figure.add_axes((0.2, 0.2, 0.7, 0.7)).plot([0, 1], [0, 1], color="black")
    text = figure_html(figure, 'a "line" < b')
    page = Page(text)
    given = next(given for tag, given, _ in page.tags if tag == "svg")
    assert given["aria-label"] == 'a "line" < b'
    assert "currentColor" in text
    assert "xmlns" not in text
    assert "#000000" not in text


def test_digits_show_disagreements_first_and_name_them() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 10
    counts = {label: rng.integers(0, 9, (40, 10)) for label in LABELS[:1]}
    counts["brian2"][np.arange(40), truth] = 12
    for label in LABELS[1:]:
        counts[label] = counts["brian2"].copy()
    counts["lava"][37] = np.eye(10, dtype=int)[2] * 15
    said = {label: values.argmax(axis=1) for label, values in counts.items()}
    section = digits_section(rng.random((40, 28, 28)), truth, said, counts)
    page = Page(section.html)
    alt = next(given["aria-label"] or "" for tag, given, _ in page.tags if tag == "svg")
    assert "a 7 read as 7 by brian2, 7 by snntorch, 7 by snntorch:float32, 2 by lava" in alt
    assert "8 of 40 images" in page.text
    assert "Backends disagree on 1 of the 40 images" in page.text
    assert page.text.count("≠") == int((counts["lava"][37] != counts["brian2"][37]).sum())
    assert "lava: 2" in page.text


def _between(text: str, first: str, last: str) -> str:
    start = text.index(f"<h2>{first}")
    return text[start : text.rindex("<section>", start, text.index(f"<h2>{last}", start))].removesuffix("</section>")


def _uses(page: Page, group: str) -> list[str]:
    """Marks inside the SVG groups of this class."""
    return [tag for tag, _, groups in page.tags if tag == "use" and any(group in name.split() for name in groups)]


def test_the_agreement_tables_cells_by_what_they_are() -> None:
    """Words left, numbers right; green zeros and red counts in the differing column alone."""
    spikes = {"n2": np.zeros((7, 2, 5), dtype=bool)}
    found = by_hand(
        {"a": spikes, "b": spikes, "c": spikes},
        skipped={"nest": "not\n <installed>"},
        b=Verdict(0, 0, 0, 1.0, 0.0, None),
        c=Verdict(1234, 3, 0, 0.5, 0.25, None),
    )
    text = _agreement(found, {"c": {"accuracy": "9"}})
    rows = [re.findall(r"<td( colspan=\"\d+\")?(?: class=\"(.*?)\")?>(.*?)</td>", row) for row in text.split("<tr")[2:]]
    classes = {row[0][2]: [mark for _, mark, _ in row] for row in rows}
    plain = ["", "", *["number"] * 9]
    assert classes["a"] == plain
    assert classes["b"] == [*plain[:5], "number zero", *plain[6:]]
    assert classes["c"] == [*plain[:5], "number some", *plain[6:]]
    assert [cell for _, _, cell in rows[2]][:8] == ["c", "float64", "9", "0", "0", "1,234", "3", "50.00 %"]
    assert rows[3] == [("", "", "nest"), (' colspan="10"', "", "not run: not &lt;installed&gt;")]
    assert '<tr class="skipped">' in text
    heads = re.findall(r"<th( [^>]*)?>(.*?)</th>", text)
    assert [mark for mark, _ in heads] == ["", "", *[" class=number"] * 9]
    assert heads[5][1] == "differing"


def test_the_legend_has_a_target_of_all_a_disc_of_each_and_one_that_lacks_the_last() -> None:
    found = by_hand({label: {} for label in ("a", "b<", "c")})
    spans = re.findall(r"<span>(.*?)</span>", _legend(found))
    discs = [re.findall(r'r="([\d.]+)" fill="(#\w+)"', span) for span in spans]
    first, second, third = COLOURS[:3]
    assert discs == [
        [("8.50", first), ("5.95", second), ("3.40", third)],
        [("8.50", first)], [("5.95", second)], [("3.40", third)],
        [("8.50", first), ("5.95", second)],
    ]  # fmt: skip
    assert [span.split("</svg>")[1] for span in spans] == [
        "all spike", "a", "b&lt;", "c", "c is missing: a difference",
    ]  # fmt: skip
    assert ['fill="none" stroke' in span for span in spans] == [False] * 4 + [True]
    assert "missing" not in _legend(by_hand({"a": {}}))
    two = _legend(by_hand({"a": {}, "b": {}}))
    assert "b is missing: a difference" in two


def test_one_sample_is_open_and_the_others_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.report.html.raster_figure", lambda _, sample: (new_figure(1, 1), f"text {sample}"))
    monkeypatch.setattr("hasn.report.html.figure_html", lambda _, alt: f"[{alt}]")
    text = _rasters(comparison(flips=FLIPS))
    parts = text.split("</div>", 1)[1].split("<details>")
    assert parts[0].endswith('[Spike raster of all backends. text 1]<p class="caption">text 1</p>')
    assert [part.split("</summary>")[0] for part in parts[1:]] == ["<summary>Sample 0", "<summary>Sample 2"]
    assert all(part.endswith("</details>") for part in parts[1:])


def test_inputs_that_spike_are_drawn_where_no_node_does() -> None:
    graph = graphs.chain(graphs.Draw(1).linear(3, 6), given=(6,), result=(3,))
    text = report_html(comparison(graph, graphs.spikes((6,), 10, 1)))
    assert "Nothing in the network spikes." not in text
    assert "events input" in text


def test_traces_say_whose_potential_and_against_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.report.html.figure_html", lambda _, alt: "")
    monkeypatch.setattr("hasn.report.html.trace_figure", lambda *_: None)
    lines = re.findall(r"<p.*?</p>", _traces(comparison(flips=FLIPS)).replace("&#x27;", "'"))
    assert [line.split(" Above:")[0] for line in lines] == [
        '<p class="caption">Node \'n4\', neuron 0, sample 1.', '<p class="caption">Node \'n2\', neuron 0, sample 1.',
    ]  # fmt: skip
    assert "axis: each backend's distance from brian2." in lines[0]
    assert "axis: nothing to compare with." in _traces(comparison(labels=["brian2"]))


def test_the_nodes_are_listed_in_the_order_of_evaluation_and_late_edges_explained() -> None:
    late = _graph(comparison(timing="hardware"))
    plain = _graph(comparison())
    assert "Edges with steps on them bring an earlier value" in late
    assert "Edges with steps" not in plain
    assert "The 6 nodes in the order of evaluation" in plain
    rows = re.findall(r"<tr>(.*?)</tr>", plain[plain.index("<tbody>") :])
    cells = [re.findall(r"<td.*?>(.*?)</td>", row) for row in rows]
    assert [row[:3] for row in cells] == [
        ["input", "Input", "6"], ["n1", "Affine", "5"], ["n2", "LIF", "5"], ["n3", "Linear", "3"], ["n4", "LIF", "3"],
        ["output", "Output", "3"],
    ]  # fmt: skip
    assert [row[4] for row in cells] == ["", "input", "n1", "n2", "n3", "n4"]
    assert "class=number" not in plain


def test_the_page_has_its_title_and_subtitle_where_they_belong() -> None:
    text = report_html(comparison(), title="T & t", subtitle="")
    assert "<title>T &amp; t</title>" in text
    assert "<h1>T &amp; t</h1><div class=" in text
    heads = re.findall("<h2>(.*?)</h2>", text)
    assert heads == [
        "Agreement", "Spikes, all backends over each other", "Membrane potentials", "The network", "How it was run",
    ]  # fmt: skip
    assert '<h1>a</h1><p class="subtitle">b &lt;</p>' in report_html(comparison(), title="a", subtitle="b <")


def test_all_that_is_given_reaches_the_file_which_appears_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    found = comparison()
    asked: list[object] = []

    def page(*given: object, **more: object) -> str:
        asked.append((given, more, path.exists()))
        return "naïve"

    monkeypatch.setattr("hasn.report.html.report_html", page)
    more = {"title": "a", "subtitle": "b", "extra_sections": [Section("c", "d")], "extra": {"lava": {"e": "f"}}}
    write_report(path, found, **more)  # type: ignore[arg-type]
    assert asked == [((found,), more, False)]
    assert path.read_bytes() == "naïve".encode()
    with pytest.raises(FileError, match="exists"):
        write_report(path, found)
    assert len(asked) == 1  # refused before anything is drawn
    write_report(path, found, force=True)
    assert len(asked) == 2


def test_a_page_that_cannot_be_made_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hasn.report.html.report_html", lambda *_, **__: "x")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match="No space left"):
        write_report(path, comparison(), force=True)
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
