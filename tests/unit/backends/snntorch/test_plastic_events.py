"""Learning by events against the tensor code that computes every synapse at every step, and what it leaves alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import hasn
from hasn.backends.snntorch.learned import Learned
from hasn.backends.snntorch.lines import Line
from hasn.backends.snntorch.plastic import Plastic
from hasn.backends.snntorch.plastic_events import why_not
from hasn.kernels.plastic import plastic_available
from hasn.nodes import SparseLinear
from hasn.plasticity import BCM, STDP, InhibitorySTDP, Oja, RewardSTDP, Rule, ShortTerm, Trace, TripletSTDP, attach
from hasn.program.maps import Dense, Sparse
from hasn.program.model import Connection

needed = pytest.mark.skipif(not plastic_available(), reason="the kernel was not built, or is switched off")

#: More of both than fit in one tile of the kernel (256 synapses), and no power of two.
INPUTS, OUTPUTS = 37, 23
#: All its parts: brackets of several names, a square, v, w, a trace that is set, one that all share, and a constant.
ALL = Rule(
    "eta * (u - w) * v * x * x * post - eta * w * y * pre + eta * r * e * s",
    traces={
        "x": Trace("pre", 15e-3, sets=True),
        "y": Trace("post", 30e-3),
        "e": Trace("x * post - 0.3 * y * pre", 8e-3),
        "s": Trace("r", 10e-3),
    },
    constants={"eta": 0.05, "u": 0.7},
    modulators=("r",),
    w_min=-0.4,
    w_max=0.9,
    every=3,
    name="all parts",
)
#: Set eligibilities, fed by both sides at once; nothing but r moves weights.
SET = Rule(
    "r * e",
    traces={"x": Trace("pre", 15e-3), "e": Trace("w * x * post + 0.2 * pre * post", 1e-2, sets=True)},
    modulators=("r",),
    w_min=-1.0,
    w_max=1.0,
    name="set",
)
PAIR = STDP(0.05, 0.06, 17e-3, 34e-3, -0.5, 0.8)
RULES = {
    "pair": PAIR,
    "soft": STDP(0.3, 0.4, w_min=-0.5, w_max=0.8, dependence="multiplicative"),
    "nearest": STDP(0.05, 0.06, w_min=-0.5, w_max=0.8, pairs="nearest"),
    "triplet": TripletSTDP(w_min=-0.5, w_max=0.8),
    "inhibitory": InhibitorySTDP(0.05, 8.0, w_min=-0.5, w_max=0.8),
    "bcm": BCM(0.01, rate=100.0, w_min=-0.5, w_max=0.8),
    "reward": RewardSTDP(0.1, 0.1, w_min=-0.5, w_max=0.8, tau_eligibility=5e-3),
    "all": ALL,
    "set": SET,
}
#: Rules without a trace for each synapse; with delays every trace of a source is one.
WITHOUT = {"pair", "soft", "nearest", "triplet", "inhibitory", "bcm"}


@dataclass(frozen=True)
class Setting:
    """A connection and what happens at it."""

    rule: Rule
    pattern: str = "dense"
    batch: int = 1
    shared: bool = False
    double: bool = True
    graded: bool = False
    rate: float = 0.03

    def module(self) -> Plastic:
        rng = np.random.default_rng(3)
        weight = rng.uniform(-0.4, 0.7, (OUTPUTS, INPUTS))
        fields = {**vars(self.rule), "batch_learning": "mean" if self.shared else "own"}
        learning = Rule(**fields).discrete(1e-3, "cells", {name: name for name in self.rule.modulators})
        spec: Any = Dense(weight)
        if self.pattern != "dense":
            matrix = csr_array(np.where(rng.random(weight.shape) < 0.4, weight, 0.0))
            late = rng.integers(0, 7, matrix.nnz) if self.pattern == "delays" else None
            node = SparseLinear(matrix, late)
            spec = Sparse(node.data, node.indices, node.indptr, OUTPUTS, INPUTS, delay=node.delay)
        step = Connection("plastic", spec, (OUTPUTS,), learning=learning)
        return Plastic(step, torch.float64 if self.double else torch.float32)

    def steps(self, count: int) -> Iterator[tuple[torch.Tensor, ...]]:
        """x, post, v, r of each step; some steps are silent."""
        rng, dtype = np.random.default_rng(4), torch.float64 if self.double else torch.float32
        for t in range(count):
            quiet = t % 11 == 5
            x = (rng.random((self.batch, INPUTS)) < (0.0 if quiet else self.rate)) * 1.0
            x = x * rng.standard_normal(x.shape) if self.graded else x
            post = (rng.random((self.batch, OUTPUTS)) < (0.0 if quiet else self.rate)) * 1.0
            v, r = rng.standard_normal(post.shape), (rng.random(self.batch) < 0.2) * rng.standard_normal(self.batch)
            yield tuple(torch.tensor(value, dtype=dtype) for value in (x, post, v, r))


def run(module: Plastic, setting: Setting, count: int = 40) -> Iterator[tuple[torch.Tensor, Learned]]:
    """What is sent at each step, and what was learned."""
    with torch.no_grad():
        learned, line = module.start(setting.batch), Line(module.longest) if module.longest else None
        for x, post, v, r in setting.steps(count):
            made, learned = module.arrive(x, learned, line)
            learned = module.learn(learned, post, v, {"r": r, "reward": r})
            yield made, learned


@contextmanager
def by_tensors() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASN_KERNELS", "0")
        yield


def compare(setting: Setting, exact: bool, moves: bool = True) -> None:
    """Weights and traces after each step, from the kernel and from the tensor code."""
    module = setting.module()
    with by_tensors():
        wanted = [(made, learned.weight, learned.plain()) for made, learned in run(setting.module(), setting)]
    # float32: what is rounded to 2^-24 some hundred times over 40 steps; float64: the same of 2^-53.
    close = {"rtol": 1e-12, "atol": 1e-13} if setting.double else {"rtol": 1e-4, "atol": 1e-5}
    steps = zip(run(module, setting), wanted, strict=True)
    for t, ((made, learned), (sent, weight, traces)) in enumerate(steps):
        assert learned.sent, "the tensor code ran"
        torch.testing.assert_close(made, sent, **close, msg=lambda text, t=t: f"sent, step {t}: {text}")
        tolerance = {"rtol": 0, "atol": 0} if exact else close
        torch.testing.assert_close(learned.weight, weight, **tolerance, msg=lambda text, t=t: f"w, {t}: {text}")
        for name, trace in learned.plain().items():
            torch.testing.assert_close(trace, traces[name], **close, msg=lambda text, t=t, n=name: f"{n}, {t}: {text}")
    assert bool((weight - setting.module().weight).abs().max() > 1e-3) is moves


@needed
@pytest.mark.parametrize("pattern", ["dense", "sparse", "delays"])
@pytest.mark.parametrize("name", RULES)
def test_it_learns_what_all_synapses_would(name: str, pattern: str) -> None:
    """Of own weights bit by bit, where no trace is a synapse's own (those decay by a scale, which rounds otherwise)."""
    for batch, double, graded in ((1, True, False), (3, True, True), (2, False, False)):
        setting = Setting(RULES[name], pattern, batch, double=double, graded=graded)
        compare(setting, exact=name in WITHOUT and pattern != "delays")


