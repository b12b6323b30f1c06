"""What leads into a population and cannot be quantised, by name; and populations that are none of the chip's."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.quantising import cone, connect
from hasn.errors import UnsupportedError
from tests.graphs import inp, out
from tests.unit.conversions.loihi.nets import DT, chain, cuba, lif, spikes, weights
from tests.unit.conversions.loihi.quantising.wirings import N3, conv, flat, lin, net


def refused(graph: nir.NIRGraph, inputs: Any = None, **options: Any) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as error:
        hasn.quantise(graph, calibrate=spikes(3) if inputs is None else inputs, **options)
    return error.value


def test_a_reset_by_subtraction() -> None:
    nodes = {
        "input": inp(3),
        "w": lin(3, 3),
        "a": lif(3),
        "x": lin(3, 3, 2),
        "b": lif(3),
        "o": out(3),
    }
    nodes["b"].metadata = {"reset": "subtract"}
    e = refused(net(nodes, "input > w > a > x > b > o"))
    assert (e.node, e.parameter, e.got, e.wanted) == ("b", "reset", "'subtract'", "'zero'")
    assert "hasn.conversions.loihi.zero_reset(graph, inputs, labels)" in (e.way_out or "")


def test_a_current_of_the_step_before() -> None:
    e = refused(chain((3,), lin(3, 3), cuba(3)), method="exact")
    assert (e.node, e.parameter, e.got, e.wanted) == ("n1", "method", "'exact'", "'euler'")
    hasn.quantise(chain((3,), lin(3, 3), lif(3)), calibrate=spikes(3), method="exact")  # without a current both have it


def test_a_threshold_below_the_reset_is_named_with_both_values() -> None:
    low = lif(3, threshold=np.array([0.5, -0.75, -0.25]), reset=np.array([0.0, 0.25, -0.25]))
    e = refused(chain((3,), lin(3, 3), low))
    assert (e.node, e.parameter, e.got, e.wanted) == ("n1", "v_threshold", -0.75, "at least v_reset = 0.25")
    e = refused(chain((3,), lin(3, 3), lif(3)).__class__(
        {"input": inp(3), "w": lin(3, 3), "t": nir.Threshold(np.array([0.1, -0.5, 0.2])), "o": out(3)},
        [("input", "w"), ("w", "t"), ("t", "o")], metadata={"dt": DT}, type_check=False))  # fmt: skip
    assert (e.node, e.got, e.wanted) == ("t", -0.5, "at least v_reset = 0")
    hasn.quantise(chain((3,), lin(3, 3), lif(3, threshold=0.25, reset=0.25)), calibrate=spikes(3))


def test_a_matrix_for_a_population_with_several_dimensions() -> None:
    grid = lif(
        (2, 2, 2), tau=np.linspace(5e-3, 40e-3, 8).reshape(2, 2, 2), r=np.linspace(-9.0, 12.5, 8).reshape(2, 2, 2)
    )
    e = refused(chain((1, 4, 4), conv(2, 1, 4), grid), spikes((1, 4, 4)))
    assert (e.node, e.parameter, e.got) == ("n1", "shape", (2, 2, 2))
    assert "the neurons weigh their input differently, and its weights are shared between neurons" in e.message
    assert "same tau and R" in str(e.way_out)


def test_a_matrix_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = chain((5,), lin(4, 5), lin(3, 4, 2), lif(3))
    monkeypatch.setattr(connect, "MOST_ENTRIES", 15)
    hasn.quantise(twice, calibrate=spikes(5))
    monkeypatch.setattr(connect, "MOST_ENTRIES", 14)
    e = refused(twice, spikes(5))
    assert (e.node, e.got, e.wanted) == ("n2", (3, 5), "at most 14 entries")
    assert "weights are multiplied with weights: n0, n1" in e.message


def test_more_ways_than_anyone_means(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages of two branches are four ways."""
    one = lambda: nir.Scale(np.ones(3))  # noqa: E731
    nodes = {"input": inp(3), **{name: one() for name in "abcd"}, "m": one(), "n": lif(3), "o": out(3)}
    branches = net(nodes, "input > a > m > c > n > o", "input > b > m > d > n")
    monkeypatch.setattr(cone, "MOST_PATHS", 4)
    hasn.quantise(branches, calibrate=spikes(3))
    monkeypatch.setattr(cone, "MOST_PATHS", 3)
    e = refused(branches)
    assert (e.node, e.wanted) == ("n", "<= 3")


def test_a_loop_without_a_neuron() -> None:
    nodes = {"input": inp(3), "a": lin(3, 3), "b": lin(3, 3, 2), "n": lif(3), "o": out(3)}
    e = refused(net(nodes, "input > a > n > o", "a > b > a"))
    assert "a loop of stateless nodes" in e.message
    assert e.way_out == "Put a neuron into the loop."


def test_delays_that_composed_matrices_would_change() -> None:
    """The Input's own matrix comes before ``w`` in the order of names, so the loop would be cut at another edge."""
    nodes = {
        "input": inp(3), "w": lin(3, 3), "a": lif(3), "x": lin(4, 3), "y": lin(3, 4, 2), "b": lif(3),
        "z": lin(3, 3, 5), "o": out(3),
    }  # fmt: skip
    e = refused(net(nodes, "input > w > a > x > y > b > o", "input > x", "b > z > a"))
    assert e.message == "composing its connections would change their delays"
    assert (e.node, e.parameter, e.got) == ("b", "connection from a", "0 step(s)")
    assert e.way_out == "Put neurons between the nodes that lead into it."
    # A name that comes before it keeps the order.
    kept = {"c" if name == "w" else name: node for name, node in nodes.items()}
    made = hasn.quantise(net(kept, "input > c > a > x > y > b > o", "input > x", "b > z > a"), calibrate=spikes(3))
    found = {(p.source, p.target): p.delay for p in made.integers.projections}
    assert found == {("input", "a"): 0, ("input", "b"): 0, ("a", "b"): 0, ("b", "a"): 1}


def test_ways_of_two_delays_become_two_matrices() -> None:
    nodes = {"input": inp(3), "x": lin(4, 3), "y": lin(3, 4, 2), "d": nir.Delay(np.full(3, 2 * DT)), "n": lif(3)}
    made = hasn.quantise(net({**nodes, "o": out(3)}, "input > x > y > n > o", "y > d > n"), calibrate=spikes(3))
    assert sorted(p.delay for p in made.integers.projections) == [0, 2]


def test_a_connection_without_weights_of_its_own_is_named_in_errors() -> None:
    zero = nir.Affine(np.zeros((3, 3)), N3)
    with pytest.raises(hasn.errors.ParameterError, match="all weights are zero") as error:
        hasn.quantise(chain((3,), zero, lif(3)), calibrate=spikes(3))
    assert error.value.node == "n0"
    assert weights(3, 3).any()
    hasn.quantise(chain((2, 2), flat(2, 2), lif(4)), calibrate=spikes((2, 2)))
