"""Names of updates and of spikes: the one place that tells stock neurons from others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hasn.program.model import Condition, Firing, Neurons, Row
from tests.populations import fires

TWO = np.ones(2)
C, V = ("c", ("c",), 1.0, None), ("v", ("v", "c"), None, None)


def neurons(*rows: tuple[str, tuple[str, ...], float | None, float | None], before: bool = False) -> Neurons:
    def row(state: str, reads: tuple[str, ...], gain: float | None, bias: float | None) -> Row:
        terms = tuple((name, 0.5 * TWO) for name in reads)
        return Row(state, terms, *(None if x is None else x * TWO for x in (gain, bias)), before)

    return Neurons("n", (2,), ("v",), tuple(row(*given) for given in rows), {})


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([("v", ("v",), 1.0, 2.0)], "one row"),
        ([("v", ("v",), None, None)], "one row"),
        ([C, V], "current first"),
        ([C, ("v", ("v", "c"), None, 1.0)], "current first"),
        ([V, C], "voltage first"),
        ([("v", ("v", "c"), 1.0, 1.0), C], "voltage first"),
        ([C, ("v", ("v", "c"), 1.0, None)], "general"),  # the input reaches the voltage past the new current
        ([("c", ("c",), 1.0, 0.5), V], "general"),  # a bias of the current
        ([V, ("c", ("c",), 1.0, 0.5)], "general"),
        ([("c", ("c", "v"), 1.0, None), V], "general"),
        ([C, ("v", ("v",), None, None)], "general"),
        ([C, ("v", ("c", "v"), None, None)], "general"),  # another order of the sum
        ([C, ("w", ("w",), None, None), V], "general"),
        ([("w", ("w",), None, None), ("v", ("v", "w"), None, None)], "general"),
        ([("w", ("w",), None, None)], "general"),
        ([C, V, V], "general"),
    ],
)
def test_names_of_updates(rows: Any, wanted: str) -> None:
    assert neurons(*rows).update == wanted


@pytest.mark.parametrize("rows", [[("v", ("v",), 1.0, None)], [C, V], [V, C]])
def test_a_row_that_reads_what_was_before_is_named_nothing(rows: Any) -> None:
    assert neurons(*rows, before=True).update == "general"


@pytest.mark.parametrize(("reset", "jump"), [("zero", [0.25, 0.0]), ("subtract", [1.5, -0.5])])
def test_a_threshold_and_a_jump_are_found_again_to_the_bit(reset: Any, jump: list[float]) -> None:
    found = fires(neurons(V, C), [0.1, 1e-310], reset, np.array(jump)).firing
    assert found is not None
    assert (found.threshold.tolist(), found.reset, found.jump.tolist()) == ([0.1, 1e-310], reset, jump)


CONDITION, (JUMP,) = Firing(TWO, "zero", TWO).condition, Firing(TWO, "zero", TWO).resets
OTHERS: dict[str, tuple[Condition, tuple[Row, ...]]] = {
    "no reset": (CONDITION, ()),
    "two rows": (CONDITION, (JUMP, Row("c", ()))),
    "another state jumps": (CONDITION, (replace(JUMP, state="c"),)),
    "half of v is kept": (CONDITION, (replace(JUMP, terms=(("v", 0.5 * TWO),)),)),
    "v jumps to another state": (CONDITION, (replace(JUMP, terms=(("c", TWO),)),)),
    "some of v": (Condition((("v", np.array([1.0, 0.5])),), -TWO), (JUMP,)),
    "more than v": (Condition((("v", TWO), ("c", TWO)), -TWO), (JUMP,)),
    "another state": (Condition((("c", TWO),), -TWO), (JUMP,)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_spikes_otherwise_is_no_threshold_with_a_jump(case: str) -> None:
    condition, resets = OTHERS[case]
    made = replace(neurons(V, C), condition=condition, resets=resets)
    assert made.firing is None
    assert not made.plain


def test_plain_is_what_stock_neurons_are() -> None:
    plain = fires(neurons(C, V), 1.0)
    assert plain.plain
    assert neurons(C, V).plain  # no threshold
    assert not replace(plain, held=np.array([0, 1])).plain
    assert not fires(neurons(V, V), 1.0).plain
