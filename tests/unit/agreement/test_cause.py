"""Every cause that a comparison names, on a case made for it.

The recordings come from the conformance reference, so that no backend has a share in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from hasn.agreement import Comparison, Divergence
from hasn.ir.lower import lower
from hasn.recording import Recording
from tests import graphs
from tests.unit.agreement.known import Known, held

DT = graphs.DT
Array = np.ndarray[Any, Any]
Change = Callable[[Array, Array], tuple[Array, Array]]


def network(change: Change = lambda w, b: (w, b), leak: float = 0.1, v_reset: float = -0.125) -> nir.NIRGraph:
    """12 -> 10 -> 6 LIF neurons with biases, all of which fire; ``change`` is done to weights and biases."""
    rng = np.random.default_rng(0)

    def lif(n: int) -> nir.LIF:
        tau, r = rng.uniform(5e-3, 2e-2, n), rng.uniform(5.0, 9.0, n)
        return nir.LIF(tau=tau, r=r, v_leak=np.full(n, leak), v_threshold=np.ones(n), v_reset=np.full(n, v_reset))

    def affine(*shape: int) -> nir.Affine:
        return nir.Affine(*change(rng.normal(0.2, 0.4, shape), rng.normal(0.1, 0.05, shape[0])))

    nodes = {"input": graphs.inp(12), "fc1": affine(10, 12), "lif1": lif(10), "fc2": affine(6, 10), "lif2": lif(6)}
    return graphs.graph({**nodes, "output": graphs.out(6)}, "input > fc1 > lif1 > fc2 > lif2 > output")


X = (np.random.default_rng(1).random((80, 2, 12)) < 0.3).astype(float)


def late(x: Array, steps: int) -> Array:
    """Late by so many steps, early if there are fewer than 0; what is not known is 0."""
    zeros = np.zeros_like(x[: abs(steps)])
    return np.concatenate([zeros, x[:-steps]]) if steps > 0 else np.concatenate([x[-steps:], zeros])


def ran(graph: nir.NIRGraph, x: Array = X, **options: Any) -> Known:
    return Known(graph, {"input": x}, **options)


def on_grid(steps: int) -> Change:
    """Weights of so many steps at most."""

    def change(weight: Array, bias: Array) -> tuple[Array, Array]:
        step = np.abs(weight).max() / steps
        return np.round(weight / step) * step, bias

    return change


def in_sixty_fourths(weight: Array, bias: Array) -> tuple[Array, Array]:
    """fc1's largest weight is 1.001: at most 127 steps of 2^-6, and more than that of 2^-7."""
    return np.round(weight * 64) / 64, bias


def in_half_precision(weight: Array, bias: Array) -> tuple[Array, Array]:
    return weight.astype(np.float16).astype(float), bias


def with_a_negative_one(weight: Array, bias: Array) -> tuple[Array, Array]:
    """The largest weight of all inhibits."""
    weight[0, 0] = -1.5
    return weight, bias


def first_of(found: Comparison) -> Divergence:
    first = found.first_divergence("b")
    assert first is not None
    assert not first.tie
    assert not found.ok
    return first


