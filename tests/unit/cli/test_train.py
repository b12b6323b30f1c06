"""`hasn train`: the command trains as the function does, and tells mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hasn.backends.snntorch.training.api import train
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
        (("--data", data, "--loss", "membrane"), "reads voltages, and this Output shows spikes"),
        (("--data", data, "--resume"), "there is no checkpoint file"),
    ):
        answer = hasn("train", file, "--out", out, *arguments, status=1)
        assert words in answer.err
    assert not out.exists()
    out.write_text("mine")
    hasn("train", file, "--data", data, "--out", out, status=1)
    assert out.read_text() == "mine"
