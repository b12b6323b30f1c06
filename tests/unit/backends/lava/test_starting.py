"""Integer networks that go on from a state on Lava's stock processes: u, v and what is under way, bit for bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.lava.integers import map_integers
from hasn.backends.lava.starting import leads
from hasn.errors import UnsupportedError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import to_integers
from hasn.state import Snapshot
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import interpret
from tests.graphs import graph, inp, out

ALL = ("spikes", "voltages", "currents")
STEPS, BATCH = 20, 2
DT = 1e-3


def assert_bits(parts: list[Any], net: nir.NIRGraph, inputs: dict[str, Any]) -> None:
    """The parts of a run, against the plain reference of the whole."""
    expected = interpret(net, inputs)
    for group, wanted in (("spikes", expected.spikes), ("voltages", expected.v), ("currents", expected.u)):
        assert sum(np.count_nonzero(array) for array in wanted.values()) > 20
        for name, array in wanted.items():
            found = np.concatenate([part.series[group][name] for part in parts])
            np.testing.assert_array_equal(found, array, err_msg=f"{group} of {name}")


#: 91: wrap of u, delays, five kinds of neuron; 168: a bias through an always-firing neuron, constant inputs; 190 and 51
#: graded inputs of both signs; 123 late starts.
SEEDS = [(91, False), (168, False), (123, False), (190, True), (51, True)]


@pytest.mark.usefixtures("workers")
@pytest.mark.parametrize(("seed", "graded"), SEEDS)
@pytest.mark.parametrize("cuts", [(0, 1, 2, 5, STEPS), (0, 13, 14, STEPS)])
def test_a_run_in_parts_is_the_run(seed: int, graded: bool, cuts: tuple[int, ...]) -> None:
    net = random_chip_graph(seed)
    inputs = random_chip_inputs(net, seed, STEPS, BATCH, graded)
    executable = hasn.compile(net, "lava", precision="loihi")
    parts, state = [], None
    for first, last in pairwise(cuts):
        given = {name: x[first:last] for name, x in inputs.items()}
        parts.append(executable.run(given, record=ALL, state=state, keep_state=True))
        state = executable.state()
    assert_bits(parts, net, inputs)


@pytest.mark.usefixtures("workers")
def test_pieces_are_the_run() -> None:
    """Nothing is recorded of what the state alone needs."""
    net = random_chip_graph(91)
    inputs = random_chip_inputs(net, 91, STEPS, BATCH, False)
    executable: Any = hasn.compile(net, "lava", precision="loihi")
    whole = executable.run(inputs)
    executable._piece = 6 * BATCH * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    assert executable.run(inputs, record="counts").counts == whole.counts
    found = executable.run(inputs, record=dict.fromkeys(ALL))
    assert_bits([found], net, inputs)


@pytest.mark.usefixtures("lava")
def test_the_state_travels() -> None:
    """From Brian2 to Lava to snnTorch and back."""
    net = random_chip_graph(168)
    inputs = random_chip_inputs(net, 168, STEPS, BATCH, False)
    parts, state = [], None
    for backend, first, last in (("brian2", 0, 4), ("lava", 4, 9), ("snntorch", 9, 12), ("lava", 12, STEPS)):
        with hasn.compile(net, backend, precision="loihi") as executable:
            given = {name: x[first:last] for name, x in inputs.items()}
            parts.append(executable.run(given, record=ALL, state=state, keep_state=True))
            state = executable.state()
    assert_bits(parts, net, inputs)


def two_populations(delay: int) -> Any:
    """A retimed mapping, with so many steps of delay between its populations."""
    nodes = {
        "input": inp(1), "w": nir.Linear(np.array([[8.0]])), "a": chip_neuron((1,), dt=DT, dv=0, vth=1, du=100),
        "d": nir.Delay(np.array([delay * DT])), "w2": nir.Linear(np.array([[512.0]])),
        "b": chip_neuron((1,), dt=DT, dv=0, vth=1), "output": out(1),
    }  # fmt: skip
    return map_integers(to_integers(fuse(lower(graph(nodes, "input > w > a > d > w2 > b > output"), dt=DT))))


def test_what_is_under_way_stands_in_the_slot_of_its_step() -> None:
    """By hand: 'a' runs a step late and 'b' does not, so three steps of delay are two in the run; their first steps are
    2 and 1. The last that 'a' has sent, 1, 0, 1, must arrive in the steps 1, 2 and 3: of these two are seen at the end
    of step 0, and two at the end of step 1."""
    mapping = two_populations(3)
    assert (mapping.shifts["a"], mapping.shifts["b"]) == (1, 0)
    states = {"a": {"u": np.array([[5]]), "v": np.array([[-7]])}, "b": {"u": np.array([[9]]), "v": np.array([[3]])}}
    at = Snapshot(40, states, {}, {"a": np.array([1.0, 0, 1]).reshape(3, 1, 1)})
    found = leads(mapping, at, 1)
    cells = {cell.node: cell for cell in mapping.cells}
    held = found[cells["a -> b"].name]["a_buff"]
    assert held.shape == (2, 1, 1, 2)  # steps before a's first, samples, neurons, slots
    assert held[:, 0, 0].tolist() == [[512, 0], [0, 512]]
    assert {name: x.tolist() for name, x in found[cells["a"].name].items()} == {"u": [[[5]]] * 2, "v": [[[-7]]] * 2}
    assert {name: x.tolist() for name, x in found[cells["b"].name].items()} == {"v": [[[3]]]}  # keeps no current
    assert found[cells["input -> a"].name]["a_buff"].tolist() == [[[0]]]


def test_large_matrices_under_way_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from hasn.backends.lava import integers

    net = to_integers(fuse(lower(random_chip_graph(51), dt=DT)))
    dense = map_integers(net)
    monkeypatch.setattr(integers, "DENSE_ENTRIES", 0)
    sparse = map_integers(net)
    rng = np.random.default_rng(0)
    sizes = {name: p.size for name, p in dense.populations.items()} | {name: e.size for name, e in dense.inputs.items()}
    registers = {
        name: dict.fromkeys("uv", rng.integers(-99, 99, (2, place.size))) for name, place in dense.populations.items()
    }
    at = Snapshot(
        7, registers, {}, {name: rng.integers(-3, 4, (4, 2, size)).astype(float) for name, size in sizes.items()}
    )
    one, other = (leads(mapping, at, 2) for mapping in (dense, sparse))
    assert any(cell.kind == "sparse" for cell in sparse.cells)
    assert any(np.any(held.get("a_buff", 0)) for held in one.values())
    for cell, held in one.items():
        for var, values in held.items():
            np.testing.assert_array_equal(other[cell][var], values)


@pytest.mark.usefixtures("workers")
def test_what_is_under_way_counts_for_the_32_bits() -> None:
    """An input of before the state still has to arrive."""
    nodes = {
        "input": inp(1), "d": nir.Delay(np.array([3 * DT])), "w": nir.Linear(np.array([[254.0]])),
        "a": chip_neuron((1,), dt=DT, dv=0, vth=1), "output": out(1),
    }  # fmt: skip
    net = graph(nodes, "input > d > w > a > output")
    executable = hasn.compile(net, "lava", dt=DT, precision="loihi")
    executable.run(np.full((3, 1), 5.0), keep_state=True)
    state = executable.state()
    executable.run(np.zeros((3, 1)), state=state)
    state.past["input"][-1] = 200_000.0
    with pytest.raises(UnsupportedError, match="32 bits"):
        executable.run(np.zeros((3, 1)), state=state)
