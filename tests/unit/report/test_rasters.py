"""What is drawn of the spikes, read back from the figure's artists."""

from __future__ import annotations

from typing import Any

import numpy as np

from hasn.report.rasters import raster_figure
from hasn.report.select import MOST_NEURONS, MOST_STEPS, differing, samples, spiking_nodes, window
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, comparison, sparse


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