@needed
@pytest.mark.parametrize("pattern", ["dense", "sparse", "delays"])
@pytest.mark.parametrize("name", RULES)
def test_a_shared_weight_moves_by_the_mean(name: str, pattern: str) -> None:
    """The sum over samples may run in another order than torch's."""
    compare(Setting(RULES[name], pattern, 3, shared=True), exact=False)


@needed
@pytest.mark.parametrize("pattern", ["dense", "sparse", "delays"])
def test_much_activity(pattern: str) -> None:
    """Half of all spikes at each step: tiles are full, and a matrix is read as a whole."""
    compare(Setting(ALL, pattern, 2, rate=0.5, graded=True), exact=False)


@needed
def test_eligibilities_outlive_their_scale() -> None:
    """Half a step's time constant: the scale is made good at every 14th step; a hundredth: at each, and nothing is left
    of a trace by the step that reads it."""
    for tau, moves in ((5e-4, True), (1e-5, False)):
        rule = RewardSTDP(1.0, 1.0, w_min=-0.5, w_max=0.8, tau_eligibility=tau)
        compare(Setting(rule, "dense", rate=0.2), exact=False, moves=moves)


def touched(setting: Setting, at: int = 30) -> tuple[Plastic, int, tuple[torch.Tensor, ...]]:
    """The module after a step, the synapses that the step touched, and what happened in it."""
    module, steps = setting.module(), list(setting.steps(at + 1))
    for _ in run(module, setting, at + 1):
        pass
    assert module.events is not None
    return module, module.events.touched, steps[at]


