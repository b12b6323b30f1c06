"""Random networks of which one copy runs under a changed rule: the judge names the rule, and who broke it."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hasn.agreement import Divergence
from hasn.errors import TimeStepError
from hasn.ir.lower import lower
from hasn.program.model import Program
from hasn.testing.structure import inline
from tests.unit.agreement.known import Known, held
from tests.unit.agreement.random_runs import known_runs, same_every_time

OTHER = {"zero": "subtract", "subtract": "zero", "euler": "exact", "exact": "euler"}
#: Changed rule -> (kind of the cause, its sentence).
NAMED = {
    "reset": ("reset", "a different reset: {who} resets by '{wrong}', the Program by '{right}'"),
    "method": ("discretisation", "a different discretisation: {who} steps by '{wrong}', the Program by '{right}'"),
    "no bias": ("missing bias", "a missing bias: {who} ran without it"),
    "no v_leak": ("missing bias", "a missing leak potential: {who} ran without v_leak"),
    "late 1": ("late input", "an input that arrives 1 step(s) late: {who} saw it 1 step(s) after the Program"),
    "late 2": ("late input", "an input that arrives 2 step(s) late: {who} saw it 2 step(s) after the Program"),
    "late 3": ("late input", "an input that arrives 3 step(s) late: {who} saw it 3 step(s) after the Program"),
}


def changed(known: Known, rule: str) -> Known:
    """The same network under one changed rule."""
    graph, options, inputs = copy.deepcopy(known.graph), dict(known.options), known.inputs
    if rule in ("reset", "method"):
        options[rule] = OTHER[options[rule]]
    elif rule.startswith("no "):
        for node in inline(graph)[0].values():
            if hasattr(node, rule[3:]):
                setattr(node, rule[3:], np.zeros_like(getattr(node, rule[3:])))
    else:
        late = int(rule[-1])
        inputs = {n: np.concatenate([np.zeros_like(x[:late]), x[:-late]]) for n, x in known.inputs.items()}
    return Known(graph, inputs, **options)


def other_method(known: Known) -> Program | None:
    try:
        return lower(known.graph, **{**known.options, "method": OTHER[known.options["method"]]})
    except TimeStepError:
        return None


def is_a_shift(known: Known, late: Known, first: Divergence, steps: int, odd: int) -> bool:
    """Whether the spikes of the node are merely some steps late (then its first steps are silent) or early."""
    right, wrong = (run.wanted.spikes[first.node][:, first.sample].astype(int) for run in (known, late))
    same = right[:-steps].tolist() == wrong[steps:].tolist() and right[:-steps].any()
    return bool(same and not (odd and wrong[:steps].any()))


def check(known: Known, wrong: Known, rule: str, odd: int) -> bool:
    """Whether the rule made a difference; if so, it must be named."""
    both = [known.recording(), wrong.recording()]
    one, other = both if odd == 1 else both[::-1]
    first = held(known, one, other, other_method=lambda: other_method(known)).first_divergence("b")
    if first is None:
        return False
    assert not first.tie
    kind, sentence = NAMED[rule]
    late = int(rule[-1]) if rule.startswith("late") else 0
    if late and is_a_shift(known, wrong, first, late, odd):
        assert first.kind in (("shift", "late input") if odd else ("shift",)), first.cause
        assert f"the same spikes come {late} step(s) {'late' if odd else 'early'} at node '{first.node}'" in first.cause
    else:
        assert first.kind == kind, first.cause
        right = known.options.get(rule, "")
        said = sentence.format(who="it" if odd else "the reference", right=right, wrong=OTHER.get(right))
        assert first.cause.startswith(f"{said} (node '")
    return True


def test_the_changed_rule_is_named() -> None:
    seen: Counter[str] = Counter()

    @same_every_time(16)
    @given(known_runs(st.integers(20, 30)))
    def run(known: Known) -> None:
        for rule in NAMED:
            wrong = changed(known, rule)
            seen[rule] += check(known, wrong, rule, odd=0) + check(known, wrong, rule, odd=1)

    run()
    assert all(seen[rule] >= 10 for rule in NAMED), seen
