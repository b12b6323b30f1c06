"""`hasn train`: the command trains as the function does, and tells mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hasn.backends.snntorch.training import Step
from hasn.backends.snntorch.training.api import train
from hasn.errors import InputError
from hasn.ir.load import load
from hasn.ir.save import save
from tests.unit.backends.snntorch.training.task import net, samples, weights
from tests.unit.cli.conftest import Hasn, need


@pytest.fixture
def task(tmp_path: Path) -> tuple[Path, Path]:
    """A graph and labelled samples in files."""
    need("snntorch")
    spikes, labels = samples(24)
    save(net(), tmp_path / "net.nir")
    np.savez(tmp_path / "data.npz", spikes=spikes, labels=labels)
    return tmp_path / "net.nir", tmp_path / "data.npz"


def test_it_writes_what_the_function_gives(hasn: Hasn, task: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = task
    out = tmp_path / "trained.nir"
    answer = hasn("train", file, "--data", data, "--validation", data, "--out", out, "--epochs", 2, "--batch-size", 8,
                  "--learn", "tau", "--json")  # fmt: skip
    expected = train(load(file), samples(24), validation=samples(24), epochs=2, batch_size=8, learn="tau")
    assert [epoch["loss"] for epoch in answer.data["history"]] == [epoch.loss for epoch in expected.history]
    for key, value in weights(expected.graph).items():
        np.testing.assert_array_equal(weights(load(out))[key], value)
    table = hasn("train", file, "--data", data, "--out", out, "--epochs", 1, "--force")
    assert f"the last epoch is done: 1 update; wrote {out}" in table.out
    assert "hidden 0." in table.out
    assert "validation" not in table.out  # no empty columns
    assert table.err == ""  # progress is for terminals


def test_mistakes_are_told(hasn: Hasn, task: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = task
    out = tmp_path / "trained.nir"
    np.savez(tmp_path / "bare.npz", spikes=samples(4)[0])
    for arguments, words in (
        (("--data", tmp_path / "bare.npz"), "no labelled samples; got spikes"),
        (("--data", tmp_path / "none.npz"), "there is no such file"),
        (("--data", data, "--learn", "delay"), "the graph has no delay"),
        (("--data", data, "--resume"), "there is no checkpoint file"),
    ):
        answer = hasn("train", file, "--out", out, *arguments, status=1)
        assert words in answer.err
    assert not out.exists()
    out.write_text("mine")
    hasn("train", file, "--data", data, "--out", out, status=1)
    assert out.read_text() == "mine"


def test_a_checkpoint_is_named_and_gives_its_graph(hasn: Hasn, task: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = task
    out, kept, again = tmp_path / "out.nir", tmp_path / "run.pt", tmp_path / "again.nir"
    done = hasn("train", file, "--data", data, "--out", out, "--epochs", 2, "--checkpoint", kept)
    assert f"the checkpoint is {kept}" in done.out
    assert hasn("train", "--from", kept, "--out", again).out == f"wrote {again}: the graph of {kept}\n"
    for key, value in weights(load(out)).items():
        np.testing.assert_array_equal(weights(load(again))[key], value)
    hasn("train", "--from", kept, "--out", again, status=1)  # it is there
    assert hasn("train", "--from", kept, "--out", again, "--force", "--json").data["from"] == str(kept)
    new = tmp_path / "new.nir"
    for wrong in (("--from", kept, file), ("--from", kept, "--data", data), (file,), ("--data", data)):
        hasn("train", *wrong, "--out", new, status=2)
    assert "not a checkpoint" in hasn("train", "--from", file, "--out", new, status=1).err
    assert not new.exists()


def test_a_share_is_held_out_and_the_batch_comes_first(hasn: Hasn, task: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = task
    spikes, labels = samples(24)
    np.savez(tmp_path / "turned.npz", spikes=spikes.transpose(1, 0, 2), labels=labels)
    command = ("train", file, "--epochs", 1, "--validation", 0.25, "--force", "--json", "--out", tmp_path / "o.nir")
    plain = hasn(*command, "--data", data).data["history"][0]
    turned = hasn(*command, "--data", tmp_path / "turned.npz", "--batch-first").data["history"][0]
    assert plain["validation_loss"] == turned["validation_loss"] is not None
    assert plain["loss"] == turned["loss"]
    wrong = hasn(*command, "--data", tmp_path / "turned.npz", status=1)
    assert "batch_first=True" in wrong.data["error"]["text"] or "--batch-first" in wrong.data["error"]["text"]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [(KeyboardInterrupt(), 130, "Stopped by Ctrl-C."), (InputError("broken."), 1, "Error: broken.")],
)
def test_what_an_error_leaves_is_written_where_there_is_no_checkpoint(
    hasn: Hasn,
    task: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: int,
    words: str,
) -> None:
    """After the second update."""
    from hasn.backends.snntorch.training import bar

    def stop(self: object, step: Step) -> None:
        if step.step == 2:
            raise error

    monkeypatch.setattr(bar.ProgressBar, "__call__", stop)
    file, data = task
    out = tmp_path / "out.nir"
    command = ("train", file, "--data", data, "--out", out, "--epochs", 9, "--batch-size", 8)
    assert hasn(*command, status=status).err == f"{words} Wrote {out}: the graph as trained so far, 2 updates.\n"
    wanted = train(load(file), samples(24), epochs=9, batch_size=8, progress=lambda step: step.step == 2)
    for key, value in weights(wanted.graph).items():
        np.testing.assert_array_equal(weights(load(out))[key], value)
