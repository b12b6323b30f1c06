"""Recordings as wanted: groups, nodes and neurons chosen, thinned, as events, in pieces; refusals by name."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import HasnError, InputError, OptionError
from hasn.recording import Recording
from hasn.recordings.events import Collected, Events, SpikeTrains
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, graph, inp, out, small_net, spikes

X = spikes((6,), 50, 3)
PIECE = 7 * 3 * 22  # seven steps of three samples and all nodes of small_net


@pytest.fixture(params=["whole", "states", "pieces", "steps"])
def executable(request: pytest.FixtureRequest) -> Any:
    """Who runs it: a backend that runs all at once, one that runs each piece from the state that the last one left, and
    one that runs in pieces of its own, by kernels and step by step."""
    if request.param in ("whole", "states"):
        plain: Any = ProgramInterpreter(hasn.lower(small_net(), dt=DT))
        plain._piece = None if request.param == "whole" else PIECE
        return plain
    made: Any = hasn.compile(small_net(), dt=DT, engine="steps" if request.param == "steps" else "fused")
    made._piece = PIECE
    return made


@pytest.fixture(scope="module")
def everything() -> Recording:
    return ProgramInterpreter(hasn.lower(small_net(), dt=DT)).run(X, record=("spikes", "voltages"))


def test_nodes_and_neurons_are_chosen(executable: Any, everything: Recording) -> None:
    found = executable.run(X, record={"spikes": ["n4"], "voltages": {"n2": [4, 0], "n4": None}})
    assert (set(found.spikes), set(found.voltages), set(found.outputs)) == ({"n4"}, {"n2", "n4"}, {"output"})
    np.testing.assert_array_equal(found.spikes["n4"], everything.spikes["n4"])
    np.testing.assert_allclose(found.voltages["n2"], everything.voltages["n2"][..., [4, 0]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.voltages["n4"], everything.voltages["n4"], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.output, everything.output)
    assert found.neurons["voltages"]["n2"].tolist() == [4, 0]
    assert (found.steps, set(found.series)) == (50, {"outputs", "spikes", "voltages", "currents"})
    for group in found.series:
        assert found.series[group] is getattr(found, group)


def test_a_batch_axis_goes_out_only_if_it_came_in(executable: Any, everything: Recording) -> None:
    found = executable.run(X[:, 1], record={"spikes": {"n2": [3]}, "voltages": "n4", "outputs": {"output": [2]}})
    np.testing.assert_array_equal(found.spikes["n2"], everything.spikes["n2"][:, 1, [3]])
    np.testing.assert_allclose(found.voltages["n4"], everything.voltages["n4"][:, 1], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.outputs["output"], everything.output[:, 1, [2]])


@pytest.mark.parametrize("every", [1, 4, 7, 60])
def test_every_so_many_steps(executable: Any, everything: Recording, every: int) -> None:
    """Voltages are thinned; spikes and Outputs, which would be lost, are not."""
    found = executable.run(X, record=("spikes", "voltages"), every=every)
    np.testing.assert_allclose(found.voltages["n2"], everything.voltages["n2"][::every], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.spikes["n2"], everything.spikes["n2"])
    np.testing.assert_array_equal(found.output, everything.output)
    assert found.recorded_steps.tolist() == list(range(0, 50, every))
    assert (found.steps, len(found.times)) == (50, 50)


def test_spikes_are_events(executable: Any, everything: Recording) -> None:
    """(step, sample, neuron) in the order of time, wherever the pieces were cut."""
    found = executable.run(X, record={"spikes": {"n2": [4, 1], "n4": None}})
    assert isinstance(found.spikes, SpikeTrains)
    for name, chosen in [("n2", [1, 4]), ("n4", [0, 1, 2])]:
        e = found.events[name]
        wanted = [(t, b, n) for t, b, n in np.argwhere(everything.spikes[name]).tolist() if n in chosen]
        assert sorted(zip(e.step.tolist(), e.sample.tolist(), e.neuron.tolist(), strict=True)) == wanted
        assert np.all(np.diff(e.step) >= 0)
        assert len(e) == len(wanted) > 50
    np.testing.assert_array_equal(found.spikes["n2"], everything.spikes["n2"][..., [4, 1]])
    assert everything.events["n4"].step.tolist() == np.nonzero(everything.spikes["n4"])[0].tolist()


@pytest.mark.parametrize("last", [1, 3, 1000])
def test_the_last_spikes_of_each_neuron(executable: Any, everything: Recording, last: int) -> None:
    found = executable.run(X, record="spikes", last=last)
    for name, dense in everything.spikes.items():
        e = found.events[name]
        for sample, neuron in np.ndindex(dense.shape[1:]):
            mine = (e.sample == sample) & (e.neuron == neuron)
            assert e.step[mine].tolist() == np.flatnonzero(dense[:, sample, neuron])[-last:].tolist()
        assert np.all(np.diff(e.step) >= 0)
    assert found.counts.spikes == everything.counts.spikes  # those that were forgotten too


def test_a_running_mean_of_the_rate(executable: Any, everything: Recording) -> None:
    """r <- d r + (1 - d) z / dt, step by step."""
    found = executable.run(X, record={"rates": {"n2": [0, 3]}}, every=6, rate_tau=0.02)
    decay, now, wanted = math.exp(-DT / 0.02), np.zeros((3, 5)), []
    for z in everything.spikes["n2"]:
        now = decay * now + (1 - decay) * z / DT
        wanted.append(now[:, [0, 3]])
    np.testing.assert_allclose(found.rates["n2"], wanted[::6], rtol=1e-12, atol=1e-12)
    assert found.rates is found.series["rates"]
    assert 20 < found.rates["n2"].max() < 1000
    assert found.spikes == {}


def test_counts_alone_keep_nothing_else(executable: Any, everything: Recording) -> None:
    found = executable.run(X, record="counts")
    assert found.counts == everything.counts
    assert found.counts.total_synaptic_operations > 1000
    assert not any(found.series.values())
    assert (found.steps, found.batched) == (50, True)
    with_voltage = executable.run(X, record={"counts": True, "voltages": {"n2": 1}, "outputs": []})
    assert with_voltage.counts == everything.counts
    assert (with_voltage.voltages["n2"].shape, with_voltage.outputs, with_voltage.spikes) == ((50, 3, 1), {}, {})


def test_what_was_not_counted_has_no_total(executable: Any, everything: Recording) -> None:
    found = executable.run(X, record={"spikes": None})
    assert found.counts.spikes == everything.counts.spikes
    assert found.counts.total_spikes == everything.counts.total_spikes
    with pytest.raises(InputError, match=r"nothing but spikes was counted.*Record 'counts' as well"):
        _ = found.counts.total_synaptic_operations
    some = executable.run(X, record={"spikes": {"n2": [1], "n4": None}})
    assert (set(some.counts.spikes), some.counts.unknown) == ({"n4"}, ("n2",))


def test_a_graph_without_inputs_runs_in_pieces() -> None:
    pacer = graph({"n": Draw(2).lif(3, v_leak=2.0), "o": out(3)}, "n > o")
    whole = hasn.compile(pacer, dt=DT).run(steps=40, record=("spikes", "voltages"))
    made: Any = hasn.compile(pacer, dt=DT)
    made._piece = 6 * 7
    found = made.run(steps=40, record={"voltages": {"n": [2]}, "counts": True})
    np.testing.assert_array_equal(found.voltages["n"], whole.voltages["n"][:, [2]])
    assert found.counts == whole.counts
    assert found.counts.total_spikes > 10


def test_values_that_are_not_finite_are_named_by_their_step() -> None:
    made: Any = hasn.compile(small_net(), dt=DT)
    made._piece = PIECE
    wrong = X.copy()
    wrong[33, 1, 4] = np.nan
    with pytest.raises(InputError, match=r"got nan at index \(33, 1, 4\)"):
        made.run(wrong, record="counts")
    with pytest.raises(InputError, match="wrong shape"):
        made.run(X[..., :5], record="counts")
    with pytest.raises(InputError, match="steps contradicts the input; got 3; wanted 50"):
        made.run(X, record="counts", steps=3)


def test_what_is_not_there_is_refused_by_name() -> None:
    nodes = {"i": inp(6), "w": Draw(1).linear(6, 6), "grid": Draw(1).lif(2, 3), "li": Draw(1).neuron("LI", (6,)),
             "flat": hasn_flatten(), "o": out(6)}  # fmt: skip
    net = ProgramInterpreter(hasn.lower(graph(nodes, "i > w > li > o"), dt=DT))
    grid = ProgramInterpreter(hasn.lower(small_net(), dt=DT))
    del nodes
    for executable, options, words in [
        (grid, {"record": {"spike": None}}, r"got 'spike'; wanted spikes and/or voltages \(counts, outputs, rates"),
        (grid, {"record": {"weights": None}}, "record: nothing of that name can be recorded; got 'weights'"),
        (grid, {"record": {"spikes": ["n3"]}}, r"record\['spikes'\]: no node .* has spikes.*got 'n3'; wanted n2, n4"),
        (grid, {"record": {"outputs": "out"}}, r"record\['outputs'\]: .*got 'out'; wanted output"),
        (net, {"record": {"spikes": "li"}}, "got 'li'; wanted grid"),
        (net, {"record": {"voltages": {"grid": [6]}}}, r"\['grid'\]: not neurons.*\[6\]; wanted numbers from 0 to 5,"),
        (net, {"record": {"voltages": {"grid": [(2, 0)]}}}, r"tuples within \(2, 3\)"),
        (grid, {"record": {"voltages": {"n2": [1, 1]}}}, "each once"),
        (grid, {"record": {"voltages": {"n2": [-1]}}}, "numbers from 0 to 4"),
        (grid, {"record": {"voltages": {"n2": [5]}}}, "numbers from 0 to 4"),
        (grid, {"record": {"voltages": {"n2": [0.5]}}}, "numbers from 0 to 4"),
        (grid, {"record": {"voltages": 3}}, "not the names of nodes; got 3"),
        (grid, {"every": 0}, "every: not a number of steps or spikes; got 0; wanted an integer >= 1"),
        (grid, {"every": True}, "every: not a number of steps or spikes; got True"),
        (grid, {"last": 1.5}, "last: not a number"),
        (grid, {"last": 0}, "last: not a number"),
        (grid, {"record": "voltages", "last": 2}, "last: no spikes are recorded"),
        (grid, {"record": "rates", "rate_tau": 0}, "rate_tau: not a time; got 0; wanted seconds > 0"),
    ]:  # fmt: skip
        with pytest.raises(OptionError, match=words):
            executable.run(X, **options)


def hasn_flatten() -> Any:
    import nir

    return nir.Flatten({"input": np.array([2, 3])}, 0, -1)


def test_neurons_of_a_grid_go_by_number_or_place() -> None:
    draw = Draw(1)
    nodes = {"i": inp(2, 3), "grid": draw.lif(2, 3), "o": out(2, 3)}
    executable = ProgramInterpreter(hasn.lower(graph(nodes, "i > grid > o"), dt=DT))
    x = spikes((2, 3), 30)
    whole = executable.run(x, record="voltages").voltages["grid"]
    found = executable.run(x, record={"voltages": {"grid": [(1, 0), (0, 2)]}})
    assert found.neurons["voltages"]["grid"].tolist() == [3, 2]
    np.testing.assert_array_equal(found.voltages["grid"], np.stack([whole[:, 1, 0], whole[:, 0, 2]], axis=1))


def test_what_was_chosen_travels(tmp_path: Path, everything: Recording) -> None:
    found = hasn.compile(small_net(), dt=DT).run(
        X, record={"spikes": {"n2": [4, 1], "n4": None}, "voltages": ["n4"], "rates": "n4", "counts": True}, every=4
    )
    found.save(tmp_path / "r.npz")
    back = Recording.load(tmp_path / "r.npz")
    assert isinstance(back.spikes, SpikeTrains)
    for group, values in found.series.items():
        assert set(back.series[group]) == set(values)
        for name, array in values.items():
            np.testing.assert_array_equal(back.series[group][name], array)
    assert (back.steps, back.every, back.counts) == (50, 4, found.counts)
    assert back.neurons["spikes"]["n2"].tolist() == [4, 1]
    np.testing.assert_array_equal(Recording.load(tmp_path / "r.npz", mapped=True).rates["n4"], found.rates["n4"])
    with pytest.raises(HasnError, match="node 'n2' spikes: NIR data know whole nodes alone; got 2 chosen neurons"):
        found.to_nir()


def test_events_of_a_dense_array_and_back() -> None:
    dense = np.random.default_rng(0).random((9, 2, 3, 4)) < 0.3
    events = Events.of(dense)
    assert events.neuron.max() == 11
    np.testing.assert_array_equal(events.dense(), dense)


def test_steps_beyond_31_bits_are_kept() -> None:
    collected = Collected((2,), None, None)
    collected.add(np.ones((3, 1, 2), dtype=bool))
    assert collected.events(1, True).step.dtype == np.int32
    collected._steps = 2**31
    collected.add(np.eye(2, dtype=bool)[:, np.newaxis])
    assert collected.events(1, True).step.tolist() == [0, 0, 1, 1, 2, 2, 2**31, 2**31 + 1]


def test_a_long_run_that_counts_keeps_its_memory() -> None:
    """Ten times the steps, some 50 kB more (what waits for Python's collector); kept whole, Inputs alone take 1 MB."""
    executable: Any = hasn.compile(small_net(), dt=DT, precision="float32")
    executable._piece = 22 * 500
    x = np.lib.stride_tricks.as_strided(np.ones(6, dtype=np.float32), (20_000, 6), (0, 4))
    peaks = []
    for steps in (2_000, 20_000):
        executable.run(x[:steps], record="counts")
        tracemalloc.start()
        found = executable.run(x[:steps], record="counts")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.counts.events == {"input": 6 * steps}
    assert peaks[1] < 250_000


RECORD: dict[str, Any] = {"spikes": {"n2": [4, 1], "n4": None}, "voltages": ["n4"], "rates": "n4", "counts": True}


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("last", [None, 2])
def test_a_run_that_is_written_piece_by_piece(executable: Any, tmp_path: Path, batched: bool, last: int | None) -> None:
    """The file, read whole or mapped, is what a run in memory gives; nothing else is left in the folder."""
    x = X if batched else X[:, 0]
    wanted = executable.run(x, record=RECORD, every=4, last=last)
    found = executable.run(x, record=RECORD, every=4, last=last, to=tmp_path / "r.npz")
    for other in (found, Recording.load(tmp_path / "r.npz")):
        assert set(other.series) == set(wanted.series)
        for group, values in wanted.series.items():
            assert set(other.series[group]) == set(values)
            for name, array in values.items():
                assert (other.series[group][name].dtype, array.any()) == (array.dtype, True)
                np.testing.assert_array_equal(other.series[group][name], array)
        assert (other.steps, other.every, other.batched, other.counts) == (50, 4, batched, wanted.counts)
    assert isinstance(found.voltages["n4"], np.memmap)
    assert [path.name for path in tmp_path.iterdir()] == ["r.npz"]


def test_names_alone_can_be_written_too(executable: Any, tmp_path: Path, everything: Recording) -> None:
    found = executable.run(X, record=("spikes", "voltages"), to=str(tmp_path / "r.npz"))
    for name in ("n2", "n4"):
        np.testing.assert_array_equal(found.spikes[name], everything.spikes[name])
        np.testing.assert_allclose(found.voltages[name], everything.voltages[name], rtol=0, atol=1e-12)
    silent = executable.run(np.zeros((9, 6)), record="spikes", to=tmp_path / "s.npz")
    assert (silent.spikes["n2"].shape, silent.spikes["n2"].any(), len(silent.events["n2"])) == ((9, 5), False, 0)


def test_a_run_that_fails_leaves_the_old_file_whole(tmp_path: Path) -> None:
    made: Any = hasn.compile(small_net(), dt=DT)
    made._piece = PIECE
    made.run(X, record=RECORD, to=tmp_path / "r.npz")
    before = (tmp_path / "r.npz").read_bytes()
    wrong = X.copy()
    wrong[33, 1, 4] = np.nan  # after some pieces were written
    with pytest.raises(HasnError, match="the file exists and is kept"):
        made.run(X, record=RECORD, to=tmp_path / "r.npz")
    with pytest.raises(InputError, match="not finite"):
        made.run(wrong, record=RECORD, to=tmp_path / "r.npz", force=True)
    assert (tmp_path / "r.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.npz"]
    made.run(X[:20], record=RECORD, to=tmp_path / "r.npz", force=True)
    assert Recording.load(tmp_path / "r.npz").steps == 20
