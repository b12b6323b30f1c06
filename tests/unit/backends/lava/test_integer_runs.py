"""Lava's bit-accurate models against the plain meaning of the integers: spikes, u and v bit for bit."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, UnsupportedError
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import IntegerTraces, interpret
from tests.edges import assert_together, inputs_together, together
from tests.graphs import graph, inp, out

pytestmark = pytest.mark.usefixtures("one_worker", "lava")
ALL = ("spikes", "voltages", "currents")
STEPS, BATCH = 20, 2


def judge(net: nir.NIRGraph, executable: Any, inputs: dict[str, Any]) -> IntegerTraces:
    """Run on Lava, compare with the plain reference, and give its traces."""
    recording = executable.run(inputs, record=ALL)
    expected = interpret(net, inputs)
    assert set(recording.currents) == set(expected.u)
    for ours, theirs in (
        (recording.spikes, expected.spikes),
        (recording.voltages, expected.v),
        (recording.currents, expected.u),
    ):
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    for name, shown in expected.outputs.items():
        np.testing.assert_array_equal(recording.outputs[name], shown, err_msg=name)
    return expected


#: 91: wrap of u, clipping of v, delays, five kinds of neuron; 168: a bias through an always-firing neuron, constant
#: inputs, three kinds, weights of several parts; 123 late starts; 190 and 51 graded inputs of both signs.
@pytest.mark.parametrize(("seed", "graded"), [(91, False), (168, False), (123, False), (190, True), (51, True)])
def test_random_networks_bit_for_bit(seed: int, graded: bool) -> None:
    net = random_chip_graph(seed)
    executable = hasn.compile(net, "lava", precision="loihi")
    expected = judge(net, executable, random_chip_inputs(net, seed, STEPS, BATCH, graded))
    assert any(spikes.any() for spikes in expected.spikes.values())
    assert any((u < 0).any() for u in expected.u.values())
    if seed == 91:
        assert any((np.abs(v) == 2**23 - 1).any() for v in expected.v.values())
    if seed == 168:
        assert any(start.through.any() for start in executable.mapping.onsets.values())


def test_the_ends_of_the_registers_by_hand() -> None:
    """What the other executors are held to is what Lava's own models do."""
    found = hasn.compile(together(), "lava", precision="loihi").run(inputs_together(), record=ALL)
    assert_together(found.currents, found.voltages, found.spikes)


def test_large_matrices_are_sparse_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.backends.lava.integers.DENSE_ENTRIES", 0)
    net = random_chip_graph(51)
    executable = hasn.compile(net, "lava", precision="loihi")
    assert {cell.kind for cell in executable.mapping.cells} == {"lif", "sparse"}
    judge(net, executable, random_chip_inputs(net, 51, STEPS, BATCH, graded=True))


def test_a_sample_starts_at_its_own_initial_voltage() -> None:
    """v_init, a bias, a constant input and delays, over two samples with the same input: both must be the same."""
    nodes = {
        "input": inp(3),
        "w": nir.Affine(np.array([[120.0, -60, 4], [8, 88, -30]]), np.array([4.0, -2.0])),
        "a": chip_neuron((2,), dt=1e-3, du=900, dv=[200, 300], vth=90, bias=[64, -33], v_init=[1500, -77]),
        "w2": nir.Linear(np.array([[44.0, -12], [6, 30]])),
        "b": chip_neuron((2,), dt=1e-3, dv=100, bias=[-200, 500], v_init=[90, -1]),
        "output": out(2),
    }
    net = graph(nodes, "input > w > a > w2 > b > output")
    net.metadata["dt"] = 1e-3
    executable = hasn.compile(net, "lava", precision="loihi")
    x = (np.random.default_rng(0).random((STEPS, 1, 3)) < 0.5).astype(float)
    expected = judge(net, executable, {"input": np.repeat(x, BATCH, axis=1)})
    assert expected.spikes["a"].any()
    assert expected.v["b"].min() < 0 < expected.v["b"].max()
    with pytest.raises(InputError, match="integers"):
        executable.run(x * 0.5)


def test_input_that_would_wrap_a_current_with_a_bias_in_it_is_refused() -> None:
    nodes = {
        "input": inp(1),
        "w": nir.Linear(np.array([[254.0]])),
        "a": chip_neuron((1,), dt=1e-3, dv=0, vth=1, bias=-1024),
        "w2": nir.Linear(np.array([[254.0]])),
        "b": chip_neuron((1,), dt=1e-3, dv=0, vth=1, bias=-1024),
        "w3": nir.Linear(np.array([[254.0]])),
        "output": out(1),
    }
    net = graph(nodes, "input > w > a > w2 > b > output")
    net = nir.NIRGraph(net.nodes, [*net.edges, ("input", "w3"), ("w3", "b")], type_check=False)
    net.metadata["dt"] = 1e-3
    executable = hasn.compile(net, "lava", precision="loihi")
    assert executable.mapping.onsets["b"].through.any()
    judge(net, executable, {"input": np.full((STEPS, BATCH, 1), 3.0)})
    with pytest.raises(UnsupportedError, match="could wrap") as error:
        executable.run(np.full((STEPS, 1), 600.0))
    assert error.value.node == "b"
