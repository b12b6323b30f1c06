"""Every backend runs every case: the same spikes as the reference, and voltages equal to rounding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.recording import Recording
from tests.conformance.cases import CASES
from tests.conformance.executors import INTERPRETERS, SIMULATORS, expected, make, parameters, without_batch

EVERYONE = (*INTERPRETERS, *SIMULATORS)

# float64 keeps 1.1e-16 of each number; some 10 operations a step, 150 steps and sums over 50 synapses leave every
# error far under 1e-11 of the largest voltage of a node. 1e-9 is also the margin that every case keeps to threshold.
TOLERANCE = 1e-9

# float32 keeps 6e-8: 40 steps of 8 roundings each, if they all fell on one side, are 2e-5 of the largest voltage.
TOLERANCE_32 = 2e-5

#: Cases whose voltages stay far enough from the threshold for float32 to give the same spikes (asserted below).
IN_FLOAT32 = ["LIF-euler-zero-batch", "CubaLIF-exact-subtract-batch", "IF-euler-subtract", "recurrence_through_linear",
              "Conv2d_grouped", "delay_of_a_graded_signal", "two_inputs_two_outputs-hardware"]  # fmt: skip


@pytest.mark.parametrize(("backend", "name"), parameters(list(CASES), EVERYONE))
def test_spikes_and_voltages_are_those_of_the_reference(backend: str, name: str) -> None:
    with make(backend, name) as executable:
        found = executable.run(CASES[name].inputs(), record=("spikes", "voltages"))
    compare(name, found, TOLERANCE)


@pytest.mark.parametrize(("backend", "name"), parameters(IN_FLOAT32, SIMULATORS))
def test_float32_gives_the_same_spikes(backend: str, name: str) -> None:
    with make(backend, name, "float32") as executable:
        found = executable.run(CASES[name].inputs(), record=("spikes", "voltages"))
    compare(name, found, TOLERANCE_32)


@pytest.mark.parametrize("name", CASES)
def test_the_case_says_something(name: str) -> None:
    """Every spiking node fires, none saturates, and no voltage is so near its threshold that rounding decides."""
    wanted = expected(name)
    for node, spikes in wanted.spikes.items():
        rate = float(np.mean(spikes))
        assert 0.005 <= rate <= 0.95, f"{node} fires in {rate:.2%} of its neuron-steps"
    for node, margin in wanted.margins.items():
        assert margin > TOLERANCE * 10, f"{node} comes within {margin:.1e} of its threshold"


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_the_case_leaves_room_for_float32(name: str) -> None:
    wanted = expected(name)
    for node, margin in wanted.margins.items():
        largest = np.max(np.abs(wanted.voltages[node])) if node in wanted.voltages else 1.0
        assert margin > TOLERANCE_32 * max(1.0, float(largest)), f"{node} comes within {margin:.1e} of its threshold"


def compare(name: str, found: Recording, tolerance: float) -> None:
    """Names, shapes, spikes (exactly), voltages and outputs (to rounding), counts."""
    wanted = expected(name)
    spikes = without_batch(name, wanted.spikes)
    assert set(found.spikes) == set(spikes)
    for node, train in spikes.items():
        assert found.spikes[node].dtype == np.bool_
        assert found.spikes[node].shape == train.shape, node
        differing = np.argwhere(found.spikes[node] != train)
        assert differing.size == 0, (
            f"{node}: {len(differing)} differing spikes, the first at (step, ...) {differing[0]}"
        )
    close("voltage", found.voltages, without_batch(name, wanted.voltages), tolerance)
    close("output", found.outputs, without_batch(name, wanted.outputs), tolerance)
    assert found.counts.spikes == {node: int(train.sum()) for node, train in spikes.items()}


def close(
    what: str, found: dict[str, NDArray[np.float64]], wanted: dict[str, NDArray[np.float64]], tolerance: float
) -> None:
    """Each array equals the reference's within ``tolerance`` of that array's largest magnitude."""
    assert set(found) == set(wanted)
    for node, array in wanted.items():
        assert found[node].shape == array.shape, f"{what} of {node}"
        error = np.abs(np.asarray(found[node], dtype=float) - array)
        largest = float(np.max(np.abs(array)))
        worst = np.unravel_index(int(np.argmax(error)), error.shape)
        assert np.all(np.isfinite(error)), f"{what} of {node} is not finite"
        assert error[worst] <= tolerance * largest, (
            f"{what} of {node} is off by {error[worst]:.2e} at (step, ...) {worst}"
        )
