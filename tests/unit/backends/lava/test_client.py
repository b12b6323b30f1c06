"""The caller's side of a run, with Lava's double: worker, bundle, files, what is asked for and what comes back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.lava import BACKEND, client
from hasn.backends.lava.client import on_disk
from hasn.backends.lava.exchange import Exchange
from hasn.errors import FileError, InputError, OptionError, UnsupportedError, WorkerError
from hasn.program.fuse import Network, Relay
from hasn.program.integers.encode import chip_neuron
from hasn.program.model import Source, Threshold
from hasn.signals import Signals
from tests.graphs import DT, graph, inp, out
from tests.unit.backends.lava import double
from tests.unit.backends.lava.nets import feed_forward, loop, some_spikes

Workers = list[Any]


def compiled(net: Any = None, **options: Any) -> Any:
    return hasn.compile(feed_forward() if net is None else net, "lava", dt=DT, **options)


def chip(weight: float = 2.0) -> nir.NIRGraph:
    """input (1) > w > n (1) > output, in the chip's units."""
    nodes = {
        "input": inp(1),
        "w": nir.Linear(np.array([[weight]])),
        "n": chip_neuron((1,), dt=DT, dv=3, vth=40),
        "output": out(1),
    }
    made = graph(nodes, "input > w > n > output")
    made.metadata["dt"] = DT
    return made


