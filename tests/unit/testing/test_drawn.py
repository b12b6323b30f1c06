"""What the suite's generators draw: shapes, ranges at both ends, and everything they are there to reach."""

from __future__ import annotations

from collections import Counter
from typing import Any

import nir
import numpy as np
import pytest

from hasn.testing import graphs
from hasn.testing.cases.case import Case, Cases
from hasn.testing.chip_graphs import DT, chip_node, random_chip_graph, random_chip_inputs
from hasn.testing.graphs import Draw
from hasn.testing.strategies import Trial
from hasn.testing.structure import shape_after
from hasn.testing.wiring import Part, Wiring, _spans

# --- Draw: many numbers reach nearly both ends of a range, and stay within


def _ends(values: Any, low: float, high: float) -> None:
    """2,000 uniform numbers come within a hundredth of the range to both ends (but once in e**20 runs)."""
    near = 0.01 * (high - low)
    assert low <= values.min() < low + near
    assert high - near < values.max() <= high


RANGES = {
    "r": (5.0, 9.0), "tau": (4e-3, 15e-3), "tau_mem": (4e-3, 15e-3), "tau_syn": (3e-3, 8e-3), "v_leak": (-0.1, 0.2),
    "w_in": (0.7, 1.4), "v_threshold": (0.7, 1.3), "v_reset": (-0.2, 0.2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("I", {"r"}),
        ("IF", {"r", "v_threshold", "v_reset"}),
        ("LI", {"r", "tau", "v_leak"}),
        ("LIF", {"r", "tau", "v_leak", "v_threshold", "v_reset"}),
        ("CubaLI", {"r", "tau_syn", "tau_mem", "v_leak", "w_in"}),
        ("CubaLIF", {"r", "tau_syn", "tau_mem", "v_leak", "w_in", "v_threshold", "v_reset"}),
    ],
)
def test_neurons_have_parameters_of_their_own_within_their_ranges(kind: str, names: set[str]) -> None:
    node: Any = Draw(1).neuron(kind, (40, 50), metadata={"reset": "zero"})
    assert type(node).__name__ == kind
    assert node.metadata == {"reset": "zero"}
    for name in names:
        low, high = (150.0, 400.0) if name == "r" and kind in ("I", "IF") else RANGES[name]
        assert getattr(node, name).shape == (40, 50)
        _ends(getattr(node, name), low, high)
    assert (Draw(1).neuron(kind, (3,), r=2.0).r == 2.0).all()
    again: Any = Draw(1).neuron(kind, (40, 50))
    assert np.array_equal(node.r, again.r)
    assert not np.array_equal(node.r, Draw(2).neuron(kind, (40, 50)).r)


def test_matrices_and_their_biases() -> None:
    draw = Draw(1)
    weight = draw.linear(50, 60).weight
    assert weight.shape == (50, 60)
    # 3,000 normal numbers: a mean's deviation is 0.3 / 55 = 0.0055, that of a deviation 0.004
    assert (weight.mean(), weight.std()) == (pytest.approx(0.25, abs=0.025), pytest.approx(0.3, abs=0.02))
    assert draw.linear(50, 60, mean=-1.0, spread=0.1).weight.std() == pytest.approx(0.1, abs=0.01)
    assert draw.linear(50, 60, mean=-1.0).weight.mean() == pytest.approx(-1, abs=0.03)
    affine = draw.affine(2000, 2, mean=-1.0)
    assert affine.weight.shape == (2000, 2)
    assert affine.weight.mean() == pytest.approx(-1, abs=0.03)
    _ends(affine.bias, 0.02, 0.08)
    _ends(draw.affine(2000, 2, bias=1.0).bias, 0.4, 1.6)


def test_convolutions_and_their_options() -> None:
    draw = Draw(1)
    one = draw.conv1d(2000, 4, 3, groups=2, stride=2)
    assert one.weight.shape == (2000, 2, 3)
    assert [getattr(one, name) for name in ("stride", "padding", "dilation", "groups", "input_shape")] == [
        2,
        0,
        1,
        2,
        None,
    ]
    _ends(one.bias, -0.02, 0.1)
    _ends(draw.conv1d(2000, 1, 1, bias=(1.0, 2.0)).bias, 1.0, 2.0)
    two = draw.conv2d(2000, 4, (3, 2), groups=4)
    assert two.weight.shape == (2000, 1, 3, 2)
    assert [np.asarray(getattr(two, name)).tolist() for name in ("stride", "padding", "dilation")] == [
        [1, 1], [0, 0], [1, 1],
    ]  # fmt: skip
    _ends(two.bias, -0.02, 0.1)


