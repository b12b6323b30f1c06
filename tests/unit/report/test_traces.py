"""What is drawn of the voltages, read back from the figure's artists."""

from __future__ import annotations

from typing import Any

import numpy as np

from hasn.report.traces import Trace, pick, trace_figure
from tests import graphs
from tests.unit.report.made import FLIPS, LABELS, comparison


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
