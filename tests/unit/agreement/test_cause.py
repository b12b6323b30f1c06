"""Every cause that a comparison names, on a case made for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.agreement import Comparison, judge
from hasn.program.fuse import fuse
from hasn.program.lower import lower
from hasn.recording import Recording

DT = 1e-3


def network(seed: int = 0, threshold: float = 1.0) -> nir.NIRGraph:
    """12 -> 10 -> 6 LIF neurons with biases; every node fires."""
    rng = np.random.default_rng(seed)

    def lif(n: int) -> nir.LIF:
        return nir.LIF(
            tau=rng.uniform(5e-3, 2e-2, n),
            r=rng.uniform(5.0, 9.0, n),
            v_leak=np.zeros(n),
            v_threshold=np.full(n, threshold),
        )

    nodes = {
        "input": nir.Input(np.array([12])),
        "fc1": nir.Affine(rng.normal(0.2, 0.4, (10, 12)), rng.normal(0.1, 0.05, 10)),
        "lif1": lif(10),
        "fc2": nir.Affine(rng.normal(0.2, 0.4, (6, 10)), rng.normal(0.1, 0.05, 6)),
        "lif2": lif(6),
        "output": nir.Output(np.array([6])),
    }
    names = list(nodes)
    edges = [(names[i], names[i + 1]) for i in range(len(names) - 1)]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


def spikes(steps: int = 80, batch: int = 2, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random((steps, batch, 12)) < 0.3


def run(graph: nir.NIRGraph, x: np.ndarray[Any, Any], **options: Any) -> Recording:
    return hasn.compile(graph, "snntorch", **options).run(x, record=("spikes", "voltages"))


def held_against(graph: nir.NIRGraph, x: np.ndarray[Any, Any], other: Recording) -> Comparison:
    """``other`` against the right recording of ``graph``."""
    program = lower(graph)
    inputs = {"input": np.asarray(x, dtype=float)}
    recordings = {"right": run(graph, x), "other": other}
    return judge(program, fuse(program), inputs, recordings, "right", other_method=lambda: lower(graph, method="exact"))


def with_weights(graph: nir.NIRGraph, change: Any) -> nir.NIRGraph:
    changed = hasn.repair(graph).graph
    for name in ("fc1", "fc2"):
        node = changed.nodes[name]
        node.weight, node.bias = change(node.weight, node.bias)
    return changed


def late(x: np.ndarray[Any, Any], steps: int) -> np.ndarray[Any, Any]:
    return np.concatenate([np.zeros_like(x[:steps]), x[:-steps]])


def on_grid(weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """8-bit integers times the largest weight over 127."""
    step = np.abs(weight).max() / 127
    return np.rint(weight / step) * step


G, X = network(), spikes()
MADE = {
    "reset": lambda: run(G, X, reset="subtract"),
    "discretisation": lambda: run(G, X, method="exact"),
    "missing bias": lambda: run(with_weights(G, lambda w, b: (w, 0 * b)), X),
    "late input": lambda: run(G, late(X, 1)),
    "quantisation": lambda: run(with_weights(G, lambda w, b: (on_grid(w), b)), X),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_changed_rule_is_named(kind: str) -> None:
    comparison = held_against(G, X, MADE[kind]())
    first = comparison.first_divergence("other")
    assert first is not None
    assert not comparison.ok
    assert (first.kind, first.tie) == (kind, False), first.cause
    assert (
        kind in first.cause
        or {"discretisation": "'exact'", "late input": "1 step(s) late"}.get(kind, "?") in first.cause
    )


def test_the_reference_itself_may_be_the_odd_one() -> None:
    program = lower(G)
    recordings = {"odd": run(G, X, reset="subtract"), "right": run(G, X)}
    comparison = judge(program, fuse(program), {"input": X.astype(float)}, recordings, "odd")
    first = comparison.first_divergence("right")
    assert first is not None
    assert first.kind == "reset"
    assert "the reference resets by 'subtract'" in first.cause


def shifted(recording: Recording, by: dict[str, int]) -> Recording:
    """The recording as it would look if some nodes' latency had not been taken out."""
    return replace(
        recording,
        spikes={node: late(array, by[node]) for node, array in recording.spikes.items()},
        voltages={node: late(array, by[node]) for node, array in recording.voltages.items()},
    )


