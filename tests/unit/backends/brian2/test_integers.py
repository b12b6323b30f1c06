"""precision="loihi": spikes, u and v are the reference's bits."""

import shutil

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError, UnsupportedError
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import interpret
from tests.edges import HALF, LIMIT, assert_together, inputs_together, together
from tests.unit.backends.brian2.formulas import DT, graph, lif
from tests.unit.backends.brian2.networks import loop

T, BATCH = 30, 2
EVERYTHING = ("spikes", "voltages", "currents")
both = pytest.mark.usefixtures("brian2")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) here")


def compiled(made, **options):
    return hasn.compile(made, "brian2", precision="loihi", **options)


def run_and_reference(made, x, **options):
    """(executable, recording, traces of the reference), which have been found equal."""
    executable = compiled(made, **options)
    recording = executable.run(x, record=EVERYTHING)
    reference = interpret(made, x, dt=DT, timing=options.get("timing", "synchronous"))
    assert recording.voltages.keys() == recording.currents.keys() == reference.v.keys()
    assert recording.spikes.keys() == reference.spikes.keys()
    for name in reference.v:
        assert recording.voltages[name].dtype == recording.currents[name].dtype == np.int32
        np.testing.assert_array_equal(recording.currents[name], reference.u[name], err_msg=name)
        np.testing.assert_array_equal(recording.voltages[name], reference.v[name], err_msg=name)
        if name in reference.spikes:
            np.testing.assert_array_equal(recording.spikes[name], reference.spikes[name], err_msg=name)
    for output, shown in reference.outputs.items():
        assert recording.outputs[output].dtype == np.int32
        np.testing.assert_array_equal(recording.outputs[output], shown, err_msg=output)
    return executable, recording, reference


@both
@pytest.mark.parametrize(
    ("seed", "graded", "reaches"),
    [
        (4, True, {"clip", "drives", "recurrence", "delays"}),  # signed graded Inputs, constants from steps 0 .. 3 on
        (17, False, {"clip", "v_init", "bias", "delays", "readout"}),
        (29, False, {"wrap", "clip"}),  # with spikes alone
        (36, True, {"wrap", "clip", "drives", "readout reset"}),  # also currents that one turn does not bring back
    ],
)
def test_random_graphs(seed, graded, reaches):
    made = random_chip_graph(seed)
    executable, recording, reference = run_and_reference(made, random_chip_inputs(made, seed, T, BATCH, graded))
    net = executable.integers
    silent = reference.v.keys() - reference.spikes.keys()
    found = {
        "wrap": any(map(np.any, reference.wraps.values())),
        "clip": any(np.any(v == 1 - LIMIT) for v in reference.v.values()),
        "drives": any(max(p.drives, default=0) > 0 for p in net.populations.values()),
        "recurrence": any(p.source == p.target for p in net.projections),
        "delays": max(p.delay for p in net.projections) > 1,
        "v_init": any(np.any(p.v_init) for p in net.populations.values()),
        "bias": any(np.any(p.bias) for p in net.populations.values()),
        "readout": bool(silent),
        "readout reset": any(np.any(reference.resets[name]) for name in silent),
    }
    assert reaches <= {fact for fact, true in found.items() if true}
    assert recording.counts.total_spikes > 50


def one(**registers):
    """An Input of one element, weight 1, and one neuron."""
    nodes = {"in": 1, "w": nir.Linear(np.ones((1, 1))), "n": chip_neuron((1,), dt=DT, **registers), "out": 1}
    made = graph(nodes, [("in", "w"), ("w", "n"), ("n", "out")])
    made.metadata["dt"] = DT
    return made


@both
def test_the_ends_of_the_registers_by_hand():
    found = compiled(together()).run(inputs_together(), record=EVERYTHING)
    assert_together(found.currents, found.voltages, found.spikes)


@both
def test_steps_are_the_run_and_a_state_continues_elsewhere():
    made = random_chip_graph(4)
    x = random_chip_inputs(made, 4, T, BATCH, graded=True)
    whole, first, second = (compiled(made) for _ in range(3))
    expected = whole.run(x).outputs
    seen = {name: [] for name in expected}
    for t in range(T):
        if t == 11:
            second.load_state(first.state())
        result = (first if t < 11 else second).step({name: value[t] for name, value in x.items()})
        for name, value in result.items():
            assert value.dtype == np.int32
            seen[name].append(value)
    assert any(np.any(value) for value in expected.values())
    for name, value in expected.items():
        np.testing.assert_array_equal(seen[name], value)


@both
def test_hardware_timing_and_a_batch_in_parts():
    made = random_chip_graph(7)  # two readouts, drives, delays
    x = random_chip_inputs(made, 7, T, 3)
    executable, recording, _ = run_and_reference(made, x, timing="hardware", max_synapses=400)
    assert executable.plan.synapses * 3 > 400 > executable.plan.synapses  # at least two parts
    assert min(p.delay for p in executable.integers.projections) == 1
    assert recording.counts.total_spikes > 50


