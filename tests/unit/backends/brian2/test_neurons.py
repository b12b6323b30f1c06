"""Every neuron of NIR on Brian2, against the formulas."""

import numpy as np
import pytest

import hasn
from tests.unit.backends.brian2.formulas import Cell, graph, lif, node, spikes

pytestmark = pytest.mark.usefixtures("brian2")

T = 60
KINDS = ("I", "LI", "CubaLI", "IF", "LIF", "CubaLIF")
# Both sides are float64; they order the same few sums differently, 60 times over.
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def _cases():
    for kind in KINDS:
        for method in ("euler", "exact"):
            for reset in ("zero", "subtract") if kind.endswith("F") else ("zero",):
                yield pytest.param(kind, method, reset, id=f"{kind}-{method}-{reset}")


@pytest.mark.parametrize(("kind", "method", "reset"), list(_cases()))
def test_update_threshold_and_reset(kind, method, reset):
    rng = np.random.default_rng(7)
    n = 5
    neuron = node(kind, n, rng, v_init=rng.uniform(-0.2, 0.2, n))
    x = rng.normal(0.6, 1.5, (T, n))
    recording = hasn.compile(
        graph({"in": n, "n": neuron, "out": n}, [("in", "n"), ("n", "out")]),
        "brian2",
        dt=1e-3,
        method=method,
        reset=reset,
    ).run(x, record=("spikes", "voltages"))
    cell = Cell(neuron, method=method, reset=reset, v_init=neuron.metadata["v_init"])
    z, v = map(np.array, zip(*(cell.step(x[t]) for t in range(T)), strict=True))
    np.testing.assert_allclose(recording.voltages["n"], v, **CLOSE)
    np.testing.assert_allclose(recording.output, z, **CLOSE)
    if kind.endswith("F"):
        assert z.sum() > 20  # the test would say nothing about silent neurons
        np.testing.assert_array_equal(recording.spikes["n"], z > 0.5)


def test_threshold_is_strict():
    """A voltage that equals the threshold exactly does not fire; all numbers here are exact in binary."""
    neuron = lif(1, tau=2e-3, theta=0.5)  # v <- v/2 + I/2
    recording = hasn.compile(
        graph({"in": 1, "n": neuron, "out": 1}, [("in", "n"), ("n", "out")]), "brian2", dt=1e-3
    ).run(np.array([[1.0], [0.5], [0.75]]))
    np.testing.assert_array_equal(recording.output[:, 0], [0, 0, 1])


def test_reset_of_the_node_wins():
    rng = np.random.default_rng(3)
    nodes = {"in": 2, "a": lif(2, reset="subtract"), "b": lif(2), "outa": 2, "outb": 2}
    x = spikes(rng, T, 2, rate=0.7) * 3
    made = hasn.compile(
        graph(nodes, [("in", "a"), ("in", "b"), ("a", "outa"), ("b", "outb")]), "brian2", dt=1e-3, reset="zero"
    )
    recording = made.run(x, record="voltages")
    for name, reset in (("a", "subtract"), ("b", "zero")):
        cell = Cell(nodes[name], reset=reset)
        v = np.array([cell.step(x[t])[1] for t in range(T)])
        np.testing.assert_allclose(recording.voltages[name], v, **CLOSE)
    assert np.abs(recording.voltages["a"] - recording.voltages["b"]).max() > 0.1


def test_odd_names():
    """Names that are no identifiers, and two that would become one if odd characters were merely replaced."""
    nodes = {"in put": 2, "a.b": lif(2), "a_b": lif(2, tau=8e-3), "λ-out": 2}
    edges = [("in put", "a.b"), ("in put", "a_b"), ("a.b", "λ-out"), ("a_b", "λ-out")]
    x = spikes(np.random.default_rng(0), T, 2, rate=0.6) * 2
    recording = hasn.compile(graph(nodes, edges), "brian2", dt=1e-3).run(x)
    cells = [Cell(nodes["a.b"]), Cell(nodes["a_b"])]
    z = np.array([[cell.step(x[t])[0] for cell in cells] for t in range(T)])
    assert z.sum(axis=(0, 2)).min() > 5
    assert np.any(z[:, 0] != z[:, 1])
    np.testing.assert_array_equal(recording.spikes["a.b"], z[:, 0] > 0.5)
    np.testing.assert_array_equal(recording.spikes["a_b"], z[:, 1] > 0.5)
    np.testing.assert_array_equal(recording.output, z.sum(axis=1))
