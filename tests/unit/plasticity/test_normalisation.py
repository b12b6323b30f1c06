"""Weights whose sizes sum to a number: when, of whom, within which bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.errors import OptionError, ParameterError
from hasn.nodes import SparseLinear
from hasn.plasticity import Rule, SynapticScaling, attach, together

DT = 1e-3
#: Nothing but the normalisation moves weights.
STILL = Rule("0 * pre", normalise=1.0)


def course(connection: Any, rule: Rule, steps: int = 6, backend: str = "snntorch") -> np.ndarray:
    """Weights after each step, (T, *weights), where nothing is sent."""
    convolves = isinstance(connection, nir.Conv1d)
    given = (2, 3) if convolves else (connection.shape[1] if isinstance(connection, SparseLinear) else 3,)
    result = (2, 2) if convolves else (connection.shape[0] if isinstance(connection, SparseLinear) else 2,)
    nodes = {
        "input": nir.Input(np.array(given)),
        "fc": connection,
        "cells": nir.LIF(*(np.full(result, value) for value in (20e-3, 20.0, 0.0, 1.0, 0.0))),
        "output": nir.Output(np.array(result)),
    }
    edges = [("input", "fc"), ("fc", "cells"), ("cells", "output")]
    graph = attach(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False), "fc", rule)
    with hasn.compile(graph, backend) as executable:
        return executable.run(np.zeros((steps, *given)), record=("weights",)).series["weights"]["fc"]


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_sizes_of_each_target_sum_to_it_signs_stay_and_zeros_too(backend: str) -> None:
    weight = np.array([[0.2, -0.6, 0.0], [0.0, 0.0, 0.0]])
    found = course(nir.Linear(weight), STILL, backend=backend)
    assert found[0] == pytest.approx(np.array([[0.25, -0.75, 0.0], [0.0, 0.0, 0.0]]), rel=1e-12)


def test_it_comes_at_the_last_of_every_so_many_steps_due_or_not() -> None:
    """A weight that grows by 0.1 at every fourth step, normalised at every third."""
    rule = Rule("0.1", normalise=3.0, normalise_every=3, every=4)
    found = course(nir.Linear(np.full((2, 3), 0.5)), rule, steps=9)[:, 0, 0]
    assert found == pytest.approx([0.5, 0.5, 1.0, 1.1, 1.1, 1.0, 1.0, 1.1, 1.0], rel=1e-12)


def test_bounds_hold_after_it() -> None:
    """0.6 would become 0.75: the sum falls short, and the next time the others have moved on."""
    rule = replace(STILL, w_min=0.0, w_max=0.7)
    found = course(nir.Linear(np.array([[0.2, 0.6, 0.0], [0.3, 0.3, 0.4]])), rule)
    assert found[0, 0] == pytest.approx([0.25, 0.7, 0.0], rel=1e-12)
    assert found[1, 0] == pytest.approx([0.25 / 0.95, 0.7, 0.0], rel=1e-12)
    assert found[0, 1] == pytest.approx([0.3, 0.3, 0.4], rel=1e-12)


def test_of_sparse_synapses_and_of_a_kernels_channels() -> None:
    weight = csr_array(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0], [0.0, 0.0, 0.0]]))
    found = course(SparseLinear(weight), STILL)
    assert found[0] == pytest.approx([1.0, 0.25, 0.75], rel=1e-12)
    kernel = np.arange(8.0).reshape(2, 2, 2)
    found = course(nir.Conv1d(3, kernel, 1, 0, 1, 1, np.zeros(2)), STILL)
    assert found[0] == pytest.approx(np.array([kernel[0] / 6, kernel[1] / 22]), rel=1e-12)


def test_it_survives_a_file_and_stands_in_the_formula(tmp_path: Path) -> None:
    rule = replace(STILL, normalise=2.5, normalise_every=7)
    assert "sum |w| = 2.5 every 7 steps" in str(rule)
    graph = nir.NIRGraph(
        {"a": nir.Input(np.array([1])), "fc": nir.Linear(np.ones((1, 1))), "b": nir.Output(np.array([1]))},
        [("a", "fc"), ("fc", "b")],
        type_check=False,
    )
    hasn.save(attach(graph, "fc", rule), tmp_path / "net.nir")
    kept = hasn.load(tmp_path / "net.nir").nodes["fc"].metadata["plasticity"]
    assert (kept["normalise"], kept["normalise_every"]) == (2.5, 7)
    assert "normalise" not in attach(graph, "fc", Rule("pre")).nodes["fc"].metadata["plasticity"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normalise": 0.0}, "no sum of weights"),
        ({"normalise": -1.0}, "no sum of weights"),
        ({"normalise": float("inf")}, "no sum of weights"),
        ({"normalise": float("nan")}, "no sum of weights"),
        ({"normalise": True}, "no sum of weights"),
        ({"normalise": 1.0, "normalise_every": 0}, "no number of steps"),
        ({"normalise": 1.0, "normalise_every": 2.0}, "no number of steps"),
        ({"normalise_every": 5}, "not to what"),
    ],
)
def test_what_says_nothing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Rule("pre", **fields)


@pytest.mark.parametrize("bounds", [(0.0, 0.3), (-0.3, 0.2), (0.4, 2.0), (-2.0, -0.4)])
def test_bounds_that_do_not_let_it_are_refused(bounds: tuple[float, float]) -> None:
    """Three synapses of at most 0.3 sum to 0.9, of at least 0.4 to 1.2."""
    rule = replace(STILL, w_min=bounds[0], w_max=bounds[1])
    weight = np.full((2, 3), np.mean(bounds))
    with pytest.raises(ParameterError, match="do not sum to that: 2 of its targets have 3"):
        course(nir.Linear(weight), rule)
    assert course(nir.Linear(np.full((2, 3), 0.2)), replace(STILL, w_min=0.0, w_max=0.35)).shape == (6, 2, 3)


def test_rules_together_have_one() -> None:
    assert together(STILL, SynapticScaling(20.0)).normalise == 1.0
    other = replace(SynapticScaling(20.0), normalise=2.0, normalise_every=3)
    found = together(Rule("pre"), other)
    assert (found.normalise, found.normalise_every) == (2.0, 3)
    with pytest.raises(OptionError, match="two rules normalise"):
        together(STILL, other)
