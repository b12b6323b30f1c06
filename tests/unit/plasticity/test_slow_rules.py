"""What rules of voltage, of single spikes and of seconds to hours are known for; rules added to each other."""

from __future__ import annotations

import math

import nir
import numpy as np
import pytest

import hasn
from benchmarks.forgetting_local import two_tasks
from benchmarks.signatures import DT, follower, learned
from benchmarks.slow_signatures import DOUBLED, SECONDS, clamped, depressing, doubled, history, tagged
from hasn.errors import OptionError
from hasn.nodes import HomeostaticLIF
from hasn.plasticity import STDP, Rule, ShortTerm, SynapticScaling, TagAndCapture, Trace, homeostatic, together


def test_a_train_over_short_term_synapses() -> None:
    """From spike to spike: Tsodyks, Pawelzik & Markram 1998, equations 2 and 3, between spikes 50 ms apart."""
    for name, (u, recovery, facilitation) in {
        "depressing": (0.5, 0.8, 0.0),
        "facilitating": (0.03, 0.13, 0.53),
    }.items():
        used, left, wanted = 0.0, 1.0, []
        for _ in range(10):
            used = used + u * (1 - used)
            wanted.append(used * left)
            left *= 1 - used
            left = 1 - (1 - left) * math.exp(-0.05 / recovery)
            used *= math.exp(-0.05 / facilitation) if facilitation else 0.0
        np.testing.assert_allclose(depressing()[name], wanted, rtol=1e-12)
    assert np.all(np.diff(depressing()["depressing"]) < 0)
    assert np.all(np.diff(depressing()["facilitating"]) > 0)


def test_a_held_voltage_depresses_then_potentiates() -> None:
    """Clopath et al. 2010, equations 1 to 3, in closed form: the running means stand at what is held."""
    volts = np.array([-75e-3, -60e-3, -50e-3, -44e-3, -40e-3, -30e-3])
    change = clamped(volts)
    above, far = np.maximum(volts + 70.6e-3, 0.0), np.maximum(volts + 45.3e-3, 0.0)
    trace = 25 / (math.exp(DT / 15e-3) - 1)  # x, summed over all steps behind all spikes
    np.testing.assert_allclose(change, -25 * 0.14 * above + 80.0 * DT / 15e-3 * trace * far * above, rtol=1e-3)
    assert change[0] == 0.0
    assert change[2] < change[1] < 0 < change[4] < change[5]


def test_history_turns_potentiation_into_depression() -> None:
    """From a quiet past the same pairs potentiate more and depress less than from a busy one."""
    quiet, usual, busy = history(0.0), history(10.0), history(25.0)
    assert quiet[0] > usual[0] > busy[0]
    assert quiet[1] > usual[1] > busy[1]
    assert sum(quiet) > 0.1 > -0.1 > sum(busy)


def test_homeostasis_brings_the_rate_back() -> None:
    """Within a tenth of the target, before the input doubles and after; without it, the rate trebles.

    A second has 8 spikes, so that means over 8 s are good to a few percent.
    """
    rates = doubled()
    early, late = slice(DOUBLED - 8, DOUBLED), slice(SECONDS - 8, SECONDS)
    assert rates["neither"][late].mean() > 2.5 * rates["neither"][early].mean()
    for name in ("synaptic scaling", "threshold"):
        assert rates[name][early].mean() == pytest.approx(8.0, rel=0.1), name
        assert rates[name][DOUBLED] > 10, name
        assert rates[name][late].mean() == pytest.approx(8.0, rel=0.1), name


def test_only_proteins_in_time_keep_what_was_learned() -> None:
    course = tagged()
    gained = max(weight.max() for weight in course.values()) - 0.3
    assert gained > 0.1
    assert course["proteins in time"][-1] - 0.3 > 0.25 * gained
    for name in ("too late", "none"):
        assert abs(course[name][-1] - 0.3) < 0.01 * gained


def test_captured_tasks_are_forgotten_half_as_much() -> None:
    """Permuted digits, the second task learned nearly as well."""
    plain, kept = two_tasks(captured=False), two_tasks(captured=True)
    assert plain.forgotten > 0.07
    assert kept.forgotten < 0.5 * plain.forgotten
    assert kept.second > plain.second - 0.03


# --- rules added


def test_the_sum_does_what_both_do() -> None:
    """With a pair, and names that both have: each keeps its own."""
    one, other = STDP(0.01, 0.012, 20e-3, 20e-3), STDP(0.05, 0.02, 10e-3, 40e-3)
    both = together(one, other)
    for late in (-7, 7):
        parts = learned(one, [100], [100 + late]) + learned(other, [100], [100 + late])
        assert learned(both, [100], [100 + late]) == pytest.approx(parts, rel=1e-12)
    assert learned(together(one), [100], [107]) == learned(one, [100], [107])


