"""Shapes: what each node gives is what torch gives; a graph's shapes are known wherever one Input is."""

from __future__ import annotations

import itertools
from typing import Any

import nir
import numpy as np
import pytest

from hasn.ir.shapes import infer_shapes, output_shape
from hasn.ir.structure import flatten
from hasn.ir.typed import with_types
from hasn.testing.cases import CASES
from tests.graphs import Draw, chain

torch = pytest.importorskip("torch", reason="torch says what a convolution's shape is: pip install 'hasn[snntorch]'")
D = Draw(1)

CONV2D = [
    (kernel, stride, padding, dilation)
    for kernel, stride, padding, dilation in itertools.product(
        [(1, 1), (3, 2), (2, 5)], [1, (2, 3)], [0, (1, 2), "same", "valid"], [1, (2, 1)]
    )
    if padding != "same" or stride == 1  # 'same' has no meaning with a stride, in torch neither
]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    CONV2D,
)
def test_conv2d_as_torch(kernel: tuple[int, int], stride: Any, padding: Any, dilation: Any) -> None:
    module = torch.nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups=2)
    node = D.conv2d(4, 2, kernel, stride=stride, padding=padding, dilation=dilation, groups=2)
    assert output_shape(node, (2, 9, 11)) == tuple(module(torch.zeros(1, 2, 9, 11)).shape[1:])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [*itertools.product([1, 4], [1, 3], [0, 2], [1, 2])]
)
def test_conv1d_as_torch(kernel: int, stride: int, padding: int, dilation: int) -> None:
    module = torch.nn.Conv1d(3, 5, kernel, stride, padding, dilation)
    node = D.conv1d(5, 3, kernel, stride=stride, padding=padding, dilation=dilation)
    assert output_shape(node, (3, 10)) == tuple(module(torch.zeros(1, 3, 10)).shape[1:])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [*itertools.product([(2, 2), (3, 4)], [(1, 2), (3, 3)], [(0, 0), (1, 1)])]
)
def test_pooling_as_torch(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> None:
    module = torch.nn.AvgPool2d(kernel, stride, padding)
    node = nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))
    assert output_shape(node, (2, 8, 9)) == tuple(module(torch.zeros(1, 2, 8, 9)).shape[1:])


@pytest.mark.parametrize(
    ("start", "end", "result"), [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (-2, -1, (2, 12)), (1, 1, (2, 3, 4))]
)
def test_flatten_counts_without_the_batch(start: int, end: int, result: tuple[int, ...]) -> None:
    node = nir.Flatten({"input": np.array([2, 3, 4])}, start, end)
    assert output_shape(node, (2, 3, 4)) == result


def test_shapes_pass_through_a_loop_and_nested_graphs() -> None:
    for name in ("nested_recurrence", "spiking_conv_net", "long_feedback_with_delay"):
        flat = flatten(CASES[name].graph())
        known, findings = infer_shapes(flat)
        assert set(known) == set(flat.nodes)
        assert findings == []


def test_types_are_filled_in_a_copy() -> None:
    net = chain(D.conv2d(3, 2, (3, 2)), D.conv1d(2, 3, 2), given=(2, 6, 7), result=(2, 1))
    typed = with_types(chain(D.conv2d(3, 2, (3, 2), stride=(2, 1)), given=(2, 6, 7), result=(3, 2, 6)))
    assert tuple(typed.nodes["n1"].output_type["output"]) == (3, 2, 6)
    assert tuple(typed.nodes["n1"].input_shape) == (6, 7)
    assert with_types(net).nodes["n2"].input_shape is None  # a graph with errors keeps what it had
    assert net.nodes["n1"].input_shape is None
