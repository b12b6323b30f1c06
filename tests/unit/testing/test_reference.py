"""The reference itself: its nodes against torch's and worked-out numbers, its structure against drawn graphs."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import nir
import numpy as np
import pytest

from hasn.testing import graphs
from hasn.testing.layers import STATELESS, both
from hasn.testing.reference import DelayLine, Neurons, make_node, run, transition
from hasn.testing.structure import inline, input_shapes, own_shape, shape_after, structure, without_ports

RNG = np.random.default_rng(5)

# --- stateless nodes, by torch


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "padding": 2},
        {"groups": 2},
        {"padding": "same"},
        {"padding": "same", "dilation": 3},
        {"padding": "valid", "stride": 3},
    ],
)
@pytest.mark.parametrize("kernel", [(3,), (4,), (2, 3), (3, 1)])
def test_convolutions_are_torchs(kernel: tuple[int, ...], how: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    groups = how.get("groups", 1)
    weight, bias = RNG.standard_normal((4, 2 // groups, *kernel)), RNG.standard_normal(4)
    x = RNG.standard_normal((3, 2, *((9, 8)[: len(kernel)])))
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}
    kind, function = (
        (nir.Conv1d, torch.nn.functional.conv1d) if len(kernel) == 1 else (nir.Conv2d, torch.nn.functional.conv2d)
    )
    node: Any = kind(weight=weight, bias=bias, input_shape=None, **options)
    wanted = function(torch.tensor(x), torch.tensor(weight), torch.tensor(bias), **options).numpy()
    np.testing.assert_allclose(STATELESS[kind](node, x), wanted, rtol=1e-12, atol=1e-12)  # sums in another order
    assert shape_after(node, x.shape[1:]) == wanted.shape[1:]


def test_convolutions_of_two_numbers_take_them_in_order() -> None:
    torch = pytest.importorskip("torch")
    weight, bias, x = RNG.standard_normal((1, 1, 2, 3)), np.zeros(1), RNG.standard_normal((1, 1, 9, 8))
    options: dict[str, Any] = {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2), "groups": 1}
    node = nir.Conv2d(weight=weight, bias=bias, input_shape=None, **options)
    wanted = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(weight), **options).numpy()
    np.testing.assert_allclose(STATELESS[nir.Conv2d](node, x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 2), (1, 0))])
def test_pools_are_torchs(kernel: Any, stride: Any, padding: Any) -> None:
    """Padding counts in the mean."""
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((2, 3, 7, 6))
    mean = torch.nn.functional.avg_pool2d(torch.tensor(x), kernel, stride, padding).numpy()
    for kind, wanted in ((nir.AvgPool2d, mean), (nir.SumPool2d, mean * np.prod(kernel))):
        node: Any = kind(np.array(kernel), np.array(stride), np.array(padding))
        np.testing.assert_allclose(STATELESS[kind](node, x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("start", "end", "shape"),
    [(0, -1, (24,)), (1, -1, (2, 12)), (0, 1, (6, 4)), (0, 0, (2, 3, 4)), (-2, -1, (2, 12)), (1, 1, (2, 3, 4))],
)
def test_flatten_counts_without_the_batch(start: int, end: int, shape: tuple[int, ...]) -> None:
    x = np.arange(5 * 24.0).reshape(5, 2, 3, 4)
    node = nir.Flatten({"input": np.array((2, 3, 4))}, start, end)
    found = STATELESS[nir.Flatten](node, x)
    assert found.shape == (5, *shape)
    assert np.array_equal(found.reshape(5, -1), x.reshape(5, -1))


def test_matrices_take_the_last_dimension_and_have_blocks() -> None:
    weight, x = RNG.standard_normal((3, 2, 4)), RNG.standard_normal((5, 3, 4))
    bias = RNG.standard_normal((3, 2))
    wanted = np.stack([x[:, k] @ weight[k].T for k in range(3)], axis=1)
    np.testing.assert_allclose(STATELESS[nir.Linear](nir.Linear(weight), x), wanted, rtol=1e-12)
    np.testing.assert_allclose(STATELESS[nir.Affine](nir.Affine(weight, bias), x), wanted + bias, rtol=1e-12)
    assert both(3, 2) == both(np.array([3, 3]), 2) == [3, 3]


# --- nodes with a state, by hand


def _run(node: Any, xs: list[float], dt: float = 0.5, method: str = "euler", reset: str = "zero") -> Any:
    """(values sent, log) of one neuron or node of shape (1,)."""
    log: dict[str, list[Any]] = defaultdict(list)
    cell = Neurons(node, (1, 1), dt, method, reset) if hasattr(node, "r") else make_node(node, dt)
    return [float(cell(np.full((1, 1), x), log)[0, 0]) for x in xs], log


def _ones(**values: float) -> dict[str, Any]:
    return {name: np.array([value]) for name, value in values.items()}


def test_euler_by_hand() -> None:
    """dt = 0.5. IF: v += 0.5 * 4 x. LIF: v += 0.25 (1 - v + 2 x). CubaLI: the current first, then the voltage."""
    sent, log = _run(nir.IF(**_ones(r=4.0, v_threshold=3.0, v_reset=-1.0)), [1.0, 1.0, 0.0])
    assert sent == [0.0, 1.0, 0.0]
    assert [float(v[0, 0]) for v in log["voltage"]] == [2.0, -1.0, -1.0]
    assert [float(m[0, 0]) for m in log["margin"]] == [1.0, 1.0, 4.0]
    lif = nir.LIF(**_ones(tau=2.0, r=2.0, v_leak=1.0, v_threshold=1.0, v_reset=0.25))
    assert [float(v[0, 0]) for v in _run(lif, [1.0, 2.5], reset="subtract")[1]["voltage"]] == [0.75, 1.3125]
    # 0.75 + 0.25 * (1 - 0.75 + 5) = 2.0625, less (1 - 0.25)
    assert _run(lif, [1.5])[0] == [0.0]  # exactly the threshold: no spike
    cuba = nir.CubaLI(**_ones(tau_syn=1.0, tau_mem=2.0, r=2.0, v_leak=1.0, w_in=3.0))
    # c = 0.5 * 3 = 1.5, v = 0.25 * (1 + 3) = 1; c = 0.75, v = 1 + 0.25 * (1 - 1 + 1.5)
    assert _run(cuba, [1.0, 0.0])[0] == [1.0, 1.375]
    integrator = nir.I(**_ones(r=4.0))
    integrator.metadata["v_init"] = 0.5
    assert _run(integrator, [1.0, -2.0])[0] == [2.5, -1.5]


def test_a_nodes_own_reset_wins() -> None:
    node = nir.IF(**_ones(r=2.0, v_threshold=1.0, v_reset=0.0))
    assert float(_run(node, [1.5], reset="zero")[1]["voltage"][0][0, 0]) == 0.0
    node.metadata["reset"] = "subtract"
    assert float(_run(node, [1.5], reset="zero")[1]["voltage"][0][0, 0]) == 0.5


def test_exact_by_the_solutions() -> None:
    """LI relaxes to v_leak + R x; the Cuba voltage follows c(t) = x w + (c0 - x w) exp(-t/tau_syn)."""
    dt, e = 0.5, np.exp
    li = nir.LI(**_ones(tau=2.0, r=3.0, v_leak=1.0))
    one = 4.0 * (1 - e(-0.25))
    sent = _run(li, [1.0, 0.0], method="exact")[0]
    assert sent == pytest.approx([one, 1.0 + (one - 1.0) * e(-0.25)])
    assert _run(nir.I(**_ones(r=3.0)), [1.0, 2.0], method="exact")[0] == pytest.approx([1.5, 4.5])
    ts, tm, r, leak, w = 1.0, 2.0, 3.0, 0.25, 0.7
    cuba = nir.CubaLI(**_ones(tau_syn=ts, tau_mem=tm, r=r, v_leak=leak, w_in=w))

    def after(v: float, c: float, x: float) -> tuple[float, float]:
        """v' = (leak - v + r c)/tm with c as above, by variation of constants."""
        late = r * (c - w * x) * ts / (ts - tm) * (e(-dt / ts) - e(-dt / tm))
        return leak + r * w * x + (v - leak - r * w * x) * e(-dt / tm) + late, w * x + (c - w * x) * e(-dt / ts)

    first = after(0.0, 0.0, 1.0)
    assert _run(cuba, [1.0, -0.5], method="exact")[0] == pytest.approx([first[0], after(*first, -0.5)[0]])
    assert transition(li, dt).shape == (1, 4, 4)