@needed
def test_a_matrix_is_touched_in_rows_and_columns() -> None:
    _, count, (x, post, _, _) = touched(Setting(PAIR, batch=3))
    rows, columns = (post != 0).sum(1), (x != 0).sum(1)
    assert count == int((rows * INPUTS + columns * OUTPUTS - rows * columns).sum()) > 0


@needed
def test_the_samples_of_a_shared_weight_touch_it_together() -> None:
    for pattern in ("dense", "sparse"):
        module, count, (x, post, _, _) = touched(Setting(PAIR, pattern, 3, shared=True))
        there = np.ones((OUTPUTS, INPUTS)) if pattern == "dense" else csr_of(module)
        happens = (post != 0).any(0)[:, None] | (x != 0).any(0)
        assert count == int(there[happens.numpy()].sum()) > 0


def csr_of(module: Plastic) -> np.ndarray:
    """How many synapses there are from each source to each target."""
    spec = module._spec
    assert isinstance(spec, Sparse)
    return csr_array((np.ones(len(spec.indices)), spec.indices, spec.indptr), shape=(OUTPUTS, INPUTS)).toarray()


@needed
def test_late_synapses_are_touched_when_something_arrives() -> None:
    setting = Setting(PAIR, "delays")
    module, count, (_, post, _, _) = touched(setting)
    spec = module._spec
    assert isinstance(spec, Sparse)
    assert spec.delay is not None
    x = torch.cat([each[0] for each in setting.steps(31)]).numpy()
    rows = np.repeat(np.arange(OUTPUTS), np.diff(spec.indptr))
    arrives = x[30 - spec.delay, spec.indices] != 0
    assert arrives.any()
    assert count == np.count_nonzero(arrives | (post[0].numpy()[rows] != 0))


@needed
@pytest.mark.parametrize("longest", [0, 3])
def test_each_synapse_sends_to_its_target_in_its_time(longest: int) -> None:
    """Targets with no synapse, one, or more than the kernel notes a target for; the last ones have none."""
    rng = np.random.default_rng(10)
    counts = np.concatenate([rng.integers(0, 2, 40), [37, 0, 0, 50, 16, 1], rng.integers(0, 4, 40), [0, 0]])
    outputs, inputs, ends = len(counts), 50, np.concatenate([[0], np.cumsum(counts)])
    columns = np.concatenate([np.sort(rng.choice(inputs, count, replace=False)) for count in counts])
    values, delay = rng.normal(size=len(columns)), rng.integers(0, longest + 1, len(columns))
    spec = Sparse(values, columns, ends, outputs, inputs, delay=delay if longest else None)
    module = Plastic(Connection("fc1", spec, (outputs,), learning=PAIR.discrete(1e-3, "cells", {})), torch.float64)
    learned, line, silence = module.start(1), Line(longest) if longest else None, torch.zeros(1, outputs).double()
    x, rows = (rng.random((12, inputs)) < 0.4) * 1.0, np.repeat(np.arange(outputs), counts)
    for t in range(12):
        with torch.no_grad():
            made, learned = module.arrive(torch.tensor(x[t : t + 1]), learned, line)
            before = learned.weight[0].numpy().copy()
            learned = module.learn(learned, silence, silence, {})
        arrives = np.where(t < delay, 0.0, x[np.maximum(t - delay, 0), columns])
        expected = csr_array((before * arrives, (rows, columns)), shape=(outputs, inputs)).sum(1)
        np.testing.assert_allclose(made[0], expected, rtol=1e-12, atol=1e-12)
        assert learned.sent