def test_graphs_from_paths() -> None:
    nodes = {"i": graphs.inp(2, 3), "a": nir.Scale(np.ones((2, 3))), "o": graphs.out(2, 3)}
    net = graphs.graph(nodes, "i > a > o", " a>o ", "i > o", dt=0.5)
    assert net.edges == [("i", "a"), ("a", "o"), ("i", "o")]
    assert net.metadata == {"dt": 0.5}
    assert graphs.inp(2, 3).input_type["input"].tolist() == [2, 3]
    assert graphs.out(2, 3).output_type["output"].tolist() == [2, 3]
    line = graphs.chain(nir.Scale(np.ones(2)), nir.Linear(np.ones((3, 2))), given=(2,), result=(3,))
    assert list(line.nodes) == ["input", "n1", "n2", "output"]
    assert line.edges == [("input", "n1"), ("n1", "n2"), ("n2", "output")]
    small = graphs.small_net()
    assert [type(node).__name__ for node in small.nodes.values()] == [
        "Input",
        "Affine",
        "LIF",
        "Linear",
        "LIF",
        "Output",
    ]
    assert (small.nodes["n1"].weight.shape, small.nodes["n3"].weight.shape) == ((5, 6), (3, 5))
    assert np.array_equal(small.nodes["n1"].weight, Draw(1).affine(5, 6).weight)
    assert not np.array_equal(graphs.small_net(2).nodes["n1"].weight, small.nodes["n1"].weight)


def test_inputs_of_spikes_and_of_real_numbers() -> None:
    found = graphs.spikes((5, 4), 200)
    assert found.shape == (200, 5, 4)
    assert set(np.unique(found)) == {0.0, 1.0}
    assert found.mean() == pytest.approx(0.4, abs=0.04)  # 4,000 draws: a deviation of 0.008
    assert graphs.spikes((5,), 200, 4, rate=0.9).shape == (200, 4, 5)
    assert graphs.spikes((5,), 200, 4, rate=0.9).mean() == pytest.approx(0.9, abs=0.03)
    real = graphs.graded((5, 4), 200)
    assert real.shape == (200, 5, 4)
    assert (real.mean(), real.std()) == (pytest.approx(0.3, abs=0.08), pytest.approx(1, abs=0.06))
    assert graphs.graded((5,), 200, 4, mean=-2.0).mean() == pytest.approx(-2, abs=0.08)
    for make in (graphs.spikes, graphs.graded):
        assert np.array_equal(make((5,), 9), make((5,), 9, seed=1))
        assert not np.array_equal(make((5,), 9), make((5,), 9, seed=2))


def test_a_cases_inputs_and_options() -> None:
    def build(draw: Draw) -> nir.NIRGraph:
        nodes = {"b": graphs.inp(3), "a": graphs.inp(2), "s": draw.linear(2, 3), "o": graphs.out(2)}
        return graphs.graph(nodes, "b > s > o", "a > o")

    case = Case("c", build, dt=0.5, method="exact", reset="subtract", timing="hardware", steps=900, rate=0.7)
    found = case.inputs()
    assert list(found) == ["a", "b"]
    assert (found["a"].shape, found["b"].shape) == ((900, 2), (900, 3))
    assert set(np.unique(found["b"])) == {0.0, 1.0}
    assert found["b"].mean() == pytest.approx(0.7, abs=0.05)
    assert case.options() == {"dt": 0.5, "method": "exact", "reset": "subtract", "timing": "hardware"}
    real = Case("c", build, batch=4, graded=True, steps=300, rate=-1.0).inputs()
    assert real["b"].shape == (300, 4, 3)
    assert (real["b"].mean(), real["b"].std()) == (pytest.approx(-1, abs=0.09), pytest.approx(1, abs=0.06))
    assert not np.array_equal(Case("c", build, seed=8).inputs()["b"], Case("c", build).inputs()["b"])
    assert np.array_equal(case.graph().nodes["s"].weight, Draw(7).linear(2, 3).weight)
    cases = Cases()
    cases.add(steps=5)(build)
    assert cases.add(suffix="more", batch=2)(build) is build
    assert {name: (c.steps, c.batch, c.seed) for name, c in cases.items()} == {
        "build": (5, None, 7), "build-more": (40, 2, 7),
    }  # fmt: skip
    with pytest.raises(KeyError, match="two cases are called build"):
        cases.add()(build)
    cases.put(Case("I-exact-subtract", build))
    assert cases["I-exact-subtract"].seed == 2  # from the list of seeds


