"""Precision "loihi" as a stream: the run's numbers, and a state that goes from one executable to another."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from hasn.errors import InputError
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import DT, random_chip_graph, random_chip_inputs
from tests.unit.backends.snntorch.integers import chip_graph, compiled, inp, linear, out, spikes

pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")

STEPS, HALF = 16, 7


def feed(executable: Any, inputs: dict[str, Any], first: int, last: int) -> list[dict[str, Any]]:
    return [dict(executable.step({name: x[t] for name, x in inputs.items()})) for t in range(first, last)]


@pytest.mark.parametrize("graded", [False, True])
def test_a_stream_equals_the_run_and_its_state_continues_elsewhere(graded: bool) -> None:
    delays = moved = 0
    for seed in range(12):
        graph = random_chip_graph(seed)
        inputs = random_chip_inputs(graph, seed, STEPS, 2, graded)
        one, other = compiled(graph), compiled(graph)
        whole = one.run(inputs)
        frames = feed(one, inputs, 0, HALF)
        saved = one.state()
        frames += feed(one, inputs, HALF, STEPS)  # it must not change the state that was taken
        other.load_state(saved)
        again = feed(other, inputs, HALF, STEPS)
        for name, wanted in whole.outputs.items():
            assert np.array_equal(np.stack([frame[name] for frame in frames]), wanted)
            assert np.array_equal(np.stack([frame[name] for frame in again]), wanted[HALF:])
            moved += bool(np.any(wanted[HALF:]))
        delays += any(p.delay > 1 for p in one.integers.projections)
    assert min(delays, moved) >= 3


def test_drives_that_begin_after_a_delay() -> None:
    """A bias behind a Delay begins late: the stream's step counts, also in a state that is loaded."""
    rng = np.random.default_rng(0)
    affine = nir.Affine(2.0 * rng.integers(-50, 51, (4, 3)), np.array([40.0, -60.0, 80.0, 2.0]))
    graph = chip_graph(
        {"in": inp(3), "w": affine, "late": nir.Delay(np.array([0, 3, 9, 12]) * DT),
         "pop": chip_neuron((4,), dt=DT, du=800, dv=100), "out": out(4)},
        ("in", "w"), ("w", "late"), ("late", "pop"), ("pop", "out"),
    )  # fmt: skip
    x = {"in": np.zeros((STEPS, 3))}
    one, other = compiled(graph), compiled(graph)
    wanted = one.run(x).output
    assert np.array_equal((wanted != 0).argmax(axis=0), [0, 3, 9, 12])
    feed(one, x, 0, HALF)
    other.load_state(one.state())
    assert np.array_equal(np.stack([f["out"] for f in feed(other, x, HALF, STEPS)]), wanted[HALF:])


def test_larger_inputs_later_in_the_stream_and_small_ones_after_them() -> None:
    """How a current is wrapped depends on the largest input so far, not on this step's alone."""
    graph = chip_graph(
        {"in": inp(1), "w": nir.Linear(np.array([[254.0 * 8]])),
         "pop": chip_neuron((1,), dt=DT, du=40, dv=100), "out": out(1)},
        ("in", "w"), ("w", "pop"), ("pop", "out"),
    )  # fmt: skip
    x = np.array([1, 1, 9000, 1, 1, -9000, -9000, 0, 1, 1, 0, 1])[:, np.newaxis]
    executable = compiled(graph)
    found = executable.run(x, record=("currents",))
    assert np.abs(found.currents["pop"]).max() > 2**23
    assert np.array_equal(np.stack([np.asarray(executable.step(value)) for value in x]), found.output)


def test_a_step_that_is_refused_leaves_the_stream_where_it_was() -> None:
    rng = np.random.default_rng(1)
    graph = chip_graph(
        {"in": inp(3), "w": linear(rng, (3, 3)), "pop": chip_neuron((3,), dt=DT, du=800, dv=100), "out": out(3)},
        ("in", "w"), ("w", "pop"), ("pop", "out"),
    )  # fmt: skip
    x = spikes(1, 6, 3)
    executable = compiled(graph)
    wanted = executable.run(x).output
    assert np.all(np.any(wanted, axis=1))
    frames = []
    for value in x:
        with pytest.raises(InputError, match="takes integers"):
            executable.step(value + 0.5)
        frames.append(np.asarray(executable.step(value)))
    assert np.array_equal(np.stack(frames), wanted)
    executable.reset()
    assert np.array_equal(np.asarray(executable.step(x[0])), wanted[0])


def test_a_stream_without_neurons_has_the_batch_of_its_first_values() -> None:
    executable = compiled(chip_graph({"in": inp(3), "out": out(3)}, ("in", "out")))
    x = np.random.default_rng(0).integers(-9, 10, (4, 2, 3)).astype(float)
    for values in (x, x[:, 0]):
        executable.reset()
        assert np.array_equal(np.stack([np.asarray(executable.step(now)) for now in values]), values)


def test_a_source_is_remembered_for_its_longest_delay() -> None:
    rng = np.random.default_rng(2)
    neuron = {"dt": DT, "du": 800, "dv": 100, "vth": 100}
    nodes: dict[str, Any] = {"in": inp(3), "out": out(2), "a": chip_neuron((3,), **neuron)}
    nodes |= {"b": chip_neuron((2,), **neuron), "now": linear(rng, (3, 3)), "w": linear(rng, (2, 3))}
    nodes |= {
        "late": nir.Delay(np.array([4, 1]) * DT),
        "soon": nir.Delay(np.array([1, 2]) * DT),
        "w2": linear(rng, (2, 3)),
    }
    graph = chip_graph(
        nodes, ("in", "now"), ("now", "a"), ("a", "w"), ("w", "late"), ("late", "b"), ("a", "w2"), ("w2", "soon"),
        ("soon", "b"), ("b", "out"),
    )  # fmt: skip
    executable = compiled(graph)
    executable.reset()
    executable.step(np.ones((2, 3)))
    past = executable.state().past
    assert {name: array.shape for name, array in past.items()} == {"a": (4, 2, 3)}
