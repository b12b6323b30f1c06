"""Shifts, added delays, and delivery within the step: the network stays the one that SEMANTICS describes."""

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import RetimingError
from tests.graphs import DT, Draw, graph, inp, out
from tests.unit.backends.lava.nets import LIF, agree, kinds, loop, not_on_chip, recurrent, some_spikes

pytestmark = pytest.mark.usefixtures("one_worker", "lava")


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_recurrence_through_a_matrix_is_stock_its_buffer_being_the_feedback_edge(kind):
    net = recurrent(kind)
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        assert executable.delivery == "retimed"
        assert kinds(executable)["a -> a"] == "dense"
        assert not not_on_chip(executable)


def test_two_populations_in_a_loop_deliver_within_the_step():
    net = loop()
    with hasn.compile(net, "lava", dt=DT) as executable:
        recording = agree(net, some_spikes(120), executable)
        assert executable.delivery == "in-step"
        assert set(recording.shifts.values()) == {0}
        assert kinds(executable)["b -> a"] == "dense"  # the feedback edge's own step
        assert set(not_on_chip(executable)) == {"input -> a", "a -> b"}


def test_a_loop_that_cannot_be_retimed_is_refused_where_that_was_asked_for():
    with pytest.raises(RetimingError, match=r"b -> a|a -> b"):
        hasn.compile(loop(), "lava", dt=DT, delivery="retimed")


def test_with_hardware_timing_the_same_loop_is_deployable_and_nothing_is_shifted():
    net = loop()
    with hasn.compile(net, "lava", dt=DT, timing="hardware") as executable:
        recording = agree(net, some_spikes(120), executable, timing="hardware")
        assert not not_on_chip(executable)
        assert set(recording.shifts.values()) == {0}


def test_a_skip_connection_waits_for_the_longer_way():
    draw = Draw(5)
    nodes = {
        "input": inp(6),
        "w1": draw.linear(8, 6),
        "a": draw.lif(8, **LIF),
        "w2": draw.linear(7, 8),
        "b": draw.lif(7, **LIF),
        "w3": draw.linear(5, 7),
        "c": draw.lif(5, **LIF),
        "skip": draw.linear(5, 6),
        "output": out(5),
    }
    net = graph(nodes, "input > w1 > a > w2 > b > w3 > c > output", "input > skip > c")
    with hasn.compile(net, "lava", dt=DT) as executable:
        recording = agree(net, some_spikes(), executable)
        assert kinds(executable)["input -> c"] == "delay_dense"
        assert recording.shifts["c"] == 3
        assert not not_on_chip(executable)


@pytest.mark.parametrize("delivery", ["retimed", "in-step"])
def test_delays_that_differ_between_neurons(delivery):
    draw = Draw(5)
    steps = np.array([0, 5, 1, 2, 9, 3, 0, 4]) * DT
    nodes = {
        "input": inp(6),
        "w1": draw.linear(8, 6),
        "a": draw.lif(8, **LIF),
        "delay": nir.Delay(steps),
        "w2": draw.linear(5, 8),
        "b": draw.lif(5, **LIF),
        "rec": draw.linear(8, 8, mean=-0.1),
        "back": nir.Delay(steps + 3 * DT),
        "output": out(5),
    }
    net = graph(nodes, "input > w1 > a > delay > w2 > b > output", "a > rec > back > a")
    with hasn.compile(net, "lava", dt=DT, delivery=delivery) as executable:
        agree(net, some_spikes(), executable)
        assert kinds(executable)["a -> a"] == "delay_dense"
        assert ("a -> b" in not_on_chip(executable)) == (delivery == "in-step")


def test_synapses_of_several_delays_between_the_same_neurons_need_a_process_of_ours():
    draw = Draw(5)
    nodes = {
        "input": inp(6),
        "w1": draw.linear(8, 6),
        "slow": draw.linear(8, 6),
        "delay": nir.Delay(np.full(8, 4 * DT)),
        "a": draw.lif(8, **LIF),
        "output": out(8),
    }
    net = graph(nodes, "input > w1 > a > output", "input > slow > delay > a")
    with hasn.compile(net, "lava", dt=DT) as executable:
        agree(net, some_spikes(), executable)
        assert kinds(executable)["input -> a"] == "delayed"
        assert "several synapses" in not_on_chip(executable)["input -> a"]
