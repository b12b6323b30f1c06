"""Shapes: what each node gives is what torch gives; a graph's shapes are known wherever one Input is."""

from __future__ import annotations

import itertools
from typing import Any

import nir
import numpy as np
import pytest

from hasn.errors import ShapeError
from hasn.ir.shapes import infer_shapes
from hasn.ir.structure import flatten
from hasn.ir.typed import copy_graph, with_types
from hasn.nodes.kind import shape_of
from hasn.nodes.lookup import kind_of
from hasn.testing.cases import CASES
from tests.graphs import DT, Draw, chain, graph, inp, out

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
    assert kind_of(node).output_shape(node, (2, 9, 11)) == tuple(module(torch.zeros(1, 2, 9, 11)).shape[1:])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [*itertools.product([1, 4], [1, 3], [0, 2], [1, 2])]
)
def test_conv1d_as_torch(kernel: int, stride: int, padding: int, dilation: int) -> None:
    module = torch.nn.Conv1d(3, 5, kernel, stride, padding, dilation)
    node = D.conv1d(5, 3, kernel, stride=stride, padding=padding, dilation=dilation)
    assert kind_of(node).output_shape(node, (3, 10)) == tuple(module(torch.zeros(1, 3, 10)).shape[1:])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [*itertools.product([(2, 2), (3, 4)], [(1, 2), (3, 3)], [(0, 0), (1, 1)])]
)
def test_pooling_as_torch(kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> None:
    module = torch.nn.AvgPool2d(kernel, stride, padding)
    node = nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))
    assert kind_of(node).output_shape(node, (2, 8, 9)) == tuple(module(torch.zeros(1, 2, 8, 9)).shape[1:])


@pytest.mark.parametrize(
    ("start", "end", "result"), [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (-2, -1, (2, 12)), (1, 1, (2, 3, 4))]
)
def test_flatten_counts_without_the_batch(start: int, end: int, result: tuple[int, ...]) -> None:
    node = nir.Flatten({"input": np.array([2, 3, 4])}, start, end)
    assert kind_of(node).output_shape(node, (2, 3, 4)) == result


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


def test_types_of_every_node_and_of_nested_graphs() -> None:
    inner = chain(D.conv1d(4, 2, 3), nir.Flatten({"input": None}, 0, -1), given=(2, 6), result=(16,))
    net = chain(inner, D.affine(5, 16), given=(2, 6), result=(5,))
    net.nodes["output"].output_type["output"] = None
    typed = with_types(net)
    conv, flat = (typed.nodes["n1"].nodes[name] for name in ("n1", "n2"))
    assert (conv.input_shape, type(conv.input_shape)) == (6, int)
    wanted = {"input": ([2, 6], [2, 6]), "n2": ([16], [5]), "output": ([5], [5])}
    for name, types in wanted.items():
        node = typed.nodes[name]
        assert (node.input_type["input"].tolist(), node.output_type["output"].tolist()) == types
    assert (flat.input_type["input"].tolist(), flat.output_type["output"].tolist()) == ([4, 4], [16])
    assert typed.nodes["n1"].input_type["input"].tolist() == [2, 6]
    assert typed.nodes["n1"].output_type["output"].tolist() == [16]
    assert (typed.input_type["input"].tolist(), typed.output_type["output"].tolist()) == ([2, 6], [5])
    assert net.nodes["output"].output_type["output"] is None  # the caller's graph is not changed
    assert net.nodes["n1"].nodes["n1"].input_shape is None


def test_a_graph_with_errors_keeps_the_types_it_had() -> None:
    for broken in ({"edges": [("input", "nowhere")]}, {}):
        net = chain(D.conv1d(4, 2, 3), D.lif(4, 4), given=(2, 6), result=(4, 4))
        net.nodes["n2"].tau = net.nodes["n2"].tau * (1 if broken else -1)
        for key, value in broken.items():
            setattr(net, key, value)
        typed = with_types(net)
        assert typed.nodes["n1"].input_shape is None
        assert typed.edges == net.edges


