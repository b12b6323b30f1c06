"""Networks that learn, judged: the first weight that parts, its synapse, step and term; spikes under learned weights.

Recordings come from snnTorch: of the network itself, and of networks with one thing changed, which are then taken for
runs of the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.agreement import Comparison, judge
from hasn.agreement.consequences import Consequences
from hasn.agreement.replay import Replay, voltages
from hasn.ir.lower import lower
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, Hebb, RewardSTDP, Rule, Trace, attach
from hasn.program.fuse import fuse
from hasn.program.model import Neurons
from hasn.recording import Recording
from hasn.report.divergences import divergence_section
from hasn.report.facts import comparison_data
from hasn.report.verdict import verdict
from hasn.testing import reference
from hasn.testing.engine import EngineLearner

DT = 1e-3
PAIR = STDP(0.01, 0.011, 17e-3, 34e-3, 0.0, 1.0)
X = (np.random.default_rng(6).random((120, 2, 7)) < 0.15).astype(float)
REWARD = np.random.default_rng(7).integers(-1, 2, (120, 2)) * 1.0


def net(rule: Rule, delay: int = 0, **cells: float) -> nir.NIRGraph:
    """7 inputs, 4 cells, all to all, each synapse late by 0 .. ``delay`` steps."""
    rng = np.random.default_rng(5)
    weight, late = rng.uniform(0.2, 0.8, (4, 7)), rng.integers(0, delay + 1, 28)
    kept = {"tau": 20e-3, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **cells}
    nodes = {
        "input": nir.Input(np.array([7])),
        "plastic": SparseLinear(csr_array(weight), late) if delay else nir.Linear(weight),
        "cells": nir.LIF(**{name: np.full(4, value) for name, value in kept.items()}),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "plastic"), ("plastic", "cells"), ("cells", "output")]
    return attach(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False), "plastic", rule)


def run(graph: nir.NIRGraph, **options: Any) -> Recording:
    """Of snnTorch; every rule here that reads a reward gets the same one."""
    with hasn.compile(graph, **options) as executable:
        given = {"reward": REWARD} if executable.program.modulators else None
        return executable.run(X, record=("spikes", "voltages", "weights"), modulators=given)


def judged(graph: nir.NIRGraph, *recordings: Recording) -> Comparison:
    """Two recordings as runs of a graph, or its own run and another."""
    one, other = recordings if len(recordings) == 2 else (run(graph), recordings[0])
    program = lower(graph)
    inputs = {"input": X, **({"reward": REWARD} if program.modulators else {})}
    return judge(program, fuse(program), inputs, {"mine": one, "yours": other}, "mine")


def with_weights(recording: Recording, change: Callable[[np.ndarray], object]) -> Recording:
    course = np.array(recording.series["weights"]["plastic"])
    change(course)
    return replace(recording, more={**recording.more, "weights": {"plastic": course}})


def test_the_same_run_learns_the_same() -> None:
    found = judged(net(PAIR), run(net(PAIR)))
    assert found.ok
    assert found.max_weight_error == {"mine": 0.0, "yours": 0.0}
    assert found.first_weight("yours") is None


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize(
    ("update", "term", "said"),
    [
        ("a_plus * x * post", "-0.011 pre y", "left out the term"),
        ("a_plus * x * post - 2 * a_minus * y * pre", "-0.011 pre y", "took twice the term"),
        ("a_plus * x * post + a_minus * y * pre", "-0.011 pre y", "took away the term"),
        ("-a_minus * y * pre", "0.01 post x", "left out the term"),
        ("a_plus * x * post - 1.3 * a_minus * y * pre", "-0.011 pre y", "changed it by"),
    ],
)
def test_the_term_that_is_not_the_rules_is_named(update: str, term: str, said: str, delay: int) -> None:
    """At the step and synapse at which the two courses first part by more than rounding."""
    one, other = run(net(PAIR, delay)), run(net(replace(PAIR, update=update), delay))
    first = judged(net(PAIR, delay), one, other).first_weight("yours")
    assert first is not None
    a, b = (r.series["weights"]["plastic"].reshape(120, 2, 28) for r in (one, other))
    step = int((a != b).any(axis=(1, 2)).argmax())
    sample, synapse = np.argwhere(np.abs(a[step] - b[step]) == np.abs(a[step] - b[step]).max())[0]
    assert (first.node, first.step, first.sample) == ("plastic", step, sample)
    assert first.synapse == (synapse // 7, synapse % 7)
    assert first.weights == {"mine": a[step, sample, synapse], "yours": b[step, sample, synapse]}
    assert first.term == term
    assert first.cause.startswith(f"yours {said}")
    back = judged(net(PAIR, delay), other, one).first_weight("yours")  # it is the reference that errs
    assert back is not None
    assert back.cause.startswith(f"mine {said}")


def test_a_wrong_step_and_a_wrong_order_are_named() -> None:
    """Weights that move at steps that are not due; traces that are fed too early, or decay too late."""
    rare = net(replace(PAIR, every=5))
    first = judged(rare, run(net(PAIR))).first_weight("yours")
    assert first is not None
    assert (first.step + 1) % 5 != 0
    assert "only every 5th changes weights" in first.cause
    early = Rule("a_plus * (x + pre) * post", {"x": Trace("pre", 17e-3)}, {"a_plus": 0.01}, w_min=0.0, w_max=1.0)
    right = replace(early, update="a_plus * x * post")
    first = judged(net(right), run(net(early))).first_weight("yours")
    assert first is not None
    assert first.term == "0.01 post x"
    assert first.cause == "yours took the term 0.01 post x of traces fed before the update"
    late = replace(right, update=f"a_plus * {math.exp(1 / 17)!r} * x * post")
    first = judged(net(right), run(net(late))).first_weight("yours")
    assert first is not None
    assert first.cause == "yours took the term 0.01 post x of traces that had not decayed"


@pytest.mark.parametrize("how", ["own", "mean"])
def test_a_normalisation_that_is_missing_or_comes_at_another_step_is_named(how: str) -> None:
    rule = replace(PAIR, normalise=3.0, normalise_every=4, batch_learning=how)
    right = run(net(rule))
    assert judged(net(rule), right, run(net(rule))).ok
    first = judged(net(rule), right, run(net(replace(PAIR, batch_learning=how)))).first_weight("yours")
    assert first is not None
    assert (first.step, first.term) == (3, "normalise")
    assert first.cause == "yours left out the normalisation to 3"
    first = judged(net(rule), right, run(net(replace(rule, normalise_every=3)))).first_weight("yours")
    assert first is not None
    assert (first.step, first.cause) == (2, "yours took the normalisation to 3 at step 2, not due")
    other = replace(rule, update="a_plus * x * post")
    first = judged(net(rule), right, run(net(other))).first_weight("yours")
    assert first is not None
    assert first.term == "-0.011 pre y"


def test_one_weight_for_all_samples_and_a_reward() -> None:
    """The mean over samples is the rule's, and what comes from outside is read as it was given."""
    for rule, update in (
        (replace(PAIR, batch_learning="mean"), "a_plus * x * post"),
        (RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0, tau_eligibility=0.2), "0.5 * reward * e"),
    ):
        assert judged(net(rule), run(net(rule))).ok
        first = judged(net(rule), run(net(replace(rule, update=update)))).first_weight("yours")
        assert first is not None
        assert first.term in ("-0.011 pre y", "e reward")


