"""What every Executable does by its base class: batches, recordings, streams, states, counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn import executable as executable_module
from hasn.errors import InputError, OptionError
from hasn.executable import Executable, Raw
from hasn.program.drawn import Gaussian
from hasn.program.model import Edge, Firing, Neurons, Program, Sink, Source
from hasn.signals import Signals
from hasn.state import Snapshot
from hasn.testing.cases import CASES
from hasn.testing.interpreter import NetworkInterpreter, ProgramInterpreter
from tests.graphs import DT, Draw, chain, graph, inp, out, small_net, spikes

X = spikes((6,), 30, batch=4)


def threshold(n: int) -> nir.Threshold:
    """Units that spike where more than 1 arrives."""
    return nir.Threshold(np.ones(n))


class Told(Executable):
    """Hands back what it was told to, and notes what it is asked."""

    backend, recordable = "told", ("spikes", "voltages", "currents")

    def __init__(self, program: Program, raw: Raw) -> None:
        super().__init__(program, "float32")
        self.raw, self.asked, self.refuse = raw, [], False
        self.sizes = {node.name: node.shape[0] for node in program.of(Neurons)}

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        self.seen = given
        self.asked.append((given.steps, given.batch, given.batched, record))
        return self.raw

    def _start_stream(self, batch: int) -> None:
        self.asked.append(("start", batch))
        if self.refuse:
            raise MemoryError

    def _step(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(("step", {name: x.tolist() for name, x in inputs.items()}))
        return self.raw.outputs

    def _end_stream(self) -> None:
        self.asked.append("end")

    def _state(self) -> Snapshot:
        return Snapshot(self._now, {name: {"v": np.full((2, n), 0.5)} for name, n in self.sizes.items()}, {}, {})

    def _load_state(self, state: Snapshot) -> None:
        self.asked.append(("load", state.step, state.states["n2"]["v"].tolist()))


@pytest.fixture
def told() -> Told:
    """Two samples, three steps; every signal of its own kind and size."""
    values = np.arange(6.0).reshape(3, 2, 1)
    raw = Raw(
        {"output": values}, {"n2": values / 10, "n4": values}, {"n2": values - 9}, {"n2": 1}, {"n4": values + 100}
    )
    draw = Draw(1)
    net = chain(draw.affine(1, 6), draw.lif(1), draw.linear(1, 1), draw.lif(1), given=(6,), result=(1,))
    return Told(hasn.lower(net, dt=DT), raw)


def test_what_a_backend_hands_back_becomes_a_recording(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spikes are what lies above one half; every other array stays; a batch axis goes if none came in."""
    clock = iter([10.0, 12.5, 20.0, 20.5])
    monkeypatch.setattr(executable_module.time, "perf_counter", lambda: next(clock))
    found = told.run(X[:3, :2], record={"currents", "spikes"})
    assert told.asked == [(3, 2, True, frozenset({"currents", "spikes"}))]
    assert found.spikes["n2"].dtype == bool
    assert not found.spikes["n2"].any()  # 0.5 is none
    assert found.spikes["n4"][..., 0].tolist() == [[False, True], [True, True], [True, True]]
    assert found.counts.spikes == {"n2": 0, "n4": 5}
    for group, name in [("outputs", "output"), ("voltages", "n2"), ("currents", "n4")]:
        np.testing.assert_array_equal(getattr(found, group)[name], getattr(told.raw, group)[name])
    assert (found.shifts, found.seconds, found.dt) == ({"n2": 1}, 2.5, DT)
    assert (found.backend, found.precision, found.batched) == ("told", "float32", True)
    found = told.run(X[:3, 0], record="voltages")
    assert told.asked[1:] == [(3, 1, False, frozenset({"voltages"}))]
    assert (found.seconds, found.batched) == (0.5, False)
    for group, name in [("outputs", "output"), ("voltages", "n2"), ("currents", "n4"), ("spikes", "n4")]:
        whole = getattr(told.raw, group)[name][:, 0]
        np.testing.assert_array_equal(getattr(found, group)[name], whole > 0.5 if group == "spikes" else whole)


