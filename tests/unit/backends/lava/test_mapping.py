"""Mappings as data: which process, which numbers, which wires. No Lava."""

import nir
import numpy as np
import pytest

from hasn.backends.lava.bundle import manifest, write_bundle
from hasn.backends.lava.connections import LONGEST_DELAY
from hasn.backends.lava.mapping import Cell, Entry, Mapping, Place, map_network
from hasn.backends.lava.worker.lava_network import Bundle
from hasn.errors import RetimingError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from tests.graphs import DT, Draw
from tests.unit.backends.lava.nets import CUBA, feed_forward, loop, recurrent


def mapped(net, *, delivery="auto", stock=True, **options):
    return map_network(fuse(lower(net, dt=DT, **options)), delivery, stock)


def cell_of(mapping, node):
    return next(cell for cell in mapping.cells if cell.node == node)


def test_names_wires_and_times_by_hand():
    """input > a > b: each connection takes a step, so a runs one step late and b two."""
    net = feed_forward()
    net.nodes["shallow"] = nir.Output({"output": np.array([8])})
    mapping = mapped(nir.NIRGraph(net.nodes, [*net.edges, ("a", "shallow")], type_check=False))
    assert [(cell.name, cell.node) for cell in mapping.cells] == [
        ("p0", "a"), ("p1", "b"), ("c0", "a -> b"), ("c1", "input -> a"),
    ]  # fmt: skip
    assert set(mapping.wires) == {("c0", "p1"), ("p0", "c0"), ("c1", "p0")}
    assert mapping.inputs == {"input": Entry(6, 0, ("c1",))}
    assert mapping.populations == {"a": Place(("p0",), 8, 1), "b": Place(("p1",), 5, 2)}
    assert (mapping.delivery, mapping.precision, mapping.longest) == ("retimed", "float64", 2)
    assert mapping.shifts == {"input": 0, "a": 1, "b": 2}
    connection = mapping.cells[2]
    assert (connection.size_in, connection.size_out) == (8, 5)
    assert (connection.settings["source"], connection.settings["target"]) == ("a", "b")
    assert connection.settings["graded"] is False


def test_when_each_way_of_delivery_is_taken():
    assert mapped(loop()).delivery == "in-step"
    assert set(mapped(loop()).shifts.values()) == {0}
    assert mapped(feed_forward(), delivery="in-step").delivery == "in-step"
    assert mapped(feed_forward(), delivery="retimed").longest == 2
    with pytest.raises(RetimingError, match=r"has 1 step\(s\) of delay and its connections take 2"):
        mapped(loop(), delivery="retimed")
    in_step = {cell.node: cell.kind for cell in mapped(loop()).cells}
    assert in_step == {"a": "lif", "b": "lif", "a -> b": "instant", "b -> a": "dense", "input -> a": "instant"}


def test_the_manifest_says_everything():
    made = Mapping(
        (
            Cell("p0", "a", "lif", True, "", 2, 2, {"du": 0.5, "onset": 4}, {"v": np.zeros(2)}),
            Cell("c0", "x -> a", "delayed", False, "why", 3, 2, {"delays": [1, 2]}, {"w": np.zeros((2, 3))}),
        ),
        (("c0", "p0"),),
        {"x": Entry(3, 1, ("c0",))},
        {"a": Place(("p0",), 2, 4)},
        "retimed",
        {"x": 1, "a": 4},
        "loihi",
    )
    p0 = {"name": "p0", "node": "a", "kind": "lif", "stock": True, "why_not": "", "size_in": 2, "size_out": 2}
    c0 = {
        "name": "c0",
        "node": "x -> a",
        "kind": "delayed",
        "stock": False,
        "why_not": "why",
        "size_in": 3,
        "size_out": 2,
    }
    assert manifest(made) == {
        "format": 2,
        "precision": "loihi",
        "delivery": "retimed",
        "cells": [{**p0, "du": 0.5, "onset": 4}, {**c0, "delays": [1, 2]}],
        "wires": [["c0", "p0"]],
        "inputs": {"x": {"size": 3, "shift": 1, "targets": ("c0",)}},
        "populations": {"a": {"cells": ("p0",), "size": 2, "shift": 4}},
    }
    assert made.longest == 4
    assert Mapping((), (), {}, {}, "retimed", {}).longest == 0


