"""Mappings of integer networks as data: registers, cuts, always-firing neurons, late starts. No Lava."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.backends.lava.integers import map_integers
from hasn.backends.lava.mapping import Entry, Place
from hasn.backends.lava.onset import onset, without_wrap
from hasn.errors import OptionError, RetimingError, UnsupportedError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import to_integers
from hasn.program.integers.model import DECAY_MAX, THRESHOLD_MAX, IntegerPopulation
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


def test_each_neuron_starts_in_its_own_way() -> None:
    """The first can wait with its bias of -20; the second takes its -1000 from a neuron that fires from then on."""
    p = IntegerPopulation(
        "pop", (2,), *(np.array(x) for x in ((DECAY_MAX, DECAY_MAX), (0, 0), (1, 1), (-5, -1000), (2, 0), (0, 0))),
        {}, {}, True,
    )  # fmt: skip
    start = onset(p, 2)
    assert start.through.tolist() == [0, -16]
    assert start.bias_mant.tolist() == [-5, 24]
    assert start.bias_exp.tolist() == [2, 0]
    assert start.v.tolist() == [40, -48]


def test_the_smallest_voltage_that_decays_to_the_initial_one_and_the_edges_of_its_range() -> None:
    """dv = 2048 halves towards 0: 5 comes from 10, and two steps before, from 20. The range ends at 2**23 - 1."""
    assert onset(population(2048, 0, v_init=5), 2).v.tolist() == [20]
    assert onset(population(2048, 0, v_init=-5), 2).v.tolist() == [-20]
    assert onset(population(2048, 0, v_init=4194303, vth=THRESHOLD_MAX), 1).v.tolist() == [8388606]
    with pytest.raises(UnsupportedError, match=r"v_init: .*4194304"):
        onset(population(2048, 0, v_init=4194304, vth=THRESHOLD_MAX), 1)
    assert onset(population(0, 0, v_init=6400, vth=100), 2).v.tolist() == [6400]  # the threshold itself does not spike
    with pytest.raises(UnsupportedError) as error:
        onset(population(0, 0, v_init=6401, vth=100), 2)
    assert (error.value.parameter, error.value.got, type(error.value.got)) == ("v_init", 6401, int)
    with pytest.raises(UnsupportedError, match="neuron 0 runs 2 step") as error:
        onset(population(0, -1000, vth=1, du=100), 2)
    assert (error.value.parameter, error.value.got, type(error.value.got)) == ("bias of v", -1000, int)


def test_what_the_always_firing_neuron_and_the_input_may_bring_together() -> None:
    """16 units of its own: 2**17 in all reach 2**23, where a current wraps."""
    start = onset(population(0, -1000, vth=1), 2)
    assert without_wrap(start, 2**17 - 17)
    assert not without_wrap(start, 2**17 - 16)
    assert without_wrap(onset(population(0, 0), 2), 2**30)


# --- processes


def test_registers_wires_and_names_by_hand() -> None:
    made = mapped(net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40, bias=[3 << 12, -5], v_init=[9, 0])))
    (cell, connection) = made.cells
    assert (cell.name, cell.node, cell.kind, cell.size_in, cell.size_out) == ("p0g0", "pop", "lif", 2, 2)
    assert cell.settings == {"du": 7, "dv": 3, "vth": 40, "onset": 1, "drives": []}
    bias, (v,) = cell.arrays["bias_mant"].astype(int) << cell.arrays["bias_exp"], cell.arrays["v"][np.newaxis]
    assert bias.tolist() == [3 << 12, -5]
    assert [int(x) * 4093 // 4096 if x > 0 else -(-int(x) * 4093 // 4096) for x in v] == [9 - (3 << 12), 5]
    assert {name: array.dtype for name, array in cell.arrays.items()} == {
        "bias_mant": np.int16, "bias_exp": np.int16, "v": np.int32, "members": np.int32,
    }  # fmt: skip
    assert (connection.name, connection.node, connection.kind) == ("c0", "input -> pop", "dense")
    assert (connection.size_in, connection.size_out) == (3, 2)
    assert connection.settings == {"source": "input", "target": "pop", "graded": False, "weight_exp": 0}
    np.testing.assert_array_equal(connection.arrays["weights"], W)
    assert made.wires == (("c0", "p0g0"),)
    assert made.inputs == {"input": Entry(3, 0, ("c0",))}
    assert made.populations == {"pop": Place(("p0g0",), 2, 1)}
    assert (made.delivery, made.precision, made.shifts) == ("retimed", "loihi", {"input": 0, "pop": 1})


def cut_net() -> nir.NIRGraph:
    """input > pop (2 kinds) > other (2 kinds), recurrent; pop's first kind reaches other's second alone."""
    plain = net(chip_neuron((3,), dt=DT, du=7, dv=[3, 5, 3], vth=40), 2.0 * np.arange(1, 10).reshape(3, 3))
    plain.nodes["output"] = out(2)
    nodes = {
        **plain.nodes,
        "there": nir.Linear(np.array([[0.0, 400, 0], [6, -8, 10]])),
        "other": chip_neuron((2,), dt=DT, du=7, dv=3, vth=[40, 50]),
        "back": nir.Linear(2.0 * np.eye(2)),
    }
    edges = [("input", "w"), ("w", "pop"), ("pop", "there"), ("there", "other"), ("other", "back"), ("back", "other")]
    return nir.NIRGraph(nodes, [*edges, ("other", "output")], metadata=plain.metadata, type_check=False)


def test_connections_between_kinds_of_neuron_add_up_to_the_weights() -> None:
    made = mapped(cut_net())
    cells = {cell.name: cell for cell in made.cells}
    members = {cell.name: cell.arrays["members"] for cell in made.cells if cell.kind == "lif"}
    assert {name: place.cells for name, place in made.populations.items()} == {
        "pop": ("p0g0", "p0g1"), "other": ("p1g0", "p1g1"),
    }  # fmt: skip
    assert [members[name].tolist() for name in ("p0g0", "p0g1", "p1g0", "p1g1")] == [[0, 2], [1], [0], [1]]
    total = {"pop -> other": np.zeros((2, 3)), "other -> other": np.zeros((2, 2))}
    for name, cell in cells.items():
        if cell.node in total:
            (of,) = [a for a, b in made.wires if b == name]
            (to,) = [b for a, b in made.wires if a == name]
            weights = cell.arrays["weights"].astype(int) << cell.settings["weight_exp"]
            assert weights.any(), "a connection without a synapse"
            total[cell.node][np.ix_(members[to], members[of])] += weights
    np.testing.assert_array_equal(total["pop -> other"], [[0, 400, 0], [6, -8, 10]])
    np.testing.assert_array_equal(total["other -> other"], 2 * np.eye(2))
    assert not [cell for cell in made.cells if cell.node == "pop -> other" and cell.size_in == 2 and cell.size_out == 0]
    assert len(made.inputs["input"].targets) == 2
    assert len({cell.name for cell in made.cells}) == len(made.cells)


def test_constant_inputs_share_a_neuron_that_fires_from_the_right_step_on() -> None:
    """A bias of the synaptic input acts from step 0 on, behind a Delay later: pop runs a step late, other two."""
    nodes = {
        "input": inp(2), "w": nir.Affine(2.0 * np.eye(2), np.array([6.0, 0.0])),
        "pop": chip_neuron((2,), dt=DT, du=7, dv=3, vth=40), "w2": nir.Affine(4.0 * np.eye(2), np.array([0.0, 8.0])),
        "other": chip_neuron((2,), dt=DT, du=7, dv=3, vth=40), "w3": nir.Affine(0.0 * np.eye(2), np.array([2.0, 4.0])),
        "late": nir.Delay(np.array([DT, DT])), "output": out(2),
    }  # fmt: skip
    made = mapped(graph(nodes, "input > w > pop > w2 > other > output", "input > w3 > late > pop"))
    assert made.shifts == {"input": 0, "pop": 1, "other": 2}
    always = {cell.name: cell for cell in made.cells if cell.name.startswith("always")}
    assert set(always) == {"always0", "always1"}
    for fires, cell in enumerate(always.values()):
        assert cell.settings == {"du": 4095, "dv": 0, "vth": 0, "onset": 0, "drives": []}
        assert (cell.arrays["bias_mant"].tolist(), cell.arrays["v"].tolist()) == ([1], [-fires])
        assert (cell.kind, cell.stock, cell.why_not, cell.size_in, cell.size_out) == ("lif", True, "", 1, 1)
        assert cell.node == f"(a neuron that fires at every step from step {fires} on)"
    cells = {cell.name: cell for cell in made.cells}
    brought = []
    for source, name in made.wires:
        if source in always:
            (to,) = [b for a, b in made.wires if a == name]
            assert cells[name].settings["source"] == always[source].node
            brought.append((source, cells[to].node, cells[name].arrays["weights"].ravel().tolist()))
    # What starts with canonical step 1 of pop, and with step 0 of other, fires a step before: in step 1.
    assert sorted(brought) == [("always0", "pop", [6, 0]), ("always1", "other", [0, 8]), ("always1", "pop", [2, 4])]


def test_spikes_alone_that_could_wrap_a_current_with_a_bias_in_it_are_refused() -> None:
    """254 * 2**7 from each of several spikes."""
    neurons = chip_neuron((2,), dt=DT, dv=0, vth=1, bias=[-1024, 0])

    def waiting(weight: float) -> nir.NIRGraph:
        nodes = {
            "input": inp(5), "w": nir.Linear(np.full((2, 5), 2.0)), "a": chip_neuron((2,), dt=DT, dv=3, vth=40),
            "w2": nir.Linear(np.zeros((2, 2)) + 2.0), "w3": nir.Linear(np.full((2, 5), weight)), "b": neurons,
            "output": out(2),
        }  # fmt: skip
        return graph(nodes, "input > w > a > w2 > b > output", "input > w3 > b")

    assert mapped(waiting(254.0)).onsets["b"].through.any()
    with pytest.raises(UnsupportedError, match="could wrap") as error:
        mapped(waiting(254.0 * 128))
    assert (error.value.node, error.value.parameter) == ("b", "bias of v")


@pytest.mark.parametrize("most", [11, 12])
def test_as_many_processes_as_lava_can_run(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = mapped(cut_net())
    assert len(made.cells) == 12
    monkeypatch.setattr("hasn.backends.lava.integers.MOST_PROCESSES", most)
    if most == 12:
        assert mapped(cut_net()).cells[0].name == "p0g0"
    else:
        with pytest.raises(UnsupportedError, match="more processes") as error:
            mapped(cut_net())
        assert (error.value.node, error.value.parameter) == ("pop", "(du, dv, vth)")
        assert str(error.value.got) == "12 processes; this population alone has 2 kinds of neuron"


def test_large_matrices_are_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    made = net(chip_neuron((2,), dt=DT, du=7, dv=3, vth=40))
    monkeypatch.setattr("hasn.backends.lava.integers.DENSE_ENTRIES", 6)
    assert mapped(made).cells[1].kind == "dense"
    monkeypatch.setattr("hasn.backends.lava.integers.DENSE_ENTRIES", 5)
    cell = mapped(made).cells[1]
    assert cell.kind == "sparse"
    parts = (cell.arrays[f"weights.{part}"] for part in ("data", "indices", "indptr"))
    np.testing.assert_array_equal(csr_array(tuple(parts), shape=cell.arrays["weights.shape"]).toarray(), W)
    assert cell.arrays["weights.data"].dtype == np.int16


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
