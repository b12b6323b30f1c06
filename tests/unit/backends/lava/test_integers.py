"""Mappings of integer networks as data: registers, cuts, always-firing neurons, late starts. No Lava."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.lava.integers import map_integers
from hasn.backends.lava.onset import onset
from hasn.errors import OptionError, RetimingError, UnsupportedError
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import to_integers
from hasn.program.integers.model import DECAY_MAX, THRESHOLD_MAX, IntegerPopulation
from hasn.program.lower import lower
from hasn.testing.integers import Registers, step
from tests.graphs import graph, inp, out
from tests.unit.backends.lava.nets import needs_lava

DT = 1e-3
W = np.array([[20.0, -6.0, 0.0], [4.0, 8.0, 2.0]])
ODD = np.array([[20.0, -6.0, 0.0], [5.0, 8.0, 2.0]])


def net(neurons: Any, weights: Any = W, bias: Any = None, delay: int = 0) -> nir.NIRGraph:
    """input (3) > w > pop (2) > output."""
    linear = nir.Linear(np.asarray(weights)) if bias is None else nir.Affine(np.asarray(weights), np.asarray(bias))
    nodes = {"input": inp(3), "w": linear, "pop": neurons, "output": out(2)}
    edges = "input > w > pop > output"
    if delay:
        nodes["late"] = nir.Delay(np.full(2, delay * DT))
        edges = "input > w > late > pop > output"
    made = graph(nodes, edges)
    made.metadata["dt"] = DT
    return made


def mapped(made: nir.NIRGraph) -> Any:
    return map_integers(to_integers(fuse(lower(made, dt=DT))))


REGISTERS = ("du", "dv", "vth", "bias_mant", "bias_exp", "v_init")


def population(dv: int, bias: int, v_init: int = 0, vth: int = 2000, du: int = DECAY_MAX) -> IntegerPopulation:
    def one(x: int) -> Any:
        return np.array([x])

    exponent = 0 if abs(bias) < 4096 else 3
    registers = map(one, (du, dv, vth, bias >> exponent, exponent, v_init))
    return IntegerPopulation("pop", (1,), *registers, {}, {}, True)


# --- late starts


@pytest.mark.parametrize(
    ("dv", "bias", "v_init", "steps"),
    [(0, 1000, 0, 3), (300, 1000, 700, 4), (300, -900, -5, 2), (4000, 50, 3, 2), (2048, 0, 901, 2), (0, -4000, 90, 1)],
)
def test_the_steps_that_it_runs_late_end_in_its_initial_state(dv: int, bias: int, v_init: int, steps: int) -> None:
    p = population(dv, bias, v_init)
    start = onset(p, steps)
    assert not start.through.any()
    u, v = 0, int(start.v[0])
    for _ in range(steps):
        u, v, spikes, *_ = step(Registers(du=4095, dv=dv, vth=2000, bias=bias), u, v, 0)
        assert not spikes
    assert (u, v) == (0, v_init)


def test_a_spike_on_the_way_moves_the_bias_to_a_neuron_that_always_fires() -> None:
    """Two steps of -1000 from +2000 pass +1000, which is above 64 vth. -1000 = -16 * 64 + 24, and -48 passes -24."""
    p = population(0, -1000, vth=0)
    start = onset(population(0, -1000, vth=1), 2)
    assert (int(start.through[0]), int(start.bias_mant[0]), int(start.bias_exp[0])) == (-16, 24, 0)
    assert int(start.v[0]) == -48
    assert not onset(p, 1).through.any()  # of one step, only the end is compared with the threshold


def test_only_the_neurons_that_need_it_get_their_bias_from_there() -> None:
    one, other = population(0, -1000, vth=1), population(0, 640, vth=1)
    arrays = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in REGISTERS}
    start = onset(replace(one, shape=(2,), **arrays), 2)
    assert start.through.tolist() == [-16, 0]
    assert (start.bias_mant << start.bias_exp).tolist() == [24, 640]
    assert start.v.tolist() == [-48, -1280]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bias": -1000, "vth": 1, "du": 100}, "synaptic current"),
        ({"bias": 0, "v_init": 6400, "vth": 99}, "v_init"),
        ({"bias": 8 * 4095, "dv": 4095, "vth": 99, "du": 0}, "no initial voltage"),
    ],
)
def test_what_cannot_start_late_is_refused(wrong: dict[str, int], words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        onset(population(**{"dv": 0, **wrong}), 2)
    assert error.value.node == "pop"
    onset(population(**{"dv": 0, **wrong}), 0)


# --- processes


def test_one_process_for_each_kind_of_neuron_and_cut_connections() -> None:
    made = mapped(net(chip_neuron((2,), dt=DT, du=7, dv=[3, 5], vth=40), ODD))
    cells = {cell.name: cell for cell in made.cells}
    groups = [cells[name] for name in made.populations["pop"].cells]
    assert [(c.settings["du"], c.settings["dv"], c.settings["vth"]) for c in groups] == [(7, 3, 40), (7, 5, 40)]
    assert [c.arrays["members"].tolist() for c in groups] == [[0], [1]]
    total = np.zeros((2, 3))
    for source, target in made.wires:  # odd weights of both signs: several parts
        row = [c.name for c in groups].index(target)
        total[row] += cells[source].arrays["weights"][0].astype(int) << cells[source].settings["weight_exp"]
    np.testing.assert_array_equal(total, ODD)
    assert all(cell.stock and not cell.why_not for cell in made.cells)


@pytest.mark.parametrize(("delay", "kind"), [(1, "dense"), (2, "delay_dense"), (64, "delay_dense")])
def test_a_delay_of_one_is_the_connection_s_own(delay: int, kind: str) -> None:
    recurrent = net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40))
    recurrent.nodes["back"] = nir.Linear(2.0 * np.eye(2))
    recurrent.nodes["late"] = nir.Delay(np.full(2, (delay - 1) * DT))  # a feedback edge has a step of its own
    made = nir.NIRGraph(
        recurrent.nodes, [*recurrent.edges, ("pop", "back"), ("back", "late"), ("late", "pop")], type_check=False
    )
    cell = next(cell for cell in mapped(made).cells if cell.node == "pop -> pop")
    assert cell.kind == kind
    assert cell.settings.get("slots", 1) == delay
    assert np.all(cell.arrays.get("delays", np.zeros(1)) == delay - 1)


def test_an_input_is_fed_late_rather_than_delayed() -> None:
    made = mapped(net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40), delay=70))
    assert {cell.kind for cell in made.cells} == {"lif", "dense"}
    assert made.shifts["input"] == 69


def test_a_delay_beyond_the_chip_s_is_refused() -> None:
    plain = net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40), delay=65)
    nodes = {**plain.nodes, "now": nir.Linear(2.0 * np.ones((2, 3)))}
    both = nir.NIRGraph(nodes, [*plain.edges, ("input", "now"), ("now", "pop")], type_check=False)
    with pytest.raises(UnsupportedError, match="longest delay") as error:
        mapped(both)
    assert (error.value.node, error.value.parameter) == ("pop", "delay from input")


def test_a_constant_input_comes_from_a_neuron_that_fires_a_step_before() -> None:
    made = mapped(net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40), bias=[6.0, -4.0]))
    (always,) = [cell for cell in made.cells if cell.name.startswith("always")]
    assert made.shifts["pop"] == 1
    assert always.arrays["v"].tolist() == [0]  # fires in step 0, arrives in step 1
    (connection,) = [name for source, name in made.wires if source == always.name]
    weights = next(cell for cell in made.cells if cell.name == connection).arrays["weights"]
    np.testing.assert_array_equal(weights, [[6], [-4]])


# --- refusals


def test_the_chip_has_no_delivery_within_the_step() -> None:
    plain = net(chip_neuron((2,), dt=DT, dv=3, vth=40))
    nodes = {**plain.nodes, "b": chip_neuron((2,), dt=DT, dv=3, vth=40), "there": nir.Linear(np.eye(2) * 2)}
    nodes["back"] = nir.Linear(np.eye(2) * 4)
    edges = [*plain.edges, ("pop", "there"), ("there", "b"), ("b", "back"), ("back", "pop")]
    with pytest.raises(RetimingError, match="hardware"):
        mapped(nir.NIRGraph(nodes, edges, type_check=False))


def test_too_many_kinds_of_neuron_are_refused() -> None:
    n = 17
    nodes = {
        "input": inp(n), "a": nir.Linear(np.full((n, n), 2.0)), "pop": chip_neuron((n,), dt=DT, dv=np.arange(n), vth=9),
        "b": nir.Linear(np.full((n, n), 2.0)), "other": chip_neuron((n,), dt=DT, dv=np.arange(n), vth=9), "out": out(n),
    }  # fmt: skip
    with pytest.raises(UnsupportedError, match="more processes") as error:
        mapped(graph(nodes, "input > a > pop > b > other > out"))
    assert "17 kinds" in str(error.value.got)


@pytest.mark.lava
@pytest.mark.skipif(needs_lava[1].args[0], reason=needs_lava[1].kwargs["reason"])
def test_options_and_streams_are_refused_by_name() -> None:
    made = net(chip_neuron((2,), dt=DT, dv=3, vth=40))
    with pytest.raises(OptionError, match="take a step"):
        hasn.compile(made, "lava", precision="loihi", delivery="in-step")
    with hasn.compile(made, "lava", precision="loihi") as executable:
        assert all(node.on_chip for node in executable.deployable)
        assert "Loihi 2" in executable.deployable[0].why
        with pytest.raises(UnsupportedError, match="whole sequences"):
            executable.step(np.zeros(3))


def test_the_highest_threshold_fits() -> None:
    made = mapped(net(chip_neuron((2,), dt=DT, dv=3, vth=THRESHOLD_MAX)))
    assert made.cells[0].settings["vth"] == 131071