def test_a_stream_starts_once_and_again_after_a_reset_or_a_failure(told: Told) -> None:
    told.raw = replace(told.raw, outputs={"output": np.array([[1.0], [2.0]])})
    told.refuse = True
    with pytest.raises(MemoryError):
        told.step(X[0, :2])
    told.refuse = False
    assert told.state().batch is None  # nothing runs
    assert told.step(X[0, :2]).output.tolist() == [[1.0], [2.0]]
    told.step(X[1, :2])
    told.reset()
    assert told.step(X[0, 0]).output.tolist() == [1.0]
    steps = [("step", {"input": x.tolist()}) for x in (X[0, :2], X[1, :2], X[0, :1])]
    assert told.asked == [("start", 2), ("start", 2), *steps[:2], "end", ("start", 1), steps[2]]
    with pytest.raises(InputError, match=r"inputs_t: the batch changes.*got 2 sample\(s\); wanted no batch axis"):
        told.step(X[0, :2])
    with pytest.raises(InputError, match=r"got 1 sample\(s\); wanted no batch axis"):
        told.step(X[0, :1])


def test_a_state_says_whose_it_is_and_loads_into_a_fresh_stream(told: Told) -> None:
    before = told.state()
    assert (before.structure, before.precision) == (told.structure, "float32")
    assert (before.batch, before.batched, before.step, before.states) == (None, False, 0, {})
    told.step(X[0, :2])
    saved = told.state()
    assert (saved.batch, saved.batched, saved.step) == (2, True, 1)
    other = Told(told.program, told.raw)
    other.load_state(saved)
    size = told.sizes["n2"]
    assert other.asked == ["end", ("start", 2), ("load", 1, [[0.5] * size] * 2)]
    assert (other.state().step, other.state().batch) == (1, 2)
    other.load_state(before)
    assert other.asked[3:] == ["end"]
    assert other.state().batch is None


def test_what_is_not_this_networks_state_is_refused_by_what_is_wrong(told: Told) -> None:
    told.step(X[0, :2])
    saved = told.state()
    name, size = next(iter(told.sizes.items()))
    wrong = {
        "of another network; got 00000000": {"structure": "0" * 64},
        "of another precision; got loihi; wanted float32": {"precision": "loihi"},
        f"do not fit: states of '{name}'": {"states": {**saved.states, name: {"v": np.zeros((3, size))}}},
        "do not fit: states of": {"states": {}},
        "do not fit: held": {"held": {name: np.zeros((2, size))}},
        "do not fit: past": {"past": {"input": np.zeros((1, 2, 6))}},
    }
    for message, changed in wrong.items():
        with pytest.raises(InputError, match=message):
            told.load_state(replace(saved, **changed))
        with pytest.raises(InputError, match=message):
            told.run(X[:, :2], state=replace(saved, **changed))
    told.load_state(saved)
    with pytest.raises(InputError, match="not a state; got dict; wanted what state"):
        told.load_state({})  # type: ignore[arg-type]


def test_a_run_is_told_where_it_starts_and_whether_its_end_is_wanted(told: Told) -> None:
    told.step(X[0, :2])
    saved = told.state()
    told.run(X[:, :2], state=saved)
    assert told.seen.start is saved
    assert not told.seen.keep
    assert told.state().step == 1  # the stream is left alone
    told.raw = replace(told.raw, end=Snapshot(31, saved.states, {}, {}))
    told.asked.clear()
    told.run(X[:, :2], keep_state=True)
    assert told.seen.start is None
    assert told.seen.keep
    assert (told.state().step, told.state().batch, told.state().batched) == (31, 2, True)
    assert told.asked[1:] == ["end"]  # nothing is loaded before it is needed
    told.raw = replace(told.raw, outputs={"output": np.array([[1.0], [2.0]])})
    told.step(X[0, :2])
    assert [asked[0] for asked in told.asked[2:]] == ["e", "start", "load", "step"]
    assert told.state().step == 32
    told.run(X[:, :2], keep_state=True)
    told.reset()
    assert told.state().batch is None


def test_a_state_of_another_batch_is_refused(told: Told) -> None:
    told.step(X[0, :2])
    saved = told.state()
    for x, wanted in ((X, r"4 sample\(s\)"), (X[:, 0], "no batch axis")):
        with pytest.raises(InputError, match=rf"of another batch; got 2 sample\(s\); wanted {wanted}"):
            told.run(x, state=saved)


def test_an_executable_is_closed_at_the_end_of_a_block(told: Told) -> None:
    with told as same:
        assert same is told
        assert told.asked == []
    assert told.asked == ["end"]


