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

from hasn.errors import FileError
from hasn.report.digits import digits_section
from hasn.report.figure import figure_html, new_figure
from hasn.report.html import report_html, write_report
from hasn.report.section import Section
from hasn.report.select import MOST_NEURONS
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, comparison, sparse

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
