"""Who runs what: cases that only repeat another take turns, and every backend still sees all that may differ."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import nir
import pytest

from hasn.testing.cases import CASES
from hasn.testing.matrix import OWN, in_turn


class Config:
    """pytest's, with or without ``--backend``."""

    def __init__(self, *backends: str) -> None:
        self.backends = list(backends) or None

    def getoption(self, name: str, default: Any) -> Any:
        assert name == "hasn_backends"
        return self.backends


def cases(runner: str, *asked: str) -> tuple[str, ...]:
    return in_turn(Config(*asked))(runner)  # type: ignore[arg-type]


@pytest.mark.parametrize("runner", ["program", "network", "a backend of another package"])
def test_interpreters_and_other_peoples_backends_run_all(runner: str) -> None:
    assert cases(runner) == tuple(CASES)


def test_a_backend_that_is_asked_for_runs_all() -> None:
    assert cases("lava", "lava") == tuple(CASES)


def test_each_repeat_is_run_once_and_all_else_by_every_backend() -> None:
    runs = Counter(name for backend in OWN for name in cases(backend))
    assert runs == {name: 1 if case.grid else len(OWN) for name, case in CASES.items()}
    shares = Counter(name for backend in OWN for name in (backend,) * len(cases(backend)))
    assert max(shares.values()) - min(shares.values()) <= 1


SPIKING = ("IF", "LIF", "CubaLIF", "AdaptiveLIF", "IF_refractory", "LIF_refractory", "CubaLIF_refractory")
STATELESS = ("Affine", "Linear", "Scale", "Threshold", "Delay", "Flatten", "SumPool2d", "AvgPool2d", "Conv1d", "Conv2d")


@pytest.mark.parametrize("backend", OWN)
@pytest.mark.parametrize("kind", [*SPIKING, "I", "LI", "CubaLI"])
def test_every_backend_sees_a_kind_of_neuron_with_each_method_reset_and_batch(kind: str, backend: str) -> None:
    seen = [CASES[name] for name in cases(backend) if name.startswith(f"{kind}-")]
    assert {case.method for case in seen} == {"euler", "exact"}
    assert {case.reset for case in seen} == {"zero", "subtract"}
    assert {case.batch is None for case in seen} == {True, False}


@pytest.mark.parametrize("backend", OWN)
@pytest.mark.parametrize("kind", [name for name in STATELESS if hasattr(nir, name)])
def test_every_backend_sees_a_stateless_kind_with_each_method_and_batch(kind: str, backend: str) -> None:
    seen = [CASES[name] for name in cases(backend) if name.startswith(f"{kind}-")]
    assert {case.method for case in seen} == {"euler", "exact"}
    assert {case.batch is None for case in seen} == {True, False}


@pytest.mark.parametrize("backend", OWN)
def test_every_backend_sees_each_setting_of_whole_networks(backend: str) -> None:
    every = itertools.product(("euler", "exact"), ("zero", "subtract"), (True, False))
    seen = Counter((CASES[n].method, CASES[n].reset, CASES[n].batch is None) for n in cases(backend))
    assert min(seen[setting] for setting in every) >= 5