RIGHT = ran(network())
#: More samples, for a rule that makes so little difference that few spikes show it.
MORE = (np.random.default_rng(1).random((80, 40, 12)) < 0.3).astype(float)
#: (kind, the right run, the wrong one, what the one that breaks the rule does).
MADE: dict[str, tuple[str, Known, Known, str]] = {
    "subtracts": ("reset", RIGHT, ran(network(), reset="subtract"), "resets by 'subtract', the Program by 'zero'"),
    "zeroes": ("reset", ran(network(), reset="subtract"), RIGHT, "resets by 'zero', the Program by 'subtract'"),
    # A reset by subtraction of v_threshold - v_reset = 0 is none.
    "goes on": ("reset", RIGHT, ran(network(v_reset=1.0), reset="subtract"), "does not reset at all"),
    "exact": ("discretisation", RIGHT, ran(network(), method="exact"), "steps by 'exact', the Program by 'euler'"),
    "euler": ("discretisation", ran(network(), method="exact"), RIGHT, "steps by 'euler', the Program by 'exact'"),
    "no bias": ("missing bias", RIGHT, ran(network(lambda w, b: (w, 0 * b))), "ran without it"),
    "no leak": ("missing bias", RIGHT, ran(network(leak=0.0)), "ran without v_leak"),
    "late 1": ("late input", RIGHT, ran(network(), late(X, 1)), "saw it 1 step(s) after the Program"),
    "late 3": ("late input", RIGHT, ran(network(), late(X, 3)), "saw it 3 step(s) after the Program"),
    "float16": ("quantisation", ran(network(), MORE), ran(network(in_half_precision), MORE), "float16"),
    "8 bits": ("quantisation", RIGHT, ran(network(on_grid(127))), "8 bits"),
    "8 bits of inhibition": (
        "quantisation",
        ran(network(with_a_negative_one)),
        ran(network(lambda w, b: on_grid(127)(*with_a_negative_one(w, b)))),
        "8 bits",
    ),
    "with an exponent": ("quantisation", RIGHT, ran(network(in_sixty_fourths)), "8 bits and an exponent"),
    "4 bits": ("quantisation", RIGHT, ran(network(on_grid(7))), "4 bits"),
}
SENTENCES = {
    "reset": "a different reset: {who} {does}",
    "discretisation": "a different discretisation: {who} {does}",
    "missing bias": "a missing {what}: {who} {does}",
    "late input": "an input that arrives {steps} step(s) late: {who} {does}",
    "quantisation": "quantisation: {who} ran with weights rounded to {does}",
}


def other_method(known: Known) -> Any:
    method = {"euler": "exact", "exact": "euler"}[known.options["method"]]
    return lambda: lower(known.graph, **{**known.options, "method": method})


@pytest.mark.parametrize("who", ["it", "the reference"])
@pytest.mark.parametrize("name", MADE)
def test_a_changed_rule_is_named(name: str, who: str) -> None:
    kind, right, wrong, does = MADE[name]
    both = [right.recording(), wrong.recording()]
    one, other = both if who == "it" else both[::-1]
    first = first_of(held(right, one, other, other_method=other_method(right)))
    what = "leak potential" if "leak" in name else "bias"
    said = SENTENCES[kind].format(who=who, does=does, what=what, steps=name[-1])
    assert (first.kind, first.cause) == (kind, f"{said} (node 'lif1')")


@pytest.mark.parametrize(("factor", "kind"), [(0.5, "reset"), (2.0, "unknown")])
def test_a_rule_must_explain_the_voltages_to_rounding(factor: float, kind: str) -> None:
    """1e-9 of the largest voltage, at one neuron in one step."""
    one, other = RIGHT.recording(), ran(network(), reset="subtract").recording()
    first = first_of(held(RIGHT, one, other))
    largest = np.abs(other.voltages["lif1"][:, first.sample]).max()
    other.voltages["lif1"][first.step, first.sample, 0] += factor * 1e-9 * largest
    assert first_of(held(RIGHT, one, other)).kind == kind


def test_weights_that_cancel_have_no_grid() -> None:
    """A second Input whose two ways to the neuron cancel, so that its weight is 0."""
    nodes: dict[str, nir.NIRNode] = dict(network().nodes)
    nodes |= {"in2": graphs.inp(1), "u": nir.Linear(np.array([[1.0], [-1.0]])), "v": nir.Linear(np.ones((10, 2)))}
    paths = ("input > fc1 > lif1 > fc2 > lif2 > output", "in2 > u > v > lif1")
    inputs = {"input": X, "in2": X[..., :1]}
    rounded = {**nodes, "fc1": network(on_grid(127)).nodes["fc1"]}
    right, wrong = Known(graphs.graph(nodes, *paths), inputs), Known(graphs.graph(rounded, *paths), inputs)
    first = first_of(held(right, right.recording(), wrong.recording()))
    assert first.cause == "quantisation: it ran with weights rounded to 8 bits (node 'lif1')"


def threshold(weight: float = -0.5, bias: float = 1.5, steps: int = 0) -> Known:
    """A Threshold of 1 V that inputs silence, come ``steps`` late. They are of quarters: some sums are just 1 V."""
    nodes = {"input": graphs.inp(1), "w": nir.Affine(np.array([[weight]]), np.array([bias]))}
    nodes |= {"t": nir.Threshold(np.array([1.0])), "output": graphs.out(1)}
    x = np.random.default_rng(3).integers(0, 7, (30, 2, 1)) / 4
    return Known(graphs.graph(nodes, "input > w > t > output"), {"input": late(x, steps) if steps else x})


