"""A session: executables that run one after the other share a worker, and the last to leave ends it."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import hasn
from hasn.backends.lava import BACKEND
from hasn.errors import WorkerError
from tests.graphs import DT
from tests.unit.backends.lava.nets import feed_forward, group_members, needs_lava, some_spikes

pytestmark = needs_lava


def test_one_worker_for_all_and_none_afterwards() -> None:
    x = some_spikes(40)
    alone = [hasn.compile(feed_forward(seed=seed), "lava", dt=DT).run(x).output for seed in (3, 4)]
    assert not np.array_equal(*alone)
    pids = set()
    with BACKEND.session():
        one, other = (hasn.compile(feed_forward(seed=seed), "lava", dt=DT) for seed in (3, 4))
        for executable, wanted in [(one, alone[0]), (other, alone[1]), (one, alone[0])]:
            np.testing.assert_array_equal(executable.run(x).output, wanted)
            pids.add(executable._worker.pid)
        one.close()
        np.testing.assert_array_equal(other.run(x).output, alone[1])
    (group,) = pids
    assert not group_members(group)


def test_a_killed_worker_is_replaced() -> None:
    x = some_spikes(20)
    with BACKEND.session():
        executable = hasn.compile(feed_forward(), "lava", dt=DT)
        wanted = executable.run(x).output
        os.killpg(executable._worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"died \(killed by SIGKILL\)"):
            executable.run(x)
        np.testing.assert_array_equal(executable.run(x).output, wanted)
        other = hasn.compile(feed_forward(), "lava", dt=DT)
        np.testing.assert_array_equal(other.run(x).output, wanted)
        assert other._worker.pid == executable._worker.pid
