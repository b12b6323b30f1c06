"""Rules x backends: weights after every step, and spikes, as the reference has them; states that travel while learning."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import hasn
from hasn.recording import Recording
from hasn.testing import reference
from hasn.testing.cases.learning import CASES, DT
from hasn.testing.runners import why_not

BACKENDS = ("snntorch", "brian2", "lava")
#: Weights may part by this much of the largest one: sums of a thousand updates in another order, in float64.
WEIGHTS = 1e-9


@cache
def expected(name: str) -> reference.Reference:
    """What the reference says; the input has a batch axis there."""
    case = CASES[name]
    given = {**case.inputs(), **case.given()}
    arrays = {key: value if case.batch is not None else value[:, np.newaxis] for key, value in given.items()}
    return reference.run(case.graph(), arrays, DT, "euler", "zero", "synchronous")


def compiled(name: str, backend: str) -> hasn.Executable:
    reason = why_not(backend)
    if reason:
        pytest.skip(reason)
    return hasn.compile(CASES[name].graph(), backend)


def batched(name: str, array: np.ndarray) -> np.ndarray:
    return array if CASES[name].batch is not None else array[:, np.newaxis]


def agree(name: str, got: Recording, first: int = 0) -> None:
    """Spikes identical, weights within the tolerance, at every step from ``first`` on."""
    want = expected(name)
    last = first + got.steps
    for node, spikes in got.spikes.items():
        np.testing.assert_array_equal(batched(name, np.asarray(spikes)), want.spikes[node][first:last], err_msg=node)
    assert set(got.series["weights"]) == set(want.weights)
    for node, course in got.series["weights"].items():
        flat = batched(name, course).reshape(got.steps, -1)
        wanted = want.weights[node][first:last].reshape(got.steps, -1)
        np.testing.assert_allclose(flat, wanted, rtol=0, atol=WEIGHTS * np.abs(wanted).max(), err_msg=node)


@pytest.mark.parametrize("name", CASES)
def test_the_cases_learn(name: str) -> None:
    """Or they would show nothing: weights move, in both directions where the rule has two, and targets spike."""
    want = expected(name)
    for node, course in want.weights.items():
        moved = np.diff(course, axis=0)
        assert np.any(moved > 0), node
        assert np.any(moved < 0) or name.startswith("triplet"), node
        assert np.ptp(course[-1]) > 0
    if CASES[name].spikes:
        assert all(20 < spikes.sum() < 0.5 * spikes.size for spikes in want.spikes.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_weights_and_spikes_are_those_of_the_reference(name: str, backend: str) -> None:
    case = CASES[name]
    with compiled(name, backend) as executable:
        got = executable.run(case.inputs(), record=("spikes", "weights"), modulators=case.given() or None)
        agree(name, got)
        for node, course in got.series["weights"].items():
            np.testing.assert_array_equal(executable.weights(node), course[-1])