def test_a_latency_that_was_not_taken_out_is_a_shift() -> None:
    first = held_against(G, X, shifted(run(G, X), {"lif1": 1, "lif2": 2})).first_divergence("other")
    assert first is not None
    assert first.kind == "shift"
    assert "'lif1' +1, 'lif2' +2" in first.cause


def one_neuron(threshold: float, weights: list[float]) -> nir.NIRGraph:
    """An IF neuron (R dt = 1) with ``len(weights)`` inputs."""
    nodes = {
        "input": nir.Input(np.array([len(weights)])),
        "w": nir.Linear(np.array([weights])),
        "if": nir.IF(r=np.array([1 / DT]), v_threshold=np.array([threshold])),
        "output": nir.Output(np.array([1])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, [(names[i], names[i + 1]) for i in range(3)], metadata={"dt": DT}, type_check=False)


def test_a_sum_at_the_threshold_is_a_tie_and_does_not_count() -> None:
    # (0.1 + 0.2) + 0.3 is one unit of rounding above 0.1 + (0.2 + 0.3) = 0.6: the order of summation decides.
    graph = one_neuron(0.6, [0.1, 0.2, 0.3])
    x = np.ones((1, 1, 3))
    program = lower(graph)
    sums = {"left": (0.1 + 0.2) + 0.3, "right": 0.1 + (0.2 + 0.3)}
    assert sums["left"] > 0.6 >= sums["right"]
    plain = run(graph, x)
    recordings = {
        label: replace(
            plain, spikes={"if": np.array([[[v > 0.6]]])}, voltages={"if": np.array([[[0.0 if v > 0.6 else v]]])}
        )
        for label, v in sums.items()
    }
    comparison = judge(program, fuse(program), {"input": x}, recordings, "left")
    first = comparison.first_divergence("right")
    assert first is not None
    assert (first.kind, first.tie) == ("tie", True)
    assert (comparison.differing["right"], comparison.ties["right"], comparison.ok) == (0, 1, True)


def test_float32_that_adds_up_is_called_so() -> None:
    # 0.1 is no binary fraction: 8,000 additions in float32 drift by 6e-5, more than a tie allows (3e-5).
    graph = one_neuron(800.0, [0.1])
    x = np.ones((8100, 1, 1))
    program = lower(graph)
    recordings = {"f64": run(graph, x), "f32": run(graph, x, precision="float32")}
    comparison = judge(program, fuse(program), {"input": x}, recordings, "f64")
    first = comparison.first_divergence("f32")
    assert first is not None
    assert (first.kind, first.tie) == ("float32 rounding", False), first.cause


def test_a_difference_that_nothing_explains_is_not_explained_away() -> None:
    right = run(G, X)
    wrong = {**right.voltages, "lif1": right.voltages["lif1"] * 1.37}
    flipped = {**right.spikes, "lif1": right.spikes["lif1"] ^ (np.arange(80) % 7 == 3)[:, None, None]}
    first = held_against(G, X, replace(right, voltages=wrong, spikes=flipped)).first_divergence("other")
    assert first is not None
    assert first.kind == "unknown"


def test_ties_take_only_what_they_can_have_caused() -> None:
    """After a tie in lif2 (the last layer), a difference in lif1 still counts."""
    right = run(G, X)
    program = lower(G)
    t, b, n = (int(i[0]) for i in np.nonzero(~right.spikes["lif2"][5:]))
    t += 5
    theta = 1.0
    voltages = {node: array.copy() for node, array in right.voltages.items()}
    voltages["lif2"][t, b, n] = theta - 1e-15
    flipped = {node: array.copy() for node, array in right.spikes.items()}
    flipped["lif2"][t, b, n] = True
    silent = replace(right, voltages=voltages)
    tied = replace(right, spikes=flipped)
    only_tie = judge(program, fuse(program), {"input": X.astype(float)}, {"a": silent, "b": tied}, "a")
    assert (only_tie.ties["b"], only_tie.differing["b"]) == (1, 0)
    flipped["lif1"] = flipped["lif1"].copy()
    flipped["lif1"][-1, b, 0] ^= True
    more = judge(
        program, fuse(program), {"input": X.astype(float)}, {"a": silent, "b": replace(tied, spikes=flipped)}, "a"
    )
    assert more.differing["b"] == 1
    assert not more.ok