# --- the chip's graphs


@pytest.mark.parametrize(
    ("du", "vth", "kind"),
    [(None, None, "LI"), (None, 5, "LIF"), (99, None, "CubaLI"), (99, 5, "CubaLIF")],
)
def test_a_chip_neuron_by_the_table_of_its_registers(du: Any, vth: Any, kind: str) -> None:
    """dv = 1024 is a quarter a step: tau = 4 dt. Gain 1 from v to v; a unit of input is 64 (docs/loihi.md)."""
    node = chip_node((2,), dv=[1024, 2048], du=du, vth=vth, bias=3, v_init=[0, 7])
    assert type(node).__name__ == kind
    tau = node.tau if du is None else node.tau_mem
    assert tau == pytest.approx([4e-3, 2e-3])
    assert node.v_leak == pytest.approx([12, 6])
    assert node.metadata["v_init"].tolist() == [0, 7]
    if du is None:
        assert node.r * DT / tau == pytest.approx([64, 64])
    else:
        assert node.tau_syn == pytest.approx(np.full(2, 40.96e-3))
        assert node.w_in * DT / node.tau_syn == pytest.approx([64, 64])
        assert node.r * DT / tau == pytest.approx([1, 1])
    if vth is not None:
        assert node.v_threshold.tolist() == [320, 320]
        assert node.v_reset.tolist() == [0, 0]
    plain = chip_node((2,), dv=0, du=du, vth=vth)
    assert "v_init" not in (plain.metadata or {})
    assert (plain.tau if du is None else plain.tau_mem) == pytest.approx(np.full(2, DT * 2.0**52))


def _registers(graph: nir.NIRGraph) -> Any:
    """(name, node, dv, du, vth, bias, v_init) of every population, from its NIR parameters."""
    for name, node in graph.nodes.items():
        if hasattr(node, "v_leak"):
            cuba = hasattr(node, "tau_syn")
            rate = DT / (node.tau_mem if cuba else node.tau)
            yield (
                name, node, np.rint(4096 * rate), np.rint(4096 * DT / node.tau_syn - 1) if cuba else None,
                node.v_threshold / 64 if hasattr(node, "v_threshold") else None, np.rint(node.v_leak * rate),
                (node.metadata or {}).get("v_init"),
            )  # fmt: skip


