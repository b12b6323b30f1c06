"""A state as a file: written whole, read back as it was, refused when it is none."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import FileError
from hasn.ir.seal import seal
from hasn.state import NetworkState, Snapshot, joined_samples, some_samples
from hasn.testing.cases import CASES
from hasn.testing.interpreter import NetworkInterpreter

CASE = CASES["held_neurons_in_a_loop-batch"]


def executable() -> NetworkInterpreter:
    return NetworkInterpreter(hasn.lower(CASE.graph(), **CASE.options()))


def begun(steps: int = 20) -> NetworkState:
    """Half-way: states of two populations, some held, values under way."""
    runs = executable()
    runs.run({name: x[:steps] for name, x in CASE.inputs().items()}, keep_state=True)
    return runs.state()


def assert_same(found: NetworkState, wanted: NetworkState) -> None:
    for field in fields(NetworkState):
        mine, theirs = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(theirs, dict):
            assert flat(mine).keys() == flat(theirs).keys()
            for key, array in flat(theirs).items():
                assert flat(mine)[key].dtype == array.dtype
                np.testing.assert_array_equal(flat(mine)[key], array, err_msg=key)
        else:
            assert mine == theirs, field.name


def flat(arrays: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in arrays.items():
        found |= flat(value, f"{name}/") if isinstance(value, dict) else {prefix + name: value}
    return found


def test_saved_and_loaded_it_is_the_same_and_goes_on(tmp_path: Path) -> None:
    state = begun()
    assert any(np.any(left) for left in state.held.values())
    assert any(np.any(past) for past in state.past.values())
    state.save(tmp_path / "s.npz")
    loaded = hasn.load_state(tmp_path / "s.npz")
    assert_same(loaded, state)
    rest = {name: x[20:] for name, x in CASE.inputs().items()}
    whole = executable().run(CASE.inputs()).spikes
    for node, spikes in executable().run(rest, state=loaded).spikes.items():
        np.testing.assert_array_equal(spikes, whole[node][20:])
        assert spikes.any()


def test_a_state_of_before_the_first_step_is_saved_too(tmp_path: Path) -> None:
    state = executable().state()
    state.save(tmp_path / "s.npz")
    assert_same(hasn.load_state(tmp_path / "s.npz"), state)


def test_an_old_file_is_replaced_unless_that_is_forbidden(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    begun(3).save(path)
    with pytest.raises(FileError, match="exists and is kept"):
        begun(5).save(path, force=False)
    assert hasn.load_state(path).step == 3
    begun(5).save(path)
    assert hasn.load_state(path).step == 5
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import sys
import numpy as np
from hasn.state import NetworkState
big = NetworkState(2, {"n": {"v": np.zeros((1, 4_000_000))}}, {}, {}, "s", "float64", 1, False)
print("ready", flush=True)
while True:
    big.save(sys.argv[1])
"""


def test_kill_minus_9_during_a_save_leaves_a_whole_file(tmp_path: Path) -> None:
    """32 MB over and over, ended at some moments of it: there is always the one or the other."""
    path = tmp_path / "s.npz"
    begun(3).save(path)
    seen = set()
    for pause in (0.0, 0.013, 0.031):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while pause == 0.0 and not list(tmp_path.glob(".s.npz.*")):
                pass
            time.sleep(pause)
            os.kill(process.pid, signal.SIGKILL)
        seen.add(hasn.load_state(path).step)
    assert seen <= {2, 3}
    assert list(tmp_path.glob(".s.npz.*")), "no kill met a save half-way"