def test_one_weight_alone_is_found_with_its_place() -> None:
    def spoil(course: np.ndarray) -> None:
        course[70:, 1, 2, 5] += 1e-6

    right = run(net(PAIR))
    found = judged(net(PAIR), right, with_weights(right, spoil))
    first = found.first_weight("yours")
    assert first is not None
    assert (first.step, first.sample, first.synapse) == (70, 1, (2, 5))
    assert found.max_weight_error["yours"] == pytest.approx(1e-6 / right.series["weights"]["plastic"].max(), rel=1e-6)
    assert not found.ok
    assert found.differing["yours"] == 0
    assert "connection 'plastic' synapse 5 -> 2 sample 1 step 70" in str(first)
    rounding = with_weights(right, lambda course: np.multiply(course, 1 + 1e-12, out=course))
    assert judged(net(PAIR), right, rounding).ok


def kernel_net(rule: Rule) -> nir.NIRGraph:
    """7 inputs as a line, a kernel of 2 channels that learns, LIF cells."""
    graph = net(rule)
    weight = np.random.default_rng(5).uniform(0.2, 0.8, (2, 1, 3))
    kept = {"tau": 20e-3, "r": 20.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    graph.nodes |= {
        "input": nir.Input(np.array([1, 7])),
        "plastic": nir.Conv1d(7, weight, 2, 1, 1, 1, np.zeros(2), metadata=graph.nodes["plastic"].metadata),
        "cells": nir.LIF(**{name: np.full((2, 4), value) for name, value in kept.items()}),
        "output": nir.Output(np.array([2, 4])),
    }
    return graph


def kernel_run(graph: nir.NIRGraph) -> Recording:
    with hasn.compile(graph) as executable:
        return executable.run(X[:, :, np.newaxis], record=("spikes", "voltages", "weights"))


@pytest.mark.parametrize("how", ["own", "mean"])
def test_the_weight_of_a_kernel_is_named_with_a_synapse_and_the_term(how: str) -> None:
    rule = replace(PAIR, batch_learning=how)
    graph, other = kernel_net(rule), kernel_net(replace(rule, update="a_plus * x * post"))
    program = lower(graph)
    one, two = kernel_run(graph), kernel_run(other)
    given = {"input": X[:, :, np.newaxis]}
    assert judge(program, fuse(program), given, {"mine": one, "yours": kernel_run(graph)}, "mine").ok
    first = judge(program, fuse(program), given, {"mine": one, "yours": two}, "mine").first_weight("yours")
    assert first is not None
    a, b = (r.series["weights"]["plastic"] for r in (one, two))
    step = int((a != b).any(axis=(1, 2, 3, 4)).argmax())
    sample, *index = np.argwhere(np.abs(a[step] - b[step]) == np.abs(a[step] - b[step]).max())[0]
    assert (first.step, first.sample, first.index) == (step, sample, tuple(index))
    target, source = first.synapse
    channel, place = divmod(target, 4)
    assert channel == index[0]
    assert source == 2 * place - 1 + index[2]  # stride 2, padding 1
    assert first.term == "-0.011 pre y"
    assert first.cause.startswith("yours left out the term")
    shown = f"connection 'plastic' weight [{index[0]}, 0, {index[2]}] of synapse {source} -> {target} sample"
    assert shown in str(first)


@pytest.mark.parametrize("kept", [True, False])
def test_weights_that_are_not_known_do_not_agree(kept: bool) -> None:
    right = run(net(PAIR))
    nothing = with_weights(right, lambda course: course[9:].fill(np.nan)) if kept else replace(right, more={})
    found = judged(net(PAIR), right, nothing)
    assert not found.ok
    first = found.first_weight("yours")
    assert first is not None
    assert first.step == (9 if kept else 0)


def test_a_tie_explains_the_weights_behind_it_alone() -> None:
    """Cell 1 spikes on one side alone, at its threshold to rounding: that explains what its synapses learn, no more."""
    right = run(net(PAIR))
    step = int(np.flatnonzero(right.spikes["cells"][:, 0, 1])[2])
    spikes, volts = right.spikes["cells"].copy(), right.voltages["cells"].copy()
    spikes[step, 0, 1] = False
    volts[step, 0, 1] = 1.0  # at its threshold, silent
    silent = replace(right, spikes={"cells": spikes}, voltages={"cells": volts})

    def learned(course: np.ndarray) -> None:
        course[step:, 0, 1] -= 0.01

    found = judged(net(PAIR), right, with_weights(silent, learned))
    assert (found.ok, found.ties["yours"], found.differing["yours"]) == (True, 1, 0)
    assert found.max_weight_error["yours"] == 0.0
    for place in ((step, 0, 2), (step, 1, 1), (step - 1, 0, 1)):

        def other(course: np.ndarray, place: tuple[int, int, int] = place) -> None:
            learned(course)
            course[place] -= 0.01

        found = judged(net(PAIR), right, with_weights(silent, other))
        first = found.first_weight("yours")
        assert first is not None
        assert (first.step, first.sample, first.synapse[0]) == place


@pytest.mark.parametrize("delay", [0, 3])
def test_a_population_is_run_again_under_the_weights_that_were_learned(delay: int) -> None:
    """Its voltages come out, which they do not under those of the start."""
    graph = net(PAIR, delay)
    program, recording = lower(graph), run(graph)
    network = fuse(program)
    cells = program.by_name["cells"]
    assert isinstance(cells, Neurons)
    made = voltages(cells, Replay(network, {"input": X}, recording, 1, 120).arriving("cells"))
    np.testing.assert_allclose(made, recording.voltages["cells"][:, 1], rtol=0, atol=1e-12)
    start = np.broadcast_to(recording.series["weights"]["plastic"][0], recording.series["weights"]["plastic"].shape)
    fixed = replace(recording, more={"weights": {"plastic": start}})
    other = voltages(cells, Replay(network, {"input": X}, fixed, 1, 120).arriving("cells"))
    assert np.abs(other - recording.voltages["cells"][:, 1]).max() > 0.01


def test_the_cause_of_a_spike_is_found_in_a_network_that_learns() -> None:
    graph = net(PAIR)
    found = judged(graph, run(graph, reset="subtract")).first_divergence("yours")
    assert found is not None
    assert found.kind == "reset"


def test_a_spike_is_felt_over_synapses_that_weigh_nothing_yet() -> None:
    graph = net(PAIR)
    weight = np.zeros((4, 7))
    weight[2] = 0.5
    graph.nodes["plastic"].weight = weight
    felt = Consequences(fuse(lower(graph))).of("input", 3, 4)
    assert felt["cells"].all()


def test_compare_gives_modulators_to_everyone() -> None:
    rule = RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0, tau_eligibility=0.2)
    found = hasn.compare(
        net(rule), X, backends=["snntorch:float64"], reference="snntorch:float32", modulators={"reward": REWARD}
    )
    assert found.verdicts["snntorch:float64"].max_weight_error < 1e-4
    assert found.max_weight_error["snntorch:float64"] > 0
    with pytest.raises(hasn.errors.InputError, match="modulator is not supplied"):
        hasn.compare(net(rule), X, backends=["snntorch:float64"], reference="snntorch:float32")


