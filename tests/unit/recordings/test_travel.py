"""Recordings that leave and come back whole."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.counts import Counts, Operations
from hasn.errors import BackendUnavailable, FileError, InputError
from hasn.recording import Recording


def recording(batched: bool = True, dt: float = 0.1) -> Recording:
    """Two nodes, one of them two-dimensional; dt = 0.1 is where floor(time / dt) loses steps."""
    rng = np.random.default_rng(0)
    lead = (12, 3) if batched else (12,)
    spikes = {"conv.lif": rng.random((*lead, 2, 4)) < 0.3, "out": rng.random((*lead, 5)) < 0.2}
    voltages = {name: rng.normal(size=array.shape) for name, array in spikes.items()}
    counts = Counts(
        {name: int(array.sum()) for name, array in spikes.items()}, {"conv.lif": 77}, 12, 3, {"in": 9},
        {"out": 15}, {"fc": Operations(1, 2, 3, 4, 5, 6)}, ("third",), False,
    )  # fmt: skip
    currents = {"out": rng.integers(-(2**23), 2**23, spikes["out"].shape, dtype=np.int32)}
    return Recording(
        {"output": spikes["out"].astype(float)},
        spikes,
        voltages,
        dt,
        {"out": 2},
        counts,
        "lava",
        "float64",
        1.5,
        batched,
        currents,
        length=12,
    )


def same(one: Recording, other: Recording) -> None:
    for group in ("outputs", "spikes", "voltages", "currents"):
        assert getattr(one, group).keys() == getattr(other, group).keys()
        for name, array in getattr(one, group).items():
            assert array.any()
            assert getattr(other, group)[name].dtype == array.dtype
            np.testing.assert_array_equal(getattr(other, group)[name], array)
    assert (one.dt, one.batched, one.counts.spikes) == (other.dt, other.batched, other.counts.spikes)


def test_every_field_comes_back_from_npz(tmp_path: Path) -> None:
    """Each with a value that is not its default."""
    rates = {"out": np.random.default_rng(1).random((4, 3, 5))}
    one = replace(recording(), more={"rates": rates}, every=3, neurons={"voltages": {"conv.lif": np.array([7, 2])}})
    one = replace(one, own_rule="in an order of its own")
    assert all(getattr(one, field.name) != field.default for field in fields(one) if field.default is not MISSING)
    one.save(tmp_path / "r.npz")
    other = Recording.load(tmp_path / "r.npz")
    same(one, other)
    np.testing.assert_array_equal(other.rates["out"], rates["out"])
    assert other.neurons["voltages"]["conv.lif"].tolist() == [7, 2]
    plain = {f.name for f in fields(one)} - {"outputs", "spikes", "voltages", "currents", "more", "neurons"}
    assert {name: getattr(other, name) for name in plain} == {name: getattr(one, name) for name in plain}
    assert plain == {
        "dt",
        "shifts",
        "counts",
        "backend",
        "precision",
        "seconds",
        "batched",
        "every",
        "length",
        "own_rule",
    }


@pytest.mark.parametrize("batched", [True, False])
def test_npz(tmp_path: Path, batched: bool) -> None:
    one = recording(batched)
    one.save(tmp_path / "r.npz")
    other = Recording.load(tmp_path / "r.npz")
    same(one, other)
    assert (other.shifts, other.backend, other.seconds, other.counts) == (one.shifts, "lava", 1.5, one.counts)
    with pytest.raises(FileError, match="exists and is kept"):
        one.save(tmp_path / "r.npz")


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("not a zip")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    recording().save(tmp_path / "r.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:400])
    for name, words in [
        ("text", "not a recording"),
        ("other", "no 'meta'"),
        ("cut", "damaged"),
        ("gone", "no such file"),
    ]:
        with pytest.raises(FileError, match=words):
            Recording.load(tmp_path / f"{name}.npz")


@pytest.mark.parametrize("form", ["gridded", "event"])
@pytest.mark.parametrize("batched", [True, False])
def test_nir_data_and_its_file(tmp_path: Path, form: str, batched: bool) -> None:
    one = recording(batched)
    nir.write_data(str(tmp_path / "r.nir"), one.to_nir(form))  # type: ignore[arg-type]
    data = nir.read_data(str(tmp_path / "r.nir"))
    assert isinstance(
        data.nodes["out"].observables["spikes"], nir.EventData if form == "event" else nir.TimeGriddedData
    )
    shapes = {"conv.lif": (2, 4)}
    same(one, Recording.from_nir(data, dt=0.1 if form == "event" else None, shapes=shapes, batched=batched))


def test_events_keep_the_step_that_nirs_own_grid_loses() -> None:
    spikes = np.zeros((8, 1), dtype=bool)
    spikes[3] = True  # 3 * 0.1 = 0.30000000000000004, but an event read as 0.3 / 0.1 = 2.9999999999999996 is cut to 2
    events = nir.EventData(np.array([[0]]), np.array([[0.3]]), 1, 0.8)
    assert np.flatnonzero(events.to_time_gridded(0.1).data[0, :, 0]).tolist() == [2]
    data = nir.NIRGraphData({"lif": nir.NIRNodeData({"spikes": events})})
    np.testing.assert_array_equal(Recording.from_nir(data, dt=0.1, batched=False).spikes["lif"], spikes)


@pytest.mark.parametrize(("t_max", "dt", "steps"), [(0.3, 0.1, 3), (0.7, 0.1, 7), (0.0029, 1e-4, 29), (2.1, 0.3, 7)])
def test_events_end_at_the_step_nearest_to_t_max(t_max: float, dt: float, steps: int) -> None:
    """0.3 / 0.1 = 2.9999999999999996 and 2.1 / 0.3 = 7.000000000000001: none of these is the whole number itself."""
    assert t_max / dt != steps
    when = (steps - 1) * dt
    events = nir.EventData(np.array([[1, 0, -1]]), np.array([[0.0, when, np.inf]]), 2, t_max)
    valued = nir.ValuedEventData(np.array([[1, 0]]), np.array([[0.0, when]]), 2, t_max, np.array([[-2.5, 4.0]]))
    data = nir.NIRGraphData({"n": nir.NIRNodeData({"spikes": events, "v": valued})})
    found = Recording.from_nir(data, dt=dt, batched=False)
    assert found.steps == steps
    assert np.argwhere(found.spikes["n"]).tolist() == [[0, 1], [steps - 1, 0]]
    assert found.voltages["n"][[0, -1]].tolist() == [[0, -2.5], [4.0, 0]]
    assert np.count_nonzero(found.voltages["n"]) == 2
    assert (found.dt, found.counts.spikes) == (dt, {"n": 2})


@pytest.mark.parametrize("dt", [0.1, 0.3, 1e-4])
def test_events_come_back_whatever_the_step(dt: float) -> None:
    for steps in range(1, 40):
        one = np.zeros((steps, 2, 3), dtype=bool)
        one[-1, 0, 2] = one[0, 1, 0] = one[steps // 2, 1, 1] = True
        made = Recording({}, {"n": one}, {}, dt, {}, Counts({"n": int(one.sum())}), batched=True)
        back = Recording.from_nir(made.to_nir("event"), dt=dt)
        np.testing.assert_array_equal(back.spikes["n"], one)


def test_nir_data_that_cannot_be_taken() -> None:
    events = nir.EventData(np.array([[7]]), np.array([[0.3]]), 3, 0.8)
    grid = nir.TimeGriddedData(np.zeros((2, 8, 3)), 0.1)
    for observables, options, words in [
        ({"spikes": events}, {}, "do not say one time step"),
        ({"spikes": events}, {"dt": 0.1}, "outside the recording"),
        ({"spikes": nir.EventData(np.array([[0]]), np.array([[0.8]]), 3, 0.8)}, {"dt": 0.1}, "step 0..7, neuron 0..2"),
        ({"spikes": nir.EventData(np.array([[0]]), np.array([[-0.1]]), 3, 0.8)}, {"dt": 0.1}, "outside the recording"),
        ({"spikes": nir.EventData(np.array([[-2]]), np.array([[0.1]]), 3, 0.8)}, {"dt": 0.1}, "outside the recording"),
        ({"spikes": nir.EventData(np.array([[3]]), np.array([[0.1]]), 3, 0.8)}, {"dt": 0.1}, "outside the recording"),
        ({"v": grid}, {"dt": 0.2}, "different time steps"),
        ({"weather": grid}, {}, "unknown observable"),
        ({"v": grid}, {"batched": False}, r"several samples; got 2; wanted 1\. Pass batched=True"),
        ({"v": grid, "u": nir.TimeGriddedData(np.zeros((2, 8, 3)), 0.2)}, {}, r"got 0\.1, 0\.2.*Resample them first"),
        ({}, {}, r"do not say one time step; wanted seconds\. Pass dt="),
        ({}, {"dt": 0}, "do not say one time step"),
    ]:
        with pytest.raises(InputError, match=words):
            Recording.from_nir(nir.NIRGraphData({"n": nir.NIRNodeData(observables)}), **options)  # type: ignore[arg-type]


def test_neo() -> None:
    neo = pytest.importorskip("neo", reason="pip install 'hasn[neo]'")
    one = recording()
    block = one.to_neo()
    assert isinstance(block, neo.Block)
    assert len(block.segments) == 3
    segment = block.segments[1]
    train = next(
        t for t in segment.spiketrains if t.annotations["node"] == "conv.lif" and t.annotations["index"] == (1, 2)
    )
    steps = np.rint(train.times.rescale("s").magnitude / 0.1).astype(int)
    assert steps.tolist() == np.flatnonzero(one.spikes["conv.lif"][:, 1, 1, 2]).tolist()
    assert all(t.annotations["sample"] == segment.index == 1 for t in segment.spiketrains)
    assert (len(segment.spiketrains), len(segment.analogsignals), block.name) == (2 * 4 + 5, 2, "hasn lava")
    assert (float(train.t_stop.rescale("s")), train.name) == (pytest.approx(1.2), "conv.lif[1, 2]")
    conv = next(s for s in segment.analogsignals if s.annotations["node"] == "conv.lif")
    np.testing.assert_array_equal(conv.magnitude, one.voltages["conv.lif"][:, 1].reshape(12, 8))
    assert (float(conv.sampling_period.rescale("s")), conv.name) == (0.1, "conv.lif v")
    signal = next(s for s in segment.analogsignals if s.annotations["node"] == "out")
    np.testing.assert_array_equal(signal.rescale("V").magnitude, one.voltages["out"][:, 1])


def test_neo_without_a_batch_or_with_little_recorded() -> None:
    pytest.importorskip("neo", reason="pip install 'hasn[neo]'")
    one = recording(batched=False)
    (segment,) = one.to_neo().segments
    counts = [len(train) for train in segment.spiketrains if train.annotations["node"] == "out"]
    assert counts == one.spikes["out"].sum(axis=0).tolist()
    empty: dict[str, Any] = {"outputs": {}, "spikes": {}, "voltages": {}, "currents": {}, "backend": ""}
    nothing = replace(one, **empty).to_neo()
    assert (len(nothing.segments), nothing.name) == (0, "hasn")
    for group, held in {"outputs": (0, 0), "spikes": (3, 0), "voltages": (0, 1), "currents": (0, 0)}.items():
        only = replace(recording(), **{**empty, group: {"n": np.ones((4, 2, 3))}})
        found = [(len(segment.spiketrains), len(segment.analogsignals)) for segment in only.to_neo().segments]
        assert found == [held] * 2


def test_without_neo_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "neo", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'hasn\[neo\]'"):
        recording().to_neo()
