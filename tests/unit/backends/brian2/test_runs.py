"""Batches, parts, streams, states, precision: the same numbers whichever way the network is run."""

import pickle

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError, UnsupportedError
from tests.unit.backends.brian2.formulas import DT, Cell, graph, lif, spikes
from tests.unit.backends.brian2.networks import T, inputs, loop

pytestmark = pytest.mark.usefixtures("brian2")

EVERYTHING = ("spikes", "voltages")


def same(one, other):
    """Two recordings hold the same, bit for bit."""
    for group in ("outputs", "spikes", "voltages"):
        assert getattr(one, group).keys() == getattr(other, group).keys()
        for name, array in getattr(one, group).items():
            np.testing.assert_array_equal(array, getattr(other, group)[name])


def compiled(**options):
    return hasn.compile(loop(), "brian2", dt=DT, **options)


def test_a_batch_is_its_samples_one_by_one():
    x = inputs(batch=3)
    made = compiled()
    together = made.run(x, record=EVERYTHING)
    assert together.counts.spikes["a"] > 100
    assert together.counts.spikes["b"] > 20
    for sample in range(3):
        alone = made.run(x[:, sample], record=EVERYTHING)
        for name in ("a", "b"):
            np.testing.assert_array_equal(alone.spikes[name], together.spikes[name][:, sample])
        # A sample's sums are taken in one order, however many samples stand beside it.
        np.testing.assert_array_equal(alone.voltages["slow"], together.voltages["slow"][:, sample])
        np.testing.assert_array_equal(alone.outputs["outslow"], together.outputs["outslow"][:, sample])


def test_a_batch_in_parts_of_one_size():
    x = inputs(batch=5)
    whole, parts = compiled(), compiled(max_synapses=170)
    assert 2 * parts.plan.synapses <= 170 < 3 * parts.plan.synapses  # 2 + 2 + 1 samples: the last part is filled up
    same(whole.run(x, record=EVERYTHING), parts.run(x, record=EVERYTHING))
    assert len(parts.engine._built) == 1


def test_a_run_leaves_nothing_behind():
    """Spikes under way at the end of a run, and another T, do not show in the next run."""
    x = inputs(batch=2)
    made = compiled()
    first = made.run(x, record=EVERYTHING)
    made.run(x[:7], record=EVERYTHING)
    same(made.run(x, record=EVERYTHING), first)
    same(compiled().run(x[:7], record=EVERYTHING), made.run(x[:7], record=EVERYTHING))


def test_steps_are_the_run():
    x = inputs(batch=2)
    made = compiled()
    whole = made.run(x)
    for name in whole.outputs:
        made.reset()
        np.testing.assert_array_equal([made.step(x[t])[name] for t in range(T)], whole.outputs[name])


def test_a_state_continues_in_another_executable():
    x = inputs(batch=2)
    made, other = compiled(), compiled()
    whole = made.run(x)
    for t in range(15):
        made.step(x[t])
    state = made.state()
    frozen = pickle.dumps(state)
    first = [made.step(x[t])["outslow"] for t in range(15, T)]
    assert pickle.dumps(state) == frozen  # later steps do not change the copy
    for _ in range(2):  # nor does loading it use it up
        other.load_state(state)
        again = [other.step(x[t]) for t in range(15, T)]
        np.testing.assert_array_equal([step["outslow"] for step in again], first)
        np.testing.assert_array_equal([step["outb"] for step in again], whole.outputs["outb"][15:])
    made.run(x)  # a run leaves the stream alone
    made.load_state(state)
    np.testing.assert_array_equal(made.step(x[15])["outb"], whole.outputs["outb"][15])


def test_a_step_refuses_another_batch_and_reset_allows_it():
    made = compiled()
    made.step(inputs(batch=2)[0])
    with pytest.raises(InputError, match="batch changes"):
        made.step(inputs(batch=3)[0])
    made.reset()
    made.step(inputs(batch=3)[0])


