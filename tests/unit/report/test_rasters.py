"""What is drawn of the spikes, read back from the SVG."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hasn.report.rasters import _of, _Panel, _row_numbers, raster_html, raster_key
from hasn.report.select import MOST_NEURONS, MOST_STEPS, differing, samples, spiking_nodes, window
from hasn.report.style import run_class
from hasn.report.svg import room_for_lanes
from tests import graphs
from tests.unit.report.drawn import Page, starts
from tests.unit.report.made import FLIPS, LABELS, by_hand, comparison, sparse


def _drawn(found: Any, sample: int) -> tuple[Page, str]:
    drawing, text = raster_html(found, sample)
    return Page(drawing), text


def _places(page: Page, node: str) -> int:
    """How many places of a node are tinted."""
    return len(starts(page.paths("differing", node)))


def test_as_many_tinted_places_as_spikes_differ() -> None:
    found = comparison(flips=FLIPS)
    page, caption = _drawn(found, 1)
    assert (_places(page, "n2"), _places(page, "n4")) == (2, 3)
    assert found.differing["lava"] == 5
    assert caption.endswith("The runs differ in 5 places, tinted red.")


def test_where_all_agree_there_is_one_mark_a_spike_and_no_colour() -> None:
    """Four runs with the same spikes: no mark lies over another, none is of a single run."""
    found = comparison(flips=FLIPS)
    page, caption = _drawn(found, 0)
    marks = {node: starts(page.paths("spikes all", node)) for node in ("n2", "n4")}
    for node, drawn in marks.items():
        assert len(drawn) == len(set(drawn)) == found.recordings["brian2"].spikes[node][:, 0].sum() > 0
    assert len(page.all("path", "spikes")) == 2
    assert not page.all("path", "differing")
    assert "run-" not in raster_html(found, 0)[0]
    assert caption.endswith("No spike differs here: every mark stands for all four runs.")


def test_every_spike_of_every_run_is_in_ink_or_in_its_lane() -> None:
    found = comparison(flips=FLIPS)
    page, _ = _drawn(found, 1)
    shared = len(starts(page.paths("spikes all")))
    for place, label in enumerate(LABELS):
        alone = len(starts(page.paths(f"spikes {run_class(place)}", label)))
        spikes = sum(int(array[:, 1].sum()) for array in found.recordings[label].spikes.values())
        assert shared + alone == spikes > 0
    assert len(starts(page.paths("events", "input"))) == int(found.inputs["input"][:, 1].sum())


def test_lanes_are_of_those_that_spike_where_they_differ_the_reference_on_top() -> None:
    """FLIPS give lava one spike more at (n2, step 9, neuron 3) and take one from it at (n4, step 12, neuron 2)."""
    found = comparison(flips=FLIPS)
    assert found.recordings["brian2"].spikes["n4"][12, 1, 2]
    page, _ = _drawn(found, 1)
    at = {label: starts(page.paths(f"spikes {run_class(k)}", label)) for k, label in enumerate(LABELS)}
    middle = {label: [y for x, y in places if round(x + 0.3) == 12] for label, places in at.items()}
    assert [len(middle[label]) for label in LABELS] == [1, 1, 1, 0]
    assert middle["brian2"] < middle["snntorch"] < middle["snntorch:float32"]
    assert [round(x + 0.3) for x, _ in sorted(at["lava"])] == [9, 11, 14, 29]
    assert "brian2" in found.reference


def test_a_mark_lies_at_its_spikes_step_and_row() -> None:
    found = comparison()
    page, _ = _drawn(found, 2)
    step, neuron = np.nonzero(found.recordings["brian2"].spikes["n4"][:, 2])  # 3 neurons: all rows are shown
    drawn = starts(page.paths("spikes all", "n4"))
    assert [x for x, _ in drawn] == step.tolist()
    assert [int(y // 15) for _, y in drawn] == neuron.tolist()
    assert len({round(y % 15, 6) for _, y in drawn}) == 1


def test_rows_that_differ_are_as_high_as_their_lanes_and_marked_by_number() -> None:
    found = comparison(flips=FLIPS)
    page, _ = _drawn(found, 1)
    marked = [text for given, text in page.texts if "differs" in (given["class"] or "")]
    assert marked == ["0", "3", "0", "1", "2"]  # of n2, then of n4
    heights = [plot["height"] for plot in page.all("svg", "plot")]
    wide = room_for_lanes(4)
    assert heights == ["18", f"{2 * wide + 3 * 15:g}", f"{3 * wide:g}"]


def test_samples_with_differing_spikes_come_first() -> None:
    assert samples(comparison(flips=FLIPS)) == [1, 0, 2]


def test_a_quiet_neuron_that_differs_is_drawn_among_many_and_the_caption_says_what_is_left_out() -> None:
    draw = graphs.Draw(5)
    graph = graphs.chain(draw.linear(90, 8), draw.lif(90), given=(8,), result=(90,))
    inputs = sparse(40, 2, 8, 0.3)
    quiet = int(comparison(graph, inputs).recordings["brian2"].spikes["n2"].sum(axis=(0, 1)).argmin())
    found = comparison(graph, inputs, flips=[("n2", 0, 20, quiet)])
    page, caption = _drawn(found, 0)
    assert _places(page, "n2") == 1
    assert [text for given, text in page.texts if "differs" in (given["class"] or "")] == [str(quiet)]
    assert f"{MOST_NEURONS} most active of 90 neurons" in page.text
    assert f"up to {MOST_NEURONS} neurons" in caption


def test_a_long_run_is_shown_round_its_first_difference() -> None:
    inputs = graphs.spikes((6,), 700, 2)
    late = comparison(inputs=inputs, flips=[("n4", 1, 500, 1)])
    shown = window(late, 1)
    assert shown.start < 500 < shown.stop
    assert shown.stop - shown.start == MOST_STEPS
    page, caption = _drawn(late, 1)
    assert _places(page, "n4") == 1
    assert f"steps {shown.start} to {shown.stop - 1} of 700" in caption


def test_of_many_nodes_those_that_differ_are_drawn() -> None:
    draw = graphs.Draw(2)
    nodes = [node for _ in range(8) for node in (draw.linear(4, 4, mean=0.6), draw.lif(4))]
    graph = graphs.chain(*nodes, given=(4,), result=(4,))
    found = comparison(graph, graphs.spikes((4,), 20, 1), flips=[("n6", 0, 5, 1)])
    assert differing(found, "n6").sum() == 1
    assert "n6" in spiking_nodes(found)
    assert len(spiking_nodes(found)) == 5
    assert "3 more spiking nodes are not drawn" in raster_html(found, 0)[1]


def test_of_many_input_channels_those_that_spike_are_shown_evenly() -> None:
    draw = graphs.Draw(5)
    graph = graphs.chain(draw.linear(3, 200), draw.lif(3), given=(200,), result=(3,))
    inputs = sparse(20, 1, 200, 0.6)
    inputs[:, :, :100] = 0.0
    page, _ = _drawn(comparison(graph, inputs), 0)
    rows = [int(text) for given, text in page.texts if given["class"] == "tick row"]
    assert (rows[0], max(rows)) == (100, 199)
    assert "36 spread over those that spike, of 200 channels" in page.text
    assert 0 < len(starts(page.paths("events", "input"))) < inputs.sum()


def _panel(**given: Any) -> _Panel:
    plain: dict[str, Any] = {
        "node": "n", "size": 20, "chosen": np.arange(20), "spikes": {"a": None, "b": None},
        "wrong": np.zeros((1, 20), dtype=bool), "row": 9.0,
    }  # fmt: skip
    return _Panel(**{**plain, **given})


@pytest.mark.parametrize(
    ("shown", "inputs", "text"),
    [
        (100, False, "all 100 neurons"),
        (100, True, "all 100 channels"),
        (36, False, "36 most active of 2,000 neurons"),
        (36, True, "36 spread over those that spike, of 2,000 channels"),
        (35, False, "35 that spike, of 2,000 neurons"),
        (35, True, "35 that spike, of 2,000 channels"),
    ],
)
def test_a_panels_heading_says_which_rows_are_shown(shown: int, inputs: bool, text: str) -> None:
    size = shown if text.startswith("all") else 2000
    spikes = {"": None} if inputs else {"a": None}
    assert _of(_panel(size=size, chosen=np.arange(shown), spikes=spikes)) == text


def test_row_numbers_have_room_and_those_that_differ_come_first() -> None:
    """Rows of 9 pixels: every second has a number, both ends included; row 7 differs, so 6 and 8 have none."""
    wrong = np.zeros((1, 20), dtype=bool)
    plain = [text for _, text in Page(f"<p>{_row_numbers(_panel(), 0)}</p>").texts]
    assert plain == ["0", *[str(k) for k in range(2, 18, 2)], "19"]
    wrong[0, 7] = True
    panel = _panel(wrong=wrong)
    assert panel.heights == [9.0] * 7 + [room_for_lanes(2)] + [9.0] * 12
    found = Page(f"<p>{_row_numbers(panel, 0)}</p>").texts
    assert {"0", "7", "19"} <= {text for _, text in found}
    ys = [float(given["y"] or "") for given, _ in found]
    assert all(b - a >= 12 for a, b in pairwise(ys))
    assert [given["class"] for given, text in found if text == "7"] == ["tick row differs"]


def test_panels_one_under_another_in_order_over_one_axis() -> None:
    page, _ = _drawn(comparison(dt=2e-3), 0)
    heads = [text for given, text in page.texts if given["class"] == "heading"]
    assert not heads  # all within tspans
    words = [text.strip() for text in page.words if text.strip()]
    order = [words.index(word) for word in ("input", "all 6 channels", "n2", "all 5 neurons", "n4", "all 3 neurons")]
    assert order == sorted(order)
    plots = page.all("svg", "plot")
    tops = [(float(plot["y"] or 0), float(plot["height"] or 0)) for plot in plots]
    assert all(top + height < below for (top, height), (below, _) in pairwise(tops))
    total = float(page.all("svg", "chart")[0]["height"] or 0)
    assert tops[-1][0] + tops[-1][1] < total
    assert {plot["viewbox"].split()[2] for plot in plots if plot["viewbox"]} == {"30"}
    assert "time step, 2 ms each" in page.text
    grid = page.all("line", "grid")
    assert len(grid) == 6
    assert {float(line["y2"] or 0) for line in grid} == {sum(tops[-1])}


def test_marks_of_a_window_lie_at_their_own_steps_and_rows() -> None:
    """One spike of a flipped neuron in step 300 of 500, in a node of 20."""
    none = {"p": np.zeros((500, 2, 20), dtype=bool)}
    one = {"p": none["p"].copy()}
    one["p"][300, 1, 15] = one["p"][270, 1, 7] = True
    none["p"][270, 1, 7] = True
    inputs = np.zeros((500, 2, 20))
    inputs[[10, 290], 1, 4] = 1.0
    graph = graphs.chain(graphs.Draw(1).linear(3, 20), graphs.Draw(1).lif(3), given=(20,), result=(3,))
    page, text = _drawn(by_hand({"a": none, "b": one}, inputs={"input": inputs}, graph=graph, dt=2e-3), 1)
    assert [x for x, _ in starts(page.paths("events", "input"))] == [290]
    assert [x for x, _ in starts(page.paths("spikes all", "p"))] == [270]
    assert page.paths("spikes run-0") == []
    assert [x for x, _ in starts(page.paths("spikes run-1", "b"))] == [pytest.approx(299.7)]
    assert page.paths("differing", "p") == [f"M299.5 15h1v{15:g}h-1z"]
    assert [t for given, t in page.texts if given["class"] in ("tick row", "tick row differs")] == ["4", "7", "15"]
    assert text == (
        "Sample 1, steps 260 to 379 of 500. Each row is a neuron, each mark a spike. Of larger nodes up to 36 neurons "
        "are shown: those that differ, then the most active. The runs differ in 1 place, tinted red."
    )


def test_the_caption_of_a_run_by_itself_and_of_silence() -> None:
    first = "Sample 2, steps 0 to 29. Each row is a neuron, each mark a spike."
    assert raster_html(comparison(labels=["brian2"]), 2)[1] == first
    assert raster_html(comparison(inputs=np.zeros((30, 3, 6))), 2)[1] == f"{first} No neuron spikes here."
    silent = graphs.small_net()
    for name in ("n2", "n4"):
        silent.nodes[name].v_threshold[:] = 1e9
    assert raster_html(comparison(silent), 2)[1].endswith("No neuron spikes here.")  # its inputs do


def test_the_drawing_says_its_caption_to_those_who_cannot_see_it() -> None:
    page, text = _drawn(comparison(flips=FLIPS), 1)
    assert page.all("svg", "chart")[0]["aria-label"] == f"Spike raster. {text}"
    assert page.all("svg", "chart")[0]["role"] == "img"


def test_the_key_has_colours_only_where_a_spike_differs() -> None:
    same = Page(raster_key(comparison()))
    assert same.words == ["a spike that all four runs have"]
    assert [given["class"] for given in same.all("i")] == ["swatch all"]
    parted = Page(raster_key(comparison(flips=FLIPS)))
    assert parted.words[2:] == list(LABELS)
    assert [given["class"] for given in parted.all("i")] == [
        "swatch all", "swatch differing", *[f"swatch run-{k}" for k in range(4)],
    ]  # fmt: skip
    assert Page(raster_key(comparison(labels=LABELS[:2]))).words == ["a spike that both runs have"]
    assert Page(raster_key(comparison(labels=["brian2"]))).words == ["a spike of brian2"]
    assert raster_key(comparison(inputs=np.zeros((30, 3, 6)))) == ""
