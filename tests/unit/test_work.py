"""Counts node by node, active updates, plastic updates, memory and ranges of steps, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.counts import Counts, Work, tallied
from hasn.errors import InputError, OptionError
from hasn.plasticity import STDP, attach
from hasn.program.operations import Tally
from hasn.sent import Sent
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain, graph, inp, out, small_net, spikes
from tests.unit.backends.lava.nets import needs_lava

D = Draw(10)
FIRST = np.array([[0.3, 0.0, 0.2], [0.1, 0.0, 0.0]])  # the three inputs reach 2, 0 and 1 neurons
SECOND = np.array([[0.4, 0.0], [0.5, 0.6], [0.0, 0.7]])  # the two neurons reach 0 and 1, and 1 and 2


def net() -> nir.NIRGraph:
    return chain(nir.Linear(FIRST), D.lif(2), nir.Linear(SECOND), D.lif(3), given=(3,), result=(3,))


def later(program: Any, inputs: dict[str, Any], sent: dict[str, Any], first: int = 0) -> Counts:
    """The counts of a run that sent this: (T, batch, *shape)."""
    arrays = [{name: np.asarray(x, dtype=float) for name, x in group.items()} for group in (inputs, sent)]
    steps, samples = np.shape(next(iter({**inputs, **sent}.values())))[:2]
    kept = Sent(program, *arrays, steps, samples, first)
    return Counts.later(lambda: pytest.fail("not asked for"), kept)


def by_hand() -> Counts:
    inputs = [[[1, 1, 0.5]], [[0, 1, 0]], [[1, 0, -1]]]
    fired = {"n2": [[[1, 0]], [[0, 1]], [[0, 1]]], "n4": [[[1, 0, 0]], [[1, 1, 0]], [[0, 0, 0]]]}
    program = hasn.lower(net(), dt=DT)
    counts = later(program, {"input": inputs}, fired)
    vars(counts)["_work"] = lambda: hasn.counts.counts_of(
        program, *({k: np.asarray(v, dtype=float) for k, v in g.items()} for g in ({"input": inputs}, fired)), 3, 1
    )
    return counts


def test_each_node_by_itself() -> None:
    counts = by_hand()
    # steps 0 and 2 reach both neurons of n2; at step 1 nothing does, but one spikes
    assert counts["n2"] == Work(spikes=3, neuron_updates=6, active_updates=5, memory=2 * 6)
    # n4: neuron 0 of n2 reaches two, neuron 1 two more; at step 1 neuron 0 spikes and nothing reaches it
    assert counts["n4"] == Work(spikes=3, neuron_updates=9, active_updates=2 + 3 + 2, memory=2 * 9)
    assert counts["n4"].inactive_updates == 2
    assert counts["n1"] == Work(synaptic_operations=6, dense_operations=9, macs=6, weight_reads=6, memory=6)
    assert counts["n3"] == Work(synaptic_operations=6, dense_operations=12, acs=6, weight_reads=6, memory=6)
    assert counts["input"] == Work(events=6)
    assert sorted(counts) == ["input", "n1", "n2", "n3", "n4"]
    assert len(counts) == 5
    assert {node: work.spikes for node, work in counts.items()} == {"input": 0, "n1": 0, "n2": 3, "n3": 0, "n4": 3}
    assert (counts.get("n9"), dict(counts)["n4"]) == (None, counts["n4"])
    assert "n9" not in counts
    with pytest.raises(KeyError, match="n9"):
        counts["n9"]


def test_a_range_of_steps() -> None:
    counts = by_hand()
    part = counts.during(1, 3)
    assert (part.steps, part.samples, part.spikes, part.events) == (2, 1, {"n2": 2, "n4": 2}, {"input": 3})
    assert part.synaptic_operations == {"input": 0 + 2 + 1, "n2": 4}
    assert part["n2"].active_updates == 1 + 2
    # the Input sends 0 and 1 alone at step 1, but -1 and 0.5 elsewhere: it sends numbers, here too
    alone = counts.during(1, 2)
    assert (alone["n1"].macs, alone["n1"].acs) == (0, 0)
    assert counts.during(0, 1)["n1"].macs == 3
    assert counts.during(0, 3) == counts
    for start, stop in ((-1, 2), (2, 2), (2, 4), (3, 1)):
        with pytest.raises(InputError, match=rf"no such steps; got \({start}, {stop}\); wanted 0 <= start < stop <= 3"):
            counts.during(start, stop)


def test_a_range_knows_what_was_under_way() -> None:
    """An event sent two steps before arrives in the range; it is counted in the step in which it is sent."""
    nodes = {"i": inp(1), "d": nir.Delay(np.array([2 * DT])), "a": nir.Linear(np.ones((1, 1))),
             "b": nir.Linear(np.ones((3, 1))), "n": D.lif(3), "o": out(3)}  # fmt: skip
    program = hasn.lower(graph(nodes, "i > d > a > b > n > o"), dt=DT)
    x = np.zeros((5, 1, 1))
    x[0] = 1
    counts = later(program, {"i": x}, {"n": np.zeros((5, 1, 3))})
    assert counts.active_updates == {"n": 3}
    part = counts.during(2, 4)
    assert (part.synaptic_operations, part.active_updates) == ({"i": 0, "a": 0 + 3}, {"n": 3})
    assert counts.during(0, 2).active_updates == {"n": 0}


def test_ranges_add_up() -> None:
    recording = ProgramInterpreter(hasn.lower(small_net(), dt=DT)).run(spikes((6,), 50, 3))
    parts = [recording.counts.during(0, 17), recording.counts.during(17, 50)]
    whole, both = recording.counts.total, parts[0].total + parts[1].total
    assert (both.effective, both.dense, both.weight_reads) == (whole.effective, whole.dense, whole.weight_reads)
    assert sum(part.active_updates["n4"] for part in parts) == recording.counts.active_updates["n4"] == 291
    assert sum(part["n2"].memory for part in parts) == recording.counts["n2"].memory


def test_what_sends_numbers_reaches_at_every_step() -> None:
    net = chain(D.neuron("LI", (3,)), D.linear(2, 3), D.lif(2), given=(3,), result=(2,))
    x = np.zeros((4, 1, 3))
    x[1, 0, 0] = 0.5
    counts = later(hasn.lower(net, dt=DT), {"input": x}, {"n3": np.zeros((4, 1, 2))})
    assert counts.active_updates == {"n1": 1, "n3": 8}


def test_active_updates_need_what_arrives() -> None:
    program = hasn.lower(net(), dt=DT)
    quiet = np.zeros((2, 1, 3))
    assert later(program, {"input": quiet}, {"n4": quiet}).active_updates == {}  # n2 feeds n4 and was not recorded
    assert later(program, {"input": quiet}, {"n2": np.zeros((2, 1, 2))}).active_updates == {"n2": 0}


@pytest.mark.parametrize("piece", [None, 7 * 3 * 22])
def test_a_run_can_count_them_while_it_goes_on(piece: int | None) -> None:
    executable: Any = ProgramInterpreter(hasn.lower(small_net(), dt=DT))
    executable._piece = piece
    x = spikes((6,), 50, 3)
    found = executable.run(x, record={"counts": "active"}).counts
    assert found.active_updates == executable.run(x).counts.active_updates
    assert found.active_updates["n2"] == 725
    plain = executable.run(x, record="counts").counts
    assert (plain["n2"].active_updates, plain["n2"].inactive_updates) == (None, None)
    assert plain["n1"].active_updates == 0
    with pytest.raises(InputError, match=r"counts: what was sent at each step was not kept.*record='spikes'"):
        plain.during(0, 2)
    with pytest.raises(OptionError, match=r"record\['counts'\]: no such counts; got 'all'; wanted True or 'active'"):
        executable.run(x, record={"counts": "all"})


def test_a_weight_that_learns_is_a_synapse_while_it_is_0() -> None:
    """It may move at the first step, so what arrives there is an operation; the same weights at rest have fewer."""
    x = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    rest = chain(nir.Linear(FIRST), D.lif(2), given=(3,), result=(2,))
    kernel = np.array([[[1.0, 0.0]]])
    conv = nir.Conv1d(3, kernel, 1, 0, 1, 1, np.zeros(1))
    wide = chain(conv, D.neuron("LIF", (1, 2)), given=(1, 3), result=(1, 2))
    for net, given, still, moving in ((rest, x, 2, 6), (wide, x[:, np.newaxis], 3, 5)):
        for graph_, operations in ((net, still), (attach(net, "n1", STDP()), moving)):
            program = hasn.lower(graph_, dt=DT)
            quiet = {"n2": np.zeros((2, 1, *program.node("n2").shape))}
            counts = hasn.counts.counts_of(program, {"input": given[:, np.newaxis]}, quiet, 2, 1)
            assert counts["n1"].synaptic_operations == operations


def test_weights_that_learn() -> None:
    """Every third step moves all weights of a connection, 0 or not; traces move at every step."""
    rule = STDP()
    learns = attach(chain(nir.Linear(FIRST), D.lif(2), given=(3,), result=(2,)), "n1", rule)
    program = hasn.lower(learns, dt=DT)
    x, fired = np.zeros((7, 2, 3)), np.zeros((7, 2, 2))
    found = hasn.counts.counts_of(program, {"input": x}, {"n2": fired}, 7, 2)
    assert found.plastic_updates == {"n1": 6 * 7 * 2}
    # no event, so no weight is read to send; each weight and the traces of 3 sources and 2 targets are read and written
    assert found.memory["n1"] == 2 * (6 * 7 * 2 + (3 + 2) * 7 * 2)
    slow = hasn.lower(attach(net(), "n1", replace(rule, every=3, batch_learning="mean")), dt=DT)
    fired4 = np.zeros((7, 2, 3))
    counts = later(
        slow, {"input": x}, {"n2": fired, "n4": fired4}, first=2
    )  # steps 2 to 8: weights move after 2, 5 and 8
    assert counts.during(0, 7).plastic_updates == {"n1": 6 * 3}
    assert counts.during(1, 6).plastic_updates == {"n1": 6 * 1}


def test_a_run_and_what_followed_it() -> None:
    """Active updates are known of both or of none; a tally that goes on with another Program counts them on."""
    program = hasn.lower(small_net(), dt=DT)
    x = spikes((6,), 50, 3)
    executable: Any = ProgramInterpreter(program)
    whole = executable.run(x).counts
    both = whole.during(0, 17) + whole.during(17, 50)
    assert both == whole
    assert both.active_updates == whole.active_updates
    assert (whole + executable.run(x, record="counts").counts).active_updates == {}
    sent = {"input": x, **executable.run(x).spikes}
    tally = Tally(program, 3, active=True, first=5)
    tally.add({name: array[:17] for name, array in sent.items()}, 17)
    more = tally.going_on(program)
    more.add({name: array[17:] for name, array in sent.items()}, 33)
    assert more.first == 22
    assert (tallied(tally) + tallied(more)).active_updates == whole.active_updates
    assert Tally(program, 3).going_on(program).active is None


def test_weights_that_learn_in_a_run_and_what_followed_it() -> None:
    net = attach(chain(nir.Linear(FIRST), D.lif(2), given=(3,), result=(2,)), "n1", replace(STDP(), every=3))
    counts = later(hasn.lower(net, dt=DT), {"input": np.zeros((8, 1, 3))}, {"n2": np.zeros((8, 1, 2))})
    both = counts.during(0, 4) + counts.during(4, 8)
    assert both.plastic_updates == {"n1": 6 * 2}
    assert both.memory == counts.during(0, 8).memory


def moving() -> nir.NIRGraph:
    """input -> AdaptiveLIF, back to itself a step later, -> HomeostaticLIF -> LI -> matrix: spikes, events, numbers."""
    d = Draw(3)
    nodes = {
        "input": inp(6), "to": d.linear(5, 6, mean=0.4), "adaptive": d.neuron("AdaptiveLIF", (5,)),
        "back": d.linear(5, 5), "on": nir.Linear(np.array([[0.0, 0.6, 0.9, 0.0, 0.7]] * 4)),
        "homeostatic": d.neuron("HomeostaticLIF", (4,)), "read": d.linear(3, 4), "li": d.neuron("LI", (3,)),
        "last": d.linear(2, 3), "output": out(2),
    }  # fmt: skip
    return graph(
        nodes, "input > to > adaptive > on > homeostatic > read > li > last > output", "adaptive > back > adaptive"
    )


@pytest.mark.parametrize("backend", ["snntorch", "brian2", pytest.param("lava", marks=needs_lava)])
def test_every_backend_counts_the_same(backend: str) -> None:
    """What an interpreter of the Program in plain NumPy counts; the matrix behind the LI does 6 products a step."""
    x = spikes((6,), 40, 2)
    want = ProgramInterpreter(hasn.lower(moving(), dt=DT)).run(x).counts
    with hasn.compile(moving(), backend, dt=DT) as executable:
        found = executable.run(x).counts
    assert min(want.spikes.values()) > 5
    assert want["on"].synaptic_operations == want.synaptic_operations["adaptive"] - 5 * want.spikes["adaptive"]
    assert want["last"].macs == 6 * 40 * 2
    assert found == want
    assert found.active_updates == want.active_updates
    assert found.memory == want.memory
    assert {node: found[node] for node in found} == {node: want[node] for node in want}
