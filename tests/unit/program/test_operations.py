"""Work, counted by hand: each route's events, the synapses that they reach, what is multiplied and what is read."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.counts import Counts, Operations, counts_of, tallied
from hasn.errors import InputError
from hasn.program.operations import Tally, spike_fan_out
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(10)


def counted(net: nir.NIRGraph, inputs: dict[str, Any], spikes: dict[str, Any], **how: Any) -> Counts:
    """The counts of a run that sent this: (T, batch, *shape)."""
    first = next(iter({**inputs, **spikes}.values()))
    arrays = ({name: np.asarray(x, dtype=float) for name, x in group.items()} for group in (inputs, spikes))
    return counts_of(hasn.lower(net, dt=DT, **how), *arrays, *np.shape(first)[:2])


def test_events_times_the_synapses_that_each_reaches() -> None:
    first = np.array([[0.3, 0.0, 0.2], [0.1, 0.0, 0.0]])  # the three inputs reach 2, 0 and 1 neurons
    second = np.array([[0.4, 0.0], [0.5, 0.6], [0.0, 0.7]])  # the two neurons reach 2 and 2
    net = chain(nir.Linear(first), D.lif(2), nir.Linear(second), D.lif(3), given=(3,), result=(3,))
    inputs = [[[1, 1, 0.5]], [[0, 1, 0]], [[1, 0, -1]]]  # (T, batch, 3): 2, 2 and 2 events
    spikes = {"n2": [[[1, 0]], [[0, 1]], [[0, 1]]], "n4": [[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 0]]]}
    found = counted(net, {"input": inputs}, spikes)
    assert found.synaptic_operations == {"input": 2 * 2 + 2 * 0 + 2 * 1, "n2": 1 * 2 + 2 * 2}
    assert (found.spikes, found.events, found.steps, found.samples) == ({"n2": 3, "n4": 3}, {"input": 6}, 3, 1)
    assert found.neuron_updates == {"n2": 6, "n4": 9}
    # the Input sends 0.5 and -1, which are multiplied; the population sends spikes, which are added
    assert found.connections == {"n1": Operations(3, 6, 9, 6, 0, 6), "n3": Operations(4, 6, 12, 0, 6, 6)}
    assert found.total == Operations(7, 12, 21, 6, 6, 12)
    ones = counted(net, {"input": np.abs(np.sign(inputs))}, spikes)
    assert ones.connections["n1"] == Operations(3, 6, 9, 0, 6, 6)  # an Input of 0 and 1 sends spikes


def test_a_convolutions_border_reaches_fewer() -> None:
    net = chain(D.conv1d(1, 1, 3), D.lif(1, 3), given=(1, 5), result=(1, 3))
    found = counted(net, {"input": np.ones((1, 1, 1, 5))}, {"n2": np.zeros((1, 1, 1, 3))})
    assert found.synaptic_operations == {"input": 1 + 2 + 3 + 2 + 1}
    assert found.connections["n1"].dense == 9


def test_real_numbers_at_every_step_are_no_events() -> None:
    """They are multiplied at every synapse, and so is all that linear maps make of them."""
    net = chain(D.neuron("LI", (3,)), D.linear(4, 3), D.linear(2, 4), D.lif(2), given=(3,), result=(2,))
    found = counted(net, {"input": np.ones((4, 2, 3))}, {"n4": np.ones((4, 2, 2))})
    assert found.synaptic_operations == {"input": 24}  # an edge straight to a neuron is a synapse
    assert found.connections["n2"] == Operations(12, 0, 96, 96, 0, 96)
    assert found.connections["n3"] == Operations(8, 0, 64, 64, 0, 64)
    assert found.connections["input -> n1"] == Operations(3, 24, 24, 0, 24, 0)  # nothing to multiply, nothing to read


def test_connections_in_a_row_are_counted_each_at_its_own_input() -> None:
    """A bias is no event, a scale of 0 passes nothing on, a Flatten only changes the shape."""
    net = chain(
        nir.Conv1d(None, np.array([[[0.5, -0.5]]]), 1, 1, 1, 1, np.array([0.3])),
        nir.Scale(np.array([[2.0, 2.0, 0.0, 2.0, 2.0]])),
        nir.Flatten({"input": np.array([1, 5])}, 0, -1),
        nir.Linear(np.array([[1.0, 0, 0, 1, 1], [1, 1, 1, 1, 1]])),
        D.lif(2), given=(1, 4), result=(2,),
    )  # fmt: skip
    x = np.zeros((3, 1, 1, 4))
    x[1, 0, 0] = [1, 0, 1, 0]
    x[2, 0, 0] = [1, 1, 0, 0]  # the two weights cancel at place 1: a message goes on all the same
    found = counted(net, {"input": x}, {"n5": np.zeros((3, 1, 2))})
    # padded by 1, an element reaches its own place and the next: 0 1 2 3 at step 1, 0 1 2 at step 2; 2 is scaled by 0
    assert found.synaptic_operations == {"input": 8, "n1": 3 + 2, "n2": (2 + 1 + 2) + (2 + 1)}
    assert found.connections["n1"] == Operations(8, 8, 24, 0, 8, 8)
    assert found.connections["n2"] == Operations(4, 5, 12, 5, 0, 5)
    assert found.connections["n4"] == Operations(8, 8, 24, 8, 0, 8)


def test_a_pool_has_no_weights_to_read() -> None:
    """A sum adds even numbers; a mean of numbers multiplies, one of spikes adds."""
    for kind, x, wanted in [
        (nir.SumPool2d, 1.0, (0, 4, 0)), (nir.SumPool2d, 0.5, (0, 4, 0)),
        (nir.AvgPool2d, 1.0, (0, 4, 0)), (nir.AvgPool2d, 0.5, (4, 0, 0)),
    ]:  # fmt: skip
        net = chain(kind(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), D.lif(1, 1, 1),
                    given=(1, 2, 2), result=(1, 1, 1))  # fmt: skip
        found = counted(net, {"input": np.full((1, 1, 1, 2, 2), x)}, {"n2": np.zeros((1, 1, 1, 1, 1))})
        assert found.connections["n1"] == Operations(4, 4, 4, *wanted)


def test_who_sends_over_one_connection_has_synapses_of_his_own() -> None:
    """An event is counted when it is sent, also that of the last step over a feedback edge; an Output costs nothing."""
    nodes = {"i": inp(2), "w": D.linear(3, 2), "n": D.lif(3), "r": D.linear(2, 3), "d": nir.Delay(np.full(2, 2 * DT)),
             "o": out(3)}  # fmt: skip
    net = graph(nodes, "i > w > n > r > d > w", "n > o")
    inputs, spikes = np.zeros((4, 1, 2)), np.zeros((4, 1, 3))
    inputs[0, 0], spikes[1, 0, 0], spikes[3, 0] = [1, 0], 1, [1, 1, 0]
    found = counted(net, {"i": inputs}, {"n": spikes})
    # r sends at steps 1 and 3: w's events are counted with them, not two steps later
    assert found.synaptic_operations == {"i": 3, "n": 3 * 2, "r": 2 * 2 * 3}
    assert found.connections["w"] == Operations(12, 15, 48, 12, 3, 15)
    assert "n -> o" not in found.connections


def test_events_meet_where_delays_bring_them_together() -> None:
    """Two ways into a connection, one 2 steps later for element 1 alone: it sends once where both arrive at once."""
    nodes = {"i": inp(2), "n": D.lif(2), "d": nir.Delay(np.array([0.0, 2 * DT])), "a": nir.Linear(np.ones((1, 2))),
             "b": nir.Linear(np.ones((5, 1))), "m": D.lif(5), "o": out(5)}  # fmt: skip
    net = graph(nodes, "i > n > d > a > b > m > o", "n > a")
    spikes = np.zeros((6, 1, 2))
    spikes[0, 0, 1], spikes[2, 0, 0], spikes[5, 0, 1] = 1, 1, 1
    found = counted(net, {"i": np.zeros((6, 1, 2))}, {"n": spikes, "m": np.zeros((6, 1, 5))})
    # element 1 arrives straight at 0 and 5, late at 2 (and at 7, after the end); element 0 at 2, both ways at once
    assert found.synaptic_operations == {"i": 0, "n": 3 * 2, "a": 3 * 5}


def test_a_loop_without_a_population_sends_numbers() -> None:
    nodes = {"i": inp(2), "a": D.linear(2, 2), "b": D.linear(2, 2), "c": D.linear(3, 2), "n": D.lif(3), "o": out(3)}
    found = counted(
        graph(nodes, "i > a > b > a", "b > c > n > o"), {"i": np.ones((5, 1, 2))}, {"n": np.zeros((5, 1, 3))}
    )
    assert found.synaptic_operations == {"i": 5 * 4}
    assert found.connections["c"] == Operations(6, 0, 30, 30, 0, 30)
    assert found.connections["a"] == Operations(8, 20, 40, 20, 20, 40)  # from the Input, and round the loop


def test_what_was_not_recorded_is_named() -> None:
    """It is in no mapping, nor is what it causes; a total that lacks it is refused."""
    net = chain(D.linear(2, 3), D.lif(2), D.linear(4, 2), D.linear(3, 4), D.lif(3), given=(3,), result=(3,))
    found = counted(net, {"input": np.ones((4, 2, 3))}, {"n5": np.ones((4, 2, 3))})
    assert (found.unknown, found.spikes, set(found.connections)) == (("n2",), {"n5": 24}, {"n1"})
    assert found.synaptic_operations == {"input": 48}
    for total in ("total_spikes", "total_synaptic_operations", "total"):
        with pytest.raises(
            InputError,
            match=r"node 'n2' counts: its spikes were not recorded.*Record 'spikes' of all nodes, or 'counts'",
        ):
            getattr(found, total)


def mixed() -> tuple[nir.NIRGraph, dict[str, Any]]:
    """Delays, a recurrence, chains and two Inputs, and what was sent in 23 steps of 2 samples."""
    nodes = {
        "i": inp(1, 6), "j": inp(4), "c": D.conv1d(2, 1, 3), "f": nir.Flatten({"input": np.array([2, 4])}, 0, -1),
        "d": nir.Delay(np.arange(8) % 4 * DT), "a": D.linear(4, 8), "n": D.lif(4), "r": D.linear(4, 4),
        "s": D.linear(8, 4), "late": nir.Delay(np.full(4, 3 * DT)), "o": out(4),
    }  # fmt: skip
    net = graph(nodes, "i > c > f > d > a > n > o", "n > r > n", "n > late > r", "j > s > d", "j > r")
    rng = np.random.default_rng(3)
    graded = rng.normal(size=(23, 2, 4)) * (rng.random((23, 2, 4)) < 0.1)
    return net, {"i": rng.random((23, 2, 1, 6)) < 0.1, "j": graded, "n": rng.random((23, 2, 4)) < 0.2}


@pytest.mark.parametrize("cut", [1, 2, 5, 22])
def test_a_tally_of_parts_is_that_of_the_whole(cut: int) -> None:
    net, sent = mixed()
    program = hasn.lower(net, dt=DT)
    whole, parts = Tally(program, 2), Tally(program, 2)
    whole.add(sent, 23)
    for t in range(0, 23, cut):
        parts.add({name: x[t : t + cut] for name, x in sent.items()}, min(cut, 23 - t))
    assert tallied(parts) == tallied(whole)
    assert set(tallied(whole).synaptic_operations) == {"i", "j", "n", "c", "s"}
    assert all(tallied(whole).synaptic_operations.values())


def test_a_long_run_is_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    net, sent = mixed()
    program = hasn.lower(net, dt=DT)
    whole = Tally(program, 2)
    whole.add(sent, 23)
    monkeypatch.setattr("hasn.program.operations._BLOCK", 3 * 2 * 8)  # three steps
    blocks = Tally(program, 2)
    blocks.add(sent, 23)
    assert tallied(blocks) == tallied(whole)


def test_what_training_pays_for_is_the_next_connections() -> None:
    second = nir.Linear(np.array([[1.0, 0], [2, 3]]))
    net = chain(D.linear(2, 3), D.lif(2), second, D.linear(3, 2), D.lif(3), given=(3,), result=(3,))
    found = spike_fan_out(hasn.lower(net, dt=DT))
    assert {name: n.tolist() for name, n in found.items()} == {"n2": [2, 1], "n5": [0, 0, 0]}