def test_random_chip_graphs_reach_all_registers_and_structures() -> None:
    """Over 300 seeds: everything that is drawn with a chance of a tenth or more is seen, and nothing out of range."""
    seen: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for seed in range(300):
        graph = random_chip_graph(seed)
        assert graph.metadata == {"dt": DT}
        ends = {kind: [n for n in graph.nodes.values() if isinstance(n, kind)] for kind in (nir.Input, nir.Output)}
        seen[f"{len(ends[nir.Input])} inputs"] += 1
        seen[f"{len(ends[nir.Output])} outputs"] += 1
        populations = [name for name in graph.nodes if name.startswith("pop") and name.count("_") == 0]
        seen[f"{len(populations)} populations"] += 1
        for name, node, dv, du, vth, bias, start in _registers(graph):
            size = node.r.size
            seen[f"size {size}"] += name.startswith("pop")
            assert (vth is None) == name.endswith("_v")
            assert 0 <= dv.min() <= dv.max() < 4096
            seen["dv 0"] += bool((dv == 0).all())
            seen["several"] += len(set(dv.tolist())) > 1
            seen["no current"] += du is None
            if du is not None:
                assert 0 <= du.min() <= du.max() < 4096
                largest["du"] = max(largest["du"], int(du.max()))
            if vth is not None:
                assert 0 <= vth.min() <= vth.max() < 131072
                largest["vth"] = max(largest["vth"], int(vth.max()))
                seen["small thresholds"] += vth.max() < 600
            seen["bias"] += bool(bias.any())
            assert np.abs(bias).max() <= 4096 * 128
            largest["bias"] = max(largest["bias"], int(bias.max()))
            largest["-bias"] = max(largest["-bias"], int(-bias.min()))
            if start is not None:
                seen["v_init"] += 1
                assert np.abs(start).max() <= 60_000
                largest["v_init"] = max(largest["v_init"], int(np.abs(start).max()))
            seen["population"] += 1
        for source, target in graph.edges:
            node = graph.nodes[target]
            if isinstance(node, nir.Linear | nir.Affine):
                seen["connection"] += 1
                seen["biased"] += isinstance(node, nir.Affine)
                seen["recurrent"] += target == f"{source}_{source}"
                weight = node.weight
                assert np.abs(weight).max() <= 255 * 128
                largest["weight"] = max(largest["weight"], int(np.abs(weight).max()))
                seen["excitatory"] += bool((weight >= 0).all() and weight.any())
                seen["inhibitory"] += bool((weight <= 0).all() and weight.any())
                seen["mixed"] += bool((weight > 0).any() and (weight < 0).any())
                seen["odd mixed"] += bool((weight % 2).any() and (weight > 0).any() and (weight < 0).any())
                seen["zeros"] += int((weight == 0).sum())
                seen["weights"] += weight.size
                if isinstance(node, nir.Affine):
                    assert set((node.bias % 2).tolist()) == {0.0}
                    largest["connection bias"] = max(largest["connection bias"], int(np.abs(node.bias).max()))
            if isinstance(node, nir.Delay):
                steps = np.rint(node.delay / DT).astype(int)
                assert 0 <= steps.min() <= steps.max() <= 3
                seen["delay"] += 1
                seen[f"{steps.max()} steps"] += 1
        assert any(source == populations[-1] and target in ("out", f"{source}_out_v") for source, target in graph.edges)
        made = {name for edge in graph.edges for name in edge}
        assert made <= set(graph.nodes)
        assert all(isinstance(graph.nodes[name], nir.Input) for name in set(graph.nodes) - made)
    for name in ("1 inputs", "2 inputs", "1 outputs", "2 outputs"):
        assert 110 < seen[name] < 190, name  # even chances of 300
    assert min(seen[f"{n} populations"] for n in (2, 3, 4)) > 70
    assert sum(seen[f"{n} populations"] for n in (2, 3, 4)) == 300
    assert all(seen[f"size {n}"] > 50 for n in range(1, 9))
    assert seen["size 9"] == seen["size 0"] == 0

    def share(what: str, of: str) -> float:
        return seen[what] / seen[of]

    assert share("no current", "population") == pytest.approx(0.4, abs=0.06)
    assert share("dv 0", "population") == pytest.approx(0.2, abs=0.05)
    assert 0.15 < share("several", "population") < 0.35
    assert share("bias", "population") == pytest.approx(0.4, abs=0.06)
    assert share("v_init", "population") == pytest.approx(0.3, abs=0.06)
    assert share("biased", "connection") == pytest.approx(0.3, abs=0.06)
    assert share("delay", "connection") == pytest.approx(0.3, abs=0.06)
    assert 0.15 < share("recurrent", "connection") < 0.35
    assert share("excitatory", "connection") > 0.2
    assert share("inhibitory", "connection") > 0.2
    assert share("mixed", "connection") > 0.3
    assert share("odd mixed", "connection") > 0.05
    assert share("zeros", "weights") == pytest.approx(0.2, abs=0.03)
    assert 0.4 < share("small thresholds", "population") < 0.75
    assert all(seen[f"{n} steps"] for n in range(4))
    assert largest["du"] > 4000
    assert largest["vth"] > 120_000
    assert min(largest["bias"], largest["-bias"]) > 300_000
    assert largest["v_init"] > 55_000
    assert largest["weight"] > 30_000
    assert largest["connection bias"] == 40


def test_random_chip_inputs_are_spikes_or_signed_integers() -> None:
    graph = graphs.graph({"a": graphs.inp(30), "b": graphs.inp(5, 4), "o": graphs.out(30)}, "a > o")
    rates, values = Counter[float](), set()
    for seed in range(60):
        found = random_chip_inputs(graph, seed, 20, 3)
        assert (found["a"].shape, found["b"].shape) == ((20, 3, 30), (20, 3, 5, 4))
        assert set(np.unique(found["a"])) == {0.0, 1.0}
        rates[min((0.1, 0.5, 0.9), key=lambda rate: abs(rate - found["a"].mean()))] += 1
        real = random_chip_inputs(graph, seed, 20, 3, graded=True)["a"]
        values |= set(real.reshape(-1).tolist())
        assert ((real != 0) <= (found["a"] != 0)).all()
    assert min(rates[rate] for rate in (0.1, 0.5, 0.9)) > 5
    assert values == set(range(-50, 51))
    assert np.array_equal(random_chip_inputs(graph, 3, 9, 2)["b"], random_chip_inputs(graph, 3, 9, 2)["b"])