def test_float32():
    """Decay 1/2 and weights in eighths are exact in both precisions, so all values agree; the type is float32."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-8, 12, (4, 4)) / 8
    nodes = {"in": 4, "n": lif(4, tau=2e-3, theta=0.5), "w": nir.Affine(weight, weight[0]), "out": 4}
    edges = [("in", "n"), ("n", "w"), ("w", "n"), ("n", "out")]
    x = spikes(rng, 20, 4)
    double, single = (
        hasn.compile(graph(nodes, edges), "brian2", dt=1e-3, precision=p).run(x, record=EVERYTHING)
        for p in ("float64", "float32")
    )
    assert single.voltages["n"].dtype == np.float32
    assert single.output.dtype == np.float32
    assert double.counts.spikes["n"] > 10
    np.testing.assert_array_equal(single.spikes["n"], double.spikes["n"])
    # 20 halvings of numbers of order 1 lose at most some units of the 24th bit.
    np.testing.assert_allclose(single.voltages["n"], double.voltages["n"], rtol=0, atol=1e-6)


def test_float32_rounds_as_numpy_does():
    """tau = 7 steps is not exact: the state itself must be float32, not merely the result."""
    nodes = {"in": 1, "n": lif(1, tau=7e-3, theta=99.0), "out": 1}
    made = hasn.compile(graph(nodes, [("in", "n"), ("n", "out")]), "brian2", dt=1e-3, precision="float32")
    voltages = made.run(np.ones((30, 1)), record="voltages").voltages["n"][:, 0]
    keep, gain, v = np.float32(1 - 1 / 7), np.float32(1 / 7), np.float32(0)
    for t in range(30):
        v = keep * v + gain * np.float32(1)
        assert voltages[t] == v


@pytest.mark.parametrize("brian2", ["brian2"], indirect=True)
def test_long_runs_do_not_drift():
    """Times k*dt are not exact in binary; the spike of step k belongs to step k all the same."""
    steps, dt = 3000, 1.1e-4
    x = np.zeros((steps, 1))
    x[::7] = 1.0
    neuron = nir.IF(np.array([2 / dt]), np.array([1.0]), np.array([0.0]))
    nodes = {"in": 1, "first": neuron, "d": nir.Delay(np.array([5 * dt])), "n": neuron, "out": 1}
    edges = [("in", "first"), ("first", "d"), ("d", "n"), ("n", "out")]
    output = hasn.compile(graph(nodes, edges), "brian2", dt=dt).run(x).output
    np.testing.assert_array_equal(np.flatnonzero(output), np.arange(5, steps, 7))


def test_a_graph_without_inputs():
    neuron = lif(2, tau=4e-3, v_init=np.array([1.0, 0.1]))
    silent = nir.Affine(np.zeros((2, 2)), np.array([0.9, 0.0]))
    made = graph({"n": neuron, "w": silent, "out": 2}, [("n", "w"), ("w", "n"), ("n", "out")])
    recording = hasn.compile(made, "brian2", dt=1e-3).run(steps=20, record=EVERYTHING)
    cell = Cell(neuron, v_init=neuron.metadata["v_init"])
    z, v = zip(*(cell.step(np.array([0.9, 0.0]) * (t > 0)) for t in range(20)), strict=True)
    np.testing.assert_array_equal(recording.output, z)
    np.testing.assert_allclose(recording.voltages["n"], v, rtol=1e-12, atol=1e-15)


def test_refusals_name_the_option_and_the_way_out():
    for options, words in (
        ({"target": "fortran"}, "numpy or cython or cpp_standalone"),
        ({"max_synapses": 0}, ">= 1"),
        ({"build_dir": "x"}, "cpp_standalone"),
    ):
        with pytest.raises(OptionError, match=words):
            compiled(**options)
    with pytest.raises(UnsupportedError, match="Raise max_synapses") as error:
        compiled(max_synapses=10)
    assert error.value.parameter == "max_synapses"
    made = compiled(max_synapses=100)
    with pytest.raises(UnsupportedError, match="step fewer samples"):
        made.step(inputs(batch=2)[0])
    made.step(inputs()[0])  # the refusal left no half-started stream
    with pytest.raises(UnsupportedError, match="numpy"):
        compiled(target="cpp_standalone").step(inputs()[0])
