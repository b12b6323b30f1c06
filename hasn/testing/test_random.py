"""Random networks on every backend: the reference's spikes, voltages and outputs, whole and as a stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings

from hasn.errors import UnsupportedError
from hasn.testing import reference
from hasn.testing.judge import TOLERANCE, assert_close, assert_same, without_batch
from hasn.testing.matrix import Cell, parametrise
from hasn.testing.reference import Reference
from hasn.testing.runners import make
from hasn.testing.strategies import Trial, trials

#: Networks for each runner, by what one costs: a Lava run starts a thread a process, Brian2 generates code.
EXAMPLES = {"program": 80, "network": 120, "snntorch": 80, "brian2": 20, "lava": 12}
EXAMPLES_OF_OTHERS = 40


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    streamed = metafunc.function is test_a_random_network_streams_as_it_runs
    names = [f"{'streams' if streamed else 'networks'} of hypothesis"]
    # A stream on Lava is a run for every step: its cases are in test_stream.
    parametrise(metafunc, "random", lambda runner: [] if streamed and runner == "lava" else names, ("float64",))


def judged(trial: Trial) -> Reference:
    """The reference's run, unless rounding may decide over one of its spikes."""
    batched = trial.batched
    inputs = {name: value if batched else value[:, np.newaxis] for name, value in trial.inputs.items()}
    wanted = reference.run(trial.graph, inputs, **trial.options)
    assume(all(margin > TOLERANCE * max(1.0, wanted.scale) for margin in wanted.margins.values()))
    return wanted if batched else without_batch(wanted)


def for_each(count: int, check: Callable[[Trial], None]) -> None:
    """Run ``check`` on ``count`` trials, the same ones every time."""

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(trials())
    def run(trial: Trial) -> None:
        try:
            check(trial)
        except UnsupportedError:
            reject()  # refused by name, which is no disagreement

    run()


def test_a_random_network_runs_as_the_reference_does(cell: Cell) -> None:
    def check(trial: Trial) -> None:
        wanted = judged(trial)
        with make(cell.runner, trial.graph, trial.options) as executable:
            assert_same(executable.run(trial.inputs, record=("spikes", "voltages")), wanted, TOLERANCE)

    for_each(EXAMPLES.get(cell.runner, EXAMPLES_OF_OTHERS), check)


def test_a_random_network_streams_as_it_runs(cell: Cell) -> None:
    def check(trial: Trial) -> None:
        wanted = judged(trial)
        with make(cell.runner, trial.graph, trial.options) as executable:
            frames = [
                dict(executable.step({name: value[t] for name, value in trial.inputs.items()}))
                for t in range(trial.steps)
            ]
        found = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
        assert_close("output", found, wanted.outputs, TOLERANCE)

    for_each(EXAMPLES.get(cell.runner, EXAMPLES_OF_OTHERS) // 4, check)
