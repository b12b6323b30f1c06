"""The change of a weight by a pair of spikes, for each time between them: by formulas, and by a backend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.signatures import DT, learned
from hasn.errors import OptionError
from hasn.models.diehl_cook import post_stdp
from hasn.plasticity import STDP, InhibitorySTDP, Oja, RewardSTDP, Rule, Trace, TripletSTDP, window

RULES = {
    "pair": STDP(0.01, 0.02, 15e-3, 30e-3),
    "multiplicative": STDP(0.1, 0.1, w_min=0.2, w_max=1.0, dependence="multiplicative"),
    "triplet": TripletSTDP(a2_plus=4.6e-3, a3_minus=2e-3),
    "inhibitory": InhibitorySTDP(),
    "Diehl & Cook": post_stdp(),
}


def of(rule: Rule, span: float = 60e-3, **options: Any) -> dict[int, float]:
    """Steps from the source's spike to the target's -> dw."""
    apart, dw = window(rule, DT, span, **options)
    return {round(time / DT): float(change) for time, change in zip(apart, dw, strict=True)}


def test_pair_stdp_is_two_exponentials_and_nothing_at_once() -> None:
    found = of(RULES["pair"])
    assert sorted(found) == list(range(-60, 61))
    for late, dw in found.items():
        wanted = 0.01 * math.exp(-late / 15) if late > 0 else -0.02 * math.exp(late / 30) if late < 0 else 0.0
        assert dw == pytest.approx(wanted, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("apart", [-23, -1, 0, 1, 40])
def test_it_is_what_a_backend_learns(name: str, apart: int) -> None:
    """snnTorch, one synapse, at the weight from which the window starts."""
    rule = RULES[name]
    start = 0.6 if name == "multiplicative" else 0.5
    wanted = learned(rule, [150], [150 + apart], start=start)
    assert of(rule, weight=start)[apart] == pytest.approx(wanted, rel=1e-9, abs=1e-14)


def test_a_reward_of_one_adds_up_all_of_the_eligibility() -> None:
    """e is fed with the pair's change once, and read from the next step on: a geometric sum."""
    rule = RewardSTDP(0.01, 0.012, tau_eligibility=0.1)
    decay = math.exp(-DT / 0.1)
    for late, dw in of(rule, 10e-3).items():
        pair = 0.01 * math.exp(-late / 20) if late > 0 else -0.012 * math.exp(late / 20) if late < 0 else 0.0
        assert dw == pytest.approx(pair * decay / (1 - decay), rel=1e-4, abs=1e-12)  # e^-12 of it is left out


def test_bounds_hold() -> None:
    rule = STDP(0.5, 0.5, w_min=0.0, w_max=1.0)
    assert of(rule)[1] == pytest.approx(0.5 * math.exp(-1 / 20))
    assert of(rule, weight=0.9)[1] == pytest.approx(0.1)
    assert of(rule, weight=0.9)[-1] == pytest.approx(-0.5 * math.exp(-1 / 20))
    assert of(rule, weight=0.0)[-1] == 0.0


@pytest.mark.parametrize(
    ("bounds", "halfway"),
    [((0.0, 4.0), 2.0), ((-1.0, math.inf), -0.5), ((-math.inf, 0.0), -0.5), ((-math.inf, math.inf), 0.5)],
)
def test_it_starts_halfway_between_the_bounds(bounds: tuple[float, float], halfway: float) -> None:
    rule = Rule("post * w", w_min=bounds[0], w_max=bounds[1])
    assert of(rule)[5] == pytest.approx(min(halfway, bounds[1] - halfway))


def test_what_goes_on_without_spikes_is_taken_off() -> None:
    """A weight that fades, and an eligibility that is read for long: the pair's own part is left."""
    rule = Rule(
        "x * post - 0.001 * w + 0 * e",
        traces={"x": Trace("pre", 20e-3), "e": Trace("pre", 20e-3)},
        w_min=-10.0,
        w_max=12.0,
    )
    found = of(rule)
    assert found[-5] == pytest.approx(0.0, abs=1e-12)
    assert 0.5 * math.exp(-0.5) < found[10] < math.exp(-0.5)  # part of it has faded by the end


def test_of_a_rule_that_acts_now_and_then_it_is_the_mean() -> None:
    """dw is that of every 4th step: a target's spike falls on one in four."""
    rule = Rule("x * post", traces={"x": Trace("pre", 20e-3)}, every=4)
    found = of(rule)
    for late in (1, 2, 3, 4, 5, 30):
        assert found[late] == pytest.approx(math.exp(-late / 20) / 4, rel=1e-9)
    assert found[0] == found[-3] == 0.0


def test_dt_and_span_are_seconds() -> None:
    apart, dw = window(RULES["pair"], 2e-3, 0.05)
    assert apart == pytest.approx(np.arange(-25, 26) * 2e-3)
    assert dw[26] == pytest.approx(0.01 * math.exp(-2 / 15))
    assert len(window(RULES["pair"], 2e-3, 1e-4)[0]) == 3  # a step to each side at least
    assert len(window(RULES["pair"], 1e-3)[0]) == 201


@pytest.mark.parametrize("options", [{"dt": 0.0}, {"dt": -1e-3}, {"dt": math.inf}, {"span": 0.0}, {"span": math.nan}])
def test_times_that_are_none(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="no such time") as raised:
        window(RULES["pair"], **{"dt": 1e-3, "span": 0.1, **options})
    assert raised.value.parameter == next(iter(options))


def test_spikes_do_not_tell_a_voltage() -> None:
    with pytest.raises(OptionError, match="reads v"):
        window(Oja(), 1e-3)


def test_traces_that_never_fade_are_not_waited_for() -> None:
    rule = Rule("c", traces={"c": Trace("0.5 * post", math.inf)})
    late = of(rule, 2e-3)
    assert late[2] == pytest.approx(0.5 * 5000)  # read from the step after it on, to the end
    assert late[0] == pytest.approx(late[2] + 0.5 * 2)


def test_rectified_sums_and_traces_that_start_at_the_weight() -> None:
    rule = Rule(
        "pos(x - 0.5) * post + 0 * m", traces={"x": Trace("pre", 20e-3), "m": Trace("pre", 1.0, start="weight")}
    )
    found = of(rule)
    assert found[10] == pytest.approx(math.exp(-0.5) - 0.5)
    assert found[14] == pytest.approx(0.0, abs=1e-15)  # exp(-0.7) < 0.5
