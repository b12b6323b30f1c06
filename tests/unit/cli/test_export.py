"""`hasn export`: targets, data, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hasn.ir.load import load
from hasn.ir.save import save
from tests import graphs
from tests.unit.cli.conftest import Hasn
from tests.unit.conversions.loihi.bundles import chip_graph, needs_lava, run


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    """A .nir file in the chip's units."""
    path = tmp_path / "chip.nir"
    save(chip_graph(), path)
    return path


@pytest.fixture
def typical(tmp_path: Path) -> Path:
    """Inputs of the model in real numbers."""
    path = tmp_path / "typical.npy"
    np.save(path, graphs.spikes((6,), 40, seed=7))
    return path


def test_a_quantised_graph_becomes_a_folder(hasn: Hasn, chip: Path, tmp_path: Path) -> None:
    answer = hasn("export", chip, "--target", "loihi2", "--out", tmp_path / "out")
    assert "7 neurons" in answer.out
    assert "run.py --self-test" in answer.out
    assert (tmp_path / "out" / "manifest.json").is_file()
    again = hasn("export", chip, "--out", tmp_path / "out", "--json", status=1)
    assert again.data["error"]["type"] == "FileError"
    forced = hasn("export", chip, "--out", tmp_path / "out", "--force", "--json")
    assert forced.data["resources"]["neurons"] == 7
    assert forced.data["shifts"] == {"input": 0, "hidden": 1, "readout": 2}


def test_the_self_test_s_data_may_be_given(hasn: Hasn, chip: Path, tmp_path: Path) -> None:
    x = graphs.spikes((2, 3), 17, seed=3)
    np.savez(tmp_path / "x.npz", input=x)
    hasn("export", chip, "--input", tmp_path / "x.npz", "--out", tmp_path / "out")
    with np.load(tmp_path / "out" / "expected.npz") as expected:
        np.testing.assert_array_equal(expected["inputs/input"][:, 0], x)


def test_a_silent_self_test_is_said(hasn: Hasn, chip: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.eye(1, 6).reshape(1, 2, 3))
    answer = hasn("export", chip, "--input", tmp_path / "one.npy", "--out", tmp_path / "out")
    assert "Silent in the self-test, so hardly tested: hidden. Pass --input DATA." in answer.out


@pytest.mark.lava
@pytest.mark.skipif(needs_lava[1].args[0], reason=needs_lava[1].kwargs["reason"])
def test_a_float_graph_is_quantised_first_and_its_folder_passes(
    hasn: Hasn, model: Path, typical: Path, tmp_path: Path
) -> None:
    answer = hasn("export", model, "--calibrate", typical, "--out", tmp_path / "out", "--json")
    assert any(answer.data["self_test_spikes"].values())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["scales"]["n2"]["scale"][0] > 0
    assert run(tmp_path / "out", "--self-test").code == 0


def test_a_float_graph_without_data_is_calibrated_on_random_spikes_and_says_so(
    hasn: Hasn, model: Path, tmp_path: Path
) -> None:
    answer = hasn("export", model, "--out", tmp_path / "out")
    assert "RANDOM spikes" in answer.out
    assert (tmp_path / "out" / "run.py").is_file()
    data = json.loads(hasn("export", model, "--out", tmp_path / "again", "--json").out)
    assert data["network"]["calibration"]["kind"] == "random"


def test_the_other_targets(hasn: Hasn, model: Path, typical: Path, tmp_path: Path) -> None:
    hasn("export", model, "--calibrate", typical, "--target", "nir", "--out", tmp_path / "back.nir")
    assert set(load(tmp_path / "back.nir").nodes) >= {"n2", "n4"}
    unknown = hasn("export", model, "--target", "truenorth", "--out", tmp_path / "x", status=1)
    assert "loihi2 or loihi1 or netx or nir" in unknown.err
