"""step() over a stream gives what run() gives; a saved state continues exactly as the stream itself did."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.executable import Executable
from tests.conformance.cases import CASES
from tests.conformance.executors import INTERPRETERS, expected, make, parameters, without_batch
from tests.conformance.test_conformance import TOLERANCE, close

#: A stream on Lava is a run of its own for every step and costs seconds: one case for each thing that a state holds.
FOR_LAVA = [
    "LIF-euler-zero-batch",  # a voltage, samples
    "CubaLIF-exact-subtract",  # a voltage and a current
    "heterogeneous_delays_between_populations",  # spikes under way
    "delay_of_a_graded_signal",  # real numbers under way
    "recurrence_through_biased_affine",  # a feedback edge, a bias with a first step
    "two_populations_in_a_loop",  # a loop that cannot be retimed
    "two_inputs_two_outputs-hardware",  # hardware time
    "shifted_neurons_must_not_run_ahead",  # shifts and initial values
]

Frames = list[dict[str, NDArray[np.float64]]]
PAIRS = [*parameters(list(CASES), (*INTERPRETERS, "snntorch", "brian2")), *parameters(FOR_LAVA, ("lava",))]


def feed(executable: Executable, name: str, first: int, last: int) -> Frames:
    """Step through a part of the case's input."""
    inputs = CASES[name].inputs()
    return [dict(executable.step({key: value[t] for key, value in inputs.items()})) for t in range(first, last)]


@pytest.mark.parametrize(("backend", "name"), PAIRS)
def test_a_stream_equals_the_run_and_its_state_continues(backend: str, name: str) -> None:
    steps = CASES[name].steps
    half = steps // 2
    with make(backend, name) as executable, make(backend, name) as other:
        begun = feed(executable, name, 0, half)
        saved = executable.state()
        ended = feed(executable, name, half, steps)
        other.load_state(saved)
        again = feed(other, name, half, steps)
    found = {node: np.stack([frame[node] for frame in begun + ended]) for node in ended[0]}
    close("output", found, without_batch(name, expected(name).outputs), TOLERANCE)
    for frame, same in zip(ended, again, strict=True):
        for node in frame:
            np.testing.assert_array_equal(same[node], frame[node], err_msg=f"{node} after load_state")


@pytest.mark.parametrize(
    ("backend", "name"), parameters(["recurrence_through_linear"], (*INTERPRETERS, "snntorch", "brian2", "lava"))
)
def test_a_run_leaves_the_stream_alone_and_reset_starts_it_again(backend: str, name: str) -> None:
    with make(backend, name) as executable:
        begun = feed(executable, name, 0, 5)
        executable.run(CASES[name].inputs())
        ended = feed(executable, name, 5, 10)
        executable.reset()
        again = feed(executable, name, 0, 10)
    for frame, same in zip(begun + ended, again, strict=True):
        for node in frame:
            np.testing.assert_array_equal(same[node], frame[node])