def delayed(steps: float = 2.0, **options: Any) -> Program:
    """A LIF and a CubaLI behind a delay."""
    draw = Draw(5)
    neurons = {"n": draw.lif(2), "m": draw.neuron("CubaLI", (2,))}
    nodes = {"i": inp(2), "d": nir.Delay(np.array([1.0, steps]) * DT), **neurons, "o": out(2)}
    return hasn.lower(graph(nodes, "i > d > n > m > o", "n > n"), dt=DT, **options)


def test_a_structure_tells_networks_apart_and_not_their_coefficients() -> None:
    """Names, kinds, shapes, states, delays, edges, timing and precision; a state of one is nonsense in another."""

    def structure(program: Program, precision: str = "float64") -> str:
        made = ProgramInterpreter(program)
        made.precision = precision
        return made.structure

    program = delayed()
    at = {step.name: i for i, step in enumerate(program.nodes)}

    def changed(step: str, **fields: Any) -> Program:
        steps = list(program.nodes)
        steps[at[step]] = replace(steps[at[step]], **fields)
        return replace(program, nodes=tuple(steps))

    others = {
        "a delay": structure(delayed(3.0)),
        "a delay less": structure(changed("d", delay=None)),
        "a name": structure(changed("o", name="p")),
        "a shape": structure(changed("n", shape=(2, 1))),
        "a state": structure(changed("m", states=("v",))),
        "an edge": structure(replace(program, edges=program.edges[1:])),
        "an edge's delay": structure(replace(program, edges=(replace(program.edges[0], delay=5), *program.edges[1:]))),
        "the order": structure(replace(program, nodes=program.nodes[::-1])),
        "the kind": structure(replace(program, nodes=(Sink("i", (2,)), *program.nodes[1:]))),
        "the timing": structure(replace(program, timing="hardware")),
        "the time step": structure(replace(program, dt=2 * DT)),
        "that neurons are held": structure(with_step("n", held=np.array([0, 1, 0, 2]))),
        "that it is drawn": structure(with_step("input", drawn=Gaussian("input", 0, np.zeros(3), np.ones(3)))),
    }
    assert program.nodes[0] == Source("i", (2,))
    assert len({structure(program), *others.values()}) == len(others) + 1
    same = changed("n", condition=Firing(np.full(2, 9.0), "subtract", np.ones(2)).condition)
    assert structure(same) == structure(delayed(method="exact")) == structure(program)


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
    for wrong, got in [("spike", "'spike'"), (["spikes", "currents"], "'currents'"), (None, "None"), (3, "3")]:
        with pytest.raises(OptionError, match=rf"record: .*got {got}; wanted spikes and/or voltages"):
            executable.run(X, record=wrong)  # type: ignore[arg-type]


def test_counts_by_hand() -> None:
    """Spikes of all steps and samples; each event times the synapses that it reaches, whatever they weigh."""
    weight = np.array([[2.0, 0.0, 0.0], [2.0, -1.0, 0.0]])  # the second input reaches one neuron, the third none
    nodes = {"i": inp(3), "w": nir.Linear(weight), "n": threshold(2), "u": nir.Linear(np.ones((4, 2))),
             "m": threshold(4), "o": out(4)}  # fmt: skip
    net = graph(nodes, "i > w > n > u > m > o")
    x = np.zeros((3, 2, 3))
    x[0, 0] = [1, 0, 1]  # both of n, all of m
    x[1, 1] = [1, 1, 0]  # the first of n alone (2 - 1 is no more than 1), and none of m
    found = ProgramInterpreter(hasn.lower(net, dt=DT)).run(x)
    assert found.counts.spikes == {"n": 3, "m": 4}
    assert found.counts.synaptic_operations == {"i": 2 * 2 + 1, "n": 3 * 4}
    assert (found.counts.total_spikes, found.counts.total_synaptic_operations) == (7, 17)
    unrecorded = ProgramInterpreter(hasn.lower(net, dt=DT)).run(x, record=())
    assert (unrecorded.counts.spikes, unrecorded.counts.synaptic_operations) == ({}, {"i": 5})
    assert unrecorded.counts.unknown == ("n", "m")


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
    assert np.asarray(found, dtype=np.float32).dtype == np.float32
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


