"""Who sees what at which step: levels, feedback, delays, graded values, constants; against loops by hand."""

import nir
import numpy as np
import pytest

import hasn
from tests.unit.backends.brian2.formulas import DT, Cell, graph, lif, node, spikes

pytestmark = pytest.mark.usefixtures("brian2")

T = 80
CLOSE = {"rtol": 1e-10, "atol": 1e-12}  # float64 on both sides, sums in another order


def run(made, x, **options):
    return hasn.compile(made, "brian2", dt=DT, **options).run(x, record=("spikes", "voltages"))


def history(values, delay, shape):
    """``values[-1 - delay]``, 0 before the start; the newest value is the last."""
    return values[-1 - delay] if len(values) > delay else np.zeros(shape)


def test_recurrence_through_an_affine_whose_bias_comes_a_step_late():
    rng = np.random.default_rng(0)
    n = 6
    weight, bias, inner = rng.normal(0, 1.0, (n, n)), rng.normal(0, 0.5, n), rng.normal(0, 0.8, n)
    nodes = {
        "in": n,
        "first": nir.Affine(np.eye(n) * 2, inner),
        "n": lif(n),
        "back": nir.Affine(weight, bias),
        "out": n,
    }
    edges = [("in", "first"), ("first", "n"), ("n", "back"), ("back", "n"), ("n", "out")]
    x = spikes(rng, T, n)
    recording = run(graph(nodes, edges), x)
    cell, z, zs, vs = Cell(nodes["n"]), np.zeros(n), [], []
    for t in range(T):
        # The feedback edge is the one back into n: it carries what "back" had a step ago, and nothing at step 0.
        back = weight @ z + bias if t > 0 else 0.0
        z, v = cell.step(2 * x[t] + inner + back)
        zs.append(z), vs.append(v)
    assert np.sum(zs) > 50
    np.testing.assert_array_equal(recording.spikes["n"], np.array(zs) > 0.5)
    np.testing.assert_allclose(recording.voltages["n"], vs, **CLOSE)


