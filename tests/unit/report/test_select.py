"""What is shown of recordings that are too large: by hand, at both sides of every bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.report.select import (
    Window,
    differing,
    flat,
    neurons,
    samples,
    spiking_inputs,
    spiking_nodes,
    spread,
    window,
)
from tests import graphs
from tests.unit.report.made import by_hand


def _quiet(nodes: int = 1, steps: int = 4, batch: int = 2, *shape: int) -> dict[str, Any]:
    return {f"p{k}": np.zeros((steps, batch, *(shape or (3,))), dtype=bool) for k in range(nodes)}


def _with(nodes: dict[str, Any], *places: tuple[Any, ...]) -> dict[str, Any]:
    """A copy in which these spikes are turned over: node, then the index."""
    copies = {name: array.copy() for name, array in nodes.items()}
    for name, *index in places:
        copies[name][tuple(index)] ^= True
    return copies


def test_any_backend_that_differs_from_the_reference_is_marked() -> None:
    none = _quiet(1, 4, 2, 2, 3)
    found = differing(
        by_hand({"a": none, "b": _with(none, ("p0", 1, 0, 1, 2)), "c": _with(none, ("p0", 3, 1, 0, 0))}), "p0"
    )
    assert found.shape == (4, 2, 6)
    assert np.argwhere(found).tolist() == [[1, 0, 5], [3, 1, 0]]


def test_two_backends_that_differ_alike_differ_all_the_same() -> None:
    none = _quiet()
    same = _with(none, ("p0", 1, 0, 2))
    assert differing(by_hand({"a": none, "b": same, "c": same}), "p0").sum() == 1


def test_flat_keeps_time_and_batch() -> None:
    array = np.arange(48).reshape(2, 4, 2, 3)
    assert flat(array).shape == (2, 4, 6)
    assert flat(array)[1, 2, 5] == array[1, 2, 1, 2]


def test_up_to_5_nodes_are_all_shown() -> None:
    assert spiking_nodes(by_hand({"a": _quiet(5), "b": _quiet(5)})) == ["p0", "p1", "p2", "p3", "p4"]


@pytest.mark.parametrize(
    ("differ", "shown"),
    [
        ((), ["p0", "p4", "p5", "p6", "p7"]),  # the last four and the first
        (("p2",), ["p0", "p2", "p5", "p6", "p7"]),
        (("p0", "p1", "p2", "p3", "p4"), ["p0", "p1", "p2", "p3", "p4"]),  # of many the last four
        (("p1", "p2", "p3", "p4", "p5"), ["p0", "p2", "p3", "p4", "p5"]),
    ],
)
def test_of_more_nodes_those_that_differ_then_the_last_and_the_first(differ: tuple[str, ...], shown: list[str]) -> None:
    none = _quiet(8)
    assert spiking_nodes(by_hand({"a": none, "b": _with(none, *[(name, 0, 0, 0) for name in differ])})) == shown


def test_inputs_of_spikes_are_those_of_0_and_1() -> None:
    draw = graphs.Draw(1)
    nodes = {f"i{k}": graphs.inp(2) for k in range(5)} | {"w": draw.linear(3, 2), "n": draw.lif(3), "o": graphs.out(3)}
    graph = graphs.graph(nodes, *[f"i{k} > w" for k in range(5)], "w > n > o")
    spikes = np.array([[[0.0, 1.0]]])
    inputs = {"i0": 0 * spikes, "i1": spikes, "i2": 0.5 * spikes, "i3": spikes}
    none = _quiet()
    assert spiking_inputs(by_hand({"a": none}, inputs=inputs, graph=graph)) == ["i1", "i3"]
    assert spiking_inputs(by_hand({"a": none}, inputs={**inputs, "i0": spikes}, graph=graph)) == ["i0", "i1"]


def test_samples_are_ordered_by_how_much_they_differ() -> None:
    none = _quiet(2, 4, 5)
    places = [("p0", 0, 2, 0), ("p1", 0, 4, 0), ("p0", 1, 4, 0)]
    assert samples(by_hand({"a": none, "b": _with(none, *places)})) == [4, 2, 0]
    assert samples(by_hand({"a": none, "b": none})) == [0, 1, 2]


@pytest.mark.parametrize(
    ("steps", "at", "start", "stop"),
    [
        (120, 119, 0, 120),
        (121, None, 0, 120),
        (121, 120, 1, 121),
        (500, None, 0, 120),
        (500, 39, 0, 120),
        (500, 41, 1, 121),  # a third of 120 steps lies before it
        (500, 300, 260, 380),
        (500, 499, 380, 500),
    ],
)
def test_the_window_lies_round_the_first_difference(steps: int, at: int | None, start: int, stop: int) -> None:
    none = _quiet(2, steps)
    places = [] if at is None else [("p1", at, 1, 0), ("p1", steps - 1, 1, 1), ("p0", steps - 1, 1, 1), ("p0", 0, 0, 0)]
    places = [place for place in places if place[1:] != (at, 1, 1)]
    assert window(by_hand({"a": none, "b": _with(none, *places)}), 1) == Window(start, stop)


def test_a_windows_steps_leave_its_stop_out() -> None:
    assert Window(3, 6).steps.tolist() == [3, 4, 5]


def test_few_neurons_are_shown_whole_and_of_more_the_active() -> None:
    assert neurons(np.zeros(12)).tolist() == list(range(12))
    assert neurons(np.zeros(13)).tolist() == [0]
    active = np.zeros(20)
    active[[4, 7, 19]] = 5, 1, 9
    assert neurons(active).tolist() == [4, 7, 19]
    assert neurons(active, most=2).tolist() == [4, 19]
    assert neurons(np.ones(40), most=3).tolist() == [0, 1, 2]  # of equals the first
    wanted = np.zeros(20, dtype=bool)
    wanted[[0, 7]] = True
    assert neurons(active, wanted).tolist() == [0, 4, 7, 19]
    assert neurons(active, wanted, 2).tolist() == [0, 7]
    assert neurons(active, wanted, 3).tolist() == [0, 7, 19]
    assert neurons(np.ones(100)).size == 36


def test_channels_are_spread_over_those_that_spike() -> None:
    assert spread(np.zeros(12)).tolist() == list(range(12))
    assert spread(np.zeros(13)).tolist() == [0]
    active = np.zeros(20)
    active[[4, 7, 19]] = 5, 1, 9
    assert spread(active).tolist() == [4, 7, 19]
    assert spread(active, 3).tolist() == [4, 7, 19]
    assert spread(active, 2).tolist() == [4, 19]
    assert spread(np.ones(101), 5).tolist() == [0, 25, 50, 75, 100]
    assert spread(np.ones(100)).size == 36
