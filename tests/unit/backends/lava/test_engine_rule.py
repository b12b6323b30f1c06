"""Rules as Lava's learning engine takes them: formulas and numbers by hand."""

from __future__ import annotations

import math

import pytest

from hasn.backends.lava.engine_rule import AT_ONCE, EngineRule, engine_rule
from hasn.errors import UnsupportedError
from hasn.plasticity import STDP, InhibitorySTDP, Rule, Trace, TripletSTDP

#: A step, and how far the two traces of these rules decay in one.
DT, X, Y = 1e-3, math.exp(-1 / 20), math.exp(-1 / 40)
TAG = "u0 * x1 - u0 * x2 - u0 * t"


def made(rule: Rule, scale: float = 1.0) -> EngineRule:
    return engine_rule("fc", rule.discrete(DT, "cells", {name: name for name in rule.modulators}), scale)


def rule(update: str, x: Trace | None = None, y: Trace | None = None, **more: object) -> Rule:
    traces = {"x": x or Trace("pre", 20e-3), "y": y or Trace("post", 40e-3)}
    return Rule(update, traces=traces, **more)  # type: ignore[arg-type]


def close(found: EngineRule, impulses: dict[str, float], taus: dict[str, float]) -> None:
    assert found.impulses == pytest.approx(impulses, rel=1e-12)
    assert found.taus == pytest.approx(taus, rel=1e-9)


def test_pair_stdp() -> None:
    """The target's trace lags by a step, and so has decayed by one less."""
    found = made(STDP(0.01, 0.012, 20e-3, 40e-3))
    assert (found.dw, found.dt) == ("- x0 * y1 + y0 * t", TAG)
    close(found, {"x1": 0.01, "x2": 0.01, "y1": 0.012 * Y}, {"x1": 20, "x2": AT_ONCE, "y1": 40})
    assert math.exp(-1 / AT_ONCE) == 0.0
    assert found.settings() == {
        "dw": found.dw, "dt": TAG, "t_epoch": 1,
        **{f"{name}_impulse": value for name, value in found.impulses.items()},
        **{f"{name}_tau": value for name, value in found.taus.items()},
    }  # fmt: skip


def test_the_weights_unit_is_in_the_impulses_of_what_does_not_read_the_weight() -> None:
    found = made(STDP(0.01, 0.012, 20e-3, 40e-3), 0.5)
    close(found, {"x1": 0.005, "x2": 0.005, "y1": 0.006 * Y}, found.taus)
    soft = made(STDP(0.01, 0.012, 20e-3, 40e-3, 0.0, 0.3, dependence="multiplicative"), 0.5)
    assert soft.dw == "- x0 * w * y1 + y0 * t - y0 * w * t * y2"
    close(soft, {"x1": 0.0015, "x2": 0.0015, "y1": 0.012 * Y, "y2": 1 / 0.15}, soft.taus)
    assert soft.taus["y2"] == AT_ONCE


@pytest.mark.parametrize(
    ("update", "dw", "impulses"),
    [
        ("x * post", "y0 * t", {"x1": 1, "x2": 1}),
        ("-0.3 * x * post", "- y0 * t", {"x1": 0.3, "x2": 0.3}),
        ("0.75 * post", "3*2^-2 * y0", {}),
        ("0.3 * post", "y0 * y1", {"y1": 0.3}),
        ("0.3 * post - 0.15 * w * post", "y0 * y1 - 1*2^-1 * y0 * w * y1", {"y1": 0.3}),
        ("-0.3 * pre", "- x0 * x2", {"x1": 0.3, "x2": 0.3}),
        ("6 * w * w * pre", "3*2^1 * x0 * w * w", {}),
        ("0.3 * y * y * pre", "x0 * y1 * y1 * x2", {"y1": 1, "x1": 0.3 * Y * Y, "x2": 0.3 * Y * Y}),
        ("0.3 * x * pre", "x0 * x1 - x0 * x2", {"x1": 0.3, "x2": 0.3}),
        ("0.3 * x * pre - 0.6 * x * post", "x0 * x1 - x0 * x2 - 1*2^1 * y0 * t", {"x1": 0.3, "x2": 0.3}),
        ("0.3 * y * post", "y0 * (y1 - 1) * y2", {"y1": 1, "y2": 0.3}),
        ("2 * y * pre - 0.3 * w * y * pre", "x0 * y1 - x0 * w * y1 * x2", {"y1": 2 * Y, "x1": 0.15, "x2": 0.15}),
    ],
)
def test_products(update: str, dw: str, impulses: dict[str, float]) -> None:
    found = made(rule(update))
    assert found.dw == dw
    assert found.impulses == pytest.approx(impulses, rel=1e-12)
    assert (found.dt == TAG) is (" t" in dw)
    assert set(found.taus) == set(found.impulses)