def test_cuba_lif_by_hand():
    """tau_syn 5 ms, tau_mem 9 ms, Euler: du = dt/tau_syn, dv = dt/tau_mem; both gains times r go into the weights."""
    net = feed_forward("CubaLIF")
    mapping = mapped(net)
    cell = cell_of(mapping, "a")
    assert cell.settings["du"] == pytest.approx(1e-3 / 5e-3, rel=1e-15)
    assert cell.settings["dv"] == pytest.approx(1e-3 / 9e-3, rel=1e-15)
    assert cell.settings["vth"] == CUBA["v_threshold"]
    node = net.nodes["a"]
    scale = (1e-3 / 5e-3) * node.w_in * (1e-3 / 9e-3) * node.r
    weights = cell_of(mapping, "input -> a").arrays["weights"]
    np.testing.assert_allclose(weights, scale[:, None] * net.nodes["w1"].weight, rtol=1e-14)


def test_the_caller_s_weights_are_not_changed():
    net = feed_forward("CubaLIF")
    before = net.nodes["w1"].weight.copy()
    program = lower(net, dt=DT)
    network = fuse(program)
    theirs = network.projections[0].weights.toarray()
    map_network(network)
    np.testing.assert_array_equal(net.nodes["w1"].weight, before)
    np.testing.assert_array_equal(network.projections[0].weights.toarray(), theirs)


def test_a_stream_s_mapping_has_no_shift_and_nothing_stock():
    mapping = mapped(recurrent(), delivery="in-step", stock=False)
    assert not any(cell.stock for cell in mapping.cells)
    assert set(mapping.shifts.values()) == {0}
    assert {cell.node: cell.kind for cell in mapping.cells}["a -> a"] == "delayed"


def test_every_cell_says_whether_and_why_not():
    for net in (feed_forward(), loop(), recurrent("CubaLIF", v_leak=0.1)):
        for cell in mapped(net).cells:
            assert cell.stock is not bool(cell.why_not), cell.name


@pytest.mark.parametrize(("steps", "kind"), [(LONGEST_DELAY, "delay_dense"), (LONGEST_DELAY + 1, "delayed")])
def test_the_chip_s_longest_delay(steps, kind):
    """Beyond the step that a connection takes anyway, which is the feedback edge's."""
    net = recurrent()
    nodes = {**net.nodes, "wait": nir.Delay(np.full(8, steps * DT))}
    edges = [edge for edge in net.edges if edge != ("rec", "a")] + [("rec", "wait"), ("wait", "a")]
    cell = cell_of(mapped(nir.NIRGraph(nodes, edges, type_check=False)), "a -> a")
    assert cell.kind == kind
    assert ("the chip has 63" in cell.why_not) == (kind == "delayed")


def test_a_gain_of_zero_under_the_longest_delay_does_not_confuse_the_buffer():
    net = feed_forward("CubaLIF")
    net.nodes["b"] = Draw(3).neuron("CubaLIF", (5,), **CUBA, w_in=[1.0, 1.0, 0.0, 1.0, 1.0])
    nodes = {**net.nodes, "wait": nir.Delay(np.array([0, 1, 4, 2, 0]) * DT)}
    edges = [edge for edge in net.edges if edge != ("w2", "b")] + [("w2", "wait"), ("wait", "b")]
    cell = cell_of(mapped(nir.NIRGraph(nodes, edges, type_check=False)), "a -> b")
    assert cell.settings["slots"] == cell.arrays["delays"].max() + 1 == 3


@pytest.mark.parametrize("net", [recurrent("CubaLIF"), loop(v_leak=0.1)], ids=["stock", "ours"])
@pytest.mark.parametrize("stock", [True, False])
def test_a_bundle_reads_back_as_it_was_written(net, stock, tmp_path):
    mapping = mapped(net, stock=stock)
    write_bundle(mapping, tmp_path / "in" / "bundle")
    write_bundle(mapping, tmp_path / "in" / "bundle")  # again, over itself
    read = Bundle(tmp_path / "in" / "bundle")
    assert [tuple(wire) for wire in read.manifest["wires"]] == list(mapping.wires)
    for cell, stored in zip(mapping.cells, read.manifest["cells"], strict=True):
        assert (stored["name"], stored["kind"]) == (cell.name, cell.kind)
        assert set(read.arrays[cell.name]) == set(cell.arrays)
        for name, array in cell.arrays.items():
            np.testing.assert_array_equal(read.arrays[cell.name][name], array)


def test_a_sparse_matrix_survives_the_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr("hasn.backends.lava.connections.DENSE_ENTRIES", 10)
    net = feed_forward("LIF")
    mapping = mapped(net)
    write_bundle(mapping, tmp_path)
    cell = cell_of(mapping, "a -> b")
    gain = (1e-3 / 8e-3) * net.nodes["b"].r
    read = Bundle(tmp_path).matrix(cell.name, "weights").toarray()
    np.testing.assert_allclose(read, gain[:, None] * net.nodes["w2"].weight, rtol=1e-14)
