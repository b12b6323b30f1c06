"""The numbers round a first divergence, by hand."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from hasn.agreement import Comparison
from hasn.agreement.comparison import Verdict
from hasn.report.divergences import _numbers, divergence_section
from hasn.report.select import Window
from hasn.report.traces import Trace
from tests import graphs
from tests.unit.report.made import by_hand, parting


def _parted(step: int = 9, *, steps: int = 30, volts: tuple[str, ...] = ("brian2", "snntorch", "lava")) -> Comparison:
    """Sample 1, neuron 3 of n2: brian2 spikes at ``step``, lava a step later; voltages tell label, step and neuron."""
    spikes = {label: np.zeros((steps, 2, 5), dtype=bool) for label in ("brian2", "snntorch", "lava")}
    spikes["brian2"][step, 1, 3] = spikes["snntorch"][step, 1, 3] = True
    if step + 1 < steps:
        spikes["lava"][step + 1, 1, 3] = True
    grid = np.arange(steps)[:, None, None] + np.array([100.0, 200.0])[:, None] + np.arange(5) / 16
    voltages = {"brian2": grid, "snntorch": grid, "lava": grid + 0.5}
    return by_hand(
        {label: {"n2": array} for label, array in spikes.items()},
        {label: {"n2": voltages[label]} for label in volts},
        lava=Verdict(2, 0, 0, 0.0, 0.5, parting(step=step)),
    )


def _rows(found: Comparison) -> list[list[str]]:
    first = found.first_divergence("lava")
    assert first is not None
    table = _numbers(found, first)
    rows = re.findall(r"<tr>(.*?)</tr>", table, flags=re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]


def test_three_steps_before_and_after_with_both_sides_spikes_voltages_and_their_difference() -> None:
    head, *rows = _rows(_parted())
    assert head == ["step", "brian2 spikes", "lava spikes", "brian2 (V)", "lava (V)", "difference (V)"]
    assert [row[0] for row in rows] == ["6", "7", "8", "9 ◂", "10", "11", "12"]
    assert [(row[1], row[2]) for row in rows] == [("", "")] * 3 + [("●", ""), ("", "●")] + [("", "")] * 2
    assert rows[3][3:] == ["209.1875", "209.6875", "5.00e-01"]
    assert rows[0][3] == "206.1875"


def test_at_the_ends_of_the_run_there_are_fewer() -> None:
    assert [row[0] for row in _rows(_parted(1))[1:]] == ["0", "1 ◂", "2", "3", "4"]
    assert [row[0] for row in _rows(_parted(29))[1:]] == ["26", "27", "28", "29 ◂"]


def test_without_recorded_voltages_there_are_spikes_alone_and_no_figure() -> None:
    found = _parted(volts=())
    assert _rows(found)[0] == ["step", "brian2 spikes", "lava spikes"]
    assert len(_rows(found)[1]) == 3
    section = divergence_section(found)
    assert section is not None
    assert "<svg" not in section.html


def test_voltages_of_both_sides_are_enough_for_the_numbers_and_those_of_all_for_the_figure() -> None:
    section = divergence_section(_parted(volts=("brian2", "lava")))
    assert section is not None
    assert "<svg" not in section.html
    assert _rows(_parted(volts=("brian2", "lava")))[1][3] == "206.1875"
    assert _rows(_parted(volts=("brian2", "snntorch")))[0][-1] == "lava spikes"
    whole = divergence_section(_parted())
    assert whole is not None
    assert "aria-label=\"Membrane potential of node 'n2', neuron 3, sample 1, step 9, and 20 steps round it." in (
        whole.html.replace("&#x27;", "'")
    )


def test_the_figure_has_20_steps_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def draw(_: Comparison, trace: Trace, alt: str, shown: Window) -> str:
        asked.append((trace, shown))
        return alt

    monkeypatch.setattr("hasn.report.divergences.trace_html", draw)
    for step, steps in ((30, 60), (9, 60), (55, 60), (39, 60), (40, 60)):
        divergence_section(_parted(step, steps=steps))
    windows = [Window(10, 51), Window(0, 30), Window(35, 60), Window(19, 60), Window(20, 60)]
    assert asked == [(Trace("n2", 3, 1), shown) for shown in windows]


def test_a_part_for_each_backend_that_parts_with_its_place_and_line() -> None:
    found = _parted()
    other = parting(backend="snntorch", step=12, index=(4,), spiked={}, voltages={}, tie=True)
    verdicts = {**found.verdicts, "snntorch": Verdict(0, 1, 0, 1.0, 0.0, other)}
    section = divergence_section(dataclasses.replace(found, verdicts=verdicts))
    assert section is not None
    heads = re.findall("<h3>(.*?)</h3>", section.html.replace("&#x27;", "'"))
    assert heads == [
        "snntorch: node 'n2', neuron 4, sample 1, step 12",
        "lava: node 'n2', neuron 3, sample 1, step 9",
    ]
    assert "first differs (a tie) at node" in section.html
    assert divergence_section(by_hand({"a": {}, "b": {}})) is None


def test_the_reference_has_no_part_of_its_own() -> None:
    found = _parted()
    verdicts: dict[str, Any] = {**found.verdicts, "brian2": found.verdicts["lava"], "lava": found.verdicts["snntorch"]}
    assert divergence_section(dataclasses.replace(found, verdicts=verdicts)) is None


def test_a_neuron_of_several_dimensions_is_found_in_its_node() -> None:
    """Index (1, 0, 2) of a node of 2 x 3 x 3 is its flat neuron 9 + 2."""
    draw = graphs.Draw(1)
    graph = graphs.chain(draw.conv2d(2, 1, (3, 3)), draw.lif(2, 3, 3), given=(1, 5, 5), result=(2, 3, 3))
    spikes = np.zeros((4, 2, 2, 3, 3), dtype=bool)
    differs = spikes.copy()
    differs[2, 1, 1, 0, 2] = True
    first = parting(index=(1, 0, 2), step=2, voltages={})
    found = by_hand(
        {"brian2": {"n2": spikes}, "lava": {"n2": differs}}, graph=graph, lava=Verdict(1, 0, 0, 0.0, 0.0, first)
    )
    assert [row[1:] for row in _rows(found)[1:]] == [["", ""], ["", ""], ["", "●"], ["", ""]]


def test_the_chips_integers_are_not_called_volts() -> None:
    found = _parted()
    integers = {label: dataclasses.replace(r, precision="loihi") for label, r in found.recordings.items()}
    section = divergence_section(dataclasses.replace(found, recordings=integers))
    assert section is not None
    for words in ("then at 0.25 units", "threshold 0.5 units.", "lava (units)", "difference (units)"):
        assert words in section.html
    assert " V" not in section.html
    assert "(V)" not in section.html