def test_delays_are_rounded_to_steps_and_begin_with_0() -> None:
    line = DelayLine(np.array([0.0, 0.9, 1.3]), 0.5)  # 0, 2 (1.8) and 3 (2.6) steps
    sent = [line(np.full((1, 3), float(t)), {})[0].tolist() for t in range(1, 6)]
    assert sent == [[1, 0, 0], [2, 0, 0], [3, 1, 0], [4, 2, 1], [5, 3, 2]]


def test_a_run_tells_margins_and_the_largest_number_sent() -> None:
    net = graphs.chain(nir.Scale(np.array([-3.0])), nir.Threshold(np.array([1.0])), given=(1,), result=(1,))
    found = run(net, {"input": np.array([0.5, -0.5, 0.0]).reshape(3, 1, 1)}, 1e-3, "euler", "zero", "synchronous")
    assert found.spikes["n2"].reshape(-1).tolist() == [False, True, False]
    assert found.outputs["output"].reshape(-1).tolist() == [0, 1, 0]
    assert found.margins == {"n2": 0.5}
    assert found.scale == 1.5
    assert found.voltages == {}


# --- the structure


def _scale(size: int = 2) -> nir.Scale:
    return nir.Scale(np.ones(size))


def test_nested_graphs_are_laid_flat_with_names_and_ends() -> None:
    deep = graphs.graph({"i": graphs.inp(2), "x": _scale(), "o": graphs.out(2)}, "i > x > o")
    inner = graphs.graph({"i": graphs.inp(2), "deep": deep, "o": graphs.out(2)}, "i > deep > o")
    outer = graphs.graph({"in": graphs.inp(2), "g": inner, "out": graphs.out(2)}, "in > g > out")
    nodes, edges = inline(outer)
    assert set(nodes) == {"in", "out", "g.i", "g.o", "g.deep.i", "g.deep.x", "g.deep.o"}
    assert set(edges) == {
        ("in", "g.i"), ("g.i", "g.deep.i"), ("g.deep.i", "g.deep.x"), ("g.deep.x", "g.deep.o"), ("g.deep.o", "g.o"),
        ("g.o", "out"),
    }  # fmt: skip
    kept, joined = without_ports(nodes, edges, ["in", "out"])
    assert set(kept) == {"in", "out", "g.deep.x"}
    assert set(joined) == {("in", "g.deep.x"), ("g.deep.x", "out")}