# --- hypothesis' graphs, with choices made by hand


def _wiring(*choices: int) -> Wiring:
    """A graph whose choices are these numbers, in order."""
    given = iter((5, *choices))
    return Wiring(lambda strategy: next(given))  # type: ignore[arg-type,return-value]


def test_names_lie_anywhere_in_the_alphabet_and_edges_are_single() -> None:
    made = _wiring(0, 2, 4)
    a, b = made.add(graphs.inp(2)), made.add(graphs.out(2))
    assert (a, b) == ("m0", "b1")
    made.join(a, b, (2,))
    made.join(a, b, (2,))
    assert made.edges == [("m0", "b1"), ("m0", "z2"), ("z2", "b1")]
    scale = made.nodes["z2"].scale
    assert scale.shape == (2,)
    assert ((scale >= -0.5) & (scale <= 1)).all()
    made.drop("z2")
    assert made.edges == [("m0", "b1")]
    assert set(made.graph().nodes) == {"m0", "b1"}


@pytest.mark.parametrize(
    ("choices", "shape", "kind", "after"),
    [
        ((0, 0, 0, 0, 0), (2,), "Linear", (3,)),
        ((0, 1, 1, 1), (4, 2), "Affine", (4, 1)),
        ((0, 2, 0, 2, 0), (2,), "Linear", (5,)),
        ((0, 2, 2, 1, 2, 1), (2,), "SparseLinear", (5,)),
        ((1,), (2, 3), "Scale", (2, 3)),
        ((2, 0), (2, 3), "Delay", (2, 3)),
        ((2, 1), (2, 3), "Delay", (2, 3)),
        ((3,), (2,), "Threshold", (2,)),
        ((4, 0), (2, 3, 4), "Flatten", (24,)),
        ((4, 1), (2, 3, 4), "Flatten", (2, 12)),
        ((5, 1, 0, 0, 0, 0, 0, 0), (2, 4), "Conv1d", (1, 3)),
        ((5, 2, 1, 1, 1, 1, 0), (2, 4), "Conv1d", (4, 2)),
        ((5, 2, 1, 1, 1, 1, 2), (2, 4), "Conv1d", (4, 4)),  # "same"
        ((5, 1, 1, 0, 1, 0, 0, 1, 0, 1, 0, 0), (2, 5, 6), "Conv2d", None),
        ((6, 1, 0, 0, 0, 0, 0, 0), (2, 5, 6), "SumPool2d", None),
        ((6, 2, 1, 1, 0, 1, 0, 1), (2, 5, 6), "AvgPool2d", None),
        ((7, 2, 2, 0, 1, 1, 0, 1, 1, 1, 0, 0), (4, 5, 6), "Conv2d", None),
    ],
)
def test_a_stateless_node_gives_the_shape_it_says(
    choices: tuple[int, ...], shape: tuple[int, ...], kind: str, after: tuple[int, ...] | None
) -> None:
    node, said = _wiring(*choices).stateless(shape)
    assert type(node).__name__ == kind
    assert shape_after(node, shape) == said
    assert after is None or said == after


def test_windows_that_fit_are_counted_by_torchs_formula() -> None:
    # (7 + 2 - 2 * 2 - 1) // 2 + 1 = 3, (5 + 0 - 1 * 1 - 1) // 1 + 1 = 4
    assert _spans((7, 5), (3, 2), (2, 1), (1, 0), (2, 1)) == (3, 4)


