"""Shapes that hasn.repair mends: broadcast parameters, recorded shapes, nested graphs; and where it stops."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.nodes.kind import broadcast
from tests.graphs import DT, Draw, chain, graph, inp, out
from tests.unit.ir.test_repair import changes, errors

D = Draw(7)


def counting(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)


@pytest.mark.parametrize(
    ("given", "wanted", "result"),
    [
        ((), (2, 3), [[1, 1, 1], [1, 1, 1]]),
        ((1,), (3,), [1, 1, 1]),
        ((1, 1, 1), (3,), [1, 1, 1]),
        ((1, 1), (2, 1, 2), [[[1, 1]], [[1, 1]]]),
        ((3, 1), (3,), [1, 2, 3]),
        ((3,), (1, 3, 1), [[[1], [2], [3]]]),
        ((2, 1, 2), (2, 2), [[1, 2], [3, 4]]),
        ((2, 1, 1), (2, 1, 2), [[[1, 1]], [[2, 2]]]),
        ((1, 2), (3, 2), [[1, 2], [1, 2], [1, 2]]),
        ((2,), (3, 2), None),  # numpy would; a value for each of two channels is as likely meant
        ((3,), (3, 2), None),
        ((6,), (2, 3), None),
        ((2, 3), (3, 2), None),
        ((2, 2), (4,), None),
        ((2,), (3,), None),
        ((2, 3), (2, 4), None),
        ((), (10**4, 10**4 + 1), None),  # such a shape is damaged
    ],
)
def test_one_way_to_mean_a_value_for_each_element(given: Any, wanted: Any, result: Any) -> None:
    found = broadcast(counting(*given), wanted)
    assert (None if found is None else found.tolist()) == result


VALUES = {"tau": 8e-3, "r": 6.0, "v_leak": 0.1, "v_threshold": 1.1, "v_reset": 0.0}


def lif_of(*shape: int) -> nir.LIF:
    """LIF neurons whose parameters have this shape."""
    return nir.LIF(**{k: np.full(shape, v) for k, v in VALUES.items()})


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_every_parameter_is_brought_to_the_shape_that_arrives(shape: tuple[int, ...]) -> None:
    mended, said = changes(chain(D.linear(4, 3), lif_of(*shape), given=(3,), result=(4,)))
    brought = [text for text in said if "brought" in text]
    assert sorted(brought) == sorted(f"node 'n2' {k}: brought to shape (4,); got {shape}" for k in VALUES)
    for name, value in VALUES.items():
        np.testing.assert_array_equal(getattr(mended.nodes["n2"], name), np.full(4, value))
    assert errors(mended) == []


def test_nodes_one_behind_the_other_are_all_mended() -> None:
    nodes = [
        D.linear(4, 3),
        lif_of(),
        nir.Scale(np.array(2.0)),
        nir.Delay(np.array(DT)),
        nir.Threshold(np.array(0.5)),
    ]
    g = chain(*nodes, nir.LI(*(np.array(1.0) for _ in range(3))), given=(3,), result=(4,))
    mended, _ = changes(g)
    assert errors(mended) == []
    assert [np.shape(mended.nodes[f"n{i}"].output_type["output"]) for i in range(2, 7)] == [(1,)] * 5
    assert mended.nodes["n3"].scale.tolist() == [2.0] * 4
    assert mended.nodes["n4"].delay.tolist() == [DT] * 4


def test_values_without_meaning_stay_and_are_named_while_shapes_are_mended() -> None:
    g = chain(D.linear(4, 3), lif_of(), given=(3,), result=(4,))
    g.nodes["n2"].tau = np.array(-1.0)
    mended, _ = changes(g)
    assert mended.nodes["n2"].tau.tolist() == [-1.0] * 4
    assert np.shape(mended.nodes["n2"].r) == (4,)
    assert any("n2" in text and "tau" in text for text in errors(mended))


def test_an_output_takes_the_shape_that_arrives_if_it_holds_as_many() -> None:
    mended, said = changes(chain(D.lif(2, 3), given=(2, 3), result=(6,)))
    assert "node 'output' shape: now (2, 3), as it arrives; got (6,)" in said
    for types in (mended.nodes["output"].input_type["input"], mended.nodes["output"].output_type["output"]):
        assert types.tolist() == [2, 3]
    assert errors(mended) == []
    other, said = changes(chain(D.lif(2, 3), given=(2, 3), result=(5,)))
    assert not any("as it arrives" in text for text in said)
    assert other.nodes["output"].output_type["output"].tolist() == [5]
    assert errors(other)


def test_a_flatten_takes_the_shape_that_arrives() -> None:
    g = chain(D.lif(2, 3), nir.Flatten({"input": np.array([3, 2])}, 0, -1), given=(2, 3), result=(6,))
    mended, said = changes(g)
    assert "node 'n2' input_type: now (2, 3), as it arrives; got (3, 2)" in said
    assert mended.nodes["n2"].input_type["input"].tolist() == [2, 3]
    assert errors(mended) == []


def test_a_convolution_takes_the_size_that_arrives() -> None:
    plane = chain(D.conv2d(3, 2, (2, 3), input_shape=(9, 9)), D.lif(3, 4, 5), given=(2, 5, 7), result=(3, 4, 5))
    line = chain(D.conv1d(3, 2, 3, input_shape=9), D.lif(3, 5), given=(2, 7), result=(3, 5))
    for g, size in ((plane, (5, 7)), (line, (7,))):
        mended, said = changes(g)
        assert any(f"node 'n1' input_shape: now {size}, as it arrives" in text for text in said)
        assert mended.nodes["n1"].input_shape == (size if len(size) > 1 else size[0])
        assert errors(mended) == []


@pytest.mark.parametrize(
    ("conv", "given"),
    [
        (D.conv2d(3, 2, (2, 3), input_shape=(5, 7)), (4, 5, 7)),  # channels
        (D.conv2d(3, 2, (2, 3), input_shape=(9, 9)), (2, 7)),
        (D.conv2d(3, 2, (2, 3), input_shape=(9, 9)), (1, 2, 5, 7)),
    ],
)
def test_a_convolution_of_other_channels_or_rank_is_left_alone(conv: nir.NIRNode, given: tuple[int, ...]) -> None:
    before = conv.input_shape
    mended, said = changes(chain(conv, D.lif(3, 4, 5), given=given, result=(3, 4, 5)))
    assert not any("input_shape" in text for text in said)
    assert mended.nodes["n1"].input_shape == before
    assert errors(mended)


def test_nested_graphs_are_mended_and_named_by_their_path() -> None:
    lif = D.lif(3, metadata={"reset": b"subtract"})
    inner = graph({"in": inp(3), "lif": lif, "out": out(3)}, "in > lif > out")
    inner.edges += [("in", "lif"), ("in", "lif")]
    deep = graph({"in": inp(3), "inner": inner, "out": out(3)}, "in > inner > out")
    g = graph({"input": inp(3), "g": deep, "output": out(3)}, "input > g > output")
    mended, said = changes(g)
    assert said == [
        "node 'g.inner.lif': the edge from 'g.inner.in' was listed 3 times, now once",
        f"node 'g.inner.lif' metadata['reset']: bytes are now a string; got {b'subtract'!r}",
    ]
    found = mended.nodes["g"].nodes["inner"]
    assert found.edges == [("in", "lif"), ("lif", "out")]
    assert found.nodes["lif"].metadata["reset"] == "subtract"
    assert lif.metadata["reset"] == b"subtract"
    assert len(inner.edges) == 4
    assert hasn.lower(mended, dt=DT).by_name["g.inner.lif"].reset == "subtract"  # type: ignore[union-attr]


def test_edges_keep_their_order() -> None:
    g = graph({"input": inp(3), "z": D.lif(3), "a": D.lif(3), "output": out(3)}, "input > z > a > output")
    g.edges.append(("z", "a"))
    assert changes(g)[0].edges == [("input", "z"), ("z", "a"), ("a", "output")]
