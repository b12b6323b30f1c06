"""The command line on the streams that it finds: full disks, closed pipes, terminals that know few letters, Ctrl-C."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
import typer
from rich.console import Console

from hasn import cli
from hasn.backends.snntorch.training.bar import ProgressBar
from hasn.cli import console, streams
from hasn.cli.demo import stage as stage_of_a_demo
from hasn.cli.errors import Group, Terminated
from hasn.ir.save import save
from hasn.jsonable import plain
from tests import graphs
from tests.unit.cli.conftest import Hasn

COMMAND = [sys.executable, "-m", "hasn.cli"]


def encoded(text: str, encoding: str) -> str:
    """What a stream of that encoding gets of a text."""
    streams.make_writable()
    return text.encode(encoding, streams.HANDLER).decode(encoding)


@pytest.mark.parametrize(
    ("text", "ascii_", "latin"),
    [
        ("max |ΔV| ≤ 1 µV", "max |dV| <= 1 uV", "max |dV| <= 1 µV"),
        ("v ← 0.9 v − 1 → y", "v = 0.9 v - 1 > y", "v = 0.9 v - 1 > y"),
        ("╭─┬─╮│┼╰━", "+-+-+|++-", "+-+-+|++-"),
        ("café", "cafe", "café"),
        ("神", "\\u795e", "\\u795e"),
        ("a\udcffb", "a\\udcffb", "a\\udcffb"),  # a byte of a file's name that is no letter
    ],
)
def test_letters_that_a_terminal_does_not_have(text: str, ascii_: str, latin: str) -> None:
    assert (encoded(text, "ascii"), encoded(text, "latin-1")) == (ascii_, latin)
    assert encoded(text, "utf-8") == text.replace("\udcff", "\\udcff")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_the_same_data_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors=streams.HANDLER))
    streams.make_writable()
    data = {":smile: Δ神": [1.5, "[bold]"], "shape": (2, 3)}
    console.show_json(data)
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == {":smile: Δ神": [1.5, "[bold]"], "shape": [2, 3]}


def test_json_never_says_nan(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"a": float("nan"), "b": [np.float64("inf"), {"c": -np.inf}], "d": (1.0, np.float64(2)), "e": True, "f": 3}
    assert plain(values) == {"a": None, "b": [None, {"c": None}], "d": [1.0, 2.0], "e": True, "f": 3}
    console.show_json(values)
    text = capsys.readouterr().out
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text)["b"] == [None, {"c": None}]


def test_a_name_that_looks_like_an_emoji_is_kept(hasn: Hasn, tmp_path: Path) -> None:
    nodes = {"input": graphs.inp(2), ":smile:": nir.Scale(np.full(2, 3.0)), "output": graphs.out(2)}
    save(graphs.graph(nodes, "input > :smile: > output"), tmp_path / "odd.nir")
    answer = hasn("info", tmp_path / "odd.nir")
    assert "input -> :smile:" in answer.out
    assert "│ :smile: │" in answer.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("options", [["--json"], []])
def test_a_full_disk_behind_stdout_is_one_line(options: list[str], model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*COMMAND, "info", model, *options], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr == (
        "Error: the output could not be written: No space left on device. What was written to files is whole.\n"
    )


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_left_ends_the_command_without_a_word(closed: str, tmp_path: Path, model: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writing}
    file = model if closed == "stdout" else tmp_path / "none.nir"
    ran = subprocess.run([*COMMAND, "info", file, "--program"], **pipes, text=True, check=False)
    os.close(writing)
    assert ran.returncode == 1
    assert (ran.stdout or "") + (ran.stderr or "") == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_behind_stderr_loses_no_result(model: Path, tmp_path: Path) -> None:
    """Neither to a spinner that shows nothing there, nor to a warning (training on zeros) that cannot be said."""
    np.savez(tmp_path / "data.npz", input=np.zeros((5, 4, 6)), labels=np.arange(4) % 3)
    train = ["train", model, "--data", tmp_path / "data.npz", "--out", tmp_path / "new.nir", "--epochs", "1", "--json"]
    for arguments, status, key in ((["run", model, "--json"], 0, "spikes"), (train, 3, "history")):
        with Path("/dev/full").open("w") as full:
            ran = subprocess.run([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=full, text=True, check=False)
        assert json.loads(ran.stdout)[key]
        assert ran.returncode == status
    assert (tmp_path / "new.nir").exists()


def test_streams_that_were_closed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    streams.make_writable()
    sys.stdout.write("Δ")
    assert streams.finish(3) == 3


def test_an_errors_of_a_file_is_no_streams() -> None:
    assert streams.is_stream_error(OSError(errno.ENOSPC, "full"))
    assert streams.is_stream_error(BrokenPipeError(errno.EPIPE, "gone"))
    assert not streams.is_stream_error(OSError(errno.ENOSPC, "full", "a.nir"))
    assert not streams.is_stream_error(FileNotFoundError(errno.ENOENT, "none"))


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "no right", "a.nir")

    monkeypatch.setattr("hasn.cli.app.app", fail)
    with pytest.raises(PermissionError):
        cli.main()


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hasn.cli.app.app", lambda **_: warnings.warn("[b]mind this[/b]", UserWarning, stacklevel=1))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        cli.main()
    assert capsys.readouterr().err == "Warning: [b]mind this[/b]\n"


# --- progress


def _bars() -> list[Callable[[Console], None]]:
    def training(to: Console) -> None:
        with ProgressBar(to) as bar:
            step: Any = SimpleNamespace(epoch=0, epochs=1, batch=1, batches=2, loss=0.5, accuracy=None, rate=None)
            bar(step)

    def stage(to: Console) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(console, "stderr", to)
            with stage_of_a_demo("Training") as bar:
                bar(1, 2, "loss 0.5")

    def spinner(to: Console) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(console, "stderr", to)
            with console.working("Comparing"):
                pass

    return [training, stage, spinner]


@pytest.mark.parametrize("show", _bars(), ids=lambda show: show.__name__)
def test_progress_is_for_terminals(show: Callable[[Console], None]) -> None:
    for terminal in (True, False):
        written = io.StringIO()
        show(Console(file=written, force_terminal=terminal, width=80))
        assert bool(written.getvalue()) == terminal


# --- JSON for what cannot be read


@pytest.mark.parametrize(
    ("arguments", "parameter", "words"),
    [
        (["compare"], "file", "Missing argument"),
        (["run", "x.nir", "--steps", "many"], "--steps", "valid integer"),
        (["run", "x.nir", "--nonsense"], "--nonsense", "No such option"),
        (["train", "x.nir"], "--out", "Missing option"),
        (["nothing"], None, "No such command"),
        (["lava", "nothing"], None, "No such command"),
        (["demo", "--digits", "0"], "--digits", "greater than or equal to 1"),
        ([], "--json", "No such option"),
    ],
)
def test_a_command_line_that_cannot_be_read(
    arguments: list[str], parameter: str | None, words: str, hasn: Hasn
) -> None:
    answer = hasn(*arguments, "--json", status=2)
    assert answer.err == ""
    assert set(answer.data) == {"error"}
    error = answer.data["error"]
    assert (error["type"], error["parameter"]) == ("UsageError", parameter)
    assert words in error["text"]
    assert error["way_out"].endswith("--help lists what there is.")
    if arguments:
        people = hasn(*arguments, status=2)
        assert people.out == ""
        assert words.split()[0] in people.err


def test_a_file_named_like_the_option_is_no_option(hasn: Hasn) -> None:
    assert "there is no such file" in hasn("info", "--", "--json", status=1).err


# --- Ctrl-C


@pytest.mark.parametrize(
    ("stop", "status", "how"), [(KeyboardInterrupt(), 130, "Ctrl-C"), (Terminated(), 143, "SIGTERM")]
)
def test_what_is_said_of_a_stop(
    stop: BaseException, status: int, how: str, hasn: Hasn, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise stop

    monkeypatch.setattr("hasn.ir.load.load", stopped)
    assert hasn("info", model, status=status).err == f"Stopped by {how}. Nothing was written.\n"
    stop.add_note("Kept: x, after 3 updates of 4. Go on with the same call with resume=True.")
    out = model.with_name("o")
    error = hasn("train", model, "--data", "d", "--out", out, "--json", status=status).data["error"]
    assert (error["type"], error["message"]) == ("Interrupted", f"stopped by {how}")
    assert error["way_out"] == "Kept: x, after 3 updates of 4. Go on with the same command with --resume."


def test_a_stop_is_told_without_importing_what_it_interrupted() -> None:
    """NumPy half imported cannot be imported again; rich is there before any command is."""
    told = (
        "import sys; from hasn.cli import app, console; from hasn.cli.errors import report_stop\n"
        "sys.modules['numpy'] = None  # an import of it raises\n"
        "for as_json in (False, True): report_stop(KeyboardInterrupt(), set(), as_json=as_json)"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "Stopped by Ctrl-C. Nothing was written.\n")
    assert json.loads(ran.stdout)["error"]["type"] == "Interrupted"


def test_a_stop_names_the_option_that_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    from hasn.cli.errors import report_stop

    stop = KeyboardInterrupt()
    stop.add_note("Kept: x. Go on with the same call with resume=True.")
    report_stop(stop, {"resume"}, as_json=False)
    assert capsys.readouterr().err == "Stopped by Ctrl-C. Kept: x. Go on with the same command with --resume.\n"


def test_a_stopped_training_says_what_it_kept(model: Path, tmp_path: Path) -> None:
    """A real one: Ctrl-C once a checkpoint is there; the same command with --resume goes on from it."""
    np.savez(tmp_path / "data.npz", input=graphs.spikes((6,), 5, 4), labels=np.arange(4) % 3)
    kept, out = tmp_path / "kept", tmp_path / "new.nir"
    command = [*COMMAND, "train", model, "--data", tmp_path / "data.npz", "--out", out, "--checkpoint", kept]
    running = subprocess.Popen([*command, "--epochs", "1000000"], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not kept.exists() and time.monotonic() < end:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.startswith(f"Stopped by Ctrl-C. Kept: {kept}, after ")
    assert said.endswith("Go on with the same command with --resume.\n")
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))  # no half a file


def test_typer_gets_our_group() -> None:
    from hasn.cli.app import app

    assert app.info.cls is Group
    assert isinstance(typer.main.get_command(app), Group)
