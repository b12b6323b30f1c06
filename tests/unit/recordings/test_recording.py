"""What a Recording works out from its arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.counts import Counts
from hasn.recording import Recording
from tests.unit.recordings.test_travel import recording


@pytest.mark.parametrize("group", ["outputs", "spikes", "voltages", "currents"])
def test_steps_and_times_are_known_from_whatever_was_recorded(group: str) -> None:
    empty: dict[str, Any] = {"outputs": {}, "spikes": {}, "voltages": {}}
    one = Recording(**{**empty, group: {"n": np.ones((4, 2, 3))}}, dt=0.5, shifts={}, counts=Counts())
    assert (one.steps, one.times.tolist()) == (4, [0.0, 0.5, 1.0, 1.5])
    nothing = Recording(**empty, dt=0.5, shifts={}, counts=Counts())
    assert (nothing.steps, nothing.times.tolist(), nothing.batched, nothing.seconds) == (0, [], False, 0.0)


def test_the_output_is_the_only_one() -> None:
    one = recording()
    np.testing.assert_array_equal(one.output, one.outputs["output"])
    for outputs in ({}, {"a": np.ones(2), "b": np.ones(2)}):
        with pytest.raises(KeyError, match=f"{len(outputs)} Outputs: {', '.join(outputs)}"):
            _ = replace(one, outputs=outputs).output


def test_totals_are_sums_over_nodes() -> None:
    counts = Counts({"a": 3, "b": 4}, {"a": 50, "i": 6})
    assert (counts.total_spikes, counts.total_synaptic_operations) == (7, 56)
    assert (Counts().total_spikes, Counts().total_synaptic_operations) == (0, 0)
