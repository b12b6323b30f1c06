"""What is drawn of the voltages, read back from the figure's artists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.report.select import Window
from hasn.report.traces import Trace, neuron_name, pick, threshold_of, trace_figure
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, by_hand, comparison


def _line(figure: Any, gid: str) -> Any:
    return next(line for axes in figure.axes for line in axes.lines if line.get_gid() == gid)


def test_lines_are_the_recorded_voltages() -> None:
    found = comparison(flips=FLIPS)
    figure = trace_figure(found, Trace("n2", 3, 1))
    for label in LABELS:
        assert np.array_equal(
            _line(figure, f"voltage {label}").get_ydata(), found.recordings[label].voltages["n2"][:, 1, 3]
        )
    assert figure.axes[0].get_ylabel() == "membrane potential (V)"
    assert figure.axes[1].get_xlabel() == "time (ms)"


def test_the_lower_axis_has_the_distance_from_the_reference() -> None:
    found = comparison(flips=FLIPS)
    figure = trace_figure(found, Trace("n2", 3, 1))
    drawn = _line(figure, "difference lava").get_ydata()
    volts = [found.recordings[label].voltages["n2"][:, 1, 3] for label in ("lava", "brian2")]
    distance = np.abs(volts[0] - volts[1])
    assert distance[9:].max() > 1e-3  # the recording is off by 1 % from step 9 on
    assert np.array_equal(drawn[distance > 1e-18], distance[distance > 1e-18])
    assert np.all(drawn[:9] == drawn.min())
    assert figure.axes[1].get_yticklabels()[0].get_text() == "0"


def test_the_threshold_is_the_neurons_own() -> None:
    found = comparison()
    theta = found.program.node("n4").threshold[1]  # type: ignore[union-attr]
    figure = trace_figure(found, Trace("n4", 1, 0))
    flat = [line.get_ydata() for line in figure.axes[0].lines if len(set(line.get_ydata())) == 1]
    assert any(data[0] == theta for data in flat)


def test_small_voltages_are_in_millivolts() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,), v_leak=0.0, r=0.01), given=(6,), result=(3,))
    found = comparison(graph)
    figure = trace_figure(found, Trace("n2", 0, 0))
    assert figure.axes[0].get_ylabel() == "membrane potential (mV)"
    drawn = _line(figure, "voltage brian2").get_ydata()
    assert np.array_equal(drawn, 1e3 * found.recordings["brian2"].voltages["n2"][:, 0, 0])


def test_neurons_that_differ_are_picked() -> None:
    assert pick(comparison(flips=FLIPS[:1] + FLIPS[4:])) == [Trace("n4", 1, 1), Trace("n2", 3, 1)]


def _lively(**places: list[tuple[int, ...]]) -> dict[str, Any]:
    """20 steps of 2 samples of 4 neurons; spikes at (step, sample, neuron)."""
    made = {name: np.zeros((20, 2, 4), dtype=bool) for name in places}
    for name, found in places.items():
        for place in found:
            made[name][place] = True
    return made


def test_the_liveliest_that_spikes_in_no_more_than_a_quarter_of_the_steps_is_picked() -> None:
    """Neuron 0 spikes 4 times, 1 five times (a quarter of 20), 2 six times, 3 once; in sample 1 another one does."""
    often = [(step, 0, neuron) for neuron, count in enumerate((4, 5, 6, 1)) for step in range(count)]
    spikes = _lively(p=often, q=[(3, 0, 2)], r=[(3, 0, 1), (4, 1, 3), (5, 1, 3)])
    voltages = {name: np.zeros(array.shape) for name, array in spikes.items()}
    found = by_hand({"a": spikes, "b": spikes}, {"a": voltages, "b": voltages})
    assert pick(found) == [Trace("r", 1, 0), Trace("p", 1, 0)]
    assert pick(found, 1) == [Trace("r", 1, 0)]
    assert pick(found, 9) == [Trace("r", 1, 0), Trace("p", 1, 0), Trace("q", 2, 0)]


def test_populations_that_spike_come_before_those_that_do_not_and_of_these_the_widest_swing() -> None:
    spikes = _lively(p=[(3, 0, 2)])
    wide = np.zeros((20, 2, 4))
    wide[:, 0, 1], wide[5, 0, 3], wide[6, 0, 3], wide[5, 1, 2] = 9.0, -3.0, 3.0, 50.0
    voltages = {"li": wide, "p": np.zeros((20, 2, 4)), "none": np.zeros((20, 2, 0))}
    found = by_hand({"a": spikes, "b": spikes}, {"a": voltages, "b": voltages})
    assert pick(found, 5) == [Trace("p", 2, 0), Trace("li", 3, 0)]
    assert pick(by_hand({"a": spikes})) == []
    spikes = _lively(p=[(3, 0, 2)], q=[(3, 0, 1)])
    voltages["q"] = voltages["p"]
    assert pick(by_hand({"a": spikes}, {"a": voltages})) == [Trace("q", 1, 0), Trace("p", 2, 0)]


def test_the_sample_is_the_one_that_the_rasters_show_first_and_the_neuron_the_one_that_differs() -> None:
    plain, other = _lively(p=[(3, 1, 0), (4, 1, 0)]), _lively(p=[(3, 1, 0), (4, 1, 0), (9, 1, 2), (9, 1, 3)])
    volts = {"p": np.zeros((20, 2, 4))}
    assert pick(by_hand({"a": plain, "b": other}, {"a": volts, "b": volts})) == [Trace("p", 2, 1)]


def test_a_neuron_by_its_place_in_its_node() -> None:
    draw = graphs.Draw(1)
    lif = draw.lif(2, 3, 3)
    graph = graphs.chain(draw.conv2d(2, 1, (3, 3)), lif, given=(1, 5, 5), result=(2, 3, 3))
    found = by_hand({"a": {}}, graph=graph)
    assert neuron_name(found, Trace("n2", 11, 0)) == "node 'n2', neuron (1, 0, 2)"
    assert neuron_name(comparison(), Trace("n2", 3, 0)) == "node 'n2', neuron 3"
    assert threshold_of(found, Trace("n2", 11, 0)) == np.broadcast_to(lif.v_threshold, (2, 3, 3))[1, 0, 2]
    assert threshold_of(found, Trace("n1", 11, 0)) is None
    silent = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,)), given=(6,), result=(3,))
    assert threshold_of(by_hand({"a": {}}, graph=silent), Trace("n2", 0, 0)) is None


@pytest.mark.parametrize(
    ("largest", "unit", "factor"),
    [(0.0, "V", 1.0), (1e-6, "mV", 1e3), (0.29, "mV", 1e3), (0.3, "V", 1.0), (-0.31, "V", 1.0)],
)
def test_voltages_under_300_millivolts_are_in_millivolts_on_whichever_backend(
    largest: float, unit: str, factor: float
) -> None:
    volts = np.zeros((20, 2, 4))
    volts[4, 1, 2] = largest
    spikes = _lively(n2=[])
    figure = trace_figure(by_hand({"a": spikes, "b": spikes}, {"a": {"n2": 0 * volts}, "b": {"n2": volts}}),
                          Trace("n2", 2, 1))  # fmt: skip
    assert figure.axes[0].get_ylabel() == f"membrane potential ({unit})"
    assert _line(figure, "voltage b").get_ydata()[4] == pytest.approx(factor * largest)


def test_a_window_of_steps_at_their_times_with_the_spikes_of_each_backend_above() -> None:
    first, second = _lively(n2=[(6, 1, 2), (8, 1, 2), (9, 0, 2)]), _lively(n2=[(6, 1, 2), (9, 1, 2), (15, 1, 2)])
    volts = {"n2": np.arange(160.0).reshape(20, 2, 4)}
    found = by_hand({"a": first, "b": second}, {"a": volts, "b": volts}, dt=2e-3)
    figure = trace_figure(found, Trace("n2", 2, 1), Window(5, 12))
    assert _line(figure, "voltage a").get_xdata().tolist() == pytest.approx(list(range(10, 24, 2)))
    assert _line(figure, "voltage a").get_ydata().tolist() == [8.0 * step + 6 for step in range(5, 12)]
    assert _line(figure, "spikes a").get_xdata().tolist() == pytest.approx([12, 16])
    assert _line(figure, "spikes b").get_xdata().tolist() == pytest.approx([12, 18])
    assert _line(figure, "differing n2").get_xdata().tolist() == pytest.approx([16, 18])
    levels = {value for gid in ("spikes a", "spikes b", "differing n2") for value in _line(figure, gid).get_ydata()}
    assert len(levels) == 1
    low, high = figure.axes[0].get_ylim()
    assert low < 46 < 94 < levels.pop() < high  # all curves, and the spikes above them, are within
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim() == pytest.approx((8.8, 23.2))
    assert max(figure.axes[0].get_yticks()) <= 94 + 0.08 * 48  # no tick where the spikes are
    assert min(figure.axes[0].get_yticks()) >= 46 - 0.08 * 48
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]


def test_a_threshold_above_all_voltages_is_within_the_axis() -> None:
    found = comparison()
    theta = float(found.program.node("n2").threshold[3])  # type: ignore[union-attr]
    recordings = {"n2": np.zeros((20, 2, 5))}
    spikes = {"n2": np.zeros((20, 2, 5), dtype=bool)}
    figure = trace_figure(by_hand({"a": spikes}, {"a": recordings}), Trace("n2", 3, 1))
    axes = figure.axes[0]
    # the spikes stand 2.6 times 8 % of the height above the threshold, and 1.6 times above them is room
    assert axes.get_ylim() == pytest.approx((-0.08 * theta, theta * (1 + 4.2 * 0.08)))
    assert [t.get_text() for t in axes.texts] == ["threshold", "spikes"]


def test_voltages_none_of_which_is_finite_have_an_axis_from_0_to_1() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,)), given=(6,), result=(3,))
    volts = {"n2": np.full((20, 2, 3), np.nan)}
    figure = trace_figure(by_hand({"a": {}}, {"a": volts}, graph=graph), Trace("n2", 0, 0))
    assert figure.axes[0].get_ylim() == pytest.approx((-0.08, 1.08))


def test_a_constant_voltage_has_room_of_8_percent_of_a_volt() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,)), given=(6,), result=(3,))
    volts = {"n2": np.full((20, 2, 3), 2.0)}
    figure = trace_figure(by_hand({"a": {}}, {"a": volts}, graph=graph), Trace("n2", 0, 0))
    assert figure.axes[0].get_ylim() == pytest.approx((1.92, 2.08))


def test_a_population_that_does_not_spike_has_no_row_of_spikes() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,)), given=(6,), result=(3,))
    volts = {"n2": np.linspace(1.0, 2.0, 20)[:, None, None] * np.ones((1, 2, 3))}
    figure = trace_figure(by_hand({"a": {}}, {"a": volts}, graph=graph), Trace("n2", 0, 0))
    assert figure.axes[0].get_ylim() == pytest.approx((0.92, 2.08))
    assert len(figure.axes[0].texts) == 0


def test_lines_of_rounding_lie_at_the_epsilon_of_each_precision_times_the_largest_voltage() -> None:
    found = comparison()
    figure = trace_figure(found, Trace("n2", 3, 1))
    beneath = figure.axes[1]
    level = np.abs(found.recordings["brian2"].voltages["n2"][:, 1, 3]).max()
    flat = [line.get_ydata()[0] for line in beneath.lines if not line.get_gid()]
    assert sorted(flat) == pytest.approx([level * np.finfo(np.float64).eps, level * np.finfo(np.float32).eps])
    assert [text.get_text() for text in beneath.texts] == ["float64 rounding", "float32 rounding"]
    ticks = dict(zip(beneath.get_yticks(), [t.get_text() for t in beneath.get_yticklabels()], strict=True))
    assert ticks[1e-19] == "0"
    assert ticks[1e-16] == "1e-16"
    assert beneath.get_ylim() == pytest.approx((1e-19, 30 * level * np.finfo(np.float32).eps))
    assert list(ticks.values()) == ["0", "1e-16", "1e-13", "1e-10", "1e-7"]
    assert beneath.get_yscale() == "log"


def test_the_difference_axis_reaches_the_largest_difference_and_1e_15_at_least() -> None:
    spikes = _lively(n2=[])
    volts = np.zeros((20, 2, 4))
    off = volts.copy()
    off[3, 1, 2], off[4, 1, 2] = -2.0, np.inf
    found = by_hand({"a": spikes, "b": spikes, "c": spikes}, {"a": {"n2": volts}, "b": {"n2": off}, "c": {"n2": volts}})
    figure = trace_figure(found, Trace("n2", 2, 1))
    assert figure.axes[1].get_ylim() == pytest.approx((1e-19, 60.0))
    assert [line.get_gid() for line in figure.axes[1].lines][:2] == ["difference b", "difference c"]
    assert _line(figure, "difference b").get_ydata()[:4].tolist() == [1e-19, 1e-19, 1e-19, 2.0]
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == ["0", "1e-16", "1e-13", "1e-10", "1e-7", "1e-4", "1e-1"]
    assert figure.axes[1].get_yticks()[1:].tolist() == [float(label) for label in labels[1:]]
    alone = trace_figure(by_hand({"a": spikes}, {"a": {"n2": volts}}), Trace("n2", 2, 1))
    assert alone.axes[1].get_ylim() == pytest.approx((1e-19, 3e-14))
