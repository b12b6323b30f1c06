"""What every Executable does by its base class: batches, recordings, streams, states, counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError
from hasn.executable import State
from hasn.program.model import Edge, Neurons, Program, Source
from hasn.recording import Counts
from hasn.testing.cases import CASES
from hasn.testing.interpreter import NetworkInterpreter, ProgramInterpreter
from tests.graphs import DT, Draw, graph, inp, out, small_net, spikes

X = spikes((6,), 30, batch=4)


@pytest.fixture
def executable() -> ProgramInterpreter:
    return ProgramInterpreter(hasn.lower(small_net(), dt=DT))


def test_a_batch_axis_goes_out_only_if_it_came_in(executable: ProgramInterpreter) -> None:
    with_batch = executable.run(X, record=("spikes", "voltages"))
    without = executable.run(X[:, 2], record=("spikes", "voltages"))
    assert with_batch.output.shape == (30, 4, 3)
    assert with_batch.output[:, 2].any()
    np.testing.assert_array_equal(without.output, with_batch.output[:, 2])
    np.testing.assert_array_equal(without.spikes["n2"], with_batch.spikes["n2"][:, 2])
    np.testing.assert_array_equal(without.voltages["n4"], with_batch.voltages["n4"][:, 2])


def test_only_what_is_asked_for_is_recorded(executable: ProgramInterpreter) -> None:
    assert set(executable.run(X).spikes) == {"n2", "n4"}
    assert executable.run(X).voltages == {}
    found = executable.run(X, record="voltages")
    assert (found.spikes, set(found.voltages)) == ({}, {"n2", "n4"})
    assert executable.run(X, record=()).spikes == {}
    for wrong in ("spike", ["spikes", "currents"], None, 3):
        with pytest.raises(OptionError, match=r"record: .*wanted spikes and/or voltages"):
            executable.run(X, record=wrong)  # type: ignore[arg-type]


def test_counts_by_hand() -> None:
    """Thresholds pass spikes on; the inputs reach 1, 1 and 1 of two, and each of these 2 of three."""
    nodes = {
        "input": inp(3), "w": nir.Linear(np.array([[1.0, 0, 0], [0, 1, 1]])), "y": nir.Threshold(np.full(2, 0.5)),
        "w2": nir.Linear(np.array([[1.0, 1], [0, 1], [1, 0]])), "z": nir.Threshold(np.full(3, 0.5)), "output": out(3),
    }  # fmt: skip
    executable = ProgramInterpreter(hasn.lower(graph(nodes, "input > w > y > w2 > z > output"), dt=DT))
    first, all_on = [[2.5, 0, 0], [0, 1, 1], [0, 0, 0]], [[1, 1, 1]] * 3
    counts = executable.run(np.stack([first, all_on], axis=1)).counts
    assert counts.spikes == {"y": (1 + 1 + 0) + 6, "z": (2 + 2 + 0) + 9}
    assert counts.synaptic_operations == {"input": (1 + 2 + 0) + 9, "y": 2 * 8}  # a graded value is one event
    assert (counts.total_spikes, counts.total_synaptic_operations) == (21, 28)
    alone = executable.run(np.array(first)).counts
    assert (alone.spikes, alone.synaptic_operations) == ({"y": 2, "z": 4}, {"input": 3, "y": 4})
    assert executable.run(np.array(first), record="voltages").counts == Counts()


def test_a_recording_knows_its_times_and_its_maker(executable: ProgramInterpreter) -> None:
    found = executable.run(X)
    np.testing.assert_allclose(found.times, np.arange(30) * DT, rtol=1e-15)
    assert (found.steps, found.dt, found.backend, found.precision) == (30, DT, "program", "float64")


def test_every_run_starts_afresh(executable: ProgramInterpreter) -> None:
    np.testing.assert_array_equal(executable.run(X).output, executable.run(X).output)


def test_the_batch_of_a_stream_is_fixed_by_its_first_step(executable: ProgramInterpreter) -> None:
    executable.step(X[0, 0])
    with pytest.raises(InputError, match=r"got 4 sample\(s\); wanted no batch axis\. Call reset\(\) first"):
        executable.step(X[0])
    executable.reset()
    assert executable.step(X[0]).output.shape == (4, 3)


def test_a_steps_result_is_an_array_and_a_mapping(executable: ProgramInterpreter) -> None:
    found = executable.step(X[0])
    np.testing.assert_array_equal(np.asarray(found), found["output"])
    two = ProgramInterpreter(hasn.lower(CASES["two_inputs_two_outputs"].graph(), dt=DT)).step(
        {"left": np.ones(4), "right": np.ones((3, 2))}
    )
    with pytest.raises(KeyError, match="2 Outputs: "):
        _ = two.output


def test_a_state_does_not_change_with_the_stream(executable: ProgramInterpreter) -> None:
    for t in range(10):
        executable.step(X[t])
    saved = executable.state()
    first = [executable.step(X[t]).output for t in range(10, 30)]
    for _ in range(2):
        executable.load_state(saved)
        again = [executable.step(X[t]).output for t in range(10, 30)]
        np.testing.assert_array_equal(again, first)
    assert np.sum(first) > 0


def test_a_state_of_before_the_first_step_starts_again(executable: ProgramInterpreter) -> None:
    saved = executable.state()
    first = executable.step(X[0]).output
    executable.step(X[1])
    executable.load_state(saved)
    np.testing.assert_array_equal(executable.step(X[0]).output, first)


def test_foreign_states_are_refused(executable: ProgramInterpreter) -> None:
    executable.step(X[0])
    saved = executable.state()
    other = ProgramInterpreter(hasn.lower(CASES["recurrence_through_linear"].graph(), dt=DT))
    with pytest.raises(InputError, match="of another network or backend"):
        other.load_state(saved)
    with pytest.raises(InputError, match="of another network or backend"):
        NetworkInterpreter(executable.program).load_state(saved)
    with pytest.raises(InputError, match="not a state; got dict; wanted what state"):
        executable.load_state({})  # type: ignore[arg-type]
    assert isinstance(saved, State)


def test_a_network_without_inputs_runs_for_as_long_as_it_is_told() -> None:
    pacer = graph({"n": Draw(2).lif(3, v_leak=2.0), "o": out(3)}, "n > o")
    found = ProgramInterpreter(hasn.lower(pacer, dt=DT)).run(steps=40)
    assert found.output.shape == (40, 3)
    assert 0 < found.counts.total_spikes < 120


def test_a_graph_without_output_still_records() -> None:
    net = graph({"i": inp(6), "n": Draw(1).lif(6)}, "i > n")
    found = ProgramInterpreter(hasn.lower(net, dt=DT)).run(X)
    assert found.outputs == {}
    assert found.steps == 30
    with pytest.raises(KeyError, match="0 Outputs"):
        _ = found.output


def structure(program: Program, precision: str = "float64") -> str:
    executable = ProgramInterpreter(program)
    executable.precision = precision
    return executable.structure


def late_loop() -> Program:
    """A Delay, a feedback edge and a population with a current."""
    d = Draw(4)
    nodes = {"input": inp(3), "w": d.linear(4, 3), "late": nir.Delay(np.array([0, 1, 2, 3]) * DT),
             "n": d.neuron("CubaLIF", (4,)), "back": d.linear(4, 4), "output": out(4)}  # fmt: skip
    return hasn.lower(graph(nodes, "input > w > late > n > output", "n > back > n"), dt=DT)


def with_step(which: str, **changed: Any) -> Program:
    program = late_loop()
    return replace(program, steps=tuple(replace(s, **changed) if s.name == which else s for s in program.steps))


def test_each_part_of_the_structure_tells_states_apart() -> None:
    program = late_loop()
    looped = next(edge for edge in program.edges if edge.delay)
    loop, rest = replace(looped, delay=2), [edge for edge in program.edges if edge != looped]
    place = [step.name for step in program.steps].index("output")
    others = {
        "a name": structure(with_step("output", name="shown")),
        "a kind": structure(replace(program, steps=(*program.steps[:place], Source("output", (4,))))),
        "a shape": structure(with_step("n", shape=(2, 2))),
        "the states": structure(with_step("n", states=("v",))),
        "a delay": structure(with_step("late", delay=np.array([0, 1, 3, 3]))),
        "no delay": structure(with_step("late", delay=None)),
        "an edge's delay": structure(replace(program, edges=(*rest, loop))),
        "an edge less": structure(replace(program, edges=tuple(rest))),
        "an edge elsewhere": structure(replace(program, edges=(*rest, Edge("n", "w", 1)))),
        "the timing": structure(replace(program, timing="hardware")),
        "the precision": structure(program, "float32"),
    }
    assert structure(program) not in others.values()
    assert len(set(others.values())) == len(others)


def test_other_coefficients_are_the_same_structure() -> None:
    """A state may go on in a network whose weights have changed."""
    program, n = late_loop(), late_loop().step("n")
    assert isinstance(n, Neurons)
    same = with_step("n", threshold=np.full(4, 9.0), rows=n.rows[::-1], initial={})
    assert structure(same) == structure(program)
    assert structure(replace(program, metadata={"remark": 1})) == structure(program)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_a_state_of_another_precision_timing_or_network_is_refused(backend: str) -> None:
    """One number type's voltages would be rounded, or not, without a word."""
    one = hasn.compile(small_net(), backend, dt=DT, precision="float32")
    one.step(X[0])
    saved = one.state()
    one.load_state(saved)
    for options in ({"precision": "float64"}, {"timing": "hardware"}):
        other = hasn.compile(small_net(), backend, dt=DT, **{"precision": "float32", **options})
        with pytest.raises(InputError, match=f"of another network or backend; got {backend}"):
            other.load_state(saved)


def test_each_field_of_a_state_is_looked_at(executable: ProgramInterpreter) -> None:
    executable.step(X[0])
    saved = executable.state()
    for changed in ({"backend": "other"}, {"structure": "0" * 64}):
        with pytest.raises(InputError, match="of another network or backend"):
            executable.load_state(replace(saved, **changed))
    executable.load_state(saved)
    with pytest.raises(InputError, match="the batch changes"):  # the batch has come back with it
        executable.step(X[1, 0])
    assert executable.step(X[1]).output.shape == (4, 3)


def test_the_same_network_read_back_has_the_same_structure(tmp_path: Path) -> None:
    hasn.save(small_net(), tmp_path / "x.nir")
    again = hasn.lower(hasn.load(tmp_path / "x.nir"), dt=DT)
    assert ProgramInterpreter(again).structure == ProgramInterpreter(hasn.lower(small_net(), dt=DT)).structure
