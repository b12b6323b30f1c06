"""Precision "loihi": every backend that offers it gives the plain reference's spikes, u and v, bit for bit.

Random graphs in the chip's units; a backend without this precision has no such cases. Floats and their tolerances are
the other modules' business, and so these outcomes are not in the matrix of what a backend supports.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.backend import get_backend
from hasn.integer_executable import IntegerExecutable
from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs
from hasn.testing.integers import IntegerTraces, interpret
from hasn.testing.matrix import chosen
from hasn.testing.runners import INTERPRETERS, make, why_not

PRECISION = "loihi"
STEPS, BATCH = 20, 2
#: Graphs for each backend, by what one costs: a Lava run starts a thread a process, Brian2 generates code.
GRAPHS = {"snntorch": 30, "brian2": 12, "lava": 6}
GRAPHS_OF_OTHERS = 12
#: Lava refuses streams in this precision by name: its integers run on the chip's time, where outputs come later.
STREAMS = {"snntorch": 10, "brian2": 4, "lava": 0}
#: Seeds that come first: with spikes and with signed integers in turn, currents wrap (with the latter by more than the
#: one turn that Lava takes, so that they stay beyond 24 bits) and voltages clip.
LARGE = (2, 8, 29, 11)


class Draw(NamedTuple):
    """Who is judged, and on which random graph."""

    runner: str
    seed: int
    graded: bool

    def inputs(self, graph: Any) -> dict[str, NDArray[Any]]:
        """{Input: (T, batch, n)}."""
        return random_chip_inputs(graph, self.seed, STEPS, BATCH, self.graded)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A draw for each backend that offers the precision; of every two, one has signed integers as inputs."""
    counts = STREAMS if metafunc.function is test_a_stream_equals_the_run else GRAPHS
    runners = [name for name in chosen(metafunc.config) if name not in INTERPRETERS]
    draws = [
        Draw(runner, seed, i % 2 == 1)
        for runner in runners
        if PRECISION in get_backend(runner).precisions
        for i, seed in enumerate(_seeds(counts.get(runner, GRAPHS_OF_OTHERS)))
    ]
    metafunc.parametrize("draw", [_parameter(draw) for draw in draws], indirect=True)


def _seeds(count: int) -> list[int]:
    others = [seed for seed in range(count + len(LARGE)) if seed not in LARGE]
    return [*LARGE, *others][:count]


def _parameter(draw: Draw) -> Any:
    marks = [pytest.mark.lava] if draw.runner == "lava" else []
    name = f"{draw.runner}-{PRECISION}-{draw.seed}-{'graded' if draw.graded else 'spikes'}"
    return pytest.param(draw, id=name, marks=marks)


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> Draw:
    """What is judged; skips what cannot run here with the reason."""
    found: Draw = request.param
    reason = why_not(found.runner)
    if reason:
        pytest.skip(reason)
    return found


def expected(executable: IntegerExecutable, inputs: dict[str, NDArray[Any]]) -> IntegerTraces:
    """The plain reference on the integer network that was compiled."""
    flat = {name: value.reshape(STEPS, BATCH, -1).astype(np.int64) for name, value in inputs.items()}
    return interpret(executable.integers, flat, STEPS, BATCH)


def test_a_random_network_is_the_same_bits(draw: Draw) -> None:
    graph = random_chip_graph(draw.seed)
    inputs = draw.inputs(graph)
    with make(draw.runner, graph, {}, PRECISION) as executable:
        assert isinstance(executable, IntegerExecutable)
        found = executable.run(inputs, record=("spikes", "voltages", "currents"))
        wanted = expected(executable, inputs)
        outputs = dict(executable.integers.outputs)
    assert set(found.spikes) == set(executable.program.recorded_spikes)
    assert set(found.voltages) == set(found.currents) == set(executable.program.recorded_voltages)
    groups: tuple[tuple[str, Any, Any], ...] = (
        ("u", found.currents, wanted.u),
        ("v", found.voltages, wanted.v),
        ("spike", found.spikes, wanted.spikes),
    )
    for what, arrays, reference in groups:
        for name, array in arrays.items():
            assert_bits(f"{what} of {name}", array, reference[name])
    for name, shown in outputs.items():
        spiking = executable.integers.populations[shown].spiking
        assert_bits(f"Output {name}", found.outputs[name], (wanted.spikes if spiking else wanted.v)[shown])


def test_a_stream_equals_the_run(draw: Draw) -> None:
    """The run itself is held against the reference above."""
    graph = random_chip_graph(draw.seed)
    inputs, half = draw.inputs(graph), STEPS // 2

    def feed(executable: Any, first: int, last: int) -> list[dict[str, NDArray[Any]]]:
        return [dict(executable.step({name: x[t] for name, x in inputs.items()})) for t in range(first, last)]

    with make(draw.runner, graph, {}, PRECISION) as one, make(draw.runner, graph, {}, PRECISION) as other:
        whole = one.run(inputs).outputs
        begun = feed(one, 0, half)
        other.load_state(one.state())
        ended = feed(other, half, STEPS)
    for name, wanted in whole.items():
        assert_bits(f"Output {name}", np.stack([frame[name] for frame in begun + ended]), wanted)


def assert_bits(what: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    """Equal, and the first difference named if not."""
    assert found.shape == wanted.shape, what
    differing = np.argwhere(found != wanted)
    if differing.size:
        where = tuple(int(i) for i in differing[0])
        text = f"the first at (step, sample, neuron) {where}: {found[where]}, wanted {wanted[where]}"
        pytest.fail(f"{what}: {len(differing)} values differ, {text}")