@pytest.mark.parametrize("what", ["no file", "text", "another npz", "cut short", "newer"])
def test_what_is_no_state_is_refused_with_its_path(what: str, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    begun().save(path)
    if what == "no file":
        path.unlink()
    elif what == "text":
        path.write_text("v = 1")
    elif what == "another npz":
        np.savez(path, v=np.ones(3))
    elif what == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        with np.load(path) as file:
            content = dict(file)
        meta = str(content["meta"]).replace('"hasn_state": 2', '"hasn_state": 3')
        np.savez(path, **{**content, "meta": np.array(meta)})
    with pytest.raises(FileError, match="newer hasn" if what == "newer" else "no such file|not a state") as error:
        hasn.load_state(path)
    assert error.value.parameter == str(path)


def test_some_samples_of_a_state_and_together_again() -> None:
    v, past = np.arange(10.0).reshape(5, 2), np.arange(15).reshape(3, 5, 1)
    at = Snapshot(4, {"n": {"v": v}}, {"n": v.astype(int)}, {"m": past})
    parts = [some_samples(at, 0, 3), some_samples(at, 3, 3)]
    np.testing.assert_array_equal(parts[1].states["n"]["v"], [[6, 7], [8, 9], [0, 0]])
    np.testing.assert_array_equal(parts[1].past["m"][:, :, 0], [[3, 4, 0], [8, 9, 0], [13, 14, 0]])
    whole = joined_samples(parts, 5)
    assert whole.step == 4
    np.testing.assert_array_equal(whole.states["n"]["v"], v)
    np.testing.assert_array_equal(whole.held["n"], v)
    np.testing.assert_array_equal(whole.past["m"], past)


def test_every_byte_of_a_state_is_under_its_digest(tmp_path: Path) -> None:
    begun().save(tmp_path / "s.npz")
    content, rng = (tmp_path / "s.npz").read_bytes(), np.random.default_rng(0)
    for place in [0, len(content) - 1, *rng.integers(len(content), size=58)]:
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.npz").write_bytes(changed)
        with pytest.raises(FileError, match="not a state of hasn, or a damaged one"):
            hasn.load_state(tmp_path / "x.npz")


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None], format_: int = 2) -> Path:
    """The same file with other content, under a digest that holds."""
    with np.load(path) as file:
        content = dict(file)
    meta = json.loads(str(content.pop("meta")))
    meta["hasn_state"] = format_
    change(meta, content)
    np.savez(path, meta=np.array(json.dumps(meta)), **content)
    if format_ > 1:
        seal(path)
    return path


def test_a_state_of_before_there_were_digests_is_read(tmp_path: Path) -> None:
    state = begun()
    state.save(tmp_path / "s.npz")
    assert_same(hasn.load_state(rewritten(tmp_path / "s.npz", lambda meta, content: None, 1)), state)


def test_a_state_in_another_byte_order_is_the_same(tmp_path: Path) -> None:
    """Torch takes none but the machine's own."""
    state = begun()
    state.save(tmp_path / "s.npz")

    def swap(_: dict[str, Any], content: dict[str, Any]) -> None:
        content.update({key: array.astype(array.dtype.newbyteorder(">")) for key, array in content.items()})

    assert_same(hasn.load_state(rewritten(tmp_path / "s.npz", swap)), state)


FORMS: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "no step": lambda meta, content: meta.pop("step"),
    "a negative step": lambda meta, content: meta.update(step=-1),
    "half a step": lambda meta, content: meta.update(step=1.5),
    "a structure of numbers": lambda meta, content: meta.update(structure=3),
    "batched is a text": lambda meta, content: meta.update(batched="yes"),
    "a batch of none": lambda meta, content: meta.update(batch=0),
    "a batch that is a truth": lambda meta, content: meta.update(batch=True),
    "a batch of text": lambda meta, content: meta.update(batch="x"),
    "an array less": lambda meta, content: content.pop("a0"),
    "an array of text": lambda meta, content: content.update(a0=np.array(["x"])),
    "places of no group": lambda meta, content: meta["arrays"].append(["other", "x", "y"]),
    "places are a number": lambda meta, content: meta.update(arrays=5),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_state_whose_form_is_wrong_is_refused(name: str, tmp_path: Path) -> None:
    begun().save(tmp_path / "s.npz")
    path = rewritten(tmp_path / "s.npz", FORMS[name])
    with pytest.raises(FileError, match=r"not a state of hasn, or a damaged one \(.") as caught:
        hasn.load_state(path)
    assert caught.value.parameter == str(path)


@pytest.mark.parametrize("group", ["states", "learned"])
def test_texts_where_numbers_are_remembered_are_refused(group: str, tmp_path: Path) -> None:
    state = dataclasses.replace(begun(), **{group: {"x": {"w": np.array([["no", "number"]])}}})  # type: ignore[arg-type]
    state.save(tmp_path / "s.npz")
    with pytest.raises(FileError, match=r"an array of <U6"):
        hasn.load_state(tmp_path / "s.npz")