def test_what_learned_without_a_spike_was_compared() -> None:
    """Rate units have no spikes, and weights that can differ; without input nothing moves, and nothing is shown."""
    graph = net(Hebb(1e-3, -1.0, 1.0))
    graph.nodes["cells"] = nir.LI(np.full(4, 10e-3), np.ones(4), np.zeros(4))
    for x, compared in ((X, True), (0 * X, False)):
        found = hasn.compare(graph, x, backends=["snntorch"], reference="snntorch:float32")
        assert (found.ok, found.compared) == (True, compared)


def test_what_is_said_of_weights() -> None:
    graph = net(PAIR)
    right = run(graph)
    found = judged(graph, right, with_weights(right, lambda course: course[50:, 0, 1, 1].__isub__(0.25)))
    said = verdict(found)
    assert said.headline == "No spike differs, but weights that are learned do"
    assert " What plastic learned differs on yours, by up to " in said.sentence
    line = "connection 'plastic' synapse 1 -> 1 sample 0 step 50: w = "
    assert line in found.table()
    data = comparison_data(found)
    assert data["first_weights"]["yours"]["synapse"] == (1, 1)
    assert data["first_weights"]["yours"]["term"] == ""  # at a step without any term
    assert data["max_weight_error"]["yours"] > 0.25
    section = divergence_section(found)
    assert section is not None
    assert "synapse 1 -&gt; 1 sample 0 step 50" in section.html
    same = judged(graph, right)
    assert "Weights of plastic are the same at every step, to 0 of the largest." in verdict(same).sentence
    assert divergence_section(same) is None