def test_two_populations_in_a_loop():
    rng = np.random.default_rng(1)
    n, m = 7, 5
    there, back, own = rng.normal(0, 0.9, (m, n)), rng.normal(0, 0.9, (n, m)), rng.normal(0, 0.5, (m, m))
    nodes = {
        "in": n,
        "a": lif(n),
        "b": lif(m, tau=8e-3),
        "ab": nir.Linear(there),
        "ba": nir.Linear(back),
        "bb": nir.Linear(own),
        "out": m,
    }
    edges = [("in", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"), ("ba", "a"), ("b", "bb"), ("bb", "b"), ("b", "out")]
    x = spikes(rng, T, n) * 2
    recording = run(graph(nodes, edges), x)
    a, b, zb, zas, zbs, vas = Cell(nodes["a"]), Cell(nodes["b"]), np.zeros(m), [], [], []
    for t in range(T):
        za, va = a.step(x[t] + back @ zb)
        zb, _ = b.step(there @ za + own @ zb)
        zas.append(za), zbs.append(zb), vas.append(va)
    assert np.sum(zas) > 50
    assert np.sum(zbs) > 20
    np.testing.assert_array_equal(recording.spikes["a"], np.array(zas) > 0.5)
    np.testing.assert_array_equal(recording.spikes["b"], np.array(zbs) > 0.5)
    np.testing.assert_allclose(recording.voltages["a"], vas, **CLOSE)


def test_heterogeneous_delays_of_spikes_forwards_and_back():
    rng = np.random.default_rng(2)
    n = 6
    there, back = rng.normal(0, 1.0, (n, n)), rng.normal(0, 0.8, (n, n))
    d_there, d_back = np.array([0, 1, 2, 5, 3, 0]), np.array([4, 0, 1, 7, 2, 0])
    nodes = {
        "in": n,
        "a": lif(n),
        "b": lif(n),
        "dab": nir.Delay(d_there * DT),
        "ab": nir.Linear(there),
        "dba": nir.Delay(d_back * DT),
        "ba": nir.Linear(back),
        "out": n,
    }
    edges = [
        ("in", "a"),
        ("a", "dab"),
        ("dab", "ab"),
        ("ab", "b"),
        ("b", "dba"),
        ("dba", "ba"),
        ("ba", "a"),
        ("b", "out"),
    ]
    x = spikes(rng, T, n) * 2
    recording = run(graph(nodes, edges), x)
    a, b, zas, zbs = Cell(nodes["a"]), Cell(nodes["b"]), [], []
    for t in range(T):
        late = np.array(
            [history(zbs, d_back[k], n)[k] for k in range(n)]
        )  # the newest of zbs is step t-1: the feedback edge
        zas.append(a.step(x[t] + back @ late)[0])
        seen = np.array([history(zas, d_there[k], n)[k] for k in range(n)])
        zbs.append(b.step(there @ seen)[0])
    assert np.sum(zas) > 50
    assert np.sum(zbs) > 50
    np.testing.assert_array_equal(recording.spikes["a"], np.array(zas) > 0.5)
    np.testing.assert_array_equal(recording.spikes["b"], np.array(zbs) > 0.5)


def test_graded_values_with_delays_forwards_and_back():
    """Real-valued Input, a leaky integrator that sends its voltage (not its v_init before the start), delays."""
    rng = np.random.default_rng(4)
    n = 4
    there, back = rng.normal(0, 2.0, (n, n)), rng.normal(0, 0.6, (n, n))
    d_in, d_there, d_back = np.array([0, 3, 1, 6]), np.array([2, 0, 5, 1]), np.array([0, 4, 1, 2])
    slow = node("LI", n, rng, v_init=0.7)
    nodes = {
        "in": n,
        "din": nir.Delay(d_in * DT),
        "a": slow,
        "dab": nir.Delay(d_there * DT),
        "ab": nir.Linear(there),
        "b": lif(n),
        "dba": nir.Delay(d_back * DT),
        "ba": nir.Linear(back),
        "aa": nir.Linear(back / 2),
        "out": n,
    }
    edges = [
        ("in", "din"),
        ("din", "a"),
        ("a", "dab"),
        ("dab", "ab"),
        ("ab", "b"),
        ("a", "dba"),
        ("dba", "ba"),
        ("ba", "a"),
        ("a", "aa"),
        ("aa", "a"),
        ("b", "out"),
    ]
    x = rng.normal(0, 2, (T, n))
    recording = run(graph(nodes, edges), x)
    a, b, xs, ys, zbs = Cell(slow, v_init=0.7), Cell(nodes["b"]), [], [], []
    for t in range(T):
        xs.append(x[t])
        given = np.array([history(xs, d_in[k], n)[k] for k in range(n)])
        late = np.array([history(ys, d_back[k], n)[k] for k in range(n)])
        ys.append(a.step(given + back @ late + back / 2 @ history(ys, 0, n))[0])
        seen = np.array([history(ys, d_there[k], n)[k] for k in range(n)])
        zbs.append(b.step(there @ seen)[0])
    assert np.sum(zbs) > 30
    np.testing.assert_allclose(recording.voltages["a"], ys, **CLOSE)
    np.testing.assert_array_equal(recording.output, zbs)


def test_threshold_nodes_inputs_and_outputs():
    """Two Inputs, a Threshold in the middle, three Outputs: spikes, a sum with a bias, an Input passed through."""
    rng = np.random.default_rng(5)
    n = 5
    theta, weight, bias = rng.uniform(-0.5, 0.5, n), rng.normal(0, 1.5, (n, n)), rng.normal(0, 1, n)
    nodes = {
        "in1": n,
        "in2": n,
        "t": nir.Threshold(theta),
        "w": nir.Affine(weight, bias),
        "n": lif(n),
        "outn": n,
        "outw": n,
        "outin": n,
    }
    edges = [
        ("in1", "t"),
        ("in2", "t"),
        ("t", "w"),
        ("w", "n"),
        ("in2", "n"),
        ("n", "outn"),
        ("w", "outw"),
        ("in1", "outin"),
    ]
    x1, x2 = rng.normal(0, 1, (T, n)), rng.normal(0, 1, (T, n))
    recording = run(graph(nodes, edges), {"in1": x1, "in2": x2})
    cell, zs, ws = Cell(nodes["n"]), [], []
    y = x1 + x2 > theta
    for t in range(T):
        ws.append(weight @ y[t] + bias)
        zs.append(cell.step(ws[-1] + x2[t])[0])
    np.testing.assert_array_equal(recording.spikes["t"], y)
    np.testing.assert_array_equal(recording.outputs["outn"], zs)
    np.testing.assert_allclose(recording.outputs["outw"], ws, **CLOSE)
    np.testing.assert_array_equal(recording.outputs["outin"], x1)


def test_constants_start_when_their_delay_has_passed():
    """A bias behind a Delay (and a second one without) drives the target from its own step on."""
    n = 3
    bias, delay = np.array([1.5, -0.5, 2.0]), np.array([0, 3, 5])
    zero = np.zeros((n, n))
    nodes = {"in": n, "w": nir.Affine(zero, bias), "d": nir.Delay(delay * DT), "n": lif(n), "out": n}
    recording = run(graph(nodes, [("in", "w"), ("w", "d"), ("d", "n"), ("w", "n"), ("n", "out")]), np.ones((30, n)))
    cell = Cell(nodes["n"])
    z, v = zip(*(cell.step(bias + bias * (t >= delay)) for t in range(30)), strict=True)
    np.testing.assert_array_equal(recording.output, z)
    np.testing.assert_allclose(recording.voltages["n"], v, **CLOSE)


def test_hardware_timing():
    """Every connection out of an Input or a population takes a step."""
    rng = np.random.default_rng(6)
    n = 4
    weight = rng.normal(0, 1.5, (n, n))
    nodes = {"in": n, "a": lif(n), "w": nir.Linear(weight), "b": lif(n), "out": n}
    x = spikes(rng, T, n) * 2
    recording = run(graph(nodes, [("in", "a"), ("a", "w"), ("w", "b"), ("b", "out")]), x, timing="hardware")
    a, b, zas, zbs = Cell(nodes["a"]), Cell(nodes["b"]), [], []
    for t in range(T):
        before = history(zas, 0, n)
        zas.append(a.step(x[t - 1] if t else np.zeros(n))[0])
        zbs.append(b.step(weight @ before)[0])
    assert np.sum(zbs) > 10
    np.testing.assert_array_equal(recording.spikes["a"], np.array(zas) > 0.5)
    np.testing.assert_array_equal(recording.spikes["b"], np.array(zbs) > 0.5)


def test_stateless_loop():
    """A loop of linear nodes alone: an accumulator, y[t] = x[t] + y[t-1] / 2."""
    nodes = {"in": 2, "half": nir.Linear(np.eye(2) / 2), "sum": nir.Scale(np.ones(2)), "out": 2}
    x = np.random.default_rng(0).normal(size=(20, 2))
    recording = run(graph(nodes, [("in", "sum"), ("sum", "half"), ("half", "sum"), ("sum", "out")]), x)
    y, ys = np.zeros(2), []
    for t in range(20):
        y = x[t] + y / 2
        ys.append(y)
    np.testing.assert_allclose(recording.output, ys, **CLOSE)
