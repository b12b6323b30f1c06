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
from tests.unit.backends.brian2.formulas import DT, graph, lif
from tests.unit.backends.brian2.networks import loop

T, BATCH = 30, 2
LIMIT = 2**23
EVERYTHING = ("spikes", "voltages", "currents")
both = pytest.mark.usefixtures("brian2")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler (g++) here")


def compiled(made, **options):
    return hasn.compile(made, "brian2", precision="loihi", **options)


def flat(x):
    return {name: value.astype(np.int64).reshape(*value.shape[:2], -1) for name, value in x.items()}


def run_and_reference(made, x, **options):
    """(executable, recording, traces of the reference), which have been found equal."""
    executable = compiled(made, **options)
    recording = executable.run(x, record=EVERYTHING)
    steps, batch = next(iter(x.values())).shape[:2]
    reference = interpret(executable.integers, flat(x), steps, batch)
    assert recording.voltages.keys() == recording.currents.keys() == reference.v.keys()
    for name, spiking in ((p.name, p.spiking) for p in executable.integers.populations.values()):
        assert recording.voltages[name].dtype == recording.currents[name].dtype == np.int32
        np.testing.assert_array_equal(recording.currents[name], reference.u[name], err_msg=name)
        np.testing.assert_array_equal(recording.voltages[name], reference.v[name], err_msg=name)
        if spiking:
            np.testing.assert_array_equal(recording.spikes[name], reference.spikes[name], err_msg=name)
    for output, name in executable.integers.outputs.items():
        shown = reference.spikes if executable.integers.populations[name].spiking else reference.v
        assert recording.outputs[output].dtype == np.int32
        np.testing.assert_array_equal(recording.outputs[output], shown[name], err_msg=output)
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
    silent = [name for name, p in net.populations.items() if not p.spiking]
    found = {
        "wrap": any(_wrapped(net, reference, flat(random_chip_inputs(made, seed, T, BATCH, graded)))),
        "clip": any(np.any(np.abs(v) == LIMIT - 1) for v in reference.v.values()),
        "drives": any(max(p.drives, default=0) > 0 for p in net.populations.values()),
        "recurrence": any(p.source == p.target for p in net.projections),
        "delays": max(p.delay for p in net.projections) > 1,
        "v_init": any(np.any(p.v_init) for p in net.populations.values()),
        "bias": any(np.any(p.bias) for p in net.populations.values()),
        "readout": bool(silent),
        "readout reset": any(np.any(reference.spikes[name]) for name in silent),
    }
    assert reaches <= {fact for fact, true in found.items() if true}
    assert recording.counts.total_spikes > 50


def _wrapped(net, reference, x):
    """Whether each population's u took a turn at some step: it differs from decay plus input."""
    for name, p in net.populations.items():
        u = reference.u[name]
        before = np.concatenate([np.zeros_like(u[:1]), u[:-1]])
        free = np.sign(before) * (np.abs(before) * (4095 - p.du) >> 12)
        for link in net.into(name):
            sent = (x[link.source] if link.source in x else reference.spikes[link.source]).astype(np.int64)
            free[link.delay :] += 64 * (sent @ link.weights.toarray().T)[: T - link.delay]
        for first, value in p.drives.items():
            free[first:] += 64 * value
        yield bool(np.any(free != u))


def one(**registers):
    """An Input of one element, weight 1, and one neuron."""
    nodes = {"in": 1, "w": nir.Linear(np.ones((1, 1))), "n": chip_neuron((1,), dt=DT, **registers), "out": 1}
    made = graph(nodes, [("in", "w"), ("w", "n"), ("n", "out")])
    made.metadata["dt"] = DT
    return made


#: 64 * HALF = 2**23: the edge of the range.
HALF = 131072

#: Input -> u, v after the reset, z, by hand: no current is kept, half of v is, 64 vth = 6400, v starts at -3.
BY_HAND = [
    (0, 0, -1, 0),  # -1.5 goes towards 0
    (0, 0, 0, 0),
    (100, 6400, 6400, 0),  # the threshold itself does not spike
    (51, 3264, 0, 1),
    (HALF, 8388608, 0, 1),  # 2**23 stays
    (HALF + 1, -8388544, -8388544, 0),  # one more turns round
    (-HALF, 8388608, 0, 1),  # -2**23 becomes 2**23
    (1 - HALF, -8388544, -8388544, 0),
    (-2, -128, -4194400, 0),
    (1 - HALF, -8388544, -8388607, 0),  # v clips
    (0, 0, -4194303, 0),
    (HALF * 5 // 2, 4194304, 0, 1),  # one turn, and that is enough
    (HALF * 9 // 2, 20971520, 0, 1),  # one turn is not enough, and there is no second
]


@both
def test_edges_by_hand():
    x, u, v, z = np.array(BY_HAND).T
    recording = compiled(one(du=4095, dv=2048, vth=100, v_init=-3)).run(x[:, np.newaxis], record=EVERYTHING)
    assert recording.currents["n"][:, 0].tolist() == u.tolist()
    assert recording.voltages["n"][:, 0].tolist() == v.tolist()
    assert recording.output[:, 0].tolist() == z.tolist()


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
    reference = interpret(executable.integers, {"in": x.reshape(10, 1, 6)}, 10, 1)
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
    reference = interpret(executable.integers, {"in": x[:, np.newaxis]}, 12, 1).u["n"][:, 0, 0]
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
