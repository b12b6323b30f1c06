"""What Brian2 counts itself, by its monitors and its synapses, is what a recording counts."""

from __future__ import annotations

from typing import Any

import numpy as np

import hasn
from hasn.backends.brian2.live import Live
from hasn.backends.brian2.monitors import Wanted
from hasn.backends.brian2.preferences import isolated
from tests.unit.backends.brian2.formulas import DT
from tests.unit.backends.brian2.networks import T, inputs, loop


def test_monitors_and_synapses_of_brian2_count_the_same() -> None:
    """Each sender's events, by a SpikeMonitor, times the synapses that Brian2 says leave each of its neurons."""
    executable: Any = hasn.compile(loop(), "brian2", dt=DT)
    x = inputs()
    counts = executable.run(x).counts
    with isolated("float64", "numpy"):
        live = Live(executable.plan, 1, Wanted(("in", "a", "b"), ()))
        live.run({"in": x}, T)
    groups, monitors = live.parts.groups, live._monitors.spikes
    events = {name: np.asarray(monitor.count) for name, monitor in monitors.items()}
    operations = dict.fromkeys(events, 0)
    for synapses in live.parts.synapses:
        for name in events:
            if synapses.source is groups[name]:
                operations[name] += int(events[name] @ np.asarray(synapses.N_outgoing_pre))
    assert counts.synaptic_operations == operations
    assert min(operations.values()) > 50
    assert {**counts.events, **counts.spikes} == {name: count.sum() for name, count in events.items()}
