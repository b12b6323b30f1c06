"""A batch is one continuous run: nothing of a sample may reach the next."""

import nir
import numpy as np
import pytest

import hasn
from tests.graphs import DT, Draw, graph, inp, out
from tests.unit.backends.lava.nets import LIF, feed_forward, kinds, loop, recurrent, some_spikes

pytestmark = pytest.mark.usefixtures("one_worker", "lava")


def delayed_net():
    """Stock LIF behind a delay line of ours, and a population of ours behind stock DelayDense."""
    draw = Draw(5)
    nodes = {
        "input": inp(6),
        "w1": draw.linear(8, 6),
        "a": draw.lif(8, **LIF),
        "w2": draw.linear(5, 8),
        "delay": nir.Delay(np.array([0, 3, 1, 2, 4]) * DT),
        "b": draw.lif(5, **{**LIF, "v_leak": 0.1}),
        "skip": draw.linear(5, 6),
        "slow": draw.linear(8, 6),
        "wait": nir.Delay(np.full(8, 4 * DT)),
        "output": out(5),
    }
    return graph(nodes, "input > w1 > a > w2 > delay > b > output", "input > skip > b", "input > slow > wait > a")


def test_the_net_with_delays_has_what_it_says():
    with hasn.compile(delayed_net(), "lava", dt=DT) as executable:
        assert kinds(executable) == {
            "a": "lif", "b": "neurons", "input -> a": "delayed", "a -> b": "delay_dense", "input -> b": "delay_dense",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (feed_forward("CubaLIF"), {}),
        (recurrent("CubaLIF"), {}),
        (recurrent("LIF", v_leak=0.2), {"reset": "subtract"}),
        (loop(), {}),
        (delayed_net(), {}),
    ],
    ids=["stock", "stock-recurrent", "ours", "in-step", "delays"],
)
def test_a_batch_is_bit_for_bit_each_sample_alone(net, options):
    x = some_spikes(20, 3)
    x[-3:, 0] = 1.0  # spikes of the first sample are on all wires when it ends
    with hasn.compile(net, "lava", dt=DT, **options) as executable:
        together = executable.run(x, record=("spikes", "voltages"))
        for sample in (1, 2):
            alone = executable.run(x[:, sample], record=("spikes", "voltages"))
            for name, voltages in alone.voltages.items():
                np.testing.assert_array_equal(together.voltages[name][:, sample], voltages, err_msg=name)
            for name, spikes in alone.spikes.items():
                assert spikes.any()
                np.testing.assert_array_equal(together.spikes[name][:, sample], spikes, err_msg=name)


@pytest.mark.parametrize("net", [recurrent("CubaLIF"), delayed_net()], ids=["stock", "delays"])
def test_a_silent_sample_after_a_stormy_one_is_what_silence_gives(net):
    x = np.zeros((15, 2, 6))
    x[-6:, 0] = 1.0
    with hasn.compile(net, "lava", dt=DT) as executable:
        both = executable.run(x, record="voltages")
        silence = executable.run(x[:, 1], record="voltages")
    assert np.any(both.voltages["a"][:, 0])
    for name, voltages in silence.voltages.items():
        np.testing.assert_array_equal(both.voltages[name][:, 1], voltages)


def test_recordings_that_nobody_asked_for_are_not_there_and_the_axis_is_the_inputs():
    with hasn.compile(feed_forward(), "lava", dt=DT) as executable:
        recording = executable.run(some_spikes(10, None), record=())
    assert recording.spikes == {}
    assert recording.voltages == {}
    assert recording.output.shape == (10, 5)