def test_what_feeds_a_trace_is_in_its_impulse() -> None:
    found = made(rule("x * post - y * pre", Trace("0.2 * pre", 20e-3), Trace("3 * post", math.inf)))
    close(found, {"x1": 0.2, "x2": 0.2, "y1": 3.0}, {"x1": 20, "x2": AT_ONCE, "y1": math.inf})
    mean = made(rule("x * post - y * pre", y=Trace("post", 40e-3, mean=True)))
    close(mean, {"x1": 1.0, "x2": 1.0, "y1": 1 - Y}, mean.taus)


def test_ready_rules() -> None:
    triplet = made(TripletSTDP(a2_plus=0.002, a3_plus=0.004, a2_minus=0.003, tau_plus=20e-3, tau_minus=40e-3))
    assert triplet.dw == "- x0 * y2 + y0 * t + 1*2^1 * y0 * (y1 - 1) * t"
    close(triplet, {"x1": 0.002, "x2": 0.002, "y1": 1, "y2": 0.003 * Y},
          {"x1": 20, "x2": AT_ONCE, "y1": 114, "y2": 40})  # fmt: skip
    inhibitory = made(InhibitorySTDP(0.01, 8.0, 20e-3))
    assert inhibitory.dw == "x0 * y1 - x0 * x2 + y0 * t * y2"
    close(inhibitory, {"x1": 0.0032, "x2": 0.0032, "y1": 0.01 * X, "y2": 3.125}, inhibitory.taus)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (rule("v * pre"), r"reads spikes, not the membrane \(v\); got the term pre v"),
        (rule("r * x * post", modulators=("r",)), r"third factor \(r\) from neurons .*; got the term post r x"),
        (rule("x * y"), "no products without a spike here; got the term x y"),
        (rule("pre * post"), "one spike in a product; got the term post pre"),
        (rule("x * post", Trace("pre", 0.02, sets=True)), "and x is set; got the term post x"),
        (rule("x * post", Trace("2 - pre", 0.02)), "and x is fed by 2 [+] -1 pre; got the term post x"),
        (rule("x * post", Trace("-1 * pre", 0.02)), "impulses of 0 or more, and x falls"),
        (rule("x * x * post"), "no square of x; got the term post x x"),
        (TripletSTDP(a3_minus=0.01), r"one trace of the source \(r1\); got the term -0.01 o1 pre r2"),
        (rule("0.3 * x * x * pre"), "no square of x"),
        (rule("0.3 * pre - 0.4 * w * pre"), r"m \* 2\^e, .m. <= 7, not -0.4; got the term -0.4 pre w"),
        (rule("0.3 * post + 0.4 * w * post + 0.65 * w * w * post + 1.1 * w * w * w * post"),
         "no trace left to hold the number 1.1; got the term 1.1 post w w w"),
        (Rule("(a + b + c + d) * pre", traces={name: Trace("post", 0.02) for name in "abcd"}),
         r"three traces of the target \(a, b, c\); got the term d pre"),
        (rule("pos(y - x) * post"), r"without pos\(.*\); got the term"),
        (rule("x * post", Trace("pre", 0.02, start="weight")), "traces at 0, and x at the weight; got the term"),
        (rule("x * post", transmits="w * pre * x"), "no more; got transmits = pre w x; wanted w [*] pre"),
        (rule("x * post", normalise=2.5), "does not normalise weights; got normalise = 2.5"),
        (rule("x * post", every=4), "every Kth step; got every = 4; wanted every=1"),
        (rule("x * post", batch_learning="mean"), "no weights that a batch shares; got batch_learning='mean'"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_refused_by_the_term(broken: Rule, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as raised:
        made(broken)
    assert (raised.value.node, raised.value.parameter) == ("fc", "metadata['plasticity']")
    assert "learning='process'" in str(raised.value.way_out)


@pytest.mark.parametrize("number", [2.0**-7, 7 * 2.0**8, 5.0, 0.625])
def test_numbers_of_a_product(number: float) -> None:
    assert made(rule(f"{number} * post")).impulses == {}


@pytest.mark.parametrize("number", [2.0**-8, 9.0, 1 + 1e-9])
def test_other_numbers_are_impulses(number: float) -> None:
    assert made(rule(f"{number} * post")).impulses == {"y1": number}
