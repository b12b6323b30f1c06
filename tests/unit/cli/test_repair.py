"""`hasn repair`, and `--repair` of other commands: mended, listed, and the file itself left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hasn as package
from tests import graphs
from tests.unit.cli.conftest import Hasn, need


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A batch of one in the Input's shape: (1, 6) into an Affine of 6."""
    graph = graphs.small_net()
    graph.nodes["input"].input_type = {"input": np.array([1, 6])}
    graph.metadata["dt"] = graphs.DT
    package.save(graph, tmp_path / "broken.nir")
    np.save(tmp_path / "x.npy", graphs.spikes((6,), 20, 4))
    np.savez(tmp_path / "data.npz", input=graphs.spikes((6,), 20, 4), labels=np.arange(4) % 3)
    return tmp_path / "broken.nir"


def test_a_file_is_mended_into_another(hasn: Hasn, broken: Path, tmp_path: Path) -> None:
    before, out = broken.read_bytes(), tmp_path / "whole.nir"
    assert "shape mismatch" in hasn("check", broken, status=1).out
    answer = hasn("repair", broken, out)
    assert "Repaired: node 'input' shape: now (6,), without the batch; got (1, 6)" in answer.out
    assert f"Wrote {out}" in answer.out
    assert hasn("check", out, "--json").data["ok"]
    assert broken.read_bytes() == before
    assert "the file exists" in hasn("repair", broken, out, status=1).err
    data = hasn("repair", broken, out, "--force", "--dt", "2e-3", "--json").data
    assert (data["out"], data["left"], len(data["repairs"])) == (str(out), [], answer.out.count("Repaired: "))
    assert package.load(out).metadata["dt"] == 2e-3
    assert "Nothing to repair" in hasn("repair", out, tmp_path / "again.nir").out


def test_what_cannot_be_mended_is_named_and_the_rest_is(hasn: Hasn, broken: Path, tmp_path: Path) -> None:
    graph = package.load(broken)
    graph.nodes["n2"].tau = -graph.nodes["n2"].tau
    package.save(graph, broken, force=True)
    out = tmp_path / "whole.nir"
    data = hasn("repair", broken, out, "--json", status=1).data
    assert [(found["node"], found["parameter"]) for found in data["left"]] == [("n2", "tau")]
    assert package.load(out).nodes["input"].input_type["input"].tolist() == [6]


@pytest.mark.parametrize("command", ["run", "compare", "train", "quantise"])
def test_other_commands_mend_in_memory(command: str, hasn: Hasn, broken: Path, tmp_path: Path) -> None:
    need("snntorch")
    before = broken.read_bytes()
    options = {
        "run": ["--input", tmp_path / "x.npy"],
        "compare": [
            "--input",
            tmp_path / "x.npy",
            "--backends",
            "snntorch,snntorch:float32",
            "--reference",
            "snntorch",
        ],
        "train": ["--data", tmp_path / "data.npz", "--out", tmp_path / "o.nir", "--epochs", "1", "--force"],
        "quantise": ["--calibrate", tmp_path / "x.npy", "--out", tmp_path / "o.nir", "--force"],
    }[command]
    assert "shape mismatch" in hasn(command, broken, *options, status=1).err
    assert "Repaired: node 'input' shape: now (6,)" in hasn(command, broken, *options, "--repair").out
    data = hasn(command, broken, *options, "--repair", "--json").data
    assert any("shape: now (6,)" in change for change in data["repairs"])
    assert broken.read_bytes() == before
