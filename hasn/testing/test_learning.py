"""Rules x backends: weights at every step and spikes are the reference's; states travel while networks learn."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.backend import get_backend
from hasn.recording import Recording
from hasn.testing import reference
from hasn.testing.cases.learning import CASES, DT
from hasn.testing.matrix import Cell, chosen, parametrise
from hasn.testing.runners import INTERPRETERS, why_not

#: Who takes over from whom.
ORDERS = (("brian2", "snntorch", "lava"), ("lava", "brian2", "snntorch"))
#: Weights may part by this much of the largest one: sums of a thousand updates in another order, in float64.
WEIGHTS = 1e-9
#: Each thing that a learning connection remembers.
TRAVELLERS = (
    "pair-delays-batch",
    "pair-loop",
    "two-layers",
    "reward-sparse",
    "odd-delays",
    "odd-mean",
    "conv1d-reward",
    "conv2d-groups-mean",
    "reward-behind",
    "reward-output",
    "normal-kernel",
    "short-and-long",
    "tagged-mean",
)


def learners(config: pytest.Config) -> list[str]:
    """The backends of this session on which connections learn."""
    return [name for name in chosen(config) if name not in INTERPRETERS and get_backend(name).learns]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = learners(metafunc.config)
    if "cell" in metafunc.fixturenames:
        parametrise(metafunc, "learning", lambda runner: CASES if runner in names else (), ("float64",))
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", names)
    if "order" in metafunc.fixturenames:
        metafunc.parametrize("order", [order for order in ORDERS if {*order} <= {*names}], ids="-".join)


@cache
def expected(name: str, timing: str = "synchronous") -> reference.Reference:
    """What the reference says; the input has a batch axis there."""
    case = CASES[name]
    given = {**case.inputs(), **case.given()}
    arrays = {key: value if case.batch is not None else value[:, np.newaxis] for key, value in given.items()}
    return reference.run(case.graph(), arrays, DT, "euler", "zero", timing)


def compiled(name: str, backend: str, **options: Any) -> hasn.Executable:
    reason = why_not(backend)
    if reason:
        pytest.skip(reason)
    return hasn.compile(CASES[name].graph(), backend, **options)


def batched(name: str, array: np.ndarray) -> np.ndarray:
    return array if CASES[name].batch is not None else array[:, np.newaxis]


def agree(name: str, got: Recording, first: int = 0, timing: str = "synchronous") -> None:
    """Spikes identical, weights within the tolerance, at every step from ``first`` on."""
    want = expected(name, timing)
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
    for node, course in want.weights.items() if CASES[name].moves else ():
        moved = np.diff(course, axis=0)
        assert np.any(moved > 0), node
        assert np.any(moved < 0) or name.startswith("triplet"), node
        assert np.ptp(course[-1]) > 0
    if CASES[name].spikes:
        assert all(20 < spikes.sum() < 0.5 * spikes.size for spikes in want.spikes.values())


def test_weights_and_spikes_are_those_of_the_reference(cell: Cell) -> None:
    case = CASES[cell.name]
    with compiled(cell.name, cell.runner) as executable:
        got = executable.run(case.inputs(), record=("spikes", "weights"), modulators=case.given() or None)
        agree(cell.name, got)
        for node, course in got.series["weights"].items():
            np.testing.assert_array_equal(executable.weights(node), course[-1])


@pytest.mark.parametrize(
    "name", ["two-layers", "pair-delays", "reward", "conv1d-loop", "reward-behind", "reward-input"]
)
def test_hardware_timing_moves_what_a_synapse_sees(name: str, backend: str) -> None:
    """A layer more is a step more, and ``pre`` is what arrives in the step."""
    case = CASES[name]
    with compiled(name, backend, timing="hardware") as executable:
        got = executable.run(case.inputs(), record=("spikes", "weights"), modulators=case.given() or None)
    agree(name, got, timing="hardware")
    moved = [
        np.any(expected(name).weights[node] != course) for node, course in expected(name, "hardware").weights.items()
    ]
    assert any(moved)


def cut(arrays: dict[str, np.ndarray], first: int, last: int) -> dict[str, np.ndarray]:
    return {name: array[first:last] for name, array in arrays.items()}


@pytest.mark.parametrize("name", TRAVELLERS)
def test_what_is_learned_travels(name: str, order: tuple[str, ...], tmp_path: Path) -> None:
    """300 steps on one simulator, 300 on the next, 400 on the last, through files: the run at once."""
    case, state, first = CASES[name], None, 0
    for backend, last in zip(order, (300, 600, 1000), strict=True):
        with compiled(name, backend) as executable:
            got = executable.run(
                cut(case.inputs(), first, last),
                record=("spikes", "weights"),
                modulators=cut(case.given(), first, last) or None,
                state=state,
                keep_state=True,
            )
            agree(name, got, first)
            executable.state().save(tmp_path / "state.npz")
        state, first = hasn.load_state(tmp_path / "state.npz"), last


@pytest.mark.parametrize("name", ["pair-delays", "reward", "odd", "conv1d-reward", "reward-readout"])
def test_streams_learn(name: str, backend: str) -> None:
    """Step by step, from a state in the middle on."""
    case, want = CASES[name], expected(name)
    node = "plastic"
    inputs, given = case.inputs(), case.given()
    with compiled(name, backend) as executable:
        executable.run(cut(inputs, 0, 100), modulators=cut(given, 0, 100) or None, keep_state=True)
        for t in range(100, 130):
            now = {key: array[t] for key, array in given.items()}
            executable.step({key: array[t] for key, array in inputs.items()}, modulators=now or None)
            weights = executable.weights(node)
            flat = weights.reshape(want.weights[node].shape[1:])
            np.testing.assert_allclose(flat, want.weights[node][t], rtol=0, atol=WEIGHTS * np.abs(flat).max())
        executable.reset()
        start = np.broadcast_to(executable.weights(node).reshape(-1), want.weights[node].shape[1:])
        assert np.abs(start - want.weights[node][129]).max() > 1e-3