@needed
def test_a_step_without_events_touches_nothing_and_a_reward_everything() -> None:
    rule = RewardSTDP(0.1, 0.1, w_min=-0.5, w_max=0.8)
    setting = Setting(rule, batch=2)
    rewarded = {bool(r.any()): t for t, (x, post, _, r) in enumerate(setting.steps(90)) if not (x.any() or post.any())}
    assert touched(setting, rewarded[False])[1] == 0
    given = list(setting.steps(90))[rewarded[True]][3]
    assert touched(setting, rewarded[True])[1] == int((given != 0).sum()) * OUTPUTS * INPUTS


@needed
def test_only_what_formulas_wait_for_is_touched() -> None:
    """BCM moves where something arrives, whatever the target does; between due steps nothing does."""
    _, count, (x, post, _, _) = touched(Setting(RULES["bcm"]))
    assert post.any()
    assert count == int((x != 0).sum()) * OUTPUTS > 0
    every = Setting(Rule(**{**vars(PAIR), "every": 2}))
    assert touched(every, 30)[1] == 0 < touched(every, 31)[1]


@needed
def test_weights_outside_the_bounds_come_in_at_the_first_due_step() -> None:
    """As they do where all are computed; only then, and not before."""
    setting = Setting(Rule(**{**vars(PAIR), "every": 4}), rate=0.0)
    module = setting.module()
    with torch.no_grad():
        module.weight[2, 3] = 5.0
    seen = [float(learned.weight[0, 2, 3]) for _, learned in run(module, setting, 6)]
    assert seen == [5.0, 5.0, 5.0, 0.8, 0.8, 0.8]


X = {"x": Trace("pre", 0.02), "e": Trace("x * post", 0.02)}


@pytest.mark.parametrize(
    ("rule", "pattern", "why"),
    [
        (PAIR, "dense", ""),
        (Oja(), "dense", "acts at every step"),
        (Rule("pos(e) * post", traces=X), "dense", "rectified"),
        (Rule("pos(x - 1) * post", traces=X), "dense", ""),
        (Rule("pos(x - 1) * post", traces=X), "delays", "rectified"),
        (ShortTerm(), "dense", "something else"),
        (Rule(" * ".join(["pre"] * 8)), "dense", ""),
        (Rule(" * ".join(["pre"] * 9)), "dense", "room"),
    ],
)
def test_what_the_kernel_does_not_have_goes_by_tensors(rule: Rule, pattern: str, why: str) -> None:
    module = Setting(rule, pattern).module()
    found = why_not(module.rule, module._spec)
    assert (why in found) if why else not found
    assert (module.events is None) is bool(why)


def test_normalised_weights_go_by_tensors() -> None:
    """The sum over a target changes synapses at which nothing has happened."""
    module = Setting(PAIR).module()
    assert why_not(replace(module.rule, normal=1.0), module._spec) == "weights are normalised"


def test_delays_that_two_bytes_do_not_hold() -> None:
    for longest, fits in ((65535, True), (65536, False)):
        delay, ends = np.array([longest, 0]), np.array([0, 2])
        spec = Sparse(np.ones(2), np.array([0, 1]), ends, 1, 2, delay=delay)
        assert (why_not(Setting(PAIR).module().rule, spec) == "") is fits


@needed
def test_the_module_that_starts_a_run_stays_as_it_was() -> None:
    for batch in (1, 2):
        setting = Setting(PAIR, batch=batch)
        module = setting.module()
        before = module.weight.detach().clone()
        (*_, (_, learned)) = run(module, setting)
        assert learned.owned
        assert torch.equal(module.weight, before)
        assert not torch.equal(learned.weight[0], before)


@needed
def test_a_state_that_was_shared_is_not_written_into() -> None:
    """Whoever goes on, the copy or the first one, does so in memory of his own."""
    for pattern in ("dense", "delays"):
        setting = Setting(RULES["reward"], pattern)
        module, steps = setting.module(), list(setting.steps(40))
        (*_, (_, learned)) = run(module, setting, 20)
        kept = learned.shared()
        weight, traces = kept.weight.clone(), {name: value.clone() for name, value in kept.plain().items()}
        line = Line(module.longest) if module.longest else None
        with torch.no_grad():
            after = kept
            for x, post, v, r in steps[20:]:
                _, after = module.arrive(x, after, line)
                after = module.learn(after, post, v, {"reward": r})
        assert torch.equal(kept.weight, weight)
        assert all(torch.equal(value, traces[name]) for name, value in kept.plain().items())
        assert not torch.equal(after.weight, weight)


