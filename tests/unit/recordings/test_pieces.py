"""Brian2 runs in pieces what is recorded as wanted: the same bits as at once, in memory that does not grow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

import hasn
from hasn.signals import Signals, parts
from tests.graphs import DT, Draw, graph, inp, out, small_net, spikes

STEPS, BATCH = 40, 3
X = spikes((6,), STEPS, BATCH)
GROUPS = {"spikes": None, "voltages": None, "counts": True}


def drawn_loop() -> nir.NIRGraph:
    """A drawn input, a feedback edge and a Delay: all that a piece hands on to the next."""
    poisson = hasn.nodes.PoissonInput(np.full(4, 300.0), np.full(4, 0.8))
    nodes = {"i": inp(6), "p": poisson, "w": Draw(0).linear(4, 6), "n": Draw(1).neuron("CubaLIF", (4,)),
             "d": nir.Delay(np.array([1, 3, 2, 5]) * DT), "m": Draw(2).lif(4), "o": out(4)}  # fmt: skip
    made = graph(nodes, "i > w > n > d > m > o")
    return nir.NIRGraph(made.nodes, [*made.edges, ("p", "n"), ("m", "n")], type_check=False)


class Spy:
    """The pieces that an executable runs."""

    def __init__(self, executable: Any) -> None:
        self.given: list[Signals] = []
        run = executable._run

        def spied(given: Signals, record: frozenset[str]) -> Any:
            self.given.append(given)
            return run(given, record)

        executable._run = spied


def compiled(net: nir.NIRGraph, steps: int, **options: Any) -> tuple[Any, Spy]:
    """On Brian2, in pieces of so many steps of three samples."""
    executable: Any = hasn.compile(net, "brian2", dt=DT, target="numpy", **options)
    executable._piece = steps * BATCH * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    return executable, Spy(executable)


@pytest.fixture(scope="module", params=[small_net, drawn_loop])
def net(request: pytest.FixtureRequest) -> nir.NIRGraph:
    made: nir.NIRGraph = request.param()
    return made


@pytest.mark.parametrize("synapses", [20_000_000, 120], ids=["one network", "a network for each sample"])
def test_pieces_are_the_run(net: nir.NIRGraph, synapses: int) -> None:
    """Bit for bit where the network goes on; where samples take turns in it, sums may be taken in another order."""
    executable, spy = compiled(net, 7, max_synapses=synapses)
    whole = executable.run(X, record=("spikes", "voltages"))
    found = executable.run(X, record=GROUPS)
    assert [(given.steps, given.first, given.total) for given in spy.given] == [
        (STEPS, 0, STEPS), *[(min(7, STEPS - t), t, STEPS) for t in range(0, STEPS, 7)]
    ]  # fmt: skip
    assert found.counts == whole.counts
    for name, array in whole.spikes.items():
        assert array.any()
        np.testing.assert_array_equal(found.spikes[name], array)
    for name, array in whole.voltages.items():
        np.testing.assert_allclose(found.voltages[name], array, rtol=0, atol=0 if synapses > 120 else 1e-12)


def test_pieces_start_and_end_where_the_run_does(net: nir.NIRGraph) -> None:
    executable, _ = compiled(net, 4)
    whole = executable.run(X, record=("spikes", "voltages"), keep_state=True)
    end = executable.state()
    executable.run(X[:15], keep_state=True)
    found = executable.run(X[15:], record=GROUPS, state=executable.state(), keep_state=True)
    for name, array in whole.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], array[15:])
    again = executable.state()
    assert again.step == end.step == STEPS
    for name, states in end.states.items():
        for key, value in states.items():
            np.testing.assert_allclose(again.states[name][key], value, rtol=0, atol=1e-12)
    for name, past in end.past.items():
        np.testing.assert_array_equal(again.past[name], past)


def test_another_run_between_two_pieces_does_no_harm() -> None:
    """A network that stands elsewhere is set to where the run was."""
    net = small_net()
    executable, _ = compiled(net, 7)
    whole = executable.run(X, record=("spikes", "voltages"))
    run, calls = executable._run, []

    def disturbed(given: Signals, record: frozenset[str]) -> Any:
        calls.append(given)
        run(Signals({"input": 1 - given.values["input"]}, given.steps, given.batch, True), record)
        return run(given, record)

    executable._run = disturbed
    found = executable.run(X, record=GROUPS)
    assert len(calls) == 6
    for name, array in whole.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], array)


def test_the_chips_integers_too() -> None:
    from hasn.testing.chip_graphs import random_chip_graph, random_chip_inputs

    net = random_chip_graph(91)
    executable: Any = hasn.compile(net, "brian2", precision="loihi", target="numpy")
    inputs = random_chip_inputs(net, 91, STEPS, BATCH, False)
    whole = executable.run(inputs, record=("spikes", "voltages", "currents"))
    executable._piece = 7 * BATCH * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    found = executable.run(inputs, record={**GROUPS, "currents": None})
    for group in ("spikes", "voltages", "currents"):
        assert sum(np.count_nonzero(array) for array in whole.series[group].values()) > 100
        for name, array in whole.series[group].items():
            np.testing.assert_array_equal(found.series[group][name], array)
    assert found.counts == whole.counts


def test_a_program_that_is_compiled_for_one_run_runs_it_whole() -> None:
    assert hasn.compile(small_net(), "brian2", dt=DT, target="cpp_standalone")._piece is None


def test_the_target_is_chosen_by_the_whole_run(monkeypatch: pytest.MonkeyPatch) -> None:
    executable, _ = compiled(small_net(), 7)
    asked: list[int] = []
    monkeypatch.setattr(executable.engine, "_target", lambda steps: asked.append(steps) or "numpy")
    executable.run(X, record="counts")
    assert asked == [STEPS] * 6


def test_memory_does_not_grow_with_the_run() -> None:
    """Ten times the steps of spikes, counts and inputs; kept whole, the spikes alone would take 8 kB a step."""
    wide = graph(
        {"i": inp(1), "w": nir.Linear(np.ones((8_000, 1))), "n": Draw(0).lif(8_000), "o": out(8_000)}, "i > w > n > o"
    )
    executable: Any = hasn.compile(wide, "brian2", dt=DT, target="numpy")
    executable._piece = 20 * sum(int(np.prod(node.shape)) for node in executable.program.nodes)
    x = np.lib.stride_tricks.as_strided(np.ones(1, dtype=np.float32), (400, 1), (0, 4))
    peaks = []
    for steps in (40, 400):
        executable.run(x[:steps], record="counts")
        tracemalloc.start()
        found = executable.run(x[:steps], record="counts")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.counts.steps == steps
        assert found.counts.total_spikes > 0
    assert peaks[1] < peaks[0] + 400_000


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many steps are drawn at a time."""
    from hasn.program.drawn import Drawn

    found: list[int] = []
    values = Drawn.values

    def spied(self: Drawn, first: int, steps: int, batch: int) -> NDArray[np.float64]:
        found.append(steps)
        return values(self, first, steps, batch)

    monkeypatch.setattr(Drawn, "values", spied)
    return iter([found])


def test_a_piece_is_all_that_is_drawn(drawings: Iterator[list[int]]) -> None:
    """Of a graph without Inputs too, whose steps must be known before."""
    found = next(drawings)
    poisson = hasn.nodes.PoissonInput(np.full(4, 300.0), np.full(4, 0.8))
    program = hasn.lower(graph({"p": poisson, "n": Draw(1).lif(4), "o": out(4)}, "p > n > o"), dt=DT)
    pieces = list(parts(program, None, 50, 12 * 10, origin=5))
    assert [(piece.first, piece.steps, piece.more) for piece in pieces] == [
        (5, 10, True), (15, 10, True), (25, 10, True), (35, 10, True), (45, 10, False)
    ]  # fmt: skip
    assert found == [10] * 5