# --- options


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"delivery": "soon"}, "'soon'"), ({"delivery": None}, "None"), ({"time_limit": 0}, "0"),
        ({"time_limit": -1.0}, "-1.0"), ({"time_limit": float("nan")}, "nan"), ({"time_limit": "1"}, "'1'"),
        ({"time_limit": True}, "True"), ({"time_limit": None}, "None"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("workers")
def test_options_without_meaning_are_refused_by_name(options: dict[str, Any], got: str) -> None:
    (name,) = options
    with pytest.raises(OptionError) as error:
        compiled(**options)
    assert (error.value.parameter, error.value.got) == (name, got)


def test_an_option_that_lava_has_not_is_named_with_those_that_it_has() -> None:
    with pytest.raises(OptionError) as error:
        BACKEND.compile(None, None, "float64", threads=2)  # type: ignore[arg-type]
    assert error.value.parameter == "threads"
    assert error.value.wanted == "time_limit, delivery, learning"


@pytest.mark.usefixtures("workers")
def test_the_chip_has_no_delivery_within_the_step() -> None:
    with pytest.raises(OptionError, match="take a step") as error:
        compiled(chip(), precision="loihi", delivery="in-step")
    assert (error.value.parameter, error.value.got) == ("delivery", "'in-step'")
    for delivery in ("auto", "retimed"):
        assert compiled(chip(), precision="loihi", delivery=delivery).delivery == "retimed"


def test_options_arrive(workers: Workers) -> None:
    for made in (compiled(time_limit=7, delivery="in-step"), compiled(chip(), precision="loihi", time_limit=7)):
        assert made.time_limit == 7.0
        made.run(np.ones((3, 6 if made.delivery == "in-step" else 1)))
        assert workers[-1].time_limit == 7.0
    assert compiled(delivery="in-step").delivery == "in-step"
    assert compiled().delivery == "retimed"
    assert compiled().time_limit == 120.0


@pytest.mark.usefixtures("workers")
def test_what_the_backend_says_of_itself() -> None:
    assert (BACKEND.name, BACKEND.latency, BACKEND.precisions) == ("lava", 1, ("float64", "loihi"))
    assert (BACKEND.why_not(), BACKEND.version()) == ("", "double")


# --- workers and bundles


def test_a_worker_is_started_with_the_first_run_and_kept(workers: Workers) -> None:
    made = compiled()
    assert workers == []
    made.run(some_spikes(5))
    assert double.RUNNING == []  # a run's processes are stopped
    (bundle,) = workers[0].folder.glob("bundle-*")
    (bundle / "manifest.json").touch()
    before = (bundle / "manifest.json").stat().st_mtime_ns
    made.run(some_spikes(5))
    assert len(workers) == 1
    assert (bundle / "manifest.json").stat().st_mtime_ns == before  # written once
    assert [path.name for path in workers[0].folder.iterdir()] == [bundle.name]  # and no run's files are left


def test_a_worker_that_is_gone_is_replaced(workers: Workers) -> None:
    made = compiled()
    wanted = made.run(some_spikes(40)).output
    assert wanted.any()
    workers[0].alive = False
    np.testing.assert_array_equal(made.run(some_spikes(40)).output, wanted)
    assert len(workers) == 2


def test_closing_ends_a_worker_of_one_s_own_and_leaves_a_shared_one(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compiled()
    made.run(some_spikes(5))
    made.close()
    assert not workers[0].alive
    take = client.take_worker
    monkeypatch.setattr(client, "take_worker", lambda python, limit: (workers[-1], False))
    take(Path(), 1.0)
    one, other = compiled(), compiled()
    for executable in (one, other):
        executable.run(some_spikes(5))
    assert len(list(workers[-1].folder.iterdir())) == 2
    one.close()
    assert workers[-1].alive
    assert len(list(workers[-1].folder.iterdir())) == 1
    other.run(some_spikes(5))
    compiled().close()  # never ran


def test_nothing_is_started_for_a_network_without_processes(workers: Workers) -> None:
    made = compiled(graph({"input": inp(2, 3), "output": out(2, 3)}, "input > output"))
    x = np.arange(24.0).reshape(4, 1, 2, 3)
    np.testing.assert_array_equal(made.run(x).output, x)
    assert made.run(x, record=("spikes", "voltages")).voltages == {}
    assert workers == []
    np.testing.assert_array_equal(made.step(x[1]).output, x[1])


def test_how_long_a_batch_runs_and_that_its_progress_is_told(workers: Workers) -> None:
    made, heard = compiled(), []
    made.progress = lambda done, total: heard.append((done, total))
    made.run(some_spikes(30, 3))
    # A sample: 30 steps, the longest shift of 2, one of padding.
    assert heard[-1] == (99, 99)
    assert heard[0] == (0, 0)
    assert heard[1] == (8, 99)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    made.progress = None
    made.run(some_spikes(5))
    assert heard[-1] == (99, 99)


@pytest.mark.usefixtures("workers")
def test_what_the_chip_could_run_is_said_of_every_population_and_connection() -> None:
    made = compiled(loop())
    said = {entry.node: (entry.on_chip, entry.why) for entry in made.deployable}
    at_once = "it delivers within the step, which no connection on the chip does"
    assert said == {
        "input": (True, "as long as its data is spikes (0 or 1)"),
        "a": (True, ""),
        "b": (True, ""),
        "input -> a": (False, at_once),
        "a -> b": (False, at_once),
        "b -> a": (True, ""),
    }
    assert compiled(chip(), precision="loihi").deployable[0].why.endswith("integers within 24 bits on Loihi 2 alone")


def test_a_full_disk_is_named(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compiled()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hasn.backends.lava.exchange.new_file", full)
    monkeypatch.setattr("hasn.backends.lava.stream.new_file", full)
    for use in (lambda: made.run(some_spikes(5)), lambda: made.step(np.ones(6))):
        with pytest.raises(WorkerError, match="No space left on device") as error:
            use()
        assert error.value.parameter == "TMPDIR"
    assert list(workers[0].folder.glob("run-*")) == []


def test_an_error_of_hasn_s_own_is_no_full_disk() -> None:
    with pytest.raises(FileError, match="as it is"), on_disk():
        raise FileError("as it is", parameter="x")


def test_what_comes_back_is_what_was_asked_for(workers: Workers) -> None:
    made, x = compiled(), some_spikes(40)
    everything = made.run(x, record=("spikes", "voltages"))
    assert set(everything.spikes) == set(everything.voltages) == {"a", "b"}
    assert everything.shifts == {"input": 0, "a": 1, "b": 2}
    only = made.run(x, record="voltages")
    assert only.spikes == {}
    np.testing.assert_array_equal(only.voltages["a"], everything.voltages["a"])
    only = made.run(x, record="spikes")
    assert only.voltages == {}
    assert everything.output.dtype == np.float64
    np.testing.assert_array_equal(only.output, everything.spikes["b"])
    assert len(workers) == 1


def test_integers_what_comes_back_is_what_was_asked_for(workers: Workers) -> None:
    made = compiled(chip(64.0), precision="loihi")
    x = np.ones((10, 1))
    for record, names in ((("spikes",), "spikes"), (("voltages",), "voltages"), (("currents",), "currents")):
        recording = made.run(x, record=record)
        for group in ("spikes", "voltages", "currents"):
            assert set(getattr(recording, group)) == ({"n"} if group == names else set())
        assert recording.output.sum() == 10  # 64 a step, 40 the threshold
    assert made.run(x, record=()).output.sum() == 10
    assert len(workers) == 1


def test_integers_too_large_a_current_is_refused_before_it_runs(workers: Workers) -> None:
    """A step may bring 254 * 64 * x; its du of 4095 keeps nothing, so it is alone with one turn: 2**23 below 2**31."""
    made = compiled(chip(254.0), precision="loihi")
    most = (2**31 - 2**23 - 1 + 2**24) // 2 // (254 * 64)
    made.run(np.full((2, 1), float(most)))
    with pytest.raises(UnsupportedError, match="32 bits") as error:
        made.run(np.full((2, 1), float(most + 600)))
    assert error.value.node == "n"
    assert len(workers) == 1


@pytest.mark.usefixtures("workers")
def test_integers_have_no_stream() -> None:
    made = compiled(chip(), precision="loihi")
    for use in (lambda: made.step(np.zeros(1)), lambda: made._step({}), made._state, lambda: made._load_state({})):
        with pytest.raises(UnsupportedError, match="whole sequences") as error:
            use()
        assert error.value.parameter == "step"
    made.reset()


# --- streams


def test_a_stream_s_state_is_a_copy_and_of_its_own_network(workers: Workers) -> None:
    x = some_spikes(30, 2)
    made, other = compiled(), compiled(feed_forward("CubaLIF"))
    for frame in x[:12]:
        made.step(frame)
    state = made.state()
    frozen = {name: kept["v"].copy() for name, kept in state.states.items()}
    expected = [made.step(frame).output for frame in x[12:]]
    assert np.sum(expected) > 5
    for name, array in frozen.items():
        np.testing.assert_array_equal(state.states[name]["v"], array)
    assert state.step == 12
    made.load_state(state)
    np.testing.assert_array_equal([made.step(frame).output for frame in x[12:]], expected)
    other.step(x[0])
    with pytest.raises(InputError, match="of another network"):
        other.load_state(state)


def test_a_run_from_a_state_leaves_a_running_stream_alone(workers: Workers) -> None:
    """Both live in one worker."""
    x = some_spikes(30, 2)
    made = compiled()
    whole = made.run(x).output
    made.run(x[:12], keep_state=True)
    state = made.state()
    begun = [made.step(frame).output for frame in x[12:20]]
    np.testing.assert_array_equal(made.run(x[12:], state=state).output, whole[12:])
    assert len(workers[0].server.streams) == 1
    ended = [made.step(frame).output for frame in x[20:]]
    np.testing.assert_array_equal([*begun, *ended], whole[12:])
    assert whole[12:].sum() > 5
    made.reset()
    assert workers[0].server.streams == {}
    assert list(workers[0].folder.glob("stream-*")) == []


@pytest.mark.usefixtures("workers")
def test_integers_go_on_in_runs_and_not_in_steps() -> None:
    """The state is there; a step's outputs are not."""
    made = compiled(chip(), precision="loihi")
    made.run(np.ones((3, 1)), keep_state=True)
    state = made.state()
    assert state.step == 3
    with pytest.raises(UnsupportedError, match="a step's outputs steps later") as error:
        made.step(np.ones(1))
    assert error.value.parameter == "step"
    with pytest.raises(UnsupportedError, match=r"Use run\(\), from a state"):
        made.load_state(state)


def test_the_end_of_a_stream_stops_it_and_removes_its_files(workers: Workers) -> None:
    made = compiled()
    made.step(some_spikes(1, None)[0])
    (folder,) = workers[0].folder.glob("stream-*")
    assert list(workers[0].server.streams) == [str(folder)]
    assert len(double.RUNNING) == 1
    made.reset()
    assert workers[0].server.streams == {}
    assert double.RUNNING == []
    assert not folder.exists()
    made.step(some_spikes(1, None)[0])
    workers[0].alive = False  # nobody can be asked then
    made.reset()
    assert list(workers[0].folder.glob("stream-*")) == []
    with pytest.raises(RuntimeError, match="not been started"):
        made._state()


@pytest.mark.usefixtures("workers")
def test_an_output_may_show_an_input_in_a_stream() -> None:
    net = feed_forward()
    nodes = {**net.nodes, "same": out(6)}
    made = compiled(nir.NIRGraph(nodes, [*net.edges, ("input", "same")], type_check=False))
    x = some_spikes(20, 2)
    whole = made.run(x)
    for t, frame in enumerate(x):
        step = made.step(frame)
        np.testing.assert_array_equal(step["same"], frame)
        np.testing.assert_array_equal(step["output"], whole.outputs["output"][t])
    assert whole.outputs["output"].any()


# --- files of a run


def exchange(folder: Path, **values: Any) -> Exchange:
    """Of x (2, 2), spikes t (3) and a sum r (1)."""
    network = Network(
        (Source("x", (2, 2)), Threshold("t", (3,), np.zeros(3)), Relay("r", (1,))), (), {}, {}, SimpleNamespace()
    )
    given = Signals({"x": np.zeros((4, 2, 2, 2)), **values}, 4, 2, True)
    return Exchange(folder, network, given, np.int32)


def test_inputs_go_as_bytes_where_they_are_spikes_and_are_named_where_not(tmp_path: Path) -> None:
    spikes = (np.arange(32).reshape(4, 2, 2, 2) % 3 == 0) * 1.0
    with exchange(tmp_path, x=spikes, y=spikes * 2, z=-spikes) as files:
        request = files.request({}, {}, {"c0": {"a_buff": np.full((2, 2, 3), 7)}})
        assert request["graded"] == ["y", "z"]
        assert (request["samples"], request["length"]) == (2, 4)
        lead = np.load(request["leads"]["c0"]["a_buff"])
        assert (lead.shape, lead.dtype, lead.min()) == ((2, 2, 3), np.int32, 7)
        stored = {name: np.load(path) for name, path in request["inputs"].items()}
    assert {name: array.dtype for name, array in stored.items()} == {
        "x": np.dtype(np.uint8), "y": np.dtype(np.int32), "z": np.dtype(np.int32),
    }  # fmt: skip
    np.testing.assert_array_equal(stored["x"], spikes.reshape(4, 2, 4))
    np.testing.assert_array_equal(stored["y"], 2 * spikes.reshape(4, 2, 4))
    np.testing.assert_array_equal(stored["z"], -spikes.reshape(4, 2, 4))


def test_recordings_have_a_file_each_and_all_are_removed(tmp_path: Path) -> None:
    with exchange(tmp_path) as files:
        request = files.request({"t": 4, "r": 4}, {"v": {"r": 4, "t": 3}, "u": {"r": 1}}, {})
        for i, path in enumerate([*request["tapes"].values(), *request["states"]["v"].values(),
                                  *request["states"]["u"].values()]):  # fmt: skip
            np.load(path, mmap_mode="r+")[...] = i
        values, states = files.recorded()
        shapes = {name: (array.shape, array.dtype, array.flat[0]) for name, array in values.items()}
        assert shapes == {"r": ((4, 2, 1), np.dtype(np.int32), 0), "t": ((4, 2, 3), np.dtype(np.uint8), 1)}
        assert {name: (array.shape, array.flat[0]) for name, array in states["v"].items()} == {
            "r": ((4, 2, 1), 2), "t": ((3, 2, 3), 3),
        }  # fmt: skip
        assert (states["u"]["r"].shape, states["u"]["r"].flat[0]) == ((1, 2, 1), 4)
        assert states["v"]["t"].dtype == np.int32
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), exchange(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
