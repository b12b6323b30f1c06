"""A run in parts is the run: each part starts from the state that the one before left, here or on another backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hasn
from hasn.counts import Counts
from hasn.executable import Executable
from hasn.recording import Recording
from hasn.state import NetworkState
from hasn.testing.cases import CASES
from hasn.testing.interpreter import NetworkInterpreter
from hasn.testing.judge import TOLERANCE, assert_close, assert_same
from hasn.testing.matrix import Cell, expected, parametrise
from hasn.testing.runners import INTERPRETERS
from hasn.testing.test_stream import FOR_LAVA, STREAMED

#: What a state holds: each way in which values can be under way, and each neuron that remembers more.
FEW = (
    *FOR_LAVA,
    "sparse_with_delays-subtract-batch",
    "held_neurons_in_a_loop",
    "AdaptiveLIF-exact-subtract",
    "ResonateFire-euler-zero-batch",
)

CUT = tuple(name for name in STREAMED if CASES[name].steps >= 10)


def cases(runner: str) -> Iterable[str]:
    """The cases that a runner is judged on; most where a run costs next to nothing."""
    return CUT if runner in (*INTERPRETERS, "snntorch") else FEW


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        parametrise(metafunc, "state", cases, ("float64",))


def part(name: str, first: int, last: int) -> dict[str, NDArray[np.float64]]:
    """Some steps of a case's input."""
    return {key: value[first:last] for key, value in CASES[name].inputs().items()}


def joined(parts: list[Recording]) -> Recording:
    """One recording of several, in its arrays."""

    def whole(group: str) -> dict[str, NDArray[Any]]:
        return {node: np.concatenate([getattr(one, group)[node] for one in parts]) for node in getattr(parts[0], group)}

    spikes = whole("spikes")
    counts = Counts({node: sum(one.counts.spikes[node] for one in parts) for node in spikes})
    return replace(parts[0], outputs=whole("outputs"), spikes=spikes, voltages=whole("voltages"), counts=counts)


def run_in_parts(executable: Executable, name: str, cuts: list[int], state: NetworkState | None = None) -> Recording:
    """From step cuts[0] to step cuts[-1], stopping at each of the others."""
    found = []
    for first, last in pairwise(cuts):
        inputs = part(name, first, last)
        found.append(executable.run(inputs, record=("spikes", "voltages"), state=state, keep_state=True))
        state = executable.state()
    return joined(found)


def plain(name: str) -> NetworkInterpreter:
    """The case on the plain interpreter of the network."""
    case = CASES[name]
    return NetworkInterpreter(hasn.lower(case.graph(), **case.options()))


def test_a_run_in_parts_is_the_run(cell: Cell) -> None:
    """Parts of one step, of fewer steps than the delays, and of more; the stream goes on from the last."""
    steps = CASES[cell.name].steps
    with cell.compiled() as executable:
        found = run_in_parts(executable, cell.name, [0, 1, 3, 4, steps // 2, steps])
        assert_same(found, expected(cell.name), TOLERANCE)


def test_the_state_is_the_plain_interpreters_and_the_run_goes_on_from_there(cell: Cell) -> None:
    """So every backend's state is every other's."""
    steps = CASES[cell.name].steps
    half = steps // 2 + 1
    interpreter = plain(cell.name)
    begun = interpreter.run(part(cell.name, 0, half), record=("spikes", "voltages"), keep_state=True)
    with cell.compiled() as executable:
        executable.run(part(cell.name, 0, half), keep_state=True)
        assert_alike(executable.state(), interpreter.state())
        ended = executable.run(part(cell.name, half, steps), record=("spikes", "voltages"), state=interpreter.state())
        assert_same(joined([begun, ended]), expected(cell.name), TOLERANCE)
        executable.load_state(interpreter.state())
        for t in range(half, half + 3):
            now = executable.step({key: value[0] for key, value in part(cell.name, t, t + 1).items()})
            assert_close("output", dict(now), {key: x[t] for key, x in expected(cell.name).outputs.items()}, 1e-7)
            interpreter.step({key: value[0] for key, value in part(cell.name, t, t + 1).items()})
        assert_alike(executable.state(), interpreter.state())


def assert_alike(found: NetworkState, wanted: NetworkState) -> None:
    """The same names and numbers, to rounding."""
    for field in ("step", "structure", "precision", "batch", "batched"):
        assert getattr(found, field) == getattr(wanted, field), field
    assert set(found.states) == set(wanted.states)
    for node, states in wanted.states.items():
        assert_near(node, found.states[node], states)
    assert_near("held", found.held, wanted.held)
    assert_near("past", found.past, wanted.past)


def assert_near(what: str, found: dict[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    assert set(found) == set(wanted), what
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-9, err_msg=f"{what} {name}")


@pytest.mark.parametrize("name", CUT)
def test_something_is_remembered_half_way(name: str) -> None:
    """Else a state that forgets it would pass; nets whose nodes have neither states nor delays are few."""
    interpreter = plain(name)
    interpreter.run(part(name, 0, CASES[name].steps // 2 + 1), keep_state=True)
    at = interpreter.state()
    kept = [x for states in at.states.values() for x in states.values()] + [*at.past.values()]
    assert any(np.any(x) for x in kept) or not kept
