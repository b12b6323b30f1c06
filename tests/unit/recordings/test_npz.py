"""Recordings in .npz files: every field back, and whatever is damaged or missing a FileError."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasn.counts import Counts
from hasn.errors import FileError, InputError
from hasn.recording import Recording
from tests.unit.recordings.test_travel import recording


def test_whatever_byte_is_damaged_is_noticed(tmp_path: Path) -> None:
    """A hundred files with one byte changed, wherever it stands: the digest is over the whole file."""
    recording().save(tmp_path / "r.npz")
    content, rng = (tmp_path / "r.npz").read_bytes(), np.random.default_rng(0)
    for place in [0, len(content) - 1, *rng.integers(len(content), size=98)]:
        damaged = bytearray(content)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / "x.npz").write_bytes(damaged)
        for mapped in (False, True):
            with pytest.raises(FileError, match="not a recording, or a damaged one") as caught:
                Recording.load(tmp_path / "x.npz", mapped=mapped)
            assert caught.value.parameter == str(tmp_path / "x.npz")


def test_a_recording_of_before_there_were_digests_is_read(tmp_path: Path) -> None:
    """Format 2; and one of format 3 that lost its digest is not taken for one."""
    recording().save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as file:
        content = dict(file)
    meta = str(content.pop("meta"))
    assert '"format": 3' in meta
    written(tmp_path / "old.npz", json.loads(meta.replace('"format": 3', '"format": 2')), **content)
    assert Recording.load(tmp_path / "old.npz").steps == recording().steps
    written(tmp_path / "new.npz", json.loads(meta), **content)
    with pytest.raises(FileError, match="the digest at its end is gone"):
        Recording.load(tmp_path / "new.npz")


META: dict[str, Any] = {
    "format": 1, "dt": 0.1, "shifts": {"n": 2}, "counts": {"spikes": {"n": 3}, "synaptic_operations": {"i": 4}},
    "backend": "lava", "precision": "loihi", "seconds": 1.5, "batched": True,
}  # fmt: skip


def written(path: Path, meta: Any, **arrays: Any) -> Path:
    """A file with this as its meta."""
    np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
    return path


def test_every_field_of_the_meta_is_read_and_none_can_be_missing(tmp_path: Path) -> None:
    found = Recording.load(written(tmp_path / "x.npz", META, **{"voltages/a/b": np.ones((2, 1, 3))}))
    assert (found.dt, found.shifts, found.backend, found.precision, found.seconds, found.batched) == (
        0.1, {"n": 2}, "lava", "loihi", 1.5, True,
    )  # fmt: skip
    assert found.counts == Counts({"n": 3}, {"i": 4})
    assert (list(found.voltages), found.steps) == (["a/b"], 2)
    for key in META:
        less = {name: value for name, value in META.items() if name != key}
        with pytest.raises(FileError, match="damaged one"):
            Recording.load(written(tmp_path / "x.npz", less))


@pytest.mark.parametrize(
    ("meta", "arrays", "words"),
    [
        ([1], {}, "damaged one"),
        ({**META, "format": "one"}, {}, "damaged one"),
        ({**META, "format": 4}, {}, r"a newer hasn; got format 4; wanted format 3\. Upgrade hasn"),
        ({**META, "dt": "fast"}, {}, "damaged one"),
        (META, {"weights/n": np.ones(2)}, "an array of no group; got weights/n"),
        (META, {"spikes": np.ones(2)}, None),
        (META, {"spikes/n": np.array([object()])}, "damaged one"),
    ],
)
def test_a_file_that_is_nearly_a_recording(meta: Any, arrays: Any, words: str | None, tmp_path: Path) -> None:
    path = written(tmp_path / "x.npz", meta, **arrays)
    if words is None:
        assert list(Recording.load(path).spikes) == [""]
        return
    with pytest.raises(FileError, match=words) as caught:
        Recording.load(path)
    assert caught.value.parameter == str(path)


def test_an_existing_recording_is_kept_unless_forced(tmp_path: Path) -> None:
    recording(dt=0.1).save(tmp_path / "r.npz")
    with pytest.raises(FileError, match="exists and is kept"):
        recording(dt=0.2).save(tmp_path / "r.npz")
    assert Recording.load(tmp_path / "r.npz").dt == 0.1
    recording(dt=0.2).save(tmp_path / "r.npz", force=True)
    assert Recording.load(tmp_path / "r.npz").dt == 0.2


def events_of(path: Path, **changes: Any) -> Path:
    """A file of format 2 with three spikes of four neurons, two samples and five steps."""
    meta = {**META, "format": 2, "more": [], "every": 1, "length": 5, "neurons": {},
            "events": {"n": {"samples": 2, "shape": [4]}}}  # fmt: skip
    places = {"step": [0, 4, 4], "sample": [0, 1, 1], "neuron": [3, 0, 1]} | changes
    return written(path, meta, **{"events/n": np.array(list(places.values()))})


def test_events_are_read_where_they_lie_inside(tmp_path: Path) -> None:
    found = Recording.load(events_of(tmp_path / "x.npz"))
    assert np.argwhere(found.spikes["n"]).tolist() == [[0, 0, 3], [4, 1, 0], [4, 1, 1]]


@pytest.mark.parametrize(
    ("what", "places"),
    [("step", [0, 4, 5]), ("step", [-1, 4, 4]), ("sample", [0, 1, 2]), ("neuron", [4, 0, 1]), ("neuron", [0.5, 0, 1])],
)
def test_an_event_outside_the_recording_is_named(what: str, places: list[float], tmp_path: Path) -> None:
    path = events_of(tmp_path / "x.npz", **{what: places})
    with pytest.raises(FileError, match="of node 'n' lies outside the recording"):
        Recording.load(path)


def test_dense_spikes_beyond_the_memory_are_refused_and_events_are_not(tmp_path: Path) -> None:
    meta = {**META, "format": 2, "more": [], "every": 1, "length": 10**9, "neurons": {},
            "events": {"n": {"samples": 10**6, "shape": [10**6]}}}  # fmt: skip
    found = Recording.load(written(tmp_path / "x.npz", meta, **{"events/n": np.array([[5], [6], [7]])}))
    assert len(found.events["n"]) == 1
    with pytest.raises(InputError, match=r"do not fit in memory; got 1,000,000,000,000,000,000,000 bytes.*events"):
        found.spikes["n"]