@both
def test_outputs_of_an_input_of_a_readout_and_of_nothing():
    rng = np.random.default_rng(3)
    nodes = {
        "in": nir.Input({"input": np.array([2, 3])}),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0),
        "w": nir.Linear(rng.integers(-60, 61, (4, 6)) * 2.0),
        "v": chip_neuron((4,), dt=DT, dv=400),
        "outin": nir.Output({"output": np.array([2, 3])}),
        "outv": 4,
        "outnone": 2,
    }
    made = graph(nodes, [("in", "flat"), ("flat", "w"), ("w", "v"), ("v", "outv"), ("in", "outin")])
    x = rng.integers(-9, 10, (10, 2, 3))
    executable = compiled(made, dt=DT)
    recording = executable.run(x)
    np.testing.assert_array_equal(recording.outputs["outin"], x)
    reference = interpret(made, {"in": x[:, np.newaxis]}, dt=DT)
    np.testing.assert_array_equal(recording.outputs["outv"], reference.v["v"][:, 0])
    assert {value.dtype for value in recording.outputs.values()} == {np.dtype(np.int32)}
    assert not np.any(recording.outputs["outnone"])
    stepped = executable.step(x[0])
    assert all(np.array_equal(stepped[name], value[0]) for name, value in recording.outputs.items())


@needs_compiler
@pytest.mark.compiles
@pytest.mark.parametrize("target", ["cython", "cpp_standalone"])
def test_compiled_targets(target):
    """One neuron, for each piece of code is compiled: u wraps, v clips, both signs."""
    rng = np.random.default_rng(8)
    x = rng.integers(-2 * HALF, 2 * HALF, (60, 2, 1)) * (rng.random((60, 2, 1)) < 0.5)
    made = one(du=700, dv=300, vth=HALF - 9000, bias=-4095 << 5, v_init=-50_001)
    _, recording, reference = run_and_reference(made, {"in": x.astype(float)}, target=target)
    assert 5 < recording.counts.total_spikes < 100
    assert np.any(reference.v["n"] == 1 - LIMIT)


@both
def test_a_current_that_leaves_32_bits_is_refused():
    """A turn a step takes less than comes in; the reference, whose integers have no end, says when it is too much."""
    made = one(du=0, dv=0, vth=131071)
    x = np.full((12, 1), 2**23 - 1)
    executable = compiled(made)
    reference = interpret(made, {"in": x[:, np.newaxis]}).u["n"][:, 0, 0]
    before = np.concatenate([[0], reference[:-1]])
    fits = int(np.argmax(before * 4095 // 4096 + 64 * x[:, 0] >= 2**31))
    assert 2 < fits < 12
    recording = executable.run(x[:fits], record="currents")
    np.testing.assert_array_equal(recording.currents["n"][:, 0], reference[:fits])
    with pytest.raises(UnsupportedError, match="32 bits") as error:
        executable.run(x[: fits + 1])
    assert error.value.node == "n"
    for t in range(fits):
        executable.step(x[t])
    with pytest.raises(UnsupportedError, match="32 bits"):
        executable.step(x[fits])
    assert executable.run(x[:fits]).output.shape == (fits, 1)  # a refused run leaves nothing behind


@both
def test_refusals():
    with pytest.raises(UnsupportedError, match="register") as error:
        compiled(graph({"in": 1, "n": lif(1), "out": 1}, [("in", "n"), ("n", "out")]), dt=DT)
    assert (error.value.node, error.value.parameter) == ("n", "decay of v")
    with pytest.raises(UnsupportedError, match="resets to 0"):
        compiled(one(dv=1, vth=1), reset="subtract")
    with pytest.raises(OptionError, match="float64 or float32 or loihi"):
        hasn.compile(loop(), "brian2", dt=DT, precision="int8")
    with pytest.raises(OptionError, match="spikes and/or voltages"):
        hasn.compile(loop(), "brian2", dt=DT).run(np.ones((2, 6)), record="currents")
    made = compiled(one(dv=1, vth=1))
    with pytest.raises(InputError, match="takes integers"):
        made.run(np.full((3, 1), 0.5))
    with pytest.raises(InputError, match="24 bits"):
        made.run(np.full((3, 1), 2.0**23))
    made.step(np.ones(1))
    with pytest.raises(InputError, match="takes integers"):
        made.step(np.full(1, 0.5))
    made.step(np.ones(1))  # the stream goes on
    with pytest.raises(UnsupportedError, match="numpy"):
        compiled(one(dv=1, vth=1), target="cpp_standalone").step(np.ones(1))
