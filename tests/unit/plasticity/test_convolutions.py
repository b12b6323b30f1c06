"""Convolutions that learn: one weight for all positions, moved by the sum of what they do."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, OptionError, ParameterError
from hasn.plasticity import STDP, Hebb, Rule, Trace, attach

DT = 1e-3
#: A pair of spikes one step apart.
ONE = math.exp(-1 / 20)


def follower(convolution: Any, size: tuple[int, ...], target: Any = nir.LIF) -> nir.NIRGraph:
    """Input -> conv -> cells; cells also follow ``drive``, one to one."""
    made = np.zeros(size)
    kernel = np.shape(convolution.weight)[2:]
    shape = (len(convolution.weight), *(n - k + 1 for n, k in zip(made.shape[1:], kernel, strict=True)))
    kept = {"tau": 20e-3, "r": 20.0, "v_leak": 0.0}
    kept |= {"v_threshold": 1.0, "v_reset": 0.0} if target is nir.LIF else {}
    nodes = {
        "input": nir.Input(np.array(size)),
        "drive": nir.Input(np.array(shape)),
        "conv": convolution,
        "cells": target(**{name: np.full(shape, value) for name, value in kept.items()}),
        "output": nir.Output(np.array(shape)),
    }
    edges = [("input", "conv"), ("conv", "cells"), ("drive", "cells"), ("cells", "output")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


def conv1d(weight: Any, length: int) -> nir.Conv1d:
    weight = np.asarray(weight, dtype=float)
    return nir.Conv1d(length, weight, 1, 0, 1, 1, np.zeros(len(weight)))


def trains(shape: tuple[int, ...], *spikes: tuple[int, ...], value: float = 1.0) -> np.ndarray:
    """(60, *shape) with spikes at (step, *index)."""
    found = np.zeros((60, *shape))
    for place in spikes:
        found[place] = value
    return found


def test_a_weight_moves_by_the_sum_over_its_positions() -> None:
    """Of a kernel (2) over 4 elements, target p sees source p by weight 0 and source p + 1 by weight 1."""
    graph = attach(follower(conv1d([[[0.01, 0.02]]], 4), (1, 4)), "conv", STDP(0.001, 0.0))
    x = trains((1, 4), (10, 0, 1), (10, 0, 3))
    drive = trains((1, 3), (11, 0, 1), (11, 0, 2), value=2.0)
    with hasn.compile(graph) as executable:
        course = executable.run({"input": x, "drive": drive}, record=("spikes", "weights")).series["weights"]["conv"]
        assert course.shape == (60, 1, 1, 2)
        np.testing.assert_array_equal(course[10], [[[0.01, 0.02]]])
        # weight 0: 1 -> 1; weight 1: 3 -> 2
        np.testing.assert_allclose(course[11], [[[0.01 + 0.001 * ONE, 0.02 + 0.001 * ONE]]], rtol=1e-12)
    both = {"input": trains((1, 4), (10, 0, 1), (10, 0, 2)), "drive": trains((1, 3), (11, 0, 1), (11, 0, 2), value=2.0)}
    with hasn.compile(graph) as executable:
        executable.run(both)
        # weight 0: 1 -> 1 and 2 -> 2; weight 1: 2 -> 1 alone (3 is silent)
        wanted = [[[0.01 + 2 * 0.001 * ONE, 0.02 + 0.001 * ONE]]]
        np.testing.assert_allclose(executable.weights("conv"), wanted, rtol=1e-12)


def test_bounds_hold_after_the_sum() -> None:
    """Two positions, each of which alone stays below the bound."""
    rule = STDP(0.01, 0.0, w_min=0.0, w_max=0.025)
    graph = attach(follower(conv1d([[[0.01, 0.02]]], 4), (1, 4)), "conv", rule)
    given = {
        "input": trains((1, 4), (10, 0, 1), (10, 0, 2)),
        "drive": trains((1, 3), (11, 0, 1), (11, 0, 2), value=2.0),
    }
    with hasn.compile(graph) as executable:
        executable.run(given)
        np.testing.assert_array_equal(executable.weights("conv"), [[[0.025, 0.025]]])


def test_a_rate_rule_moves_channels_of_a_kernel_apart() -> None:
    """dw[o, i, k] = eta sum over p of x[i, p + k] v[o, p], in two dimensions, by hand."""
    rng = np.random.default_rng(3)
    weight = rng.uniform(-1, 1, (2, 2, 2, 3))
    convolution = nir.Conv2d((3, 4), weight, 1, 0, 1, 1, np.array([0.3, -0.2]))
    graph = attach(follower(convolution, (2, 3, 4), nir.LI), "conv", Hebb(0.01))
    x = rng.standard_normal((1, 2, 3, 4))
    with hasn.compile(graph) as executable:
        run = executable.run({"input": x, "drive": np.zeros((1, 2, 2, 2))}, record=("voltages", "weights"))
    wanted = weight.copy()
    for row, column in np.ndindex(2, 2):
        for k, m in np.ndindex(2, 3):
            v = run.voltages["cells"][0, :, row, column]
            wanted[:, :, k, m] += 0.01 * np.outer(v, x[0, :, row + k, column + m])
    np.testing.assert_allclose(run.series["weights"]["conv"][0], wanted, rtol=1e-12)


def test_a_kernel_is_in_the_graph_and_survives_a_file(tmp_path: Path) -> None:
    graph = attach(follower(conv1d([[[0.1, 0.2]]], 4), (1, 4)), "conv", STDP(0.01, 0.0))
    hasn.save(graph, tmp_path / "conv.nir")
    given = {"input": trains((1, 4), (10, 0, 1)), "drive": trains((1, 3), (11, 0, 1), value=2.0)}
    with hasn.compile(hasn.load(tmp_path / "conv.nir")) as executable:
        executable.run(given)
        learned = executable.to_nir()
        np.testing.assert_array_equal(learned.nodes["conv"].weight, executable.weights("conv"))
    assert learned.nodes["conv"].weight.shape == (1, 1, 2)
    assert learned.nodes["conv"].weight[0, 0, 0] == pytest.approx(0.1 + 0.01 * ONE, rel=1e-12)
    assert learned.nodes["conv"].bias.tolist() == [0.0]
    assert graph.nodes["conv"].weight.tolist() == [[[0.1, 0.2]]]


def test_what_does_not_fit_a_convolution_is_found() -> None:
    graph = attach(follower(conv1d([[[0.1, 0.2]]], 4), (1, 4)), "conv", STDP(w_min=0.15, w_max=1.0))
    with pytest.raises(ParameterError, match="bounds leave out 1 of 2 weights"):
        hasn.compile(graph)
    between = follower(conv1d([[[0.1, 0.2]]], 4), (1, 4))
    between.nodes |= {"scale": nir.Scale(np.full((1, 3), 2.0))}
    between.edges = [edge for edge in between.edges if edge[0] != "conv"] + [("conv", "scale"), ("scale", "cells")]
    with pytest.raises(GraphError, match="feeds one population"):
        hasn.compile(attach(between, "conv", STDP()))
    pooled = follower(conv1d([[[0.1, 0.2]]], 4), (1, 4))
    with pytest.raises(ParameterError, match="cannot learn"):
        hasn.compile(attach(pooled, "cells", STDP()))


def test_samples_that_part_have_no_kernel_and_those_that_share_do() -> None:
    given = {
        "input": np.stack([trains((1, 4), (10, 0, 1)), trains((1, 4))], axis=1),
        "drive": np.stack([trains((1, 3), (11, 0, 1), value=2.0)] * 2, axis=1),
    }
    own, mean = (
        attach(
            follower(conv1d([[[0.1, 0.2]]], 4), (1, 4)),
            "conv",
            Rule("a * x * post", {"x": Trace("pre", 20e-3)}, {"a": 0.01}, batch_learning=how),
        )
        for how in ("own", "mean")
    )
    with hasn.compile(own) as executable:
        executable.run(given)
        assert executable.weights("conv").shape == (2, 1, 1, 2)
        with pytest.raises(OptionError, match="weights of its own"):
            executable.to_nir()
    with hasn.compile(mean) as executable:
        executable.run(given)
        assert executable.to_nir().nodes["conv"].weight[0, 0, 0] == pytest.approx(0.1 + 0.005 * ONE, rel=1e-12)
