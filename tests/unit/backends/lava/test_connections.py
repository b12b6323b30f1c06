"""Projections as processes, by hand: which kind, what is in it, and what the chip has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from hasn.backends.lava import connections
from hasn.backends.lava.connections import Link, links
from hasn.program.fuse import Network, Projection, Relay
from hasn.program.model import Neurons, Source, Threshold
from tests.populations import fires

W = np.array([[1.0, 0.0, -2.0], [0.0, 3.0, 0.5]])


def network(*projections: Projection) -> Network:
    """x, y (3), s (3 neurons that spike), r (a sum of 3) and targets a, b (2)."""
    spiking, silent = fires(Neurons("s", (3,), ("v",), (), {}), 1.0), Neurons("l", (3,), ("v",), (), {})
    sources = (
        Source("x", (3,)),
        Source("y", (3,)),
        spiking,
        silent,
        Relay("r", (3,)),
        Threshold("t", (3,), np.ones(3)),
    )
    return Network((*sources, Relay("a", (2,)), Relay("b", (2,))), projections, {}, {}, None)  # type: ignore[arg-type]


def made(*parts: tuple[str, str, int, Any], stock: bool = True, scales: Any = None) -> list[Link]:
    """The links of (source, target, delay, weights)."""
    projections = [Projection(source, target, delay, csr_array(w)) for source, target, delay, w in parts]
    scales = {"a": None, "b": None} | (scales or {})
    return links(network(*projections), tuple(p.delay for p in projections), scales, stock)


def test_a_process_for_each_pair_and_two_where_some_of_it_is_at_once() -> None:
    found = made(("y", "b", 1, W), ("x", "b", 2, W), ("y", "a", 1, W), ("y", "b", 0, 2 * W), ("y", "b", 3, 0 * W))
    assert [(link.source, link.target, link.kind) for link in found] == [
        ("x", "b", "delay_dense"), ("y", "a", "dense"), ("y", "b", "instant"), ("y", "b", "delay_dense"),
    ]  # fmt: skip
    assert all((link.size_in, link.size_out) == (3, 2) for link in found)
    np.testing.assert_array_equal(found[1].arrays["weights"], W)
    assert [link.stock for link in found] == [True, True, False, True]
    assert [bool(link.why_not) for link in found] == [False, False, True, False]


def test_weights_are_scaled_row_by_row_and_the_given_ones_kept() -> None:
    given = csr_array(W)
    (link,) = links(network(Projection("x", "a", 1, given)), (1,), {"a": np.array([2.0, 10.0])}, True)
    np.testing.assert_array_equal(link.arrays["weights"], [[2, 0, -4], [0, 30, 5]])
    np.testing.assert_array_equal(given.toarray(), W)


def test_delay_dense_holds_each_synapse_s_delay_beyond_its_own_step() -> None:
    late = np.array([[0.0, 4.0, 0.0], [5.0, 0.0, 0.0]])
    (link,) = made(("x", "a", 1, W), ("x", "a", 4, late))
    assert link.kind == "delay_dense"
    np.testing.assert_array_equal(link.arrays["weights"], W + late)
    np.testing.assert_array_equal(link.arrays["delays"], [[0, 3, 0], [3, 0, 0]])
    assert link.settings == {"slots": 4}
    assert link.why_not == ""


@pytest.mark.parametrize("kind", ["instant", "delayed"])
@pytest.mark.parametrize(("filled", "dense"), [(2, False), (1, False), (3, True)])
def test_processes_of_ours_keep_a_matrix_dense_where_it_is_fuller_than_a_quarter(
    kind: str, filled: int, dense: bool
) -> None:
    w = np.zeros((2, 4)) + np.arange(8).reshape(2, 4).__lt__(filled) * 7.0
    delay = 0 if kind == "instant" else 2
    projection = Projection("x", "a", delay, csr_array(w))
    (link,) = links(network(projection), (delay,), {"a": None}, stock=False)
    name = "weights" if kind == "instant" else "weights2"
    assert link.kind == kind
    assert set(link.arrays) == ({name} if dense else {f"{name}.{p}" for p in ("data", "indices", "indptr", "shape")})
    if not dense:
        parts = (link.arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
        np.testing.assert_array_equal(csr_array(tuple(parts), shape=link.arrays[f"{name}.shape"]).toarray(), w)


def test_sizes_where_dense_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DENSE_ENTRIES", 6)
    assert made(("x", "a", 1, W))[0].kind == "dense"
    assert "weights" in made(("x", "a", 0, W))[0].arrays
    monkeypatch.setattr(connections, "DENSE_ENTRIES", 5)
    (link,) = made(("x", "a", 1, W))
    assert (link.kind, link.stock, link.why_not) == ("sparse", True, "")
    assert "weights.data" in link.arrays
    assert "weights.data" in made(("x", "a", 0, W))[0].arrays


def test_sizes_where_delay_dense_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "DELAY_DENSE_ENTRIES", 18)
    assert made(("x", "a", 3, W))[0].kind == "delay_dense"
    monkeypatch.setattr(connections, "DELAY_DENSE_ENTRIES", 17)
    (link,) = made(("x", "a", 3, W))
    assert (link.kind, link.why_not) == ("delayed", "stock DelayDense would copy 18 weights at every step")


def test_the_first_reason_that_the_chip_has_not_is_given() -> None:
    (long,) = made(("x", "a", 65, W), ("x", "a", 2, W))
    assert "a delay of 64 steps beyond its own; the chip has 63" in long.why_not
    (double,) = made(("x", "a", 3, W), ("x", "a", 2, W))
    assert (double.kind, double.settings) == ("delayed", {"delays": [2, 3]})
    assert "several synapses of different delay" in double.why_not
    assert set(double.arrays) == {"weights2", "weights3"}
    (at_once,) = made(("l", "a", 0, W))
    assert "delivers within the step" in at_once.why_not


@pytest.mark.parametrize(
    ("source", "graded"), [("x", False), ("s", False), ("t", False), ("l", True), ("r", True)]
)  # fmt: skip
def test_real_numbers_at_every_step_are_no_spikes(source: str, graded: bool) -> None:
    """An Input's data is judged when it is there."""
    (link,) = made((source, "a", 1, W))
    assert (link.kind, link.graded) == ("dense", graded)
    assert link.why_not == ("its source sends real numbers at every step, not spikes" if graded else "")


def test_a_stream_s_connections_are_all_ours() -> None:
    found = made(("x", "a", 1, W), ("y", "a", 0, W), ("s", "a", 2, W), stock=False)
    assert [link.kind for link in found] == ["delayed", "delayed", "instant"]
    assert [link.source for link in found] == ["s", "x", "y"]
    assert found[0].why_not == found[1].why_not == "every cell of a stream is a process of ours"
    assert found[1].settings == {"delays": [1]}
