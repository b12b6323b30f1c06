"""The network of Diehl & Cook 2015 in the small: what its numbers do, and what is left once it is frozen."""

from __future__ import annotations

import math
from dataclasses import replace

import nir
import numpy as np
import pytest

import hasn
from benchmarks.signatures import learned
from hasn.errors import GraphError, OptionError
from hasn.models.diehl_cook import diehl_cook, frozen, normalised, post_stdp
from hasn.plasticity import STDP


def test_weights_have_the_papers_sum_and_the_seed_says_which() -> None:
    weight = diehl_cook(30, seed=3).nodes["fc1"].weight
    assert weight.shape == (30, 784)
    assert np.allclose(weight.sum(axis=1), 78.4, rtol=1e-12)  # their 0.1 for each pixel
    assert (weight >= 0).all()
    assert weight.std() > 0.03  # not all alike
    assert np.array_equal(weight, diehl_cook(30, seed=3).nodes["fc1"].weight)
    assert not np.array_equal(weight, diehl_cook(30, seed=4).nodes["fc1"].weight)
    assert np.allclose(diehl_cook(5, 64).nodes["fc1"].weight.sum(axis=1), 6.4, rtol=1e-12)
    assert np.allclose(diehl_cook(5, 64, total=9.0).nodes["fc1"].weight.sum(axis=1), 9.0, rtol=1e-12)


def test_a_spike_a_reset_a_threshold_and_inhibition() -> None:
    """Two neurons; a spike weighs 10 mV on the first and 1 mV on the second, one in each of 9 steps.

    v1: 10, 19.9 > 13: a spike in step 1, its threshold is 14 mV from then on, and it is held for 5 steps: 10, 19.9 in
    steps 7 and 8. v2 has 1, 1.99 and then, a step behind each spike, 7 mV less: 1.99 * 0.99 + 1 - 7.
    """
    graph = diehl_cook(2, 1, total=0.5, inhibition=7.0)
    graph.nodes["fc1"].weight = np.array([[1.0], [0.1]])
    with hasn.compile(hasn.plasticity.detach(graph, "fc1")) as executable:
        found = executable.run(10.0 * np.ones((9, 1)), record=("spikes", "voltages"), keep_state=True)
        theta = executable.state().states["excitatory"]["theta"][0]
    spikes, v = found.spikes["excitatory"], 1e3 * found.voltages["excitatory"]
    assert np.flatnonzero(spikes[:, 0]).tolist() == [1, 8]
    assert np.flatnonzero(spikes[:, 1]).tolist() == []
    assert v[:3, 1] == pytest.approx([1.0, 1.99, 0.99 * 1.99 + 1 - 7], rel=1e-12)
    assert v[:9, 0] == pytest.approx([10, 0, 0, 0, 0, 0, 0, 10, 0], rel=1e-12)
    # 1 mV a spike, less the 7 steps of dt/tau_threshold = 1e-7 since the first
    assert 1e3 * theta == pytest.approx([(1 - 1e-7) ** 7 + 1, 0], rel=1e-12)


@pytest.mark.parametrize(
    ("pre", "post", "wanted"),
    [
        ([100], [110], math.exp(-0.5) - 0.1),  # just before its target: gains
        ([100], [100], -0.1),  # in the same step: not before it
        ([100], [200], math.exp(-5.0) - 0.1),
        ([110], [100], -0.1),  # behind it: as if it had not spiked
        ([90, 100], [110], math.exp(-0.5) - 0.1),  # the last one counts
        ([100], [], 0.0),
        ([100], [110, 120], math.exp(-0.5) + math.exp(-1.0) - 0.2),
    ],
)
def test_the_rule_moves_weights_when_the_target_spikes(pre: list[int], post: list[int], wanted: float) -> None:
    rule = post_stdp(eta=0.05, offset=0.1, tau=20e-3)
    assert learned(rule, pre, post) == pytest.approx(0.05 * wanted, rel=1e-12, abs=1e-15)


def test_the_rule_of_the_network_is_the_one_that_was_given() -> None:
    kept = diehl_cook(2, 4, rule=replace(STDP(w_min=0.0, w_max=1.0), name="mine")).nodes["fc1"].metadata["plasticity"]
    assert kept["name"] == "mine"
    assert diehl_cook(2, 4).nodes["fc1"].metadata["plasticity"]["w_max"] == 1.0


def test_a_sum_is_brought_back_row_by_row() -> None:
    weight = np.array([[0.1, 0.3], [0.5, 0.5], [0.05, 0.95]], dtype=np.float32)
    found = normalised(weight, 0.8)
    assert found == pytest.approx(np.array([[0.2, 0.6], [0.4, 0.4], [0.04, 0.76]]), rel=1e-6)
    assert found.dtype == np.float32
    assert weight[0, 0] == np.float32(0.1)  # the caller's is not changed
    assert normalised(weight[np.newaxis], 1.6)[0] == pytest.approx(np.array([[0.4, 1.0], [0.8, 0.8], [0.08, 1.0]]))


@pytest.mark.parametrize("total", [0.0, -1.0, 2.5, float("nan")])
def test_sums_that_weights_cannot_have(total: float) -> None:
    with pytest.raises(OptionError, match="no such sum"):
        normalised(np.full((1, 2), 0.5), total)


def test_a_neuron_without_weights_has_no_sum() -> None:
    with pytest.raises(OptionError, match="no such sum"):
        normalised(np.array([[0.5, 0.5], [0.0, 0.0]]), 1.0)
    assert normalised(np.array([[0.5, 0.0]]), 1.0).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (-1, 4)])
def test_sizes_that_it_cannot_have(sizes: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="no such network"):
        diehl_cook(*sizes)


# --- frozen


def test_frozen_it_is_plain_nir_with_the_thresholds_that_it_had() -> None:
    """4 mV a step, leaking 1 %: 4, 7.96, 11.88, 15.76, 19.6 mV; above 13 mV in step 3, above 13 + 3 in step 4."""
    graph = diehl_cook(2, 4)
    graph.nodes["fc1"].weight = np.ones((2, 4))
    made = frozen(graph, np.array([0.0, 3e-3]))
    assert type(made.nodes["excitatory"]) is nir.LIF
    assert "plasticity" not in made.nodes["fc1"].metadata
    made.nodes["inhibition"].weight = np.zeros((2, 2))
    with hasn.compile(made) as executable:
        spikes = executable.run(np.ones((12, 4))).spikes["excitatory"]
        assert [int(column.argmax()) for column in spikes.T] == [3, 4]
        assert np.flatnonzero(spikes[:, 0]).tolist() == [3]  # held for 5 steps, it would need 4 more than there are
    assert graph.nodes["excitatory"].v_threshold.tolist() == [13e-3, 13e-3]  # the caller's is not changed


def test_what_cannot_be_frozen() -> None:
    graph = diehl_cook(2, 4)
    with pytest.raises(OptionError, match="not one threshold a neuron"):
        frozen(graph, np.zeros(3))
    with pytest.raises(GraphError, match="not a graph of diehl_cook"):
        frozen(frozen(graph, np.zeros(2)), np.zeros(2))
