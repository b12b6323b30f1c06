"""Recorded shapes that other tools write wrongly: a batch of one, placeholders, a nested Input's; each mended alone."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from tests.graphs import DT, Draw, chain, spikes


def shape(node: Any) -> list[int]:
    return [int(n) for n in node.input_type["input"]]


def agrees(broken: nir.NIRGraph, whole: nir.NIRGraph, given: tuple[int, ...]) -> list[str]:
    """What was mended, once it is sure that the same spikes come out."""
    with pytest.raises(hasn.HasnError):
        hasn.compile(broken, dt=DT)
    made = hasn.repair(broken, dt=DT)
    x = spikes(given, 20, 2)
    wanted = hasn.compile(whole, dt=DT).run(x).output
    assert wanted.sum() > 5
    np.testing.assert_array_equal(hasn.compile(made.graph).run(x).output, wanted)
    return [f"{change.node} {change.parameter}" for change in made.changes]


@pytest.mark.parametrize("inner", [False, True])
def test_a_batch_of_one_in_an_input(inner: bool) -> None:
    def net(given: tuple[int, ...]) -> nir.NIRGraph:
        draw = Draw(1)
        body = draw.affine(4, 6), draw.lif(4)
        if inner:
            body = (chain(*body, given=(6,), result=(4,)),)  # type: ignore[assignment]
        return chain(*body, given=given, result=(4,))

    assert "input shape" in agrees(net((1, 6)), net((6,)), (6,))


def test_a_batch_of_one_before_a_convolution() -> None:
    def net(given: tuple[int, ...]) -> nir.NIRGraph:
        draw = Draw(1)
        return chain(draw.conv2d(3, 2, (2, 2)), draw.lif(3, 3, 3, v_threshold=0.2), given=given, result=(3, 3, 3))

    assert "input shape" in agrees(net((1, 2, 4, 4)), net((2, 4, 4)), (2, 4, 4))


def test_zeros_for_the_shape_of_a_flatten() -> None:
    def net(recorded: Any) -> nir.NIRGraph:
        flatten = nir.Flatten({"input": np.array([2, 3, 1])}, start_dim=0, end_dim=-1)
        flatten.input_type = {"input": recorded}
        return chain(flatten, Draw(1).lif(6, v_threshold=0.2), given=(2, 3, 1), result=(6,))

    assert "n1 input_type" in agrees(net(np.array([0, 0, 0, 0])), net(np.array([2, 3, 1])), (2, 3, 1))


def test_a_nested_input_of_another_shape() -> None:
    def net(recorded: tuple[int, ...]) -> nir.NIRGraph:
        draw = Draw(1)
        inner = chain(draw.affine(4, 6), draw.lif(4), given=recorded, result=(4,))
        return chain(inner, given=(6,), result=(4,))

    assert "n1.input shape" in agrees(net((4,)), net((6,)), (6,))


def test_a_parameter_without_meaning_stops_no_other_repair() -> None:
    draw = Draw(1)
    broken = chain(draw.affine(4, 6), draw.lif(4), given=(1, 6), result=(4,))
    broken.nodes["n2"].tau = -broken.nodes["n2"].tau
    made = hasn.repair(broken, dt=DT)
    assert shape(made.graph.nodes["input"]) == [6]
    assert [(f.node, f.parameter) for f in hasn.check(made.graph) if f.severity == "error"] == [("n2", "tau")]
    assert shape(broken.nodes["input"]) == [1, 6]


def test_a_true_axis_of_one_is_left_alone() -> None:
    net = chain(nir.Linear(np.ones((1, 4, 6))), given=(1, 6), result=(1, 4))
    assert shape(hasn.repair(net, dt=DT).graph.nodes["input"]) == [1, 6]
