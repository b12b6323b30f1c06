"""Counts are worked out when they are asked for, once."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import hasn
from hasn.counts import Counts, Operations
from hasn.executable import Executable
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, small_net, spikes


def test_nothing_is_worked_out_before_it_is_read() -> None:
    asked: list[str] = []

    def work() -> Counts:
        asked.append("work")
        if len(asked) == 1:
            raise MemoryError
        return Counts({"n": 3}, {"i": 4}, steps=7)

    counts = Counts.later(work)
    assert asked == []
    with pytest.raises(MemoryError):
        _ = counts.spikes
    assert (counts.steps, counts.spikes, counts.total_synaptic_operations) == (7, {"n": 3}, 4)
    assert asked == ["work", "work"]  # once after the failure, whatever is read
    with pytest.raises(AttributeError, match="Counts has no 'spike'"):
        _ = counts.spike  # type: ignore[attr-defined]


@pytest.mark.parametrize("travel", [copy.deepcopy, lambda counts: pickle.loads(pickle.dumps(counts))])
def test_they_travel_as_figures(travel: object) -> None:
    counts = Counts.later(lambda: Counts({"n": 3}, connections={"w": Operations(1, 2, 3, 4, 5, 6)}))
    assert travel(counts) == Counts({"n": 3}, connections={"w": Operations(1, 2, 3, 4, 5, 6)})  # type: ignore[operator]


def test_a_run_counts_nothing_until_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.recordings.keeper.counts_of", lambda *given: Counts({"n": len(given)}))
    recording = ProgramInterpreter(hasn.lower(small_net(), dt=DT)).run(spikes((6,), 5))
    assert "_work" in vars(recording.counts)
    assert recording.counts.spikes == {"n": 6}
    assert "_work" not in vars(recording.counts)


def test_a_run_on_torch_never_composes_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Executable, "network", property(lambda self: pytest.fail("composed")))
    executable = hasn.compile(small_net(), "snntorch", dt=DT)
    recording = executable.run(spikes((6,), 40, 2))
    executable.step(np.ones(6))
    assert set(recording.shifts) == {"input", "n2", "n4"}
    assert recording.counts.total_synaptic_operations > 100


def test_one_run_after_the_other() -> None:
    """Work adds up; synapses are those of the end; what only one of them has counts too."""
    one = Counts({"a": 3}, {"in": 6}, 5, 2, {"in": 4}, {"a": 20}, {"w": Operations(7, 6, 70, 1, 5, 6)}, ("b",), True)
    two = Counts(
        {"a": 1}, {"in": 2, "a": 1}, 3, 2, {"in": 1}, {"a": 12}, {"w": Operations(5, 2, 30, 0, 2, 2)}, (), True
    )
    both = one + two
    assert (both.spikes, both.synaptic_operations) == ({"a": 4}, {"in": 8, "a": 1})
    assert (both.steps, both.samples, both.events, both.neuron_updates) == (8, 2, {"in": 5}, {"a": 32})
    assert both.connections == {"w": Operations(5, 8, 100, 1, 7, 8)}
    assert (both.unknown, both.counted) == (("b",), True)
    more = one + Counts({"a": 1}, connections={"v": Operations(1, 2, 3, 4, 5, 6)}, unknown=("b", "c"), counted=False)
    assert more.connections == {"w": one.connections["w"], "v": Operations(1, 2, 3, 4, 5, 6)}
    assert (more.unknown, more.counted) == (("b", "c"), False)