def learned_late(own_rule: str) -> Recording:
    """A run whose terms with ``post`` come a step late, by the reference."""
    graph = net(PAIR)
    made = reference.run(graph, {"input": X}, DT, "euler", "zero", "synchronous", learner=EngineLearner)
    weights = {"weights": {"plastic": made.weights["plastic"].reshape(120, 2, 4, 7)}}
    spikes, voltages = ({"cells": of["cells"]} for of in (made.spikes, made.voltages))
    return replace(run(graph), spikes=spikes, voltages=voltages, more=weights, own_rule=own_rule)


def test_an_order_of_its_own_is_said_where_it_has_been_followed() -> None:
    """Nothing else is excused by it: a weight that does not follow that order either is told as everywhere."""
    found = judged(net(PAIR), learned_late("terms come late"))
    assert not found.ok
    weight, spike = found.first_weight("yours"), found.first_divergence("yours")
    assert weight is not None
    assert spike is not None
    assert (weight.term, weight.cause) == ("0.01 post x", "yours has an order of its own: terms come late")
    assert spike.kind == "weights"
    assert spike.step > weight.step
    assert re.fullmatch(r"the weights of 'plastic' part before, at step \d+: terms come late", spike.cause)

    def planted(course: np.ndarray) -> None:
        course[0:, 0, 1, 2] += 0.01

    wrong = judged(net(PAIR), with_weights(learned_late("terms come late"), planted)).first_weight("yours")
    assert wrong is not None
    assert (wrong.step, wrong.sample, wrong.synapse) == (0, 0, (1, 2))
    assert "changed it by 0.01, where the rule says 0" in wrong.cause


def test_weights_that_part_first_are_the_cause_of_a_spike() -> None:
    found = judged(net(PAIR), learned_late(""))
    weight, spike = found.first_weight("yours"), found.first_divergence("yours")
    assert weight is not None
    assert spike is not None
    assert weight.cause.startswith("yours left out the term 0.01 post x")
    assert spike.kind == "weights"
    sample = judged(net(PAIR), learned_late("")).recordings
    course = [sample[label].series["weights"]["plastic"][:, spike.sample] for label in ("mine", "yours")]
    first = int(np.argmax(np.abs(course[0] - course[1]).max(axis=(1, 2)) > 1e-9))
    assert spike.cause == f"the weights of 'plastic' part before, at step {first}"
