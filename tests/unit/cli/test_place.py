"""`hasn place`: a quantised file onto a chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import Hasn, need
from tests.unit.conversions.loihi import placing

pytest.importorskip("pymetis")


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    path = tmp_path / "chip.nir"
    placing.random_layers(0, 12, 20, 10).save(path)
    return path


def test_the_table_and_the_page(hasn: Hasn, chip: Path, tmp_path: Path) -> None:
    need("snntorch")
    page = tmp_path / "placement.html"
    answer = hasn("place", chip, "--target", "loihi1", "--cores", "3", "--report", page)
    assert "random spikes (no --input was given)" in answer.out
    assert "Loihi (1): 3 cores of 128 in use" in answer.out
    assert f"Wrote {page}" in answer.out
    assert "<svg" in page.read_text(encoding="utf8")


def test_json_is_that_of_the_placement(hasn: Hasn, chip: Path, tmp_path: Path) -> None:
    need("snntorch")
    x = (np.random.default_rng(0).random((20, 12)) < 0.3).astype(float)
    np.save(tmp_path / "x.npy", x)
    answer = hasn("place", chip, "--input", tmp_path / "x.npy", "--cores", "3", "--json")
    from hasn.conversions.loihi import place
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.ir.load import load

    expected = place(QuantisedNetwork.of_graph(load(chip)), x, cores=3).to_dict()
    assert answer.data["target"] == "loihi2"
    assert answer.data["traffic"] > 0
    assert {key: answer.data[key] for key in expected} == expected


def test_mistakes_are_told(hasn: Hasn, chip: Path, model: Path, tmp_path: Path) -> None:
    answer = hasn("place", chip, "--target", "loihi7", status=1)
    assert "no such chip; got 'loihi7'; wanted loihi1 or loihi2" in answer.err
    answer = hasn("place", model)  # a float graph: quantised, and it says on what
    assert "RANDOM spikes" in answer.out
    page = tmp_path / "kept.html"
    page.write_text("mine")
    hasn("place", chip, "--report", page, status=1)
    assert page.read_text() == "mine"
