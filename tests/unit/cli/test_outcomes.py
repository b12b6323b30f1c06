"""The exit status of every command in every outcome, for people and with --json: 0, or 1 for a mistake or a "no"."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hasn.backends.lava import environment
from hasn.backends.lava.environment import SetupFailed, Status
from hasn.backends.lava.pythons import Search
from hasn.cli.app import app
from hasn.cli.demo import stage
from hasn.demo import job
from hasn.demo.job import DemoResult
from hasn.energy import EnergyTable
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
    return {**named, **{name: tmp_path / f"made-{name}" for name in ("npz", "nir", "folder", "json")}}


#: command -> arguments that go well; names in capitals are files.
GOOD = {
    "backends": [],
    "info": ["MODEL", "--program"],
    "check": ["MODEL"],
    "set": ["MODEL", "--dt", "2e-3", "--reset", "subtract"],
    "repair": ["MODEL", "NIR"],
    "run": ["MODEL", "--input", "X", "--out", "NPZ"],
    "compare": ["MODEL", "--backends", "snntorch,snntorch:float32", "--reference", "snntorch"],
    "train": ["MODEL", "--data", "DATA", "--out", "NIR", "--epochs", "1"],
    "quantise": ["MODEL", "--calibrate", "X", "--out", "NIR"],
    "export": ["MODEL", "--calibrate", "X", "--out", "FOLDER"],
    "place": ["MODEL", "--input", "X"],
    "energy": ["MODEL", "--input", "X", "--out", "JSON"],
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
    outputs = {"run": "npz", "repair": "nir", "train": "nir", "quantise": "nir", "export": "folder", "energy": "json"}
    written = outputs.get(command)
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
    assert not any(files[name].exists() for name in ("npz", "nir", "folder", "json"))


@pytest.mark.parametrize("command", ["run", "repair", "train", "quantise", "export", "energy"])
def test_what_is_there_is_kept(command: str, hasn: Hasn, files: dict[str, Path]) -> None:
    for name in ("npz", "nir", "json"):
        files[name].write_text("mine")
    files["folder"].mkdir()
    (files["folder"] / "mine").write_text("mine")
    answer = hasn(command, *filled(GOOD[command], files), "--json", status=1)
    assert answer.data["error"]["type"] == "FileError"
    kept = {files[name].read_text() for name in ("npz", "nir", "json")}
    assert kept | {(files["folder"] / "mine").read_text()} == {"mine"}


def test_every_command_has_its_outcomes_here() -> None:
    named = {command.name for command in app.registered_commands}
    assert named == {*GOOD, "demo", "demo-learning"}
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


def test_long_lines_of_lava_are_left_whole_and_its_steps_are_told(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log, where nothing spins."""
    where = Status(True, "/a/folder" * 20, "", {"python": "[b]3.10.1"})
    shown: list[str] = []

    class Spinner:
        def __enter__(self) -> Any:
            return SimpleNamespace(update=shown.append)

        def __exit__(self, *_: object) -> None:
            pass

    def made(force: bool, tell: Any) -> Status:
        tell("downloading " + "x" * 200)
        return where

    monkeypatch.setattr("rich.console.Console.status", lambda self, text: Spinner())
    monkeypatch.setattr(environment, "set_up", made)
    monkeypatch.setattr(environment, "status", lambda: GONE)
    lines = hasn("lava", "setup").out.splitlines()
    assert lines[0] == "Lava: downloading " + "x" * 200
    assert lines[1].endswith(f"in {where.folder}")
    assert len(lines) == 2
    assert shown == ["Lava: downloading " + "x" * 200]
    monkeypatch.setattr(environment, "status", lambda: where)
    assert len(hasn("lava", "setup").out.splitlines()) == 1


def test_a_failure_of_lava_is_told_in_whole_lines(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(force: bool, tell: Any) -> Status:
        raise SetupFailed("[b]no " + "x" * 200, Search(None, ("[i]tried " + "y" * 200,)))

    monkeypatch.setattr(environment, "status", lambda: GONE)
    monkeypatch.setattr(environment, "set_up", failing)
    assert hasn("lava", "setup", status=1).out.splitlines() == [
        "Lava was not set up: [b]no " + "x" * 200, "  [i]tried " + "y" * 200,
        "Install Python 3.10, or name one in HASN_LAVA_PYTHON, and run: hasn lava setup",
    ]  # fmt: skip


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


def test_a_stage_of_the_demo_is_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("hasn.cli.console.stderr", Console(file=written, width=100, force_terminal=True))
    with stage("Training") as bar:
        bar(1, 4, "loss 0.5")
    text = re.sub(r"\x1b\[[0-9;?]*\w", "", written.getvalue())
    assert "Training" in text
    assert "loss 0.5" in text
    assert re.search(r"\d:\d\d:\d\d", text)


def test_what_the_demo_says(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    made = dataclasses.replace(
        result(True, True), seconds={"train": 61.6, "report": 2.0}, files=(Path("a/m.nir"), Path("a/r.html"))
    )
    monkeypatch.setattr(job, "run_demo", lambda *_, **__: made)
    lines = hasn("demo").out.splitlines()
    assert lines[-2:] == [
        "Test accuracy 90.0 %; predictions are the same on every backend that ran.",
        "Wrote a/m.nir, a/r.html (train 62 s, report 2 s).",
    ]
    assert any("50.0 %" in line for line in lines)
    energy = made.energy()
    assert isinstance(energy, EnergyTable)
    for line in energy.text.splitlines():
        assert line in lines
    assert hasn("demo", "--json").data["energy"]["break_even"] == energy.to_dict()["break_even"]


@pytest.mark.parametrize(
    "option",
    [("--digits", 0), ("--digits", 1001), ("--epochs", 0), ("--steps", 0)],
    ids=lambda pair: f"{pair[0]} {pair[1]}",
)
def test_numbers_that_a_demo_cannot_have(option: tuple[str, int], hasn: Hasn) -> None:
    hasn("demo", *option, status=2)


def test_a_demos_defaults_and_least_numbers(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(job, "run_demo", lambda out, _, **options: heard.append((out, options)) or result(True, True))
    hasn("demo")
    hasn("demo", "--digits", 1, "--epochs", 1, "--steps", 1)
    hasn("demo", "--digits", 1000)
    plain = {"compared": 1000, "epochs": 10, "steps": 25, "seed": 0, "force": False}
    assert heard[0] == (Path("demo-out"), plain)
    assert heard[1][1] == {**plain, "compared": 1, "epochs": 1, "steps": 1}
    assert heard[2][1]["compared"] == 1000


def test_a_demo_that_cannot_be_made(hasn: Hasn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert hasn("demo", "--out", tmp_path / "file", "--json", status=1).data["error"]["type"] == "FileError"
    assert "is no folder; wanted the name of a folder" in hasn("demo", "--out", tmp_path / "file", status=1).err
    (tmp_path / "demo.json").write_text("mine")
    assert "demo.json" in hasn("demo", "--out", tmp_path, status=1).err