def test_ports_with_several_edges_join_all_and_those_that_nothing_enters_stay() -> None:
    nodes: dict[str, Any] = {name: _scale() for name in "abcd"} | {"p": graphs.inp(2), "q": graphs.inp(2)}
    edges = [("a", "p"), ("b", "p"), ("p", "c"), ("p", "d"), ("q", "d")]
    kept, joined = without_ports(nodes, edges, [])
    assert set(kept) == {"a", "b", "c", "d", "q"}
    assert sorted(joined) == [("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("q", "d")]
    looped = [("p", "p"), ("p", "a")]
    assert without_ports({"p": graphs.inp(2), "a": _scale()}, looped, [])[1] == looped


def test_late_edges_close_cycles_from_the_inputs_in_sorted_order() -> None:
    nodes: dict[str, Any] = {"in": graphs.inp(2), "b": _scale(), "a": _scale(), "o": graphs.out(2)}
    both_ways = graphs.graph(nodes, "in > b > a > o", "a > b", "a > a")
    assert structure(both_ways, "synchronous").late == {("a", "b"), ("a", "a")}
    # without the Input's edge the search starts at a, and the other edge of the pair is late
    alone = graphs.graph(nodes, "b > a > o", "a > b", "in > o")
    assert structure(alone, "synchronous").late == {("b", "a")}
    # of two branches the first in the alphabet is searched first
    nodes |= {"c": _scale()}
    crossed = graphs.graph(nodes, "in > c > b", "in > b > c", "c > o", "a > o")
    assert structure(crossed, "synchronous").late == {("c", "b")}


def test_on_hardware_what_crosses_the_network_is_late() -> None:
    draw = graphs.Draw(1)
    nodes = {"in": graphs.inp(2), "w": draw.linear(2, 2), "n": draw.lif(2), "t": nir.Threshold(np.ones(2)),
             "s": _scale(), "o": graphs.out(2)}  # fmt: skip
    net = graphs.graph(nodes, "in > w > n > t > s > o", "n > n", "t > o", "s > s", "in > o")
    assert structure(net, "hardware").late == {("in", "w"), ("n", "t"), ("t", "s"), ("n", "n"), ("s", "s")}
    assert structure(net, "synchronous").late == {("n", "n"), ("s", "s")}


def test_sources_come_before_their_targets_and_ends_are_sorted() -> None:
    nodes = {
        "z": graphs.inp(2),
        "y": graphs.inp(2),
        "a": _scale(),
        "b": _scale(),
        "q": graphs.out(2),
        "p": graphs.out(2),
    }
    found = structure(graphs.graph(nodes, "z > b > a > p", "y > q"), "synchronous")
    assert (found.inputs, found.outputs) == (["y", "z"], ["p", "q"])
    order = list(found.nodes)
    assert set(order) == set(nodes)
    assert all(order.index(source) < order.index(target) for source, target in found.edges)
    assert found.shapes == dict.fromkeys(nodes, (2,))


def test_shapes_that_nodes_say_and_those_that_are_worked_out() -> None:
    draw = graphs.Draw(1)
    assert own_shape(nir.Linear(np.ones((3, 2, 4)))) == (3, 4)
    assert own_shape(nir.Scale(np.ones((3, 2)))) == own_shape(draw.lif(3, 2)) == (3, 2)
    assert own_shape(nir.Threshold(np.ones(3))) == own_shape(nir.Delay(np.ones(3))) == (3,)
    assert own_shape(graphs.inp(2, 3)) == own_shape(graphs.out(2, 3)) == (2, 3)
    assert own_shape(nir.Flatten({"input": np.array((2, 3))}, 0, -1)) == (2, 3)
    assert own_shape(draw.conv2d(4, 6, (3, 3), groups=2, input_shape=(5, 7))) == (6, 5, 7)
    assert own_shape(draw.conv1d(4, 2, 3, input_shape=9)) == (2, 9)
    pool = nir.SumPool2d(np.array((2, 2)), np.array((2, 2)), np.array((0, 0)))
    assert own_shape(pool) is own_shape(draw.conv2d(4, 2, (3, 3))) is None
    nodes = {"i": graphs.inp(2, 8, 6), "c": draw.conv2d(4, 2, (3, 3)), "p": pool, "d": nir.Delay(np.ones((4, 3, 2)))}
    assert input_shapes(nodes, [("i", "c"), ("c", "p"), ("p", "d")]) == {
        "i": (2, 8, 6), "c": (2, 8, 6), "p": (4, 6, 4), "d": (4, 3, 2),
    }  # fmt: skip
    assert shape_after(draw.lif(3), (3,)) == (3,)
