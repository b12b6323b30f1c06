"""What a spike can have caused, by hand: which synapses it takes, when it arrives, who remembers it."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.agreement.consequences import Consequences
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from tests import graphs

DT = graphs.DT
#: Neuron 0 reaches 1, neuron 1 reaches 0, and nobody else's weight is a synapse.
CROSS = np.array([[0.0, 0.5], [-0.5, 0.0]])


def lif(n: int = 2) -> nir.NIRNode:
    return graphs.Draw(0).lif(n)


def threshold(n: int = 2) -> nir.Threshold:
    return nir.Threshold(np.full(n, 0.5))


def delay(steps: int, n: int = 2) -> nir.Delay:
    return nir.Delay(np.full(n, steps * DT))


def felt(nodes: dict[str, nir.NIRNode], paths: tuple[str, ...], steps: int, neuron: int = 0) -> dict[str, list[str]]:
    """Node -> one word a neuron, "1" where a spike of ``neuron`` of node "a" is felt; the step of the spike first."""
    ends = {"input": graphs.inp(2), "output": graphs.out(2)}
    network = fuse(lower(graphs.graph({**ends, **nodes}, "input > a", *paths), dt=DT))
    found = Consequences(network).of("a", neuron, steps)
    assert not found["input"].any()
    return {
        name: ["".join("01"[int(x)] for x in column) for column in found[name].T] for name in nodes if name in found
    }


def test_the_neuron_itself_feels_it_ever_after_and_its_neighbours_do_not() -> None:
    assert felt({"a": lif()}, ("a > output",), 4, neuron=1) == {"a": ["0000", "1111"]}


def test_only_synapses_with_a_weight_are_taken_in_the_same_step() -> None:
    nodes = {"a": lif(), "w": nir.Linear(CROSS), "b": lif(), "x": nir.Linear(CROSS), "c": lif()}
    found = felt(nodes, ("a > w > b > x > c > output",), 3)
    assert found == {"a": ["111", "000"], "b": ["000", "111"], "c": ["111", "000"]}


def test_a_delay_is_waited_for_after_however_long_a_silence() -> None:
    nodes = {"a": lif(), "d": delay(5), "b": lif(), "e": delay(3), "c": lif()}
    found = felt(nodes, ("a > d > b > e > c > output",), 12)
    assert found["b"] == ["0" * 5 + "1" * 7, "0" * 12]
    assert found["c"] == ["0" * 8 + "1" * 4, "0" * 12]


def test_each_neuron_waits_for_its_own_delay() -> None:
    both = nir.Linear(np.ones((2, 2)))
    nodes = {"a": lif(), "w": both, "d": nir.Delay(np.array([1, 3]) * DT), "b": lif()}
    assert felt(nodes, ("a > w > d > b > output",), 5)["b"] == ["01111", "00011"]


def test_of_two_ways_the_shorter_counts() -> None:
    nodes = {"a": lif(), "d": delay(4), "e": delay(2), "b": lif()}
    assert felt(nodes, ("a > d > b > output", "a > e > b"), 6)["b"] == ["001111", "000000"]


def test_in_a_cycle_it_comes_back_a_step_later_to_those_whom_it_reaches() -> None:
    nodes = {"a": lif(), "b": lif(), "w": nir.Linear(CROSS)}
    found = felt(nodes, ("a > b > w > a", "b > output"), 4)
    assert found == {"a": ["1111", "0111"], "b": ["1111", "0111"]}


def test_nothing_upstream_and_nothing_beside_feels_it() -> None:
    nodes = {"u": lif(), "a": lif(), "b": lif(), "c": lif()}
    found = felt(nodes, ("input > u > a > b > output", "u > c > output"), 3)
    assert found == {"u": ["000"] * 2, "a": ["111", "000"], "b": ["111", "000"], "c": ["000"] * 2}


def test_a_threshold_has_no_memory() -> None:
    nodes = {"a": threshold(), "t": threshold(), "d": delay(2), "s": threshold(), "b": lif()}
    found = felt(nodes, ("a > t > d > s > b > output",), 5)
    assert [found[name][0] for name in ("a", "t", "s", "b")] == ["10000", "10000", "00100", "00111"]


def test_what_goes_round_a_loop_of_thresholds_comes_again_and_again() -> None:
    nodes = {"a": threshold(), "d": delay(2)}
    found = felt(nodes, ("a > d > a", "a > output"), 11)  # the loop's feedback edge adds a step
    assert found["a"] == ["10010010010", "0" * 11]


def test_a_sum_without_state_passes_it_on() -> None:
    """A stateless loop (a leaky sum of its own) and an Output that is read on."""
    nodes = {"a": threshold(), "s": nir.Scale(np.full(2, 0.5)), "b": threshold(), "c": lif()}
    found = felt(nodes, ("a > s > b > output", "s > s", "output > c"), 4)
    assert found["b"] == found["c"] == ["1111", "0000"]


@pytest.mark.parametrize("steps", [1, 2, 40])
def test_the_last_step_asked_for_is_the_last(steps: int) -> None:
    nodes = {"a": lif(), "d": delay(3), "b": lif()}
    found = felt(nodes, ("a > d > b > output",), steps)
    assert found["a"][0] == "1" * steps
    assert found["b"][0] == ("000" + "1" * steps)[:steps]


def test_shapes_of_several_dimensions_are_flat_in_c_order() -> None:
    """A 2 x 3 map pooled over its columns: the neuron (1, 2) is number 5 and reaches row 1."""
    pool = nir.SumPool2d(np.array([1, 3]), np.array([1, 1]), np.array([0, 0]))
    nodes = {"input": graphs.inp(1, 2, 3), "a": graphs.Draw(0).lif(1, 2, 3), "p": pool}
    nodes |= {"b": graphs.Draw(0).lif(1, 2, 1), "output": graphs.out(1, 2, 1)}
    found = Consequences(fuse(lower(graphs.graph(nodes, "input > a > p > b > output"), dt=DT))).of("a", 5, 1)
    assert found["a"].tolist() == [[False] * 5 + [True]]
    assert found["b"].tolist() == [[False, True]]
