"""step, state and load_state on a live Lava network."""

import numpy as np
import pytest

import hasn
from hasn.errors import InputError
from tests.graphs import DT
from tests.unit.backends.lava.nets import ROUNDING, feed_forward, loop, recurrent, some_spikes
from tests.unit.backends.lava.test_batches import delayed_net

pytestmark = pytest.mark.usefixtures("lava")


@pytest.mark.parametrize(
    "net", [recurrent("CubaLIF"), loop(v_leak=0.2), delayed_net()], ids=["stock", "loop", "delays"]
)
def test_a_stream_gives_at_each_step_what_a_run_gives(net):
    x = some_spikes(40, 3)
    with hasn.compile(net, "lava", dt=DT) as executable:
        whole = executable.run(x).output
        assert whole.sum() > 30
        np.testing.assert_allclose([executable.step(frame).output for frame in x], whole, rtol=0, atol=ROUNDING)


def test_a_run_leaves_the_stream_alone_and_reset_begins_anew():
    x = some_spikes(20, 2)
    with hasn.compile(recurrent("CubaLIF"), "lava", dt=DT) as executable:
        once = [executable.step(frame).output for frame in x]
        assert np.sum(once) > 10
        executable.reset()
        again = [executable.step(frame).output for frame in x[:7]]
        executable.run(x[:, 0])
        again += [executable.step(frame).output for frame in x[7:]]
        np.testing.assert_array_equal(again, once)


def test_a_loaded_state_continues_bit_for_bit_in_another_executable():
    x = some_spikes(30, 2)
    net = delayed_net()
    with hasn.compile(net, "lava", dt=DT) as first, hasn.compile(net, "lava", dt=DT) as second:
        for frame in x[:13]:
            first.step(frame)
        state = first.state()
        expected = [first.step(frame).output for frame in x[13:]]
        after = first.state()
        assert np.sum(expected) > 5
        for executable in (first, second):
            executable.load_state(state)
            np.testing.assert_array_equal([executable.step(frame).output for frame in x[13:]], expected)
            again = executable.state()
            for name, states in after.states.items():
                for key, array in states.items():
                    np.testing.assert_array_equal(again.states[name][key], array)
            for name, array in after.past.items():
                np.testing.assert_array_equal(again.past[name], array)


def test_a_stream_without_batch_axis_and_with_real_numbers():
    x = 4.0 * np.abs(np.random.default_rng(1).standard_normal((25, 6)))
    with hasn.compile(feed_forward(), "lava", dt=DT) as executable:
        whole = executable.run(x).output
        assert whole.sum() > 10
        np.testing.assert_array_equal([executable.step(frame).output for frame in x], whole)
        with pytest.raises(InputError, match="batch"):
            executable.step(np.zeros((2, 6)))
