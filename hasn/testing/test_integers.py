"""Precision "loihi": every backend that offers it gives the plain reference's spikes, u and v, bit for bit.

Cases and random graphs, all in the chip's units; a backend without this precision has none of them. Floats and their
tolerances are the other modules' business, and so these outcomes are not in the matrix of what a backend supports.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.backend import get_backend
from hasn.executable import Executable
from hasn.testing.cases.chip import CHIP_CASES
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import IntegerTraces, interpret
from hasn.testing.matrix import chosen
from hasn.testing.runners import INTERPRETERS, make, why_not

PRECISION = "loihi"
STEPS, BATCH = 20, 2
#: Random graphs for each backend, by what one costs: a Lava run starts a thread a process, Brian2 generates code.
GRAPHS = {"snntorch": 30, "brian2": 6, "lava": 2}
GRAPHS_OF_OTHERS = 12
#: Lava refuses streams in this precision by name: its integers run on the chip's time, where outputs come later. Runs
#: from a state it does.
STREAMS = {"snntorch": 10, "brian2": 2, "lava": 0}
#: Cases that are streams too: all, but on Brian2, where code is generated for each.
STREAMED = {
    "snntorch": tuple(CHIP_CASES),
    "brian2": ("biases_at_the_ends", "loops_with_delays-hardware"),
    "lava": (),
}
#: Cases that Lava runs in parts, each part a network of its own: shifts, delays, constant inputs, kinds of neuron.
IN_PARTS = ("loops_with_delays", "weights_of_every_form")
#: Seeds that come first: with spikes and with signed integers in turn, currents wrap (with the latter by more than the
#: one turn that Lava takes, so that they stay beyond 24 bits) and voltages clip.
LARGE = (2, 8, 29, 11)


class Trial(NamedTuple):
    """What is judged: a case's name, or a seed with the kind of input."""

    runner: str
    name: str

    def compiled(self) -> Executable:
        """The network, ready to run."""
        return make(self.runner, graph_of(self.name)[0], {"timing": timing_of(self.name)}, PRECISION)


@cache
def graph_of(name: str) -> tuple[nir.NIRGraph, dict[str, NDArray[np.float64]]]:
    """The graph, and {Input: (T, batch, *shape)}."""
    if name in CHIP_CASES:
        return CHIP_CASES[name].build()
    seed, kind = name.split("-")
    graph = random_chip_graph(int(seed))
    return graph, random_chip_inputs(graph, int(seed), STEPS, BATCH, kind == "graded")


def timing_of(name: str) -> str:
    return CHIP_CASES[name].timing if name in CHIP_CASES else "synchronous"


@cache
def expected(name: str) -> IntegerTraces:
    """The plain reference's run."""
    graph, inputs = graph_of(name)
    return interpret(graph, inputs, timing=timing_of(name))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Cases and seeds for each backend that offers the precision."""
    if "trial" not in metafunc.fixturenames:
        return
    streamed = metafunc.function in (test_a_stream_equals_the_run, test_a_run_in_parts_is_the_run)
    counts = STREAMS if streamed else GRAPHS
    trials = [
        Trial(runner, name)
        for runner in chosen(metafunc.config)
        if runner not in INTERPRETERS and PRECISION in get_backend(runner).precisions
        for name in [
            *(STREAMED.get(runner, CHIP_CASES) if streamed else CHIP_CASES),
            *(IN_PARTS if runner == "lava" and metafunc.function is test_a_run_in_parts_is_the_run else ()),
            *_seeds(counts.get(runner, GRAPHS_OF_OTHERS)),
        ]
    ]
    metafunc.parametrize("trial", [_parameter(trial) for trial in trials], indirect=True)


def _seeds(count: int) -> list[str]:
    """Of every two, one has signed integers as inputs."""
    others = [seed for seed in range(count + len(LARGE)) if seed not in LARGE]
    return [f"{seed}-{'graded' if i % 2 else 'spikes'}" for i, seed in enumerate([*LARGE, *others][:count])]


def _parameter(trial: Trial) -> Any:
    marks = [pytest.mark.lava] if trial.runner == "lava" else []
    return pytest.param(trial, id=f"{trial.runner}-{PRECISION}-{trial.name}", marks=marks)


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> Trial:
    """What is judged; skips what cannot run here with the reason."""
    found: Trial = request.param
    reason = why_not(found.runner)
    if reason:
        pytest.skip(reason)
    return found


def test_a_network_is_the_same_bits(trial: Trial) -> None:
    wanted = expected(trial.name)
    with trial.compiled() as executable:
        found = executable.run(graph_of(trial.name)[1], record=("spikes", "voltages", "currents"))
    assert_bits("u", found.currents, wanted.u)
    assert_bits("v", found.voltages, wanted.v)
    assert_bits("spikes", found.spikes, wanted.spikes)
    assert_bits("Output", found.outputs, wanted.outputs)


def test_a_stream_equals_the_run(trial: Trial) -> None:
    """One that is saved half-way, loaded into another executable and goes on there."""
    inputs = graph_of(trial.name)[1]
    steps = len(next(iter(inputs.values())))

    def feed(executable: Any, first: int, last: int) -> list[dict[str, NDArray[Any]]]:
        return [dict(executable.step({name: x[t] for name, x in inputs.items()})) for t in range(first, last)]

    with trial.compiled() as one, trial.compiled() as other:
        begun = feed(one, 0, steps // 2)
        other.load_state(one.state())
        ended = feed(other, steps // 2, steps)
    found = {name: np.stack([frame[name] for frame in begun + ended]) for name in ended[0]}
    assert_bits("Output", found, expected(trial.name).outputs)


def test_a_run_in_parts_is_the_run(trial: Trial) -> None:
    """Each part from the end of the one before, in an executable of its own."""
    inputs = graph_of(trial.name)[1]
    steps = len(next(iter(inputs.values())))
    parts, state = [], None
    for first, last in pairwise(sorted({0, 1, min(3, steps), steps // 2, steps})):
        with trial.compiled() as executable:
            given = {name: x[first:last] for name, x in inputs.items()}
            record = ("spikes", "voltages", "currents")
            parts.append(executable.run(given, record=record, state=state, keep_state=True))
            state = executable.state()
    wanted = expected(trial.name)
    for what, arrays in (("currents", wanted.u), ("voltages", wanted.v), ("spikes", wanted.spikes)):
        whole = {name: np.concatenate([getattr(part, what)[name] for part in parts]) for name in arrays}
        assert_bits(what, whole, arrays)


def assert_bits(what: str, found: Mapping[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    """The same names, each with the same numbers; the first difference named if not."""
    assert set(found) == set(wanted), what
    for name, array in wanted.items():
        assert found[name].shape == array.shape, f"{what} of {name}"
        differing = np.argwhere(found[name] != array)
        if differing.size:
            where = tuple(int(i) for i in differing[0])
            text = f"the first at (step, sample, neuron) {where}: {found[name][where]}, wanted {array[where]}"
            pytest.fail(f"{what} of {name}: {len(differing)} values differ, {text}")


@pytest.mark.parametrize("name", CHIP_CASES)
def test_the_case_says_something(name: str) -> None:
    """Its spiking populations, taken together, fire and do not saturate; no current and no voltage is all zero."""
    wanted = expected(name)
    rate = np.mean(np.concatenate([spikes.reshape(-1) for spikes in wanted.spikes.values()]))
    assert 0.02 <= rate <= 0.9
    assert all(np.any(v) for v in wanted.v.values())