def test_states_go_from_one_backend_to_another_and_to_no_other_network(executable: ProgramInterpreter) -> None:
    for t in range(10):
        executable.step(X[t])
    saved = executable.state()
    other = ProgramInterpreter(hasn.lower(CASES["recurrence_through_linear"].graph(), dt=DT))
    with pytest.raises(InputError, match="of another network"):
        other.load_state(saved)
    network = NetworkInterpreter(executable.program)
    network.load_state(saved)
    for t in range(10, 30):
        np.testing.assert_array_equal(network.step(X[t]).output, executable.step(X[t]).output)


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


def structure(program: Program) -> str:
    return ProgramInterpreter(program).structure


def late_loop() -> Program:
    """A Delay, a feedback edge and a population with a current."""
    d = Draw(4)
    nodes = {"input": inp(3), "w": d.linear(4, 3), "late": nir.Delay(np.array([0, 1, 2, 3]) * DT),
             "n": d.neuron("CubaLIF", (4,)), "back": d.linear(4, 4), "output": out(4)}  # fmt: skip
    return hasn.lower(graph(nodes, "input > w > late > n > output", "n > back > n"), dt=DT)


def with_step(which: str, **changed: Any) -> Program:
    program = late_loop()
    return replace(program, nodes=tuple(replace(s, **changed) if s.name == which else s for s in program.nodes))


def test_each_part_of_the_structure_tells_states_apart() -> None:
    program = late_loop()
    looped = next(edge for edge in program.edges if edge.delay)
    loop, rest = replace(looped, delay=2), [edge for edge in program.edges if edge != looped]
    place = [step.name for step in program.nodes].index("output")
    others = {
        "a name": structure(with_step("output", name="shown")),
        "a kind": structure(replace(program, nodes=(*program.nodes[:place], Source("output", (4,))))),
        "a shape": structure(with_step("n", shape=(2, 2))),
        "the states": structure(with_step("n", states=("v",))),
        "a delay": structure(with_step("late", delay=np.array([0, 1, 3, 3]))),
        "no delay": structure(with_step("late", delay=None)),
        "an edge's delay": structure(replace(program, edges=(*rest, loop))),
        "an edge less": structure(replace(program, edges=tuple(rest))),
        "an edge elsewhere": structure(replace(program, edges=(*rest, Edge("n", "w", 1)))),
        "the timing": structure(replace(program, timing="hardware")),
        "the time step": structure(replace(program, dt=2 * DT)),
        "that neurons are held": structure(with_step("n", held=np.array([0, 1, 0, 2]))),
        "that it is drawn": structure(with_step("input", drawn=Gaussian("input", 0, np.zeros(3), np.ones(3)))),
    }
    assert structure(program) not in others.values()
    assert len(set(others.values())) == len(others)


def test_other_coefficients_are_the_same_structure() -> None:
    """A state may go on in a network whose weights have changed."""
    program, n = late_loop(), late_loop().node("n")
    assert isinstance(n, Neurons)
    same = with_step(
        "n", condition=Firing(np.full(4, 9.0), "zero", np.ones(4)).condition, rows=n.rows[::-1], initial={}
    )
    assert structure(same) == structure(program)
    assert structure(replace(program, metadata={"remark": 1})) == structure(program)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_a_state_of_another_precision_timing_or_network_is_refused(backend: str) -> None:
    """One number type's voltages would be rounded, or not, without a word."""
    one = hasn.compile(small_net(), backend, dt=DT, precision="float32")
    one.step(X[0])
    saved = one.state()
    one.load_state(saved)
    for options, what in (({"precision": "float64"}, "precision"), ({"timing": "hardware"}, "network")):
        other = hasn.compile(small_net(), backend, dt=DT, **{"precision": "float32", **options})
        with pytest.raises(InputError, match=f"of another {what}"):
            other.load_state(saved)


def test_the_batch_comes_back_with_a_state(executable: ProgramInterpreter) -> None:
    executable.step(X[0])
    executable.load_state(executable.state())
    with pytest.raises(InputError, match="the batch changes"):
        executable.step(X[1, 0])
    assert executable.step(X[1]).output.shape == (4, 3)


def test_the_same_network_read_back_has_the_same_structure(tmp_path: Path) -> None:
    hasn.save(small_net(), tmp_path / "x.nir")
    again = hasn.lower(hasn.load(tmp_path / "x.nir"), dt=DT)
    assert ProgramInterpreter(again).structure == ProgramInterpreter(hasn.lower(small_net(), dt=DT)).structure
