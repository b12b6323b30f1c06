"""What every Executable does by its base class: batches, recordings, streams, states, counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError
from hasn.executable import State
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


def test_counts_are_those_of_the_arrays(executable: ProgramInterpreter) -> None:
    found = executable.run(X)
    assert found.counts.spikes == {name: int(train.sum()) for name, train in found.spikes.items()}
    assert found.counts.total_spikes > 50
    w = small_net().nodes["n3"].weight
    assert np.all(w != 0)
    wanted = {"input": int(X.sum()) * 5, "n2": int(found.spikes["n2"].sum()) * 3}
    assert found.counts.synaptic_operations == wanted
    assert found.counts.total_synaptic_operations == sum(wanted.values())


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


def test_the_same_network_read_back_has_the_same_structure(tmp_path: Path) -> None:
    hasn.save(small_net(), tmp_path / "x.nir")
    again = hasn.lower(hasn.load(tmp_path / "x.nir"), dt=DT)
    assert ProgramInterpreter(again).structure == ProgramInterpreter(hasn.lower(small_net(), dt=DT)).structure