def test_a_copy_shares_nothing_that_can_be_written_to() -> None:
    inner = chain(D.lif(3, metadata={"reset": "zero"}), given=(3,), result=(3,))
    inner.metadata["a"] = 1
    net = chain(inner, D.lif(3), given=(3,), result=(3,))
    net.edges = [(np.str_(a), np.str_(b)) for a, b in net.edges]
    net.nodes["n2"].metadata = None
    copied = copy_graph(net)
    assert copied.edges == net.edges
    assert all(type(end) is str for edge in copied.edges for end in edge)
    lif = copied.nodes["n1"].nodes["n1"]
    assert not np.shares_memory(lif.tau, inner.nodes["n1"].tau)
    np.testing.assert_array_equal(lif.tau, inner.nodes["n1"].tau)
    assert copied.nodes["n2"].metadata == {}
    lif.metadata["reset"], copied.nodes["n1"].metadata["a"], copied.metadata["dt"] = "subtract", 2, DT
    lif.tau = np.ones(3)
    copied.edges.clear()
    copied.nodes["n1"].nodes.clear()
    assert (inner.nodes["n1"].metadata, inner.metadata, net.metadata) == ({"reset": "zero"}, {"a": 1}, {})
    assert len(net.edges) == 3
    assert inner.nodes["n1"].tau.max() < 1
    net.metadata = "none"
    assert copy_graph(net).metadata == {}


