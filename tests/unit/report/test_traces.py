"""What is drawn of the voltages, read back from the SVG."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hasn.report.select import Window
from hasn.report.traces import Trace, neuron_name, pick, round_ticks, threshold_of, trace_html
from tests import graphs
from tests.unit.report.drawn import Page, points, starts
from tests.unit.report.made import FLIPS, by_hand, comparison


def _drawn(found: Any, trace: Trace, shown: Window | None = None) -> Page:
    return Page(trace_html(found, trace, "alt", shown))


def _numbers(page: Page) -> list[tuple[float, str]]:
    """(pixel down, text) of the numbers at the left, those of an axis from the top."""
    return [(float(given["y"] or 0) - 4, text) for given, text in page.texts if given["class"] == "tick row"]


def _volts(page: Page, line: str) -> list[tuple[float, float]]:
    """(step, volts) of a line, read against the two outermost numbers of its axis."""
    top = next(float(plot["y"] or 0) for plot in page.all("svg", "plot") if plot["height"] == "190")
    ticks = [(y - top, float(text)) for y, text in _numbers(page) if text != "spikes" and top <= y <= top + 190]
    (y0, v0), (y1, v1) = min(ticks), max(ticks)
    return [(x, v0 + (y - y0) * (v1 - v0) / (y1 - y0)) for x, y in points(line)]


def test_the_line_in_ink_is_the_references_recorded_voltages() -> None:
    found = comparison(flips=FLIPS)
    (line,) = _drawn(found, Trace("n2", 3, 1)).paths("voltage all", "brian2")
    drawn = _volts(_drawn(found, Trace("n2", 3, 1)), line)
    assert [x for x, _ in drawn] == list(range(30))
    # a tenth of a pixel of 190 that stand for less than 1.5 V
    assert [v for _, v in drawn] == pytest.approx(found.recordings["brian2"].voltages["n2"][:, 1, 3], abs=1e-3)


def test_runs_that_agree_have_one_line_between_them() -> None:
    page = _drawn(comparison(), Trace("n2", 3, 1))
    assert len(page.all("path", "voltage")) == 1
    assert page.all("path", "distance") == []
    assert "run-" not in trace_html(comparison(), Trace("n2", 3, 1), "")
    assert page.words[0] == "brian2, snntorch, snntorch:float32 and lava, to the last bit"


def test_a_run_has_its_colour_where_its_line_can_be_told_from_the_reference() -> None:
    """0.5 V off at step 10 of an axis of some 2 V; 1e-5 V off at step 15, which no eye sees."""
    spikes = {"n2": np.zeros((20, 2, 5), dtype=bool)}
    plain = {"n2": np.tile(np.linspace(0, 1, 20)[:, None, None], (1, 2, 5))}
    off = {"n2": plain["n2"].copy()}
    off["n2"][10, 1, 3] += 0.5
    off["n2"][15, 1, 3] += 1e-5
    found = by_hand({"a": spikes, "b": spikes, "c": spikes}, {"a": plain, "b": plain, "c": off})
    page = _drawn(found, Trace("n2", 3, 1))
    (line,) = page.paths("voltage run-2", "c")
    assert [x for x, _ in points(line)] == [9, 10, 11]  # it comes from its neighbours and goes to them
    assert page.paths("voltage run-1") == []
    assert len(page.paths("voltage all")) == 1
    (distance,) = page.paths("distance")
    down = dict(points(distance))
    assert down[10] < down[15] < down[0] == down[19]  # the log axis shows both; 0 lies lowest
    assert page.words[:2] == ["a and b, to the last bit", "c: up to 5.0e-01 V away"]
    assert [given["class"] for given in page.all("i")] == ["swatch line", "swatch line run-2"]


def test_the_log_axis_has_equal_steps_for_equal_factors_and_its_lowest_line_is_0() -> None:
    spikes = {"n2": np.zeros((4, 2, 5), dtype=bool)}
    plain = {"n2": np.ones((4, 2, 5))}
    off = {"n2": plain["n2"].copy()}
    off["n2"][:, 1, 3] += [0.0, 2.0**-40, 2.0**-30, 2.0**-20]
    page = _drawn(by_hand({"a": spikes, "b": spikes}, {"a": plain, "b": off}), Trace("n2", 3, 1))
    (distance,) = page.paths("distance run-1", "b")
    (_, zero), (_, small), (_, middle), (_, large) = points(distance)
    assert zero == 110.0
    assert small - middle == pytest.approx(middle - large, abs=0.21)
    assert {"0", "1e-16", "1e-12", "1e-8"} <= {text for _, text in _numbers(page)}
    assert "float64 rounding" in page.text
    assert "float32 rounding" not in page.text


def test_the_threshold_is_the_neurons_own() -> None:
    found = comparison()
    theta = found.program.node("n4").threshold[1]  # type: ignore[union-attr]
    page = _drawn(found, Trace("n4", 1, 0))
    (rule,) = page.all("line", "threshold")
    top = next(float(plot["y"] or 0) for plot in page.all("svg", "plot") if plot["height"] == "190")
    y = float(rule["y1"] or 0) - top
    assert [v for _, v in _volts(page, f"M0 {y}")] == pytest.approx([theta], abs=1e-3)
    assert f"threshold {theta:g}" in page.text


@pytest.mark.parametrize(("threshold", "said"), [(1e9, "far above"), (-1e9, "far below")])
def test_a_threshold_far_off_does_not_flatten_the_trace(threshold: float, said: str) -> None:
    """Voltages of a usual threshold beside one that is far off: of a network that is silent, or fires at every step."""
    graph = graphs.small_net()
    graph.nodes["n4"].v_threshold[:], graph.nodes["n4"].v_reset[:] = threshold, threshold - 1
    recordings = comparison().recordings
    found = dataclasses.replace(comparison(graph), recordings=recordings)
    page = _drawn(found, Trace("n4", 1, 0))
    drawn = [v for _, v in _volts(page, page.paths("voltage all")[0])]
    volts = recordings["brian2"].voltages["n4"][:, 0, 1]
    assert drawn == pytest.approx(volts, abs=2e-3 * np.ptp(volts))
    assert page.all("line", "threshold") == []
    assert f"threshold {threshold:g}, {said}" in page.text


def test_small_voltages_are_in_millivolts() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,), v_leak=0.0, r=0.01), given=(6,), result=(3,))
    found = comparison(graph)
    page = _drawn(found, Trace("n2", 0, 0))
    assert "membrane potential (mV)" in page.text
    drawn = [v for _, v in _volts(page, page.paths("voltage all")[0])]
    volts = found.recordings["brian2"].voltages["n2"][:, 0, 0]
    assert drawn == pytest.approx(1e3 * volts, abs=2e-3 * np.ptp(1e3 * volts))
    assert page.all("line", "threshold") == []
    assert "spikes" not in page.text  # it has none


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
    ("largest", "unit"),
    [(0.0, "V"), (1e-6, "mV"), (0.29, "mV"), (0.3, "V"), (-0.31, "V")],
)
def test_voltages_under_300_millivolts_are_in_millivolts_on_whichever_run(largest: float, unit: str) -> None:
    volts = np.zeros((20, 2, 4))
    volts[4, 1, 2] = largest
    spikes = _lively(n2=[])
    found = by_hand({"a": spikes, "b": spikes}, {"a": {"n2": 0 * volts}, "b": {"n2": volts}})
    assert f"membrane potential ({unit})" in _drawn(found, Trace("n2", 2, 1)).text


def test_the_chips_integers_have_no_volts() -> None:
    volts = {"n2": np.full((20, 2, 4), 0.25)}
    off = {"n2": volts["n2"] + 64.0}
    spikes = _lively(n2=[])
    found = by_hand({"a": spikes, "b": spikes}, {"a": volts, "b": off})
    integers = {label: dataclasses.replace(r, precision="loihi") for label, r in found.recordings.items()}
    page = _drawn(dataclasses.replace(found, recordings=integers), Trace("n2", 2, 1))
    assert "membrane potential (units)" in page.text
    assert "distance from a (units)" in page.text
    assert "b: up to 6.4e+01 units away" in page.words


def test_a_window_of_steps_with_spikes_in_ink_or_in_their_runs_lane() -> None:
    first, second = _lively(n2=[(6, 1, 2), (8, 1, 2), (9, 0, 2)]), _lively(n2=[(6, 1, 2), (9, 1, 2), (15, 1, 2)])
    volts = {"n2": np.arange(160.0).reshape(20, 2, 4)}
    page = _drawn(by_hand({"a": first, "b": second}, {"a": volts, "b": volts}), Trace("n2", 2, 1), Window(5, 12))
    assert [x for x, _ in points(page.paths("voltage all")[0])] == list(range(5, 12))
    assert [x for x, _ in starts(page.paths("spikes all", "n2"))] == [6]
    assert [x for x, _ in starts(page.paths("spikes run-0", "a"))] == [pytest.approx(7.7)]
    assert [x for x, _ in starts(page.paths("spikes run-1", "b"))] == [pytest.approx(8.7)]
    assert [x for x, _ in starts(page.paths("differing", "n2"))] == [7.5, 8.5]
    assert {plot["viewbox"] for plot in page.all("svg", "plot") if (plot["viewbox"] or "").startswith("4.5 0 7 ")}
    assert page.words[:4] == ["a and b, to the last bit", "Spikes where they differ, lanes from the top:", "a", "b"]
    assert [given["class"] for given in page.all("i")] == ["swatch line", "swatch run-0", "swatch run-1"]
    calm = _drawn(by_hand({"a": first, "b": second}, {"a": volts, "b": volts}), Trace("n2", 2, 1), Window(0, 8))
    assert "lanes" not in calm.text


def test_voltages_none_of_which_is_finite_have_an_axis_from_0_to_1() -> None:
    draw = graphs.Draw(4)
    graph = graphs.chain(draw.linear(3, 6), draw.neuron("LI", (3,)), given=(6,), result=(3,))
    volts = {"n2": np.full((20, 2, 3), np.nan)}
    page = _drawn(by_hand({"a": {}, "b": {}}, {"a": volts, "b": volts}, graph=graph), Trace("n2", 0, 0))
    assert [text for _, text in _numbers(page)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert page.all("path", "voltage") == []
    assert page.words[0] == "a and b, to the last bit"


def test_a_run_that_leaves_the_finite_is_named_and_its_line_ends_there() -> None:
    spikes = _lively(n2=[])
    volts = {"n2": np.tile(np.linspace(0, 1, 20)[:, None, None], (1, 2, 4))}
    gone = {"n2": volts["n2"].copy()}
    gone["n2"][8:, 1, 2] = np.inf
    page = _drawn(by_hand({"a": spikes, "b": spikes}, {"a": volts, "b": gone}), Trace("n2", 2, 1))
    assert "b: not finite" in page.words
    (line,) = page.paths("distance run-1", "b")
    assert [x for x, _ in points(line)] == list(range(8))
    assert [x for x, _ in points(page.paths("voltage run-1", "b")[0])] == [7]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-0.08, 1.08, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.92, 2.08, [1.95, 2.0, 2.05]),
        (-13.0, 250.0, [0, 50, 100, 150, 200, 250]),
        (-3.0, -0.5, [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_the_drawing_has_the_words_for_those_who_cannot_see_it() -> None:
    (chart,) = _drawn(comparison(), Trace("n2", 3, 1)).all("svg", "chart")
    assert (chart["role"], chart["aria-label"]) == ("img", "alt")


def test_the_row_of_spikes_is_named_where_ticks_are() -> None:
    page = _drawn(comparison(), Trace("n4", 1, 0))
    assert "spikes" in page.text
    assert "tick row" not in page.text
