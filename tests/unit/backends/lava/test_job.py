"""Which Vars of stock processes the host reads, and which it sets back between samples, on Lava's double."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.backends.lava.bundle import write_bundle
from hasn.backends.lava.integers import map_integers
from hasn.backends.lava.mapping import map_network
from hasn.backends.lava.worker.lava_network import Bundle
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import to_integers
from tests.graphs import DT, graph, inp, out
from tests.unit.backends.lava import double
from tests.unit.backends.lava.nets import feed_forward
from tests.unit.backends.lava.test_batches import delayed_net


@pytest.fixture(autouse=True)
def lava() -> Iterator[None]:
    with double.lava():
        yield


def variables(mapping: Any, folder: Path, samples: int, leads: Any = None, late: int = 0, **states: Any) -> list[Any]:
    """The host's, in a run of four steps."""
    from hasn.backends.lava.worker.build import Job  # on the double

    write_bundle(mapping, folder)
    request = {"samples": samples, "period": 9, "stride": 1, "graded": [], "inputs": {}, "tapes": {}, "states": states}
    request |= {"length": 4, "late": late, "leads": leads or {}}
    job = Job(Bundle(folder), request)
    return list(job._variables(job.bundle.cells))


def cleared(mapping: Any, folder: Path, samples: int = 2) -> set[tuple[str, str]]:
    """(node, Var) of what is set back to 0."""
    nodes = {cell.name: cell.node for cell in mapping.cells}
    found = variables(mapping, folder, samples)
    assert all(var.clear and var.tape is None and not np.any(var.initial) for var in found)
    return {(nodes[var.cell], var.name) for var in found}


def test_what_a_sample_leaves_behind_is_set_back_where_there_are_several(tmp_path: Path) -> None:
    """A LIF keeps v, and a CubaLIF u too; a connection what it sends next."""
    connections = {("input -> a", "a_buff"), ("a -> b", "a_buff")}
    plain = map_network(fuse(lower(feed_forward("LIF"), dt=DT)))
    assert cleared(plain, tmp_path) == {("a", "v"), ("b", "v"), *connections}
    assert cleared(plain, tmp_path, samples=1) == set()
    cuba = map_network(fuse(lower(feed_forward("CubaLIF"), dt=DT)))
    assert cleared(cuba, tmp_path) == {("a", "v"), ("b", "v"), ("a", "u"), ("b", "u"), *connections}
    ours = map_network(fuse(lower(feed_forward("LIF", v_leak=0.2), dt=DT)))
    assert cleared(ours, tmp_path) == connections


def test_a_buffer_of_delays_is_set_back_whole(tmp_path: Path) -> None:
    mapping = map_network(fuse(lower(delayed_net(), dt=DT)))
    found = {var.cell: var.initial.shape for var in variables(mapping, tmp_path, 2)}
    buffers = {cell.node: found[cell.name] for cell in mapping.cells if cell.kind == "delay_dense"}
    assert buffers == {"a -> b": (5, 5), "input -> b": (5, 2)}


@pytest.mark.parametrize(("du", "names"), [(4095, {"v"}), (4094, {"u", "v"})])
def test_an_integer_voltage_is_set_back_to_where_it_started(du: int, names: set[str], tmp_path: Path) -> None:
    nodes = {
        "input": inp(1), "w": nir.Linear(np.array([[2.0]])),
        "n": chip_neuron((1,), dt=DT, du=du, dv=0, vth=400, bias=[-30], v_init=[70]), "output": out(1),
    }  # fmt: skip
    mapping = map_integers(to_integers(fuse(lower(graph(nodes, "input > w > n > output"), dt=DT))))
    found = {var.name: var for var in variables(mapping, tmp_path, 2) if var.cell == "p0g0"}
    assert set(found) == names
    assert found["v"].initial.tolist() == [100]  # a step late: 70 is 100 - 30
    assert found["v"].offset == 0


def test_a_state_that_is_recorded_is_read_from_its_onset_on(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((4, 1, 5)))
    mapping = map_network(fuse(lower(feed_forward("CubaLIF"), dt=DT)))
    (var,) = variables(mapping, tmp_path / "bundle", 1, v={"b": str(tmp_path / "v.npy")})
    assert (var.cell, var.name, var.clear, var.offset) == ("p1", "v", False, 0)
    assert (var.tape.shift, var.tape.shape, var.tape.members) == (2, (5,), slice(None))


def test_of_a_state_that_is_kept_the_last_steps_are_read(tmp_path: Path) -> None:
    """Three steps after the onset of a run of four, and one later where all begins a step late."""
    np.save(tmp_path / "v.npy", np.zeros((1, 1, 5)))
    mapping = map_network(fuse(lower(feed_forward("CubaLIF"), dt=DT)))
    for late in (0, 1):
        (var,) = variables(mapping, tmp_path / "bundle", 1, late=late, v={"b": str(tmp_path / "v.npy")})
        assert var.tape.shift == 2 + 3 + late


def test_a_var_that_starts_elsewhere_is_set_though_nothing_is_read_or_set_back(tmp_path: Path) -> None:
    np.save(tmp_path / "lead.npy", np.full((2, 1, 5), 3.0))
    mapping = map_network(fuse(lower(feed_forward("CubaLIF"), dt=DT)))
    (var,) = variables(mapping, tmp_path / "bundle", 1, {"p1": {"u": str(tmp_path / "lead.npy")}}, 1)
    assert (var.cell, var.name, var.clear, var.tape) == ("p1", "u", False, None)
    np.testing.assert_array_equal(var.lead, np.full((2, 1, 5), 3.0))
