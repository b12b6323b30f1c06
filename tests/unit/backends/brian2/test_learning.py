"""Which rules run by events, and which synapses a step touches then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hasn
from benchmarks.signatures import follower
from hasn.backends.brian2.live import Live
from hasn.backends.brian2.monitors import Wanted
from hasn.backends.brian2.plastic import by_events, reads_spikes
from hasn.backends.brian2.preferences import isolated
from hasn.plasticity import (
    BCM,
    STDP,
    Clopath,
    Hebb,
    InhibitorySTDP,
    MetaplasticSTDP,
    Oja,
    RewardSTDP,
    Rule,
    ShortTerm,
    SynapticScaling,
    TagAndCapture,
    TripletSTDP,
)
from hasn.program.fuse import Plastic, fuse
from tests.unit.backends.brian2.test_plan import plan_of


def plastic(rule: Rule) -> Plastic:
    (link,) = fuse(hasn.lower(follower(3, 2, 0.5, rule))).plastic
    return link


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        (STDP(), True),
        (STDP(w_min=0.0, w_max=1.0, dependence="multiplicative", pairs="nearest"), True),
        (TripletSTDP(), True),
        (InhibitorySTDP(), True),
        (MetaplasticSTDP(), True),
        (ShortTerm(0.5, 0.1, 0.2), True),
        (Hebb(), True),
        (replace(STDP(), batch_learning="mean"), False),  # the mean is taken over all samples at every step
        (RewardSTDP(), False),  # a reward moves all synapses
        (BCM(), False),  # the threshold slides at every step
        (Oja(), False),
        (Clopath(), False),
        (SynapticScaling(), False),
        (TagAndCapture(), False),
    ],
)
def test_rules_by_events(rule: Rule, events: bool) -> None:
    assert by_events(plastic(rule)) is events


def test_who_reads_spikes_of_the_target() -> None:
    assert reads_spikes(plastic(STDP()).learning)
    assert reads_spikes(plastic(Rule("pre * pos(post - w)")).learning)
    assert not reads_spikes(plastic(Hebb()).learning)


def test_a_step_touches_what_has_happened() -> None:
    """Source 1 spikes at step 2, target 0 at step 4: what each touched last, by synapse (target, source)."""
    plan = plan_of(follower(3, 2, 0.5, STDP()))
    x, y = np.zeros((6, 3)), np.zeros((6, 2))
    x[2, 1] = y[4, 0] = 1.0
    with isolated("float64", "numpy"):
        live = Live(plan, 1, Wanted((), ()))
        live.run({"input": x, "teacher": y}, 6)
        last = np.array(live.parts.plastic["fc1"].variables["last"].get_value()).reshape(2, 3)
        learned = live.learned()["fc1"]
    assert last.tolist() == [[4, 4, 4], [-1, 2, -1]]
    assert learned["x"][0] == pytest.approx([0.0, np.exp(-3 / 20), 0.0], rel=1e-12)
    assert learned["y"][0] == pytest.approx([np.exp(-1 / 20), 0.0], rel=1e-12)
