"""`hasn energy`: profiles by name and by file, on any backend, for people and programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hasn.energy import PROFILES_COMPARED, estimate, profiles
from hasn.ir.load import load
from hasn.ir.lower import lower
from hasn.testing.interpreter import ProgramInterpreter
from tests import graphs
from tests.unit.cli.conftest import Hasn, need

INPUT = graphs.spikes((6,), 20, 3)


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    path = tmp_path / "spikes.npy"
    np.save(path, INPUT)
    return path


def test_the_same_figures_as_the_library(hasn: Hasn, model: Path, spikes: Path, tmp_path: Path) -> None:
    need("snntorch")
    out = tmp_path / "energy.json"
    data = hasn("energy", model, "--input", spikes, "--out", out, "--json").data
    recording = ProgramInterpreter(lower(load(model))).run(INPUT)
    assert tuple(data["profiles"]) == PROFILES_COMPARED
    for name, found in data["profiles"].items():
        expected = estimate(recording, name)
        assert expected.joules is not None
        assert found["joules"] == pytest.approx(expected.joules, rel=1e-12, abs=0)
    assert data["break_even"]["wins"] is False
    assert data["out"] == str(out)
    written = json.loads(out.read_text())
    assert written["profiles"] == data["profiles"]
    assert written["input"] == {"kind": "file", "path": str(spikes)}


def test_all_profiles_and_unknown_is_null(
    hasn: Hasn, model: Path, spikes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("snntorch")
    monkeypatch.setattr("hasn.energy.meter.rapl_readings", lambda root: {})
    data = hasn("energy", model, "--input", spikes, "--profiles", "all", "--json").data
    assert tuple(data["profiles"]) == profiles()
    assert data["profiles"]["loihi2"]["joules"] is None
    assert data["profiles"]["cpu"]["joules"] is None
    bounded = hasn("energy", model, "--input", spikes, "--profiles", "loihi2,loihi1", "--bound", "--json").data[
        "profiles"
    ]
    assert bounded["loihi2"]["joules"] == bounded["loihi1"]["joules"] > 0
    assert bounded["loihi2"]["bound"] == "loihi1"


def test_all_and_a_file_of_ones_own_and_static_power(hasn: Hasn, model: Path, spikes: Path, tmp_path: Path) -> None:
    need("snntorch")
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'kind = "chip"\n[[constant]]\nterm = "ac"\nvalue = 2\nunit = "nJ"\ncondition = "x"\nsource = "lab book"\n'
        'grade = "measured"\n'
    )
    still = hasn("energy", model, "--input", spikes, "--profiles", f"all,{mine}", "--json").data["profiles"]
    assert list(still) == [*profiles(), str(mine)]
    on = hasn("energy", model, "--input", spikes, "--profiles", "loihi1", "--static", "--json").data["profiles"]
    seconds = still["loihi1"]["steps"] * still["loihi1"]["dt"]  # of a sample
    added = on["loihi1"]["joules_per_inference"] - still["loihi1"]["joules_per_inference"]
    assert added == pytest.approx(29e-3 * seconds, rel=1e-9, abs=0)


def test_what_the_machine_measures(hasn: Hasn, model: Path, spikes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("snntorch")
    readings = iter([{"p": (1_000_000, 10**9)}, {"p": (4_000_000, 10**9)}])
    monkeypatch.setattr("hasn.energy.meter.rapl_readings", lambda root: next(readings))
    data = hasn("energy", model, "--input", spikes, "--profiles", "cpu", "--json").data
    assert data["profiles"]["cpu"]["joules_per_inference"] == 1.0  # 3 J, 3 samples


def test_for_people(hasn: Hasn, model: Path, spikes: Path, tmp_path: Path) -> None:
    need("snntorch")
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'kind = "chip"\ntitle = "My chip"\n[[constant]]\nterm = "ac"\nvalue = 2\nunit = "nJ"\ncondition = "x"\n'
        'source = "lab book 3"\ngrade = "measured"\n'
    )
    answer = hasn("energy", model, "--input", spikes, "--profiles", f"truenorth, {mine}", "--nodes")
    lines = answer.out.splitlines()
    assert f"Input: {spikes}" in lines
    assert (
        sum(line.startswith("My chip ") for line in lines) == 1
    )  # the row; its own table stands under the title alone
    assert "My chip" in lines
    assert "Not in My chip: updates of neurons" in lines
    assert any(line.startswith("The SNN costs more than the ANN of equal shape") for line in lines)
    plain = hasn("energy", model, "--input", spikes, "--profiles", "truenorth")
    assert "synaptic_operation" in answer.out
    assert "synaptic_operation" not in plain.out


def test_an_unknown_profile_is_refused_first(hasn: Hasn, tmp_path: Path) -> None:
    answer = hasn("energy", tmp_path / "none.nir", "--profiles", "loihi1,loihi7", status=1)
    assert "there is no such profile; got 'loihi7'; wanted attwell-laughlin-2001" in " ".join(answer.err.split())
