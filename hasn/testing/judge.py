"""Whether a recording is the reference's: the same spikes, and voltages and outputs equal to rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.recording import Recording
from hasn.testing.reference import Reference

Arrays = dict[str, NDArray[Any]]

#: float64 keeps 1.1e-16 of each number; some 10 operations a step, 200 steps and sums over 50 synapses leave every
#: error far under 1e-11 of the largest voltage of a node.
TOLERANCE = 1e-9


def tolerance(precision: str, steps: int) -> float:
    """How far a voltage may be off, as a part of the largest of its node.

    float32 keeps 6e-8 of each number: 8 roundings in each step (a sum over synapses among them) that all fall on one
    side and never decay are 5e-7 a step. 40 steps at least: a short run's largest voltage may come from cancellation.
    """
    return TOLERANCE if precision == "float64" else 5e-7 * max(steps, 40)


def without_batch(reference: Reference) -> Reference:
    """The reference's arrays as a user without a batch gets them."""

    def cut(arrays: Arrays) -> Arrays:
        return {name: array[:, 0] for name, array in arrays.items()}

    return replace(
        reference, outputs=cut(reference.outputs), spikes=cut(reference.spikes), voltages=cut(reference.voltages)
    )


def assert_same(found: Recording, wanted: Reference, tolerance: float) -> None:
    """Names, shapes, spikes (exactly), voltages and outputs (to rounding), counts."""
    assert set(found.spikes) == set(wanted.spikes)
    for node, train in wanted.spikes.items():
        assert found.spikes[node].dtype == np.bool_
        assert found.spikes[node].shape == train.shape, f"spikes of {node}"
        differing = np.argwhere(found.spikes[node] != train)
        assert not differing.size, f"{node}: {len(differing)} differing spikes, the first at (step, ...) {differing[0]}"
    assert_close("voltage", found.voltages, wanted.voltages, tolerance)
    assert_close("output", found.outputs, wanted.outputs, tolerance)
    assert found.counts.spikes == {node: int(train.sum()) for node, train in wanted.spikes.items()}


def assert_close(what: str, found: Arrays, wanted: Arrays, tolerance: float) -> None:
    """Each array equals the reference's within ``tolerance`` of that array's largest magnitude."""
    assert set(found) == set(wanted)
    for node, array in wanted.items():
        assert found[node].shape == array.shape, f"{what} of {node}"
        error = np.abs(np.asarray(found[node], dtype=float) - array)
        worst = np.unravel_index(int(np.argmax(error)), error.shape)
        assert np.all(np.isfinite(error)), f"{what} of {node} is not finite"
        allowed = tolerance * float(np.max(np.abs(array)))
        assert error[worst] <= allowed, f"{what} of {node} is off by {error[worst]:.2e} at (step, ...) {worst}"
