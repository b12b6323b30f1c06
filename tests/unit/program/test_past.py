"""How far back a network's past is needed, and the last values that are kept of it."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.nodes import SparseLinear
from hasn.program.past import History, lag, latest, needed
from tests.graphs import DT, Draw, graph, inp, out


def net() -> nir.NIRGraph:
    """in -> w -> late (0, 3) -> a; a -> sparse (delays 2 and 5) -> late2 (4) -> b; b -> back -> a comes late."""
    d = Draw(1)
    sparse = SparseLinear(csr_array(np.array([[1.0, 0.0], [1.0, 1.0]])), np.array([2, 5, 0]))
    nodes = {"in": inp(2), "w": d.linear(2, 2), "late": nir.Delay(np.array([0, 3]) * DT), "a": d.lif(2),
             "s": sparse, "late2": nir.Delay(np.array([4, 1]) * DT), "b": d.lif(2), "back": d.linear(2, 2),
             "out": out(2)}  # fmt: skip
    return graph(nodes, "in > w > late > a > s > late2 > b > out", "b > back > a", dt=DT)


def test_the_past_reaches_as_far_back_as_delays_add_up() -> None:
    program = hasn.lower(net())
    (loop,) = [edge for edge in program.edges if edge.delay]
    assert (loop.source, loop.target) == ("back", "a")
    assert {name: lag(program, name) for name in ("late", "s", "late2", "w", "a")} == {
        "late": 3, "s": 5, "late2": 4, "w": 0, "a": 0,
    }  # fmt: skip
    found = needed(program, ["in", "a", "b"])
    # late's own values are read at once; w's up to 3 steps later, s's up to 4, a's up to 5 + 4, back's and b's one.
    assert found == {"in": 3, "w": 3, "late": 0, "a": 9, "s": 4, "late2": 0, "b": 1, "back": 1, "out": 0}


def test_what_lies_before_a_known_node_is_needed_for_its_own_delay_alone() -> None:
    """s is known itself: a is read by it up to 5 steps back, however long late2 waits for s."""
    found = needed(hasn.lower(net()), ["in", "a", "s", "b"])
    assert (found["a"], found["s"]) == (5, 4)


@pytest.mark.parametrize("start", [None, {"n": np.arange(6.0).reshape(3, 1, 2) - 10}])
def test_a_ring_gives_the_last_values_oldest_first(start: dict[str, np.ndarray] | None) -> None:
    history = History({"n": 3}, {"n": (2,)}, 1, start)
    before = np.zeros((3, 1, 2)) if start is None else start["n"]
    values = np.arange(10.0).reshape(5, 1, 2) + 1
    for t in range(6):
        whole = np.concatenate([before, values[:t]])
        np.testing.assert_array_equal(history.past()["n"], whole[-3:])
        np.testing.assert_array_equal(latest({"n": before}, {"n": values[:t]})["n"], whole[-3:])
        if t < 5:
            history.push({"n": values[t], "other": values[t]})