@needed
def test_kernel_and_tensors_take_over_from_each_other() -> None:
    """Every tenth step by the other one; scaled traces become plain ones and back."""
    for pattern in ("dense", "delays"):
        setting = Setting(ALL, pattern, 2)
        with by_tensors():
            (*_, (_, wanted)) = run(setting.module(), setting)
        learned, module = setting.module().start(2), setting.module()
        line, used = Line(module.longest) if module.longest else None, set()
        with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
            for t, (x, post, v, r) in enumerate(setting.steps(40)):
                patch.setenv("HASN_KERNELS", str(t // 10 % 2))
                _, learned = module.arrive(x, learned, line)
                used.add(bool(learned.sent))
                learned = module.learn(learned, post, v, {"r": r})
        assert used == {True, False}
        torch.testing.assert_close(learned.weight, wanted.weight, rtol=1e-12, atol=1e-13)
        for name, trace in learned.plain().items():
            torch.testing.assert_close(trace, wanted.plain()[name], rtol=1e-12, atol=1e-13)


@needed
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_a_copy_has_a_pattern_of_its_own(copied: Any) -> None:
    """Taken after a run, it goes on when the first one is gone."""
    setting = Setting(PAIR, "delays")
    module = setting.module()
    (*_, (_, wanted)) = run(module, setting)
    other = copied(module)
    del module
    (*_, (_, learned)) = run(other, setting)
    assert learned.sent
    assert torch.equal(learned.weight, wanted.weight)


@needed
def test_gradients_go_by_tensors() -> None:
    setting = Setting(PAIR)
    module = setting.module()
    x, post, v, _ = next(setting.steps(1))
    x.requires_grad_()
    made, learned = module.arrive(x, module.start(1), None)
    made.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0], module.weight.detach().sum(0))
    assert not learned.sent
    assert not module.learn(learned, post, v, {}).owned


# --- through an executable


def graph(rule: Rule) -> nir.NIRGraph:
    rng = np.random.default_rng(8)
    cells = nir.LIF(np.full(6, 20e-3), np.full(6, 20.0), np.zeros(6), np.ones(6), np.zeros(6))
    nodes = {"input": nir.Input(np.array([12])), "fc1": nir.Linear(rng.uniform(0.2, 0.8, (6, 12))), "cells": cells}
    nodes["output"] = nir.Output(np.array([6]))
    edges = [("input", "fc1"), ("fc1", "cells"), ("cells", "output")]
    return attach(nir.NIRGraph(nodes, edges, metadata={"dt": 1e-3}, type_check=False), "fc1", rule)


@needed
@pytest.mark.parametrize("engine", ["steps", "fused"])
def test_a_course_is_of_every_step(engine: str) -> None:
    """Weights are moved in place: what has been recorded must not move with them."""
    x = (np.random.default_rng(9).random((80, 12)) < 0.2) * 1.0
    with by_tensors(), hasn.compile(graph(PAIR), engine=engine) as executable:
        wanted = executable.run(x, record=("weights",)).series["weights"]["fc1"]
    with hasn.compile(graph(PAIR), engine=engine) as executable:
        course = executable.run(x, record=("weights",)).series["weights"]["fc1"]
    np.testing.assert_allclose(course, wanted, rtol=1e-12)
    assert len(np.unique(course, axis=0)) > 20


@needed
def test_a_state_handed_out_stays_while_the_stream_goes_on() -> None:
    x = (np.random.default_rng(9).random((80, 12)) < 0.3) * 1.0
    with hasn.compile(graph(RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0))) as executable:
        for t in range(40):
            executable.step(x[t], modulators={"reward": float(t % 3)})
        state, weights = executable.state(), executable.weights("fc1")
        kept, eligible = weights.copy(), state.learned["fc1"]["e"].copy()
        for t in range(40, 80):
            executable.step(x[t], modulators={"reward": float(t % 3)})
        np.testing.assert_array_equal(weights, kept)
        np.testing.assert_array_equal(state.learned["fc1"]["e"], eligible)
        assert np.abs(executable.weights("fc1") - kept).max() > 1e-3
        assert np.abs(eligible).max() > 1e-3
