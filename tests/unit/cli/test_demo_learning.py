"""`hasn demo-learning`: what it passes on and says; tests/unit/demo/test_unsupervised.py has what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasn.demo import learning_job
from hasn.demo.learning_job import LearningResult
from hasn.demo.unsupervised import Learned
from tests.unit.cli.conftest import Hasn

ASSIGNED = np.array([0, 9, 9, -1, 3, 0])
OPTIONS = {"neurons": 6, "images": 50, "passes": 1, "steps": 250, "seed": 0, "backend": "x", "precision": "float32"}
FOUND = LearningResult(
    Learned(ASSIGNED, 0.8125, 0.01),
    OPTIONS,
    {"learn": 61.6, "test": 2.0},
    (Path("a/learned.nir"), Path("a/fields.png")),
)
DEFAULTS = {
    "neurons": 400,
    "images": 4000,
    "passes": 1,
    "steps": 250,
    "seed": 0,
    "backend": "snntorch",
    "precision": "float32",
    "resume": False,
    "force": False,
}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(learning_job, "run_learning", lambda out, _, **options: calls.append((out, options)) or FOUND)
    return calls


def test_options_go_through(hasn: Hasn, heard: list[Any], tmp_path: Path) -> None:
    hasn("demo-learning")
    numbers = ("--neurons", 7, "--images", 8, "--passes", 2, "--steps", 3, "--seed", 4)
    hasn("demo-learning", "--out", tmp_path, *numbers, "--backend", "brian2", "--precision", "float64", "--resume")
    hasn("demo-learning", "--force", "--neurons", 2, "--images", 1, "--passes", 1, "--steps", 1)
    assert heard[0] == (Path("learning-out"), DEFAULTS)
    given = {"neurons": 7, "images": 8, "passes": 2, "steps": 3, "seed": 4}
    assert heard[1] == (
        tmp_path,
        {**DEFAULTS, **given, "backend": "brian2", "precision": "float64", "resume": True},
    )
    assert heard[2][1]["force"] is True


@pytest.mark.usefixtures("heard")
def test_what_it_says(hasn: Hasn) -> None:
    assert hasn("demo-learning").out.splitlines() == [
        "6 neurons name 81.2 % of the held-out digits rightly; none answers to 1.0 %.",
        "Neurons of each digit: 0: 2, 1: 0, 2: 0, 3: 1, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 2; of none: 1.",
        "Wrote a/learned.nir, a/fields.png (learn 62 s, test 2 s).",
    ]
    assert hasn("demo-learning", "--json").data == {
        "accuracy": 0.8125,
        "silent": 0.01,
        "neurons_of_class": [2, 0, 0, 1, 0, 0, 0, 0, 0, 2],
        "neurons_of_none": 1,
        **OPTIONS,
        "seconds": {"learn": 61.6, "test": 2.0},
        "files": ["a/learned.nir", "a/fields.png"],
    }


@pytest.mark.parametrize("option", [("--neurons", 1), ("--images", 0), ("--images", 4001), ("--passes", 0),
                                    ("--steps", 0), ("--seed", -1)], ids=str)  # fmt: skip
@pytest.mark.usefixtures("heard")
def test_numbers_that_it_cannot_have(option: tuple[str, int], hasn: Hasn) -> None:
    hasn("demo-learning", *option, status=2)
