"""The page: parsed, self-contained, escaped, and true to the comparison."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.agreement.comparison import Verdict
from hasn.errors import FileError
from hasn.report.html import _agreement, _graph, _rasters, _traces, report_html, write_report
from hasn.report.section import Section
from hasn.report.select import MOST_NEURONS
from tests import graphs
from tests.unit.report.drawn import Page, starts
from tests.unit.report.made import FLIPS, by_hand, comparison, sparse


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
    for tag, given in page.tags:
        assert (given.get("href") or "#").startswith("#")
        assert (given.get("src") or "data:").startswith("data:"), tag


def test_ids_are_unique_and_every_reference_finds_its_target() -> None:
    text = _page(5)
    page = Page(text)
    ids = Counter(given["id"] for _, given in page.tags if "id" in given)
    assert max(ids.values()) == 1
    wanted = {(given["href"] or "")[1:] for _, given in page.tags if "href" in given}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", text))
    assert wanted <= set(ids)


def test_tinted_places_in_the_rasters_are_the_differing_spikes() -> None:
    for number in (0, 2, 5):
        section = Page(_between(_page(number), "Spikes", "Membrane potentials"))
        assert len(starts(section.paths("differing"))) == number
        assert comparison(flips=FLIPS[:number]).differing["lava"] == number
        assert ("Where they first part" in _page(number)) == (number > 0)


def test_a_page_on_which_all_agree_has_no_mark_of_a_single_run() -> None:
    """One ink: neither marks over each other nor a key of colours, nor red anywhere."""
    page = Page(_page(0))
    kinds = {kind for _, given in page.tags for kind in (given.get("class") or "").split()}
    assert not {kind for kind in kinds if kind.startswith("run-")} | (kinds & {"differing", "differs", "bad", "some"})
    assert len(page.all("path", "voltage all")) == len(page.all("path", "voltage")) > 0
    assert len(page.all("path", "spikes all")) == len(page.all("path", "spikes")) > 0


def test_the_verdict_leads_then_the_figures_then_the_network_then_lava() -> None:
    page = Page(report_html(comparison(), title="Same?", subtitle="a file"))
    (head,) = page.all("h1")
    assert head["class"] == "good"
    order = [
        "Same?",
        "All four runs agree",
        "a file",
        "Lava is simulated on the CPU, in floating point: no chip took part.",
    ]
    words = page.words[page.words.index("Same?", 1) :]
    assert [words.index(word) for word in order] == [0, 1, 3, 4]
    assert words[2].startswith(
        "0 differing spikes in float64, 0 differing spikes in float32: snntorch and lava against"
    )
    assert page.words[1] == "All four runs agree: Same?"  # of the window


@pytest.mark.parametrize(
    ("found", "kind", "headline"),
    [
        (comparison(flips=FLIPS), "bad", "lava differs from brian2"),
        (comparison(), "good", "All four runs agree"),
        (comparison(inputs=np.zeros((30, 3, 6))), "none", "Nothing was compared"),
        (comparison(labels=["brian2"]), "none", "Nothing to compare"),
    ],
    ids=["differ", "agree", "silent", "alone"],
)
def test_the_headline_and_its_colour(found: Any, kind: str, headline: str) -> None:
    page = Page(report_html(found))
    (head,) = page.all("h1")
    assert head["class"] == kind
    assert headline in page.words
    other = {"All four runs agree", "lava differs from brian2", "Nothing was compared", "Nothing to compare"} - {
        headline
    }
    assert not other & set(page.words)


def test_where_nothing_was_compared_nothing_reads_as_agreement() -> None:
    text = Page(report_html(comparison(inputs=np.zeros((30, 3, 6))))).text
    assert "100 %" not in text
    assert "agree" not in text.lower().replace("agreement", "")
    assert "stands for all" not in text
    assert "Nothing in the network spikes." in text


def test_integers_that_differ_are_red_though_no_neuron_spikes() -> None:
    silent = {"n2": np.zeros((7, 2, 5), dtype=bool)}
    found = by_hand({"a": silent, "b": silent}, b=Verdict(0, 0, 0, 1.0, 3.0, None))
    integers = {label: dataclasses.replace(r, precision="loihi") for label, r in found.recordings.items()}
    page = Page(report_html(dataclasses.replace(found, recordings=integers)))
    assert page.all("h1")[0]["class"] == "bad"
    assert "No spike differs, but the chip's integers do" in page.words


def test_ties_are_named_on_top_and_do_not_turn_the_page_red() -> None:
    spikes = {"n2": np.ones((7, 2, 5), dtype=bool)}
    page = Page(report_html(by_hand({"a": spikes, "b": spikes}, b=Verdict(0, 2, 3, 0.9, 1e-7, None))))
    assert page.all("h1")[0]["class"] == "good"
    assert "Both runs agree, ties apart" in page.words
    assert "2 ties (a voltage within rounding of the threshold) counted apart" in page.text
    assert "2 (+3 after)" in page.words


def test_the_divergence_names_its_place_and_shows_the_numbers_round_it() -> None:
    found = comparison(flips=FLIPS)
    section = _between(_page(5), "Where they first part", "Spikes")
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
    assert any(name in (given.get("aria-label") or "") for tag, given in page.tags if tag == "svg")


def test_every_figure_says_what_it_shows() -> None:
    page = Page(_page(5))
    outer = [given for kind in ("chart", "graph") for given in page.all("svg", kind)]
    assert len(outer) >= 6
    assert all(given["role"] == "img" and len(given["aria-label"] or "") > 20 for given in outer)
    rest = [given for given in page.all("svg") if given not in outer]
    assert all(given["class"] == "plot" for given in rest)  # parts of those


def test_figures_keep_their_type_at_every_width() -> None:
    """Charts are as wide as the page and not scaled; what must be wide scrolls by itself, by keyboard too."""
    page = Page(_page(5))
    assert all(given["width"] == "100%" and "viewbox" not in given for given in page.all("svg", "chart"))
    scrolled = page.all("div", "scroll")
    assert scrolled
    assert all(given["tabindex"] == "0" and given["aria-label"] for given in scrolled)


def test_provenance_names_software_settings_and_runs() -> None:
    page = Page(report_html(comparison(reset="subtract", method="exact")))
    for word in ("hasn ", "nir ", "numpy ", "subtract", "exact", "1 ms", "snntorch:float32: float32, 2.25 s", "UTC"):
        assert word in page.text, word


def test_extra_sections_and_columns_stand_where_they_are_given() -> None:
    extra = {"lava": {"accuracy": "93.2 %"}}
    text = report_html(comparison(), extra_sections=[Section("Digits & co", "<p>here</p>")], extra=extra)
    assert (
        text.index("Run by run") < text.index("Digits &amp; co") < text.index("<p>here</p>") < text.index("<h2>Spikes")
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
    places = re.search(r"differ in ([\d,]+) places, tinted red", text)
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


def _between(text: str, first: str, last: str) -> str:
    start = text.index(f"<h2>{first}")
    return text[start : text.rindex("<section>", start, text.index(f"<h2>{last}", start))].removesuffix("</section>")


def test_the_agreement_table_by_what_its_cells_are() -> None:
    """What was asked stands first, behind the run; red counts in the differing column alone."""
    spikes = {"n2": np.ones((7, 2, 5), dtype=bool)}
    found = by_hand(
        {"a": spikes, "b": spikes, "c": spikes},
        skipped={"nest": "not\n <installed>"},
        b=Verdict(0, 0, 0, 1.0, 0.0, None),
        c=Verdict(1234, 3, 0, 0.5, 0.25, None),
    )
    text = _agreement(found, {"c": {"accuracy": "9"}})
    heads = re.findall(r'<th scope="col"(?: class="(\w+)")?>(.*?)</th>', text)
    assert [name for _, name in heads] == [
        "run", "differing", "ties", "agreement", "max |ΔV| (V)", "accuracy", "steps shifted", "spikes",
        "synaptic operations", "seconds",
    ]  # fmt: skip
    assert [mark for mark, _ in heads] == ["", *["number"] * 9]
    rows = text.split("<tr")[2:]
    cells = [re.findall(r'<td( colspan="\d+")?(?: class="(.*?)")?>(.*?)</td>', row) for row in rows]
    runs = [re.findall(r'<th scope="row">(.*?)</th>', row) for row in rows]
    assert runs == [[f"{label} <small>float64</small>"] for label in "abc"] + [["nest"]]
    marks = [[mark for _, mark, _ in row] for row in cells[:3]]
    assert marks == [["number", *["number"] * 8], ["number zero", *["number"] * 8], ["number some", *["number"] * 8]]
    assert [cell for _, _, cell in cells[2]][:6] == ["1,234", "3", "50.00 %", "2.5e-01", "9", "0"]
    assert cells[3] == [(' colspan="9"', "", "not run: not &lt;installed&gt;")]
    assert '<tr class="skipped">' in text


def test_one_sample_is_open_and_the_others_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.report.html.raster_html", lambda _, sample: (f"[{sample}]", f"text {sample}"))
    monkeypatch.setattr("hasn.report.html.raster_key", lambda _: "key")
    text = _rasters(comparison(flips=FLIPS))
    parts = text.split("<details>")
    assert parts[0] == 'key[1]<p class="caption">text 1</p>'
    assert [part.split("</summary>")[0] for part in parts[1:]] == ["<summary>Sample 0", "<summary>Sample 2"]
    assert all(part.endswith("</details>") for part in parts[1:])


def test_inputs_that_spike_are_drawn_where_no_node_does() -> None:
    graph = graphs.chain(graphs.Draw(1).linear(3, 6), given=(6,), result=(3,))
    text = report_html(comparison(graph, graphs.spikes((6,), 10, 1)))
    assert "Nothing in the network spikes." not in text
    assert 'class="events" data-of="input"' in text


def test_traces_say_whose_potential_and_against_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.report.html.trace_html", lambda *_: "")
    lines = re.findall(r"<p.*?</p>", _traces(comparison(flips=FLIPS)).replace("&#x27;", "'"))
    assert [line.split(":")[0] for line in lines] == [
        "<p class=\"caption\">Node 'n4', neuron 0, sample 1", "<p class=\"caption\">Node 'n2', neuron 0, sample 1",
    ]  # fmt: skip
    assert "In ink the run of brian2; another has a colour where" in lines[0]
    assert "There is no other run to compare with." in _traces(comparison(labels=["brian2"]))


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


def test_the_page_has_its_parts_in_order() -> None:
    text = report_html(comparison(), title="T & t", subtitle="")
    assert "<title>All four runs agree: T &amp; t</title>" in text
    assert '<p class="asked">T &amp; t</p><h1 class="good">All four runs agree</h1>' in text
    assert 'class="subtitle"' not in text
    heads = re.findall("<h2>(.*?)</h2>", text)
    assert heads == ["Run by run", "Spikes", "Membrane potentials", "Energy", "The network", "How it was run"]
    assert '<p class="subtitle">b &lt;</p>' in report_html(comparison(), title="a", subtitle="b <")


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