def test_values_of_stateless_nodes_lie_in_their_ranges() -> None:
    _ends(_wiring(1).stateless((2000,))[0].scale, -0.5, 1.5)
    _ends(_wiring(3).stateless((2000,))[0].threshold, 0.1, 0.6)
    _ends(_wiring(6).neuron((2000,)).threshold, 0.1, 0.6)
    assert set(np.rint(_wiring(0).delay((50,)).delay / graphs.DT)) == {2}
    assert set(np.rint(_wiring(1).delay((500,)).delay / graphs.DT)) == {0, 1, 2, 3, 4}
    for choice, mean in ((0, 0.25), (1, 0.0), (2, -0.1)):
        assert _wiring(0, choice, 0).matrix(40, (60,)).weight.mean() == pytest.approx(mean, abs=0.03)
    _ends(_wiring(0, 0, 1).matrix(2000, (2,)).bias, -0.1, 0.4)


@pytest.mark.parametrize(
    ("choices", "kind", "metadata"),
    [
        ((0, 0, 0, 0), "LIF", {}),
        ((1, 2, 0, 2, 1, 2, 1), "IF", {"v_init": 0.37, "reset": "subtract", "refractory": 4e-3}),
        ((2, 0, 2, 0, 0), "CubaLIF", {"reset": "zero"}),
        ((3, 0, 2, 2), "LI", {}),  # nothing to reset or to hold
        ((7, 0, 2, 1, 2, 0), "AdaptiveLIF", {"reset": "subtract", "refractory": 1e-3}),
        ((8, 0, 2, 2), "ResonateFire", {"reset": "zero"}),  # it has no other reset, and is never held
        ((6,), "Threshold", {}),
    ],
)
def test_a_population_and_what_it_says_of_itself(choices: tuple[int, ...], kind: str, metadata: dict[str, Any]) -> None:
    node = _wiring(*choices).neuron((3,))
    assert type(node).__name__ == kind
    assert (node.metadata or {}) == metadata


def test_initial_voltages_of_each_neuron() -> None:
    node = _wiring(0, 2, 1, 0, 0).neuron((2000,))
    _ends(node.metadata["v_init"], -0.5, 1.6)


def _joined(source: tuple[int, ...], target: tuple[int, ...], *choices: int) -> tuple[Wiring, list[str]]:
    """Connect "s" (sends ``source``) to "t" (takes ``target``); the kinds of node on the way."""
    made = _wiring(*choices)
    made.nodes |= {"s": graphs.inp(*source), "t": graphs.out(*target)}
    made.connect(Part("s", source, source), Part("t", target, target))
    order, at = [], "s"
    while at != "t" and any(a == at for a, _ in made.edges):
        at = next(b for a, b in made.edges if a == at)
        order.append(type(made.nodes[at]).__name__)
    return made, order


@pytest.mark.parametrize(
    ("source", "target", "choices", "kinds"),
    [
        ((3,), (3,), (1,), ["Output"]),
        ((3,), (3,), (0, 0, 0, 0, 0, 0), ["Linear", "Output"]),
        ((3,), (3,), (0, 2, 0, 0, 0, 0, 0, 0), ["Delay", "Linear", "Output"]),
        ((3,), (4,), (0, 0, 0, 1, 0), ["Affine", "Output"]),
        ((2, 3), (4,), (0, 0, 0, 0, 0, 0), ["Flatten", "Linear", "Output"]),
        ((2, 3), (2, 3), (0, 0, 0, 0, 0), ["Linear", "Output"]),
        ((4,), (2, 3), (0,), []),
        ((4,), (2, 3), (2, 0, 0), []),
    ],
)
def test_a_path_from_a_part_to_another(
    source: tuple[int, ...], target: tuple[int, ...], choices: tuple[int, ...], kinds: list[str]
) -> None:
    made, order = _joined(source, target, *choices)
    assert order == kinds
    assert {name for edge in made.edges for name in edge} <= set(made.nodes)
    if not kinds:
        assert set(made.nodes) == {"s", "t"}  # a delay that leads nowhere is taken back
    shape = source
    for node in made.nodes.values():
        if isinstance(node, nir.Flatten | nir.Linear | nir.Affine):
            shape = shape_after(node, shape)
    assert shape == target or not kinds


def test_a_trial_in_words() -> None:
    graph = graphs.small_net()
    trial = Trial(graph, {"input": np.arange(18.0).reshape(3, 6)}, {"dt": 0.5})
    assert (trial.steps, trial.batched) == (3, False)
    text = repr(trial)
    assert text.startswith("Trial\n  input: Input (6,)\n")
    assert "given input (3, 6): [ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11.]" in text
    assert text.endswith("\n  {'dt': 0.5}")
    assert Trial(graph, {"input": np.zeros((3, 2, 6))}, {}).batched
