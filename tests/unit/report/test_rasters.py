"""What is drawn of the spikes, read back from the figure's artists."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hasn.report.rasters import _of, _Panel, _points, raster_figure
from hasn.report.select import MOST_NEURONS, MOST_STEPS, Window, differing, samples, spiking_nodes, window
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, by_hand, comparison, sparse


def _marks(figure: Any, gid: str) -> int:
    return sum(len(line.get_xdata()) for axes in figure.axes for line in axes.lines if line.get_gid() == gid)


def test_as_many_red_circles_as_spikes_differ() -> None:
    found = comparison(flips=FLIPS)
    figure, caption = raster_figure(found, 1)
    circles = _marks(figure, "differing n2"), _marks(figure, "differing n4")
    assert circles == (2, 3)
    assert sum(circles) == found.differing["lava"]
    assert caption.endswith("5 places in red circles: not all backends spike there.")


def test_no_red_circle_where_all_agree() -> None:
    figure, caption = raster_figure(comparison(flips=FLIPS), 0)
    assert _marks(figure, "differing n2") + _marks(figure, "differing n4") == 0
    assert caption.endswith("No spike differs here.")
    assert not any("differing" in (line.get_gid() or "") for axes in figure.axes for line in axes.lines)


def test_every_spike_of_every_backend_has_a_mark() -> None:
    found = comparison(flips=FLIPS)
    figure, _ = raster_figure(found, 1)
    for label in LABELS:
        spikes = sum(int(array[:, 1].sum()) for array in found.recordings[label].spikes.values())
        assert _marks(figure, f"spikes {label}") == spikes > 0
    assert _marks(figure, "events input") == int(found.inputs["input"][:, 1].sum())


def test_a_mark_lies_at_its_spikes_time_and_row() -> None:
    found = comparison()
    figure, _ = raster_figure(found, 2)
    axes = figure.axes[-1]
    line = next(line for line in axes.lines if line.get_gid() == "spikes brian2")
    step, neuron = np.nonzero(found.recordings["brian2"].spikes["n4"][:, 2])
    assert np.allclose(line.get_xdata(), step * graphs.DT * 1e3)
    assert np.array_equal(line.get_ydata(), neuron)  # n4 has 3 neurons: all rows are shown


def test_samples_with_differing_spikes_come_first() -> None:
    assert samples(comparison(flips=FLIPS)) == [1, 0, 2]


def test_a_quiet_neuron_that_differs_is_drawn_among_many_and_the_caption_says_what_is_left_out() -> None:
    draw = graphs.Draw(5)
    graph = graphs.chain(draw.linear(90, 8), draw.lif(90), given=(8,), result=(90,))
    inputs = sparse(40, 2, 8, 0.3)
    quiet = int(comparison(graph, inputs).recordings["brian2"].spikes["n2"].sum(axis=(0, 1)).argmin())
    found = comparison(graph, inputs, flips=[("n2", 0, 20, quiet)])
    figure, caption = raster_figure(found, 0)
    assert _marks(figure, "differing n2") == 1
    assert f"{MOST_NEURONS} most active of 90 neurons" in "".join(t.get_text() for t in figure.axes[1].texts)
    assert f"up to {MOST_NEURONS} neurons" in caption


def test_a_long_run_is_shown_round_its_first_difference() -> None:
    inputs = graphs.spikes((6,), 700, 2)
    late = comparison(inputs=inputs, flips=[("n4", 1, 500, 1)])
    shown = window(late, 1)
    assert shown.start < 500 < shown.stop
    assert shown.stop - shown.start == MOST_STEPS
    figure, caption = raster_figure(late, 1)
    assert _marks(figure, "differing n4") == 1
    assert f"steps {shown.start} to {shown.stop - 1} of 700" in caption


def test_of_many_nodes_those_that_differ_are_drawn() -> None:
    draw = graphs.Draw(2)
    nodes = [node for _ in range(8) for node in (draw.linear(4, 4, mean=0.6), draw.lif(4))]
    graph = graphs.chain(*nodes, given=(4,), result=(4,))
    found = comparison(graph, graphs.spikes((4,), 20, 1), flips=[("n6", 0, 5, 1)])
    assert differing(found, "n6").sum() == 1
    assert "n6" in spiking_nodes(found)
    assert len(spiking_nodes(found)) == 5
    assert "3 more spiking nodes are not drawn" in raster_figure(found, 0)[1]


def test_of_many_input_channels_those_that_spike_are_shown_evenly() -> None:
    draw = graphs.Draw(5)
    graph = graphs.chain(draw.linear(3, 200), draw.lif(3), given=(200,), result=(3,))
    inputs = sparse(20, 1, 200, 0.6)
    inputs[:, :, :100] = 0.0
    figure, _ = raster_figure(comparison(graph, inputs), 0)
    labels = [int(text.get_text()) for text in figure.axes[0].get_yticklabels()]
    assert (min(labels), max(labels)) == (100, 199)
    assert "36 spread over those that spike, of 200 channels" in figure.axes[0].texts[0].get_text()
    assert 0 < _marks(figure, "events input") < inputs.sum()


def _panel(**given: Any) -> _Panel:
    plain: dict[str, Any] = {
        "node": "n", "size": 20, "chosen": np.arange(20), "spikes": {}, "wrong": np.zeros((1, 20), dtype=bool),
        "row_inches": 0.125,
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
    wrong = None if inputs else np.zeros((1, shown), dtype=bool)
    assert _of(_panel(size=size, chosen=np.arange(shown), wrong=wrong)) == text


def test_the_largest_disc_fills_its_step_or_its_row_whichever_is_less() -> None:
    """The axes are 10.4 - 1.25 - 0.25 = 8.9 inches, 640.8 points wide; a row of 0.125 inches is 9 points."""
    assert _points(_panel(), Window(0, 30)) == pytest.approx(0.95 * 9)
    assert _points(_panel(), Window(20, 120)) == pytest.approx(0.95 * 6.408)
    assert _points(_panel(), Window(0, 1000)) == 3.0
    assert _points(_panel(row_inches=1.0), Window(5, 5)) == 10.0
    assert _panel().height == pytest.approx(2.5)
    assert _panel(chosen=np.arange(1)).height == 0.3


def test_panels_one_under_another_in_order_with_time_on_the_last_and_steps_on_the_first() -> None:
    figure, _ = raster_figure(comparison(), 0)
    boxes = [axes.get_position() for axes in figure.axes]
    assert [axes.texts[0].get_text() for axes in figure.axes] == [
        "input: all 6 channels", "n2: all 5 neurons", "n4: all 3 neurons",
    ]  # fmt: skip
    for upper, lower in pairwise(boxes):
        assert upper.y0 > lower.y1
    rows = [[label.get_text() for label in axes.get_yticklabels()] for axes in figure.axes]
    assert rows == [["0", "5"], ["0", "1", "2", "3", "4"], ["0", "1", "2"]]  # as many as have room, both ends at least
    width, height = figure.get_size_inches()
    gaps = [(upper.y0 - lower.y1) * height for upper, lower in pairwise(boxes)]
    assert gaps == pytest.approx([0.34, 0.34])
    assert (1 - boxes[0].y1) * height == pytest.approx(0.6)
    assert boxes[-1].y0 * height == pytest.approx(0.5)
    assert [box.height * height for box in boxes] == pytest.approx([0.3, 5 * 0.16, 3 * 0.16])
    assert {(round(box.x0 * width, 6), round(box.x1 * width, 6)) for box in boxes} == {(1.25, 10.15)}
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "time (ms)"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["channel", "neuron", "neuron"]
    above = [[child.get_xlabel() for child in axes.child_axes] for axes in figure.axes]
    assert above == [["step"], [], []]


def test_time_is_in_milliseconds_and_the_axis_above_in_steps() -> None:
    figure, _ = raster_figure(comparison(dt=2e-3), 0)
    assert figure.axes[0].get_xlim() == pytest.approx((-1.2, 59.2))  # 30 steps, 0.6 of a step at both sides
    above = figure.axes[0].child_axes[0]
    figure.canvas.draw()
    assert above.get_xlim() == pytest.approx((-0.6, 29.6))


def test_marks_of_a_window_lie_at_their_own_times_and_rows() -> None:
    """One spike of a flipped neuron in step 300 of 500, in a node of 20."""
    none = {"p": np.zeros((500, 2, 20), dtype=bool)}
    one = {"p": none["p"].copy()}
    one["p"][300, 1, 15] = one["p"][270, 1, 7] = True
    none["p"][270, 1, 7] = True
    inputs = np.zeros((500, 2, 20))
    inputs[[10, 290], 1, 4] = 1.0
    graph = graphs.chain(graphs.Draw(1).linear(3, 20), graphs.Draw(1).lif(3), given=(20,), result=(3,))
    figure, text = raster_figure(by_hand({"a": none, "b": one}, inputs={"input": inputs}, graph=graph, dt=2e-3), 1)
    lines = {
        line.get_gid(): (line.get_xdata().tolist(), line.get_ydata().tolist()) for a in figure.axes for line in a.lines
    }
    assert lines["events input"] == ([580.0], [0])
    assert lines["spikes a"] == ([540.0], [0])
    assert lines["spikes b"] == ([540.0, 600.0], [0, 1])
    assert lines["differing p"] == ([600.0], [1])
    size = {line.get_gid(): line.get_markersize() for line in figure.axes[1].lines}
    assert size["spikes a"] > size["spikes b"]
    assert size["differing p"] == pytest.approx(1.55 * 5.5)  # where discs are small, circles stay large enough to see
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["7", "15"]
    assert figure.axes[1].get_ylim() == (1.6, -0.6)
    assert text == (
        "Sample 1, steps 260 to 379 of 500. Each row is a neuron, each mark a spike; where all backends spike, their "
        "marks make one target. Of larger nodes up to 36 neurons are shown: those that differ, then the most active. "
        "1 place in red circles: not all backends spike there."
    )


def test_the_caption_of_a_small_run_that_agrees() -> None:
    assert raster_figure(comparison(), 2)[1] == (
        "Sample 2, steps 0 to 29. Each row is a neuron, each mark a spike; where all backends spike, their marks make "
        "one target. No spike differs here."
    )


@pytest.mark.parametrize(("count", "rastered"), [(1500, False), (1501, True)])
def test_very_many_marks_become_pixels(count: int, rastered: bool) -> None:
    """Half of the spikes of a node come from each of two backends; those of the input count for themselves."""
    spikes = np.zeros(751 * 12, dtype=bool)
    first, second = spikes.copy(), spikes.copy()
    first[: count // 2] = second[: count - count // 2] = True
    nodes = [{"p": array.reshape(751, 1, 12)[:100]} for array in (first, second)]
    figure, _ = raster_figure(by_hand({"a": nodes[0], "b": nodes[1]}), 0)
    assert {line.get_rasterized() for line in figure.axes[0].lines if "spikes" in line.get_gid()} == {rastered}
    events = np.zeros(100 * 36)
    events[:count] = 1.0
    graph = graphs.chain(graphs.Draw(1).linear(3, 36), graphs.Draw(1).lif(3), given=(36,), result=(3,))
    quiet = {"p": np.zeros((100, 1, 3), dtype=bool)}
    shown = by_hand({"a": quiet}, inputs={"input": events.reshape(100, 1, 36)}, graph=graph)
    assert raster_figure(shown, 0)[0].axes[0].lines[0].get_rasterized() == rastered