def inferred(net: nir.NIRGraph) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Shapes that are known, and (node, what is wrong) of the others."""
    known, findings = infer_shapes(flatten(net))
    return known, [(finding.node, finding.message) for finding in findings]


def test_a_matrix_acts_on_the_last_dimension() -> None:
    """Of a weight (k, outputs, inputs): k matrices, each for its own row."""
    net = chain(nir.Linear(D.weight(2, 3, 4)), given=(2, 4), result=(2, 3))
    assert inferred(net) == ({"input": ((2, 4),) * 2, "n1": ((2, 4), (2, 3)), "output": ((2, 3),) * 2}, [])


@pytest.mark.parametrize("kind", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
def test_neurons_say_their_shape_themselves(kind: str) -> None:
    net = graph({"n": D.neuron(kind, (2, 3)), "o": out(2, 3)}, "n > o")
    assert inferred(net) == ({"n": ((2, 3),) * 2, "o": ((2, 3),) * 2}, [])


def test_a_shape_wherever_one_node_says_it() -> None:
    """Against the order of the names, through a pool that says nothing, from a neuron and from an input_shape."""
    pool = nir.SumPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0]))
    net = graph({"a": pool, "b": D.conv2d(2, 4, (1, 2), groups=2, input_shape=(6, 4)), "o": out(2, 3, 3)}, "b > a > o")
    assert inferred(net)[0] == {"a": ((2, 6, 3), (2, 3, 3)), "b": ((4, 6, 4), (2, 6, 3)), "o": ((2, 3, 3),) * 2}
    recorded = D.conv1d(4, 2, 3)
    recorded.input_shape = np.array([2, 6])  # with its channels, as some write it
    assert inferred(chain(recorded, given=(2, 6), result=(4, 4)))[0]["n1"] == ((2, 6), (4, 4))


def test_what_follows_from_an_error_is_not_said_again() -> None:
    pool = nir.SumPool2d(np.array([9, 1]), np.array([1, 1]), np.array([0, 0]))
    other = nir.AvgPool2d(np.array([1, 1]), np.array([1, 1]), np.array([0, 0]))
    net = graph({"i": inp(2, 4, 4), "p": pool, "q": other, "o": out(2, 1, 1), "z": other}, "i > p > q > o")
    known, wrong = inferred(net)
    assert set(known) == {"i", "o"}
    assert wrong == [("p", "the kernel is larger than the padded input"), ("z", "its input shape is nowhere given")]
    (_, finding) = infer_shapes(flatten(net))[1]
    assert (finding.severity, finding.error) == ("error", ShapeError)
    assert finding.repair.startswith("Give the graph an Input with a shape")


def test_every_edge_that_does_not_meet_is_said() -> None:
    net = graph({"i": inp(3), "n": D.lif(3), "m": D.lif(1), "k": D.lif(3, 1), "o": out(4)},
                "i > n > o", "i > m", "i > k", "n > n")  # fmt: skip
    found = {finding.node: finding for finding in infer_shapes(flatten(net))[1]}
    assert set(found) == {"o", "m", "k"}
    assert (found["o"].got, found["o"].wanted) == ((3,), "(4,), which Output takes")
    assert "edge from 'n'" in found["o"].message
    assert found["o"].repair == "Give both ends one shape."
    assert found["m"].repair == "Broadcast its parameters to shape (3,) (hasn.repair does it), or reduce the input."
    assert found["k"].repair == "Put a nir.Flatten between them, or give its parameters the shape (3,)."
    assert all(finding.error is ShapeError for finding in found.values())


def test_a_shape_has_2_to_the_62_elements_at_most() -> None:
    def wrong(*shape: int) -> list[tuple[str, str]]:
        return inferred(graph({"i": inp(*shape), "o": out(*shape)}, "i > o"))[1]

    assert wrong(2**61, 2) == []
    assert wrong(2**61, 2, 2) == wrong(2**62 + 1)
    assert wrong(2**62 + 1) == [(name, "has more elements than can be counted") for name in ("i", "o")]
    padded = nir.AvgPool2d(np.array([1, 1]), np.array([1, 1]), np.array([2**31, 2**31]))
    net = graph({"i": inp(1, 4, 4), "p": padded, "o": out(1, 4, 4)}, "i > p > o")
    assert inferred(net)[1] == [("p", "has more elements than can be counted")]  # what it gives counts as well


@pytest.mark.parametrize(
    ("start", "end"), [(0, 3), (3, 3), (2, 1), (-4, -1), (0, -4), (1, 0), (3, -1)]
)  # fmt: skip
def test_a_flatten_without_such_dimensions(start: int, end: int) -> None:
    node = nir.Flatten({"input": None}, start, end)
    with pytest.raises(ShapeError, match=rf"start_dim: .*start_dim={start}, end_dim={end} for shape \(2, 3, 4\)"):
        kind_of(node).output_shape(node, (2, 3, 4))


@pytest.mark.parametrize(
    ("node", "given", "parameter", "got"),
    [
        (D.conv2d(2, 4, (3, 2), groups=2), (2, 5, 5), "weight", (2, 5, 5)),
        (D.conv2d(2, 4, (3, 2)), (4, 5), "weight", (4, 5)),
        (D.conv2d(2, 4, (3, 2)), (1, 4, 5, 5), "weight", (1, 4, 5, 5)),
        (D.conv1d(2, 4, 3), (5, 9), "weight", (5, 9)),
        (D.conv2d(2, 4, (3, 2), dilation=(1, 5)), (4, 5, 5), "weight", (3, 2)),
        (nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])), (2, 4), None, (2, 4)),
        (nir.SumPool2d(np.array([5, 2]), np.array([1, 1]), np.array([0, 9])), (2, 4, 4), "kernel_size", (5, 2)),
    ],
)
def test_an_input_that_a_window_cannot_take(node: Any, given: Any, parameter: str | None, got: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        kind_of(node).output_shape(node, given)
    assert (caught.value.parameter, caught.value.got) == (parameter, got)
    assert caught.value.wanted


def test_a_shape_in_every_form() -> None:
    for value in ([2, 3], (2, 3), np.array([2.0, 3.0])):
        found = shape_of(value)
        assert found == (2, 3)
        assert all(type(n) is int for n in found)
    assert (shape_of(4), shape_of(None)) == ((4,), None)
