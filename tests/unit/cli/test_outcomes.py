"""The exit status of every command in every outcome, for people and with --json: 0, or 1 for a mistake or a "no"."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.backends.lava import environment
from hasn.backends.lava.environment import SetupFailed, Status
from hasn.backends.lava.pythons import Search
from hasn.cli.app import app
from hasn.demo import job
from hasn.demo.job import DemoResult
from tests import graphs
from tests.unit.cli.conftest import Hasn, need
from tests.unit.report.made import comparison


@pytest.fixture
def files(tmp_path: Path, model: Path) -> dict[str, Path]:
    """What the commands are given, and where they write."""
    x = graphs.spikes((6,), 20, 4)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "data.npz", input=x, labels=np.arange(4) % 3)
    named = {"model": model, "x": tmp_path / "x.npy", "data": tmp_path / "data.npz", "missing": tmp_path / "none.nir"}
    return {**named, **{name: tmp_path / f"made-{name}" for name in ("npz", "nir", "folder")}}


#: command -> arguments that go well; names in capitals are files.
GOOD = {
    "backends": [],
    "info": ["MODEL", "--program"],
    "check": ["MODEL"],
    "run": ["MODEL", "--input", "X", "--out", "NPZ"],
    "compare": ["MODEL", "--backends", "snntorch,snntorch:float32", "--reference", "snntorch"],
    "train": ["MODEL", "--data", "DATA", "--out", "NIR", "--epochs", "1"],
    "quantise": ["MODEL", "--calibrate", "X", "--out", "NIR"],
    "export": ["MODEL", "--calibrate", "X", "--out", "FOLDER"],
    "place": ["MODEL", "--input", "X"],
}


def filled(arguments: list[str], files: dict[str, Path]) -> list[object]:
    return [files[text.lower()] if text.isupper() else text for text in arguments]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", GOOD)
def test_what_goes_well(command: str, as_json: bool, hasn: Hasn, files: dict[str, Path]) -> None:
    need("snntorch")
    if command == "place":
        pytest.importorskip("pymetis")
    answer = hasn(command, *filled(GOOD[command], files), *(["--json"] if as_json else []))
    assert answer.out
    if as_json:
        assert "error" not in answer.data
    written = {"run": "npz", "train": "nir", "quantise": "nir", "export": "folder"}.get(command)
    assert written is None or files[written].exists()


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("command", [name for name in GOOD if name not in ("backends", "check")])
def test_a_file_that_is_not_there(command: str, as_json: bool, hasn: Hasn, files: dict[str, Path]) -> None:
    """For people one line on stderr and nothing on stdout; for programs the other way round."""
    arguments = ["MISSING" if text == "MODEL" else text for text in GOOD[command]]
    answer = hasn(command, *filled(arguments, files), *(["--json"] if as_json else []), status=1)
    if as_json:
        assert (answer.data["error"]["type"], answer.err) == ("FileError", "")
        assert "there is no such file" in answer.data["error"]["message"]
    else:
        assert answer.out == ""
        assert "there is no such file" in answer.err
    assert not any(files[name].exists() for name in ("npz", "nir", "folder"))


@pytest.mark.parametrize("command", ["run", "train", "quantise", "export"])
def test_what_is_there_is_kept(command: str, hasn: Hasn, files: dict[str, Path]) -> None:
    for name in ("npz", "nir"):
        files[name].write_text("mine")
    files["folder"].mkdir()
    (files["folder"] / "mine").write_text("mine")
    answer = hasn(command, *filled(GOOD[command], files), "--json", status=1)
    assert answer.data["error"]["type"] == "FileError"
    assert {files["npz"].read_text(), files["nir"].read_text(), (files["folder"] / "mine").read_text()} == {"mine"}


def test_every_command_has_its_outcomes_here() -> None:
    named = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert named == {*GOOD, "demo"}
    assert [group.name for group in app.registered_groups] == ["lava"]


# --- hasn lava


THERE = Status(True, "/somewhere", "", {"python": "3.10.1", "lava-nc": "0.10.0"})
WITH_NETX = Status(True, "/somewhere", "", {**THERE.versions, "lava-dl": "0.6.0"})
GONE = Status(False, "/somewhere", "it is not set up. Run: hasn lava setup", {})


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("found", "status"), [(THERE, 0), (GONE, 1)])
def test_lava_status(found: Status, status: int, as_json: bool, hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "status", lambda: found)
    answer = hasn("lava", "status", *(["--json"] if as_json else []), status=status)
    if as_json:
        assert answer.data == found.as_dict()
    else:
        assert (found.why_not or "python 3.10.1, lava-nc 0.10.0 in /somewhere") in answer.out


@pytest.mark.parametrize(
    ("before", "options", "called", "words"),
    [
        (GONE, [], ["set_up False"], "lava-nc 0.10.0 in /somewhere"),
        (THERE, [], [], "lava-nc 0.10.0 in /somewhere"),
        (THERE, ["--force"], ["set_up True"], "lava-nc 0.10.0"),
        (THERE, ["--netx"], ["set_up False", "add_netx"], "lava-dl 0.6.0"),
        (WITH_NETX, ["--netx"], [], "lava-dl 0.6.0"),
        (GONE, ["--netx", "--optional"], ["set_up False", "add_netx"], "lava-dl 0.6.0"),
    ],
)
def test_lava_setup(
    before: Status, options: list[str], called: list[str], words: str, hasn: Hasn, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(environment, "status", lambda: before)
    monkeypatch.setattr(environment, "set_up", lambda force, tell: done.append(f"set_up {force}") or THERE)
    monkeypatch.setattr(environment, "add_netx", lambda tell: done.append("add_netx") or WITH_NETX)
    assert words in hasn("lava", "setup", *options).out
    assert done == called


NO_PYTHON, NO_DISK = Search(None, ("pyenv: none",)), Search("/usr/bin/python3.10", ())


@pytest.mark.parametrize(
    ("search", "options", "status"),
    [
        (NO_PYTHON, [], 1),
        (NO_PYTHON, ["--optional"], 0),
        (NO_DISK, [], 1),
        (NO_DISK, ["--optional"], 1),  # there is a Python 3.10, so this is a fault and no want
        (NO_PYTHON, ["--optional", "--netx"], 0),
        (NO_PYTHON, ["--force"], 1),
    ],
)
def test_lava_setup_that_fails(
    search: Search, options: list[str], status: int, hasn: Hasn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(force: bool, tell: Any) -> Status:
        raise SetupFailed("it did not work", search)

    monkeypatch.setattr(environment, "status", lambda: GONE)
    monkeypatch.setattr(environment, "set_up", failing)
    answer = hasn("lava", "setup", *options, status=status)
    assert "Lava was not set up: it did not work" in answer.out
    assert ("pyenv: none" in answer.out) == (search is NO_PYTHON)
    assert ("The other backends work without it" in answer.out) == (status == 0)


def test_lava_setup_whose_second_part_fails(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(tell: Any) -> Status:
        raise SetupFailed("no network", NO_DISK)

    monkeypatch.setattr(environment, "status", lambda: THERE)
    monkeypatch.setattr(environment, "set_up", lambda force, tell: THERE)
    monkeypatch.setattr(environment, "add_netx", failing)
    assert "no network" in hasn("lava", "setup", "--netx", status=1).out


# --- hasn demo


def result(spikes: bool, predictions: bool) -> DemoResult:
    """A demo's result: whether spikes, and whether predictions are the same."""
    made = comparison(flips=[] if spikes else [("n4", 1, 12, 2)])
    accuracy = dict.fromkeys(made.recordings, 0.5)
    return DemoResult(made, accuracy, predictions, 0.9, {"train": 1.0}, (Path("model.nir"),))


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("spikes", "predictions"), [(True, True), (False, True), (True, False), (False, False)])
def test_demo(spikes: bool, predictions: bool, as_json: bool, hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "run_demo", lambda *args, **options: result(spikes, predictions))
    same = spikes and predictions
    answer = hasn("demo", *(["--json"] if as_json else []), status=0 if same else 1)
    assert ("The backends do not agree" in answer.err) is not same
    if as_json:
        assert (answer.data["ok"], answer.data["same_predictions"]) == (same, predictions)
        assert answer.data["backends"]["lava"]["differing"] == (0 if spikes else 1)
    else:
        assert ("predictions are NOT the same" in answer.out) is not predictions


def test_demo_options_go_through(hasn: Hasn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard = SimpleNamespace(out=None, options={})

    def run(out: Path, stage: Any, **options: Any) -> DemoResult:
        heard.out, heard.options = out, options
        return result(True, True)

    monkeypatch.setattr(job, "run_demo", run)
    hasn("demo", "--out", tmp_path, "--digits", 7, "--epochs", 2, "--steps", 3, "--seed", 4, "--force")
    assert heard.out == tmp_path
    assert heard.options == {"compared": 7, "epochs": 2, "steps": 3, "seed": 4, "force": True}


def test_a_demo_that_cannot_be_made(hasn: Hasn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert hasn("demo", "--out", tmp_path / "file", "--json", status=1).data["error"]["type"] == "FileError"
    assert "the folder cannot be made" in hasn("demo", "--out", tmp_path / "file", status=1).err
    (tmp_path / "demo.json").write_text("mine")
    assert "demo.json" in hasn("demo", "--out", tmp_path, status=1).err
