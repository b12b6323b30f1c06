"""Precision "loihi": spikes, u and v are the plain reference's, bit for bit, whatever the network's structure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import nir
import numpy as np
import pytest

from hasn.conversions.loihi import integer_population
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import DT, random_chip_graph, random_chip_inputs
from hasn.testing.integers import IntegerTraces, interpret
from tests.edges import CASES, EDGES, assert_together, inputs_together, together
from tests.unit.backends.snntorch.integers import (
    RECORD,
    assert_bits,
    assert_run,
    chip_graph,
    compiled,
    inp,
    linear,
    out,
    spikes,
)

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.integer_network import TorchIntegers  # noqa: E402

STEPS, BATCH, SEEDS = 25, 2, 40


def reached(wanted: IntegerTraces) -> Counter[str]:
    """How often the plain reference wraps a current, clips a voltage and resets one."""
    conditions = {
        "wraps": wanted.wraps,
        "clips": wanted.clips,
        "resets": wanted.resets,
        "negative": {name: v < 0 for name, v in wanted.v.items()},
        "beyond 24 bits": {name: np.abs(u) > 2**23 for name, u in wanted.u.items()},
    }
    return Counter({what: sum(int(np.sum(x)) for x in where.values()) for what, where in conditions.items()})


def arithmetic(executable: Any) -> dict[str, Any]:
    """What the last run took to be exact for each population."""
    (found,) = executable._network._known.values()
    return dict(found)


@pytest.mark.parametrize("graded", [False, True])
def test_random_graphs_bit_for_bit(graded: bool) -> None:
    ways, found = set(), Counter[str]()
    for seed in range(SEEDS):
        graph = random_chip_graph(seed)
        executable, wanted = assert_run(graph, random_chip_inputs(graph, seed, STEPS, BATCH, graded))
        found += reached(wanted)
        ways |= {how.wrap.name for how in arithmetic(executable).values()}
    assert min(found["resets"], found["negative"]) > 1000, found
    assert min(found["wraps"] / (50 if graded else 1), found["clips"]) >= 10, found
    assert ways >= {"NEVER", "MODULAR"}
    if graded:
        assert "ONCE" in ways
        assert found["beyond 24 bits"] > 100  # one turn is not enough there, and Lava takes one


#: How the currents of each sequence may be wrapped; all others never leave the range.
WAYS = {
    "no current kept, inputs within a turn": "MODULAR",
    "no current kept, inputs that are the edge itself": "MODULAR",
    "no current kept, inputs of several turns": "ONCE",
    "a current kept, inputs within a turn": "MODULAR",
    "a current kept that meets the lower edge": "MODULAR",
    "a current kept, inputs of several turns": "ONCE",
    "a current kept that meets both edges, and an input of several turns": "ONCE",
    "a current kept, inputs that one turn might bring back but for what is kept": "ONCE",
}


@pytest.mark.parametrize(("name", "spiking"), CASES)
def test_the_ends_of_the_registers_by_hand(name: str, spiking: bool) -> None:
    edge = EDGES[name]
    executable = compiled(edge.graph(spiking))
    found = executable.run(edge.inputs, record=RECORD)
    u, v, z = edge.wanted
    assert found.currents["n"][:, 0].tolist() == u
    assert found.voltages["n"][:, 0].tolist() == v
    assert found.output[:, 0].tolist() == (z if spiking else v)
    assert arithmetic(executable)["n"].wrap.name == WAYS.get(name, "NEVER")


def test_the_ends_of_the_registers_side_by_side() -> None:
    """Neurons of one population that keep a current and others that do not."""
    found = compiled(together()).run(inputs_together(), record=RECORD)
    assert_together(found.currents, found.voltages, found.spikes)


def test_without_a_batch_axis() -> None:
    for seed in range(5):
        graph = random_chip_graph(seed)
        inputs = random_chip_inputs(graph, seed, STEPS, 1)
        executable = compiled(graph)
        found = executable.run({name: x[:, 0] for name, x in inputs.items()}, record=RECORD)
        assert all(array.ndim == 2 for array in found.currents.values())
        assert_bits(found, interpret(graph, inputs))


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize(
    ("du", "dv", "vth", "exponent", "bias"), [(900, 300, 400, 0, 77), (4095, 0, 9000, 3, -5), (5, 4095, 131071, 7, 0)]
)
def test_the_single_population_of_the_conversions(
    du: int, dv: int, vth: int, exponent: int, bias: int, graded: bool
) -> None:
    """That reference shares no code with the lowering; its synapses take a step, which a Delay stands for here."""
    rng = np.random.default_rng(du)
    mantissas = 2 * rng.integers(-127, 128, (6, 9))
    late = nir.Delay(np.full(6, DT))
    neurons = chip_neuron((6,), dt=DT, du=du, dv=dv, vth=vth, bias=bias << 3)
    graph = chip_graph(
        {"in": inp(9), "w": nir.Linear(mantissas * 2.0**exponent), "late": late, "pop": neurons, "out": out(6)},
        ("in", "w"), ("w", "late"), ("late", "pop"), ("pop", "out"),
    )  # fmt: skip
    x = rng.integers(-3, 4, (60, 9)) if graded else spikes(1, 60, 9)
    found = compiled(graph).run(x, record=RECORD)
    u, v, z = integer_population(
        x, mantissas, du=du, dv=dv, vth=vth, weight_exp=exponent, bias_mant=bias, bias_exp=3
    )  # fmt: skip
    assert np.array_equal(found.currents["pop"], u)
    assert np.array_equal(found.voltages["pop"], v)
    assert np.array_equal(found.spikes["pop"], z)
    assert np.array_equal(found.output, z)
    assert u.any()
    assert v.any()


def _loop() -> nir.NIRGraph:
    """Two populations that excite each other, one before them and one after; delays inside the loop and out of it."""
    rng = np.random.default_rng(8)
    sizes = {"before": 4, "a": 6, "b": 5, "after": 3}
    nodes: dict[str, Any] = {"in": inp(4), "out": out(3)}
    nodes |= {n: chip_neuron((k,), dt=DT, du=1000, dv=500, vth=300, bias=9) for n, k in sizes.items()}
    edges = [("after", "out")]
    for source, target in (
        ("in", "before"), ("before", "a"), ("a", "b"), ("b", "a"), ("a", "a"), ("b", "after"), ("before", "after"),
    ):  # fmt: skip
        nodes[f"{source}_{target}"] = linear(rng, (sizes[target], {"in": 4, **sizes}[source]))
        edges += [(source, f"{source}_{target}"), (f"{source}_{target}", target)]
    for name, steps in (("b_a", [0, 1, 2, 3, 4, 5]), ("before_after", [3, 0, 2])):
        nodes[f"{name}_late"] = nir.Delay(np.array(steps) * DT)
        target = name.split("_")[1]
        edges.remove((name, target))
        edges += [(name, f"{name}_late"), (f"{name}_late", target)]
    return chip_graph(nodes, *edges)


def test_populations_in_a_loop() -> None:
    executable, _ = assert_run(_loop(), {"in": spikes(3, 30, 2, 4)})
    assert executable._network._groups == [("before",), ("a", "b"), ("after",)]


def test_hardware_timing_shifts_each_layer_by_a_step() -> None:
    assert_run(_loop(), {"in": spikes(3, 30, 2, 4)}, timing="hardware")
    rng = np.random.default_rng(4)
    layer = {"dt": DT, "du": 700, "dv": 200, "vth": 200}
    graph = chip_graph(
        {"in": inp(7), "w": linear(rng, (6, 7)), "a": chip_neuron((6,), **layer),
         "w2": linear(rng, (5, 6)), "b": chip_neuron((5,), **layer), "out": out(5)},
        ("in", "w"), ("w", "a"), ("a", "w2"), ("w2", "b"), ("b", "out"),
    )  # fmt: skip
    x = spikes(5, 30, 7)
    soon = compiled(graph).run(x, record=RECORD)
    late = compiled(graph, timing="hardware").run(x, record=RECORD)
    assert soon.spikes["b"].any()
    for name, shift in (("a", 1), ("b", 2)):
        assert np.array_equal(late.voltages[name][shift:], soon.voltages[name][:-shift])
        assert not late.currents[name][:shift].any()


def test_a_convolution_stays_sparse() -> None:
    rng = np.random.default_rng(2)
    kernel = 2.0 * rng.integers(-60, 61, (8, 1, 3, 3))
    conv = nir.Conv2d((12, 12), kernel, 1, 0, 1, 1, np.arange(8) * 2.0)
    neurons = chip_neuron((8, 10, 10), dt=DT, du=2000, dv=300, vth=100)
    nodes = {"in": nir.Input(np.array([1, 12, 12])), "out": nir.Output(np.array([8, 10, 10]))}
    nodes |= {"conv": conv, "pop": neurons}
    graph = chip_graph(nodes, ("in", "conv"), ("conv", "pop"), ("pop", "out"))
    executable, _ = assert_run(graph, {"in": spikes(6, 6, 2, 1, 12, 12)})
    (incoming,) = executable._network._into["pop"]
    assert [m.layout for m in incoming.product._made.values()] == [torch.sparse_csr]


def test_long_runs_are_cut_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x = {"in": spikes(3, 31, 2, 4)}
    whole = compiled(_loop()).run(x, record=RECORD)
    executable = compiled(_loop())
    monkeypatch.setattr("hasn.backends.snntorch.integer_executable._HELD", 4 * 2 * executable._network.width)
    cut = executable.run(x, record=RECORD)
    assert whole.spikes["after"].any()
    for group in ("outputs", "spikes", "voltages", "currents"):
        for name, array in getattr(whole, group).items():
            assert np.array_equal(getattr(cut, group)[name], array)


def test_what_keeps_little_runs_in_pieces() -> None:
    x = {"in": spikes(3, 31, 2, 4) * 3}
    x["in"][9:] *= 40  # later pieces have larger currents
    whole = compiled(_loop()).run(x, record=RECORD)
    executable = compiled(_loop())
    executable._piece = 4 * 2 * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    found = executable.run(x, record={"currents": {"after": [1]}, "spikes": None, "counts": True}, every=3)
    assert np.array_equal(found.currents["after"], whole.currents["after"][::3, :, [1]])
    assert np.abs(found.currents["after"]).max() > 1000
    assert all(np.array_equal(found.spikes[name], array) for name, array in whole.spikes.items())
    assert found.counts == whole.counts
    assert found.counts.total_spikes > 10


def test_no_input_and_a_readout_that_resets_at_the_highest_threshold() -> None:
    neurons = chip_neuron((2,), dt=DT, dv=0, bias=np.array([4095 << 7, -(4095 << 7)]))
    graph = chip_graph({"pop": neurons, "out": out(2)}, ("pop", "out"))
    found = compiled(graph).run(steps=40, record=RECORD)
    assert_bits(found, interpret(graph, {}, steps=40))
    up, down = found.output.T
    assert up[15] > 0
    assert up[16] == 0  # 17 * (4095 << 7) > 131071 << 6
    assert down[-1] == -(2**23 - 1)
    assert not found.spikes


def test_outputs_that_show_an_input_or_nothing() -> None:
    nodes = {"in": inp(3), "a": out(3), "b": nir.Output(np.array([2])), "w": linear(np.random.default_rng(0), (3, 3))}
    nodes |= {"pop": chip_neuron((3,), dt=DT, dv=9, vth=100), "c": out(3)}
    x = np.random.default_rng(1).integers(-9, 10, (5, 2, 3))
    found = compiled(chip_graph(nodes, ("in", "a"), ("in", "w"), ("w", "pop"), ("pop", "c"))).run(x)
    assert np.array_equal(found.outputs["a"], x)
    assert np.array_equal(found.outputs["c"], found.spikes["pop"])
    assert found.outputs["b"].shape == (5, 2, 2)
    assert not found.outputs["b"].any()


def test_sums_beyond_what_float32_holds() -> None:
    rng = np.random.default_rng(7)
    graph = chip_graph(
        {"in": inp(4), "w": nir.Linear(rng.integers(200, 256, (5, 4)).astype(float)),
         "pop": chip_neuron((5,), dt=DT, dv=100, vth=5000), "out": out(5)},
        ("in", "w"), ("w", "pop"), ("pop", "out"),
    )  # fmt: skip
    x = rng.integers(16000, 32000, (20, 2, 4)).astype(float)
    executable, _ = assert_run(graph, {"in": x})
    exact = x @ executable.integers.projections[0].weights.toarray().T
    assert np.any(exact != exact.astype(np.float32))
    assert arithmetic(executable)["pop"].dtype == torch.float64


@pytest.mark.parametrize("relaxed", ["precision", "autocast"])
def test_products_stay_exact_where_torch_may_round(relaxed: str) -> None:
    """Weights of 12 bits do not fit into bfloat16's 8 or TF32's 11."""
    rng = np.random.default_rng(3)
    weights = rng.integers(-4095, 4096, (64, 256)).astype(float)
    neurons = chip_neuron((64,), dt=DT, du=4000, dv=50, vth=131071)
    graph = chip_graph(
        {"in": inp(256), "w": nir.Linear(weights), "pop": neurons, "out": out(64)},
        ("in", "w"), ("w", "pop"), ("pop", "out"),
    )  # fmt: skip
    before = torch.get_float32_matmul_precision()
    try:
        if relaxed == "precision":
            torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", enabled=relaxed == "autocast"):
            executable, _ = assert_run(graph, {"in": spikes(2, 8, 4, 256)})
        if relaxed == "precision":  # not every processor rounds when it may
            assert arithmetic(executable)["pop"].dtype == torch.float64
    finally:
        torch.set_float32_matmul_precision(before)


def test_voltages_are_kept_where_they_are_asked_for_or_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for every step of a population: most of what a run holds."""
    seen: list[set[str]] = []
    kinds: set[Any] = set()
    advance = TorchIntegers.advance
    monkeypatch.setattr(
        TorchIntegers,
        "advance",
        lambda *given: (seen.append(given[-1]), kinds.add(given[2]["in"].dtype), advance(*given))[-1],
    )
    rng, nodes = np.random.default_rng(3), {"in": inp(3), "out": out(2), "spikes": out(2)}
    for name, threshold in (("pop", 90), ("shown", None), ("hidden", None)):
        fixed = {} if threshold is None else {"vth": threshold}
        nodes |= {f"w_{name}": linear(rng, (2, 3)), name: chip_neuron((2,), dt=DT, du=900, dv=90, **fixed)}
    edges = [edge for n in ("pop", "shown", "hidden") for edge in (("in", f"w_{n}"), (f"w_{n}", n))]
    executable = compiled(chip_graph(nodes, *edges, ("pop", "spikes"), ("shown", "out")))
    x = spikes(1, 6, 2, 3)
    for record, kept in (((), {"shown"}), (("spikes", "currents"), {"shown"}), (RECORD, {"pop", "shown", "hidden"})):
        seen.clear()
        assert executable.run(x, record=record).outputs["out"].any()
        assert seen == [kept]
    assert kinds == {torch.float32}  # an input's integers fit
