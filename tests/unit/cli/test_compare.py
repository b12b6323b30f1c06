"""`hasn compare`: table, report, JSON, exit status."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasn.recording import Recording
from tests import graphs
from tests.unit.cli.conftest import Hasn, need

PAIR = ("--backends", "snntorch,snntorch:float32", "--reference", "snntorch")


def test_agreement_is_status_0_with_table_and_verdict(hasn: Hasn, model: Path) -> None:
    need("snntorch")
    answer = hasn("compare", model, *PAIR, "--steps", "30")
    assert "0 differing spikes in float32" in answer.out
    assert "random spikes (no --input was given)" in answer.out
    assert "float32" in next(line for line in answer.out.splitlines() if "100 %" in line)


def test_json_has_every_figure(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    need("snntorch")
    np.save(tmp_path / "x.npy", graphs.spikes((6,), 25, 2))
    data = hasn("compare", model, *PAIR, "--input", tmp_path / "x.npy", "--json").data
    assert data["ok"] is True
    assert data["differing"] == {"snntorch:float32": 0}
    assert data["agreement"] == {"snntorch:float32": 1.0}
    assert 0 < data["max_voltage_error"]["snntorch:float32"] < 1e-4  # float32 against float64: not the same run twice
    assert data["first_divergences"] == {"snntorch:float32": None}
    assert (data["steps"], data["samples"], data["reference"]) == (25, 2, "snntorch")
    assert set(data) >= {"ties", "skipped", "backends"}


def test_a_difference_is_status_1_and_named_in_table_json_and_report(
    hasn: Hasn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("snntorch")
    _falsify(monkeypatch)
    report = tmp_path / "report.html"
    answer = hasn("compare", model, *PAIR, "--steps", "30", "--report", report, status=1)
    assert "first differs at node 'n2', neuron 1, sample 0, step 7" in answer.out
    assert "1 differing spike in float32" in answer.out
    assert "node &#x27;n2&#x27;, neuron 1, sample 0, step 7" in report.read_text()
    again = hasn("compare", model, *PAIR, "--steps", "30", "--json", status=1)
    first = again.data["first_divergences"]["snntorch:float32"]
    assert (first["node"], first["index"], first["step"]) == ("n2", [1], 7)


def test_the_report_is_refused_before_anything_runs(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("mine")
    answer = hasn("compare", model, "--backends", "abacus", "--report", report, status=1)
    assert "the file exists" in answer.err
    assert report.read_text() == "mine"


def test_the_report_is_written_and_named(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    need("snntorch")
    report = tmp_path / "report.html"
    answer = hasn("compare", model, *PAIR, "--steps", "12", "--report", report, "--json")
    assert answer.data["report"] == str(report)
    text = report.read_text()
    assert "model.nir. Input: random spikes" in text
    assert "0 differing spikes in float32" in text


def test_options_go_through_to_every_backend(hasn: Hasn, model: Path) -> None:
    need("snntorch")
    data = hasn("compare", model, *PAIR, "--method", "exact", "--timing", "hardware", "--dt", "2e-3", "--json").data
    assert (data["method"], data["timing"], data["dt"]) == ("exact", "hardware", 2e-3)


def test_unknown_backend_and_nothing_to_compare(hasn: Hasn, model: Path) -> None:
    answer = hasn("compare", model, "--backends", "abacus", status=1)
    assert "unknown backend" in answer.err
    need("snntorch")
    alone = hasn("compare", model, "--backends", "snntorch", "--reference", "snntorch", status=1)
    assert "nothing to compare" in alone.err


def test_two_simulators_agree(hasn: Hasn, model: Path) -> None:
    need("snntorch", "brian2")
    data = hasn("compare", model, "--backends", "snntorch,brian2", "--steps", "40", "--rate", "0.4", "--json").data
    assert data["ok"] is True
    assert data["differing"] == {"snntorch": 0}
    assert data["backends"]["brian2"]["spikes"] > 0


def _falsify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn one float32 spike over, with a voltage far from the threshold on both sides."""
    from hasn.executable import Executable

    run = Executable.run

    def wrong(self: Executable, *arguments: Any, **options: Any) -> Recording:
        recording = run(self, *arguments, **options)
        if recording.precision != "float32":
            return recording
        spikes = {name: array.copy() for name, array in recording.spikes.items()}
        voltages = {name: array.copy() for name, array in recording.voltages.items()}
        spikes["n2"][7, 0, 1] = not spikes["n2"][7, 0, 1]
        voltages["n2"][6:, 0, 1] += 0.01
        return dataclasses.replace(recording, spikes=spikes, voltages=voltages)

    monkeypatch.setattr(Executable, "run", wrong)
