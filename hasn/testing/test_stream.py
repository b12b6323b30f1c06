"""step() over a stream gives what run() gives; a saved state continues as the stream itself did."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.executable import Executable
from hasn.testing.cases import CASES
from hasn.testing.judge import TOLERANCE, assert_close
from hasn.testing.matrix import Cell, expected, parametrise

#: A stream on Lava is a run of its own for every step and costs seconds: one case for each thing that a state holds.
FOR_LAVA = (
    "LIF-euler-zero-batch",  # a voltage, samples
    "CubaLIF-exact-subtract",  # a voltage and a current
    "heterogeneous_delays_between_populations",  # spikes under way
    "delay_of_a_graded_signal",  # real numbers under way
    "recurrence_through_biased_affine",  # a feedback edge, a bias with a first step
    "noise_into_a_loop",  # a drawn input that goes on
    "two_populations_in_a_loop",  # a loop that cannot be retimed
    "two_inputs_two_outputs-hardware",  # hardware time
    "shifted_neurons_must_not_run_ahead",  # shifts and initial values
)
#: What a state holds depends little on the method and the reset: one or two cases of each primitive will do.
STREAMED = tuple(name for name, case in CASES.items() if not case.grid)

Frames = list[dict[str, NDArray[np.float64]]]


def streamed(runner: str) -> Iterable[str]:
    """The cases that a runner is judged on."""
    return FOR_LAVA if runner == "lava" else STREAMED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function is test_a_run_leaves_the_stream_alone_and_reset_starts_it_again:
        parametrise(metafunc, "stream beside a run", lambda runner: ["recurrence_through_linear"], ("float64",))
    else:
        parametrise(metafunc, "stream", streamed, ("float64",))


def feed(executable: Executable, name: str, first: int, last: int) -> Frames:
    """Step through a part of the case's input."""
    inputs = CASES[name].inputs()
    return [dict(executable.step({key: value[t] for key, value in inputs.items()})) for t in range(first, last)]


def test_a_stream_equals_the_run_and_its_state_continues(cell: Cell) -> None:
    steps = CASES[cell.name].steps
    half = steps // 2
    with cell.compiled() as executable, cell.compiled() as other:
        begun = feed(executable, cell.name, 0, half)
        saved = executable.state()
        ended = feed(executable, cell.name, half, steps)
        other.load_state(saved)
        again = feed(other, cell.name, half, steps)
    found = {node: np.stack([frame[node] for frame in begun + ended]) for node in ended[0]}
    assert_close("output", found, expected(cell.name).outputs, TOLERANCE)
    # Lines are filled by products of their own, whose sums may take another order.
    for frame, same in zip(ended, again, strict=True):
        assert_close("output after load_state", same, frame, TOLERANCE)


def test_a_run_leaves_the_stream_alone_and_reset_starts_it_again(cell: Cell) -> None:
    with cell.compiled() as executable:
        begun = feed(executable, cell.name, 0, 5)
        executable.run(CASES[cell.name].inputs())
        ended = feed(executable, cell.name, 5, 10)
        executable.reset()
        again = feed(executable, cell.name, 0, 10)
    for frame, same in zip(begun + ended, again, strict=True):
        for node in frame:
            np.testing.assert_array_equal(same[node], frame[node])