def test_soft_bounds_stay_a_rules_own() -> None:
    """The harder bounds hold; formulas go on reading those that they were written for."""
    soft = STDP(0.1, 0.1, w_min=0.0, w_max=2.0, dependence="multiplicative")
    both = together(soft, STDP(0.0, 0.0, w_min=0.2, w_max=1.0))
    assert learned(both, [100], [110]) == pytest.approx(learned(soft, [100], [110]), rel=1e-12)
    assert (both.w_min, both.w_max) == (0.2, 1.0)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ((), "there is no rule"),
        ((STDP(), SynapticScaling(every=5)), r"rules on one connection differ; got 1 and 5"),
        ((ShortTerm(), ShortTerm(0.2)), "two rules say what a synapse sends"),
        ((STDP(w_max=0.1), STDP(w_min=0.2)), "the bounds leave no weight"),
        ((STDP(), TagAndCapture(protein="x")), r"a modulator of one rule is something else in the other; got 'x'"),
    ],
)
def test_sums_without_meaning_are_refused(rules: tuple[Rule, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        together(*rules)


def test_a_trace_that_starts_at_the_weight_is_each_synapses_own() -> None:
    """``c`` is what the weight was: what the pair moves goes back to it, synapse by synapse."""
    rule = Rule(
        "0.1 * x * post + 0.5 * (c - w)",
        traces={"x": Trace("pre", 20e-3), "c": Trace("0", math.inf, start="weight")},
    )
    graph = follower(2, 1, 0.5, rule)
    graph.nodes["fc1"].weight = np.array([[0.2, 0.7]])
    x, y = np.zeros((60, 2)), np.zeros((60, 1))
    x[10], y[12] = 1.0, 1.0
    with hasn.compile(graph) as executable:
        course = executable.run({"input": x, "teacher": y}, record=("weights",)).series["weights"]["fc1"][:, 0]
    np.testing.assert_allclose(course[12] - [0.2, 0.7], 0.1 * math.exp(-0.1), rtol=1e-12)
    np.testing.assert_allclose(course[-1], [0.2, 0.7], rtol=1e-9)


def test_a_mean_is_what_is_fed() -> None:
    """A held value is read as it is, whatever tau."""
    rule = Rule("m - w", traces={"m": Trace("pre", 5e-3, mean=True)})
    with hasn.compile(follower(1, 1, 0.5, rule)) as executable:
        executable.run({"input": np.full((400, 1), 0.37), "teacher": np.zeros((400, 1))})
        assert executable.weights("fc1")[0, 0] == pytest.approx(0.37, rel=1e-12)
    for tau in (math.inf, 1e-6):
        with pytest.raises(OptionError, match=r"fc1.*m.tau: no running mean over this"):
            hasn.compile(follower(1, 1, 0.5, Rule("m", traces={"m": Trace("pre", tau, mean=True)})))


# --- thresholds that move


def test_thresholds_come_to_each_neurons_rate() -> None:
    """A lasting current, two rates: theta ends where each is held."""
    cells = nir.LIF(np.full(2, 20e-3), np.ones(2), np.zeros(2), np.ones(2), np.zeros(2))
    nodes = {"input": nir.Input(np.array([2])), "cells": cells, "output": nir.Output(np.array([2]))}
    graph = nir.NIRGraph(nodes, [("input", "cells"), ("cells", "output")], metadata={"dt": DT}, type_check=False)
    made = homeostatic(graph, "cells", [10.0, 40.0], 0.02)
    assert isinstance(made.nodes["cells"], HomeostaticLIF)
    assert isinstance(graph.nodes["cells"], nir.LIF)
    with hasn.compile(made) as executable:
        spikes = executable.run(np.full((20_000, 2), 3.0)).spikes["cells"]
    np.testing.assert_allclose(spikes[10_000:].sum(0) / 10, [10.0, 40.0], atol=0.2)  # a spike more or less in 10 s


@pytest.mark.parametrize(
    ("node", "rate", "message"),
    [
        ("fc2", 1.0, r"no such node; got 'fc2'; wanted input, fc1"),
        ("fc1", 1.0, r"fc1.*its threshold cannot move; got Linear"),
        ("cells", "fast", r"rate: no numbers; got 'fast'"),
        ("cells", [1.0, 2.0, 3.0], r"rate: no value for each neuron; got \(3,\)"),
    ],
)
def test_what_has_no_threshold_to_move(node: str, rate: float, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        homeostatic(follower(1, 1, 0.5, STDP()), node, rate, 0.1)