THRESHOLD: dict[str, tuple[Known, str]] = {
    "missing bias": (threshold(bias=0.0), "a missing bias: it ran without it (node 't')"),
    "late input": (
        threshold(steps=2),
        "an input that arrives 2 step(s) late: it saw it 2 step(s) after the Program (node 't')",
    ),
    "unknown": (
        threshold(weight=-0.25),
        "the voltages agree up to this step, so only the threshold or the recording of this spike differs",
    ),
}


@pytest.mark.parametrize("kind", THRESHOLD)
def test_a_threshold_is_replayed_by_its_spikes(kind: str) -> None:
    right, (wrong, said) = threshold(), THRESHOLD[kind]
    assert (right.seen["t"] == 1.0).any()
    first = first_of(held(right, right.recording(), wrong.recording()))
    assert (first.kind, first.cause) == (kind, said)


def test_the_first_population_that_parts_is_replayed_not_where_the_first_spike_differs() -> None:
    """Only lif2 lacks its bias, which its voltages show before its spikes do."""
    wrong = ran(network(lambda w, b: (w, b if len(b) == 10 else 0 * b)))
    first = first_of(held(RIGHT, RIGHT.recording(), wrong.recording()))
    assert (first.kind, first.cause) == ("missing bias", "a missing bias: it ran without it (node 'lif2')")


def test_a_discretisation_without_a_meaning_is_no_rule() -> None:
    first = first_of(held(RIGHT, RIGHT.recording(), ran(network(), method="exact").recording()))
    assert first.kind == "unknown"


# --- what nothing explains


def swapped(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Two weights of lif2's exchanged."""
    if len(bias) == 6:
        weight[0, 0], weight[3, 1] = weight[3, 1], weight[0, 0]
    return weight, bias


def first_apart(one: Recording, other: Recording, node: str, sample: int) -> int:
    differ = np.abs(one.voltages[node] - other.voltages[node])[:, sample].max(axis=1) > 1e-6
    return int(np.flatnonzero(differ)[0])


def test_a_swapped_weight_is_not_explained_away() -> None:
    one, other = RIGHT.recording(), ran(network(swapped)).recording()
    first = first_of(held(RIGHT, one, other, other_method=other_method(RIGHT)))
    step = first_apart(one, other, "lif2", first.sample)
    assert first.step > step
    said = f"the voltages part first at node 'lif2' step {step}"
    explained = "no other reset, method, bias, delay or rounding explains it"
    assert (first.kind, first.cause) == ("unknown", f"{said}; {explained}")


def test_a_lost_delay_is_not_explained_away() -> None:
    def cycle(*steps: int) -> nir.NIRGraph:
        nodes = dict(network().nodes)
        nodes |= {"d": nir.Delay(np.array(steps) * DT), "back": nir.Linear(np.full((10, 6), 0.3))}
        return graphs.graph(nodes, "input > fc1 > lif1 > fc2 > lif2 > output", "lif2 > d > back > lif1")

    right, wrong = ran(cycle(3, 3, 3, 3, 3, 3)), ran(cycle(3, 3, 0, 3, 3, 3))
    first = first_of(held(right, right.recording(), wrong.recording(), other_method=other_method(right)))
    assert first.step == first_apart(right.recording(), wrong.recording(), "lif1", first.sample)
    said = "the voltages part at this very step; no other reset, method, bias, delay or rounding explains it"
    assert (first.node, first.kind, first.cause) == ("lif1", "unknown", said)


def test_neither_is_right() -> None:
    """Both under a changed rule of their own: the other's is named."""
    both = [ran(network(), **{key: value}).recording() for key, value in (("method", "exact"), ("reset", "subtract"))]
    first = first_of(held(RIGHT, *both, other_method=other_method(RIGHT)))
    assert (first.kind, first.cause) == (
        "reset",
        "a different reset: it resets by 'subtract', the Program by 'zero' (node 'lif1')",
    )
