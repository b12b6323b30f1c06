"""Which rules go by events: from hand-made products, and of the ready rules as docs/plasticity.md says it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hasn.plasticity
from hasn.plasticity import Rule, Trace
from hasn.program.learning import Learning

DOCS = Path(__file__).parents[3] / "docs" / "plasticity.md"


def learning(update: str, **traces: Trace) -> Learning:
    return Rule(update, traces=traces, constants={"a": 2.0}, modulators=("r",)).discrete(1e-3, "cells", {"r": "node"})


def steady(rule: Learning, late: bool = False) -> list[str]:
    """Its products that act whatever happens, without their factors."""
    return [" ".join(product.names) for product in rule.steady(late)]


@pytest.mark.parametrize(
    ("update", "left"),
    [
        ("x * post - y * pre", []),
        ("r * x * v", []),
        ("post * post * w", []),
        ("pre * v - a * w", ["w"]),
        ("x * v + y * pre + a", ["v x", ""]),
        ("v * v * w + post * pre", ["v v w"]),
    ],
)
def test_a_product_waits_for_a_spike_an_arrival_or_a_modulator(update: str, left: list[str]) -> None:
    rule = learning(update, x=Trace("pre", 0.02), y=Trace("post", 0.02))
    assert sorted(steady(rule)) == sorted(left)


def test_what_feeds_a_trace_of_each_synapse_counts_and_what_feeds_a_source_does_not() -> None:
    """A source's trace costs a number for each source, whatever it is fed."""
    x, slow = Trace("pre", 0.02), Trace("x * x * dt", 0.5)
    assert steady(learning("r * e", x=x, e=Trace("x * post", 0.1))) == []
    assert steady(learning("r * e", x=x, e=Trace("x * v", 0.1))) == ["v x"]
    assert steady(learning("slow * post", x=x, slow=slow)) == []


def test_with_delays_a_source_s_trace_is_each_synapse_s() -> None:
    x, slow = Trace("pre", 0.02), Trace("x * x * dt", 0.5)
    rule = learning("slow * post", x=x, slow=slow)
    assert [trace.name for trace in rule.of_synapses(late=True)] == ["slow", "x"]
    assert rule.of_synapses() == ()
    assert steady(rule, late=True) == ["x x"]


def test_a_target_s_trace_is_never_a_synapse_s() -> None:
    rule = learning("y * pre", y=Trace("post", 0.02))
    assert rule.of_synapses(late=True) == ()


def test_what_triggers_a_product() -> None:
    """Spikes and arrivals before a modulator, which touches everything."""
    rule = learning("r * pre * w + r * post * pre + r * w + w")
    found = {" ".join(product.names): rule.trigger(product) for product in rule.update}
    assert found == {"pre r w": "pre", "post pre r": "post", "r w": "r", "w": None}


def test_the_table_of_the_docs() -> None:
    section = DOCS.read_text(encoding="utf8").partition("## What a step costs")[2].partition("\n## ")[0]
    said = {
        name: touched
        for names, touched in re.findall(r"^\| (`.*`) \| (.*) \|$", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    found = {name: getattr(hasn.plasticity, name) for name in hasn.plasticity.__all__}
    makers = {n: make for n, make in found.items() if n[0].isupper() and n not in ("Rule", "Trace", "Rewiring")}
    assert set(said) == set(makers)
    for name, make in makers.items():
        rule = make().discrete(1e-3, "cells", {"reward": "reward", "protein": "protein"})
        triggers = {rule.trigger(p) for p in (*rule.update, *(p for t in rule.of_synapses() for p in t.feed))}
        all_of_it = bool(rule.steady())
        assert (said[name] == "all") is all_of_it, name
        if not all_of_it and rule.update:
            assert ("post" in triggers) is said[name].startswith("what spikes"), name
            assert ("reward" in triggers) is ("reward" in said[name]), name
