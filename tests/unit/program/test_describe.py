"""A Program's steps in words, number by number."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from hasn.ir.lower import lower
from hasn.program.describe import counted, shape_text, span, summaries
from tests.graphs import graph, inp, out

DT = 1e-3


def full(*values: float) -> Any:
    return np.array(values)


def cuba(kind: type, **more: Any) -> Any:
    return kind(
        tau_syn=full(4e-3, 4e-3), tau_mem=full(8e-3, 2e-3), r=full(1.0, 1.0), v_leak=full(0.0, 0.0),
        w_in=full(2.0, 2.0), **more,
    )  # fmt: skip


def sizes(shape: Any) -> tuple[int, ...]:
    return shape if isinstance(shape, tuple) else (shape,)


WEIGHT = np.array([[0.5, 0.0], [-1.0, 2.0]])
KERNEL = np.ones((2, 1, 3, 3))
NODES: dict[str, tuple[Any, Any, Any, str, tuple[str, ...]]] = {
    "Linear": (nir.Linear(WEIGHT), 2, 2, "Linear", ("weights 2 × 2: -1 .. 2, 25 % of them 0",)),
    "Affine": (
        nir.Affine(WEIGHT, full(1.0, 3.0)), 2, 2, "Affine", ("weights 2 × 2: -1 .. 2, 25 % of them 0", "bias 1 .. 3"),
    ),
    "Affine of no bias": (
        nir.Affine(WEIGHT, full(0.0, 0.0)), 2, 2, "Affine", ("weights 2 × 2: -1 .. 2, 25 % of them 0",),
    ),
    "Scale": (nir.Scale(full(3.0, 3.0)), 2, 2, "Scale", ("times 3",)),
    "Delay": (nir.Delay(full(2e-3, 5e-3)), 2, 2, "Delay", ("delay 2 .. 5 steps = 2 .. 5 ms",)),
    "Threshold": (nir.Threshold(full(0.5, 0.5)), 2, 2, "Threshold", ("1 where x > 0.5",)),
    "I": (nir.I(r=full(2.0, 2.0)), 2, 2, "I", ("v ← v + 0.002 I",)),
    "LI": (nir.LI(full(4e-3, 4e-3), full(2.0, 2.0), full(-1.0, -1.0)), 2, 2, "LI", ("v ← 0.75 v + 0.5 I + (-0.25)",)),
    "LIF": (
        nir.LIF(full(4e-3, 4e-3), full(2.0, 2.0), full(0.0, 0.0), full(1.0, 2.0), v_reset=full(-0.5, -0.5)),
        2, 2, "LIF",
        ("v ← 0.75 v + 0.5 I", "spike where v > 1 .. 2", "then v ← -0.5"),
    ),
    "LIF that starts": (
        nir.LIF(
            full(4e-3, 4e-3), full(2.0, 2.0), full(0.0, 0.0), full(1.0, 1.0), v_reset=full(0.0, 0.5),
            metadata={"reset": "subtract", "v_init": 0.25},
        ), 2, 2, "LIF",
        ("v ← 0.75 v + 0.5 I", "spike where v > 1", "then v ← v − [0.5 .. 1]", "starts at v = 0.25"),
    ),
    "CubaLI": (cuba(nir.CubaLI), 2, 2, "CubaLI", ("c ← 0.75 c + 0.5 I", "v ← [0.5 .. 0.875] v + [0.125 .. 0.5] c")),
    "CubaLIF": (
        cuba(nir.CubaLIF, v_threshold=full(1.0, 1.0), v_reset=full(0.0, 0.0)), 2, 2, "CubaLIF",
        ("c ← 0.75 c + 0.5 I", "v ← [0.5 .. 0.875] v + [0.125 .. 0.5] c", "spike where v > 1", "then v ← 0"),
    ),
    "Conv2d": (
        nir.Conv2d((5, 4), KERNEL, (2, 1), ((1, 1)), 1, 1, full(1.0, 1.0)), (1, 5, 4), (2, 3, 4), "Conv2d",
        ("weights 2 × 1 × 3 × 3: 1", "stride 2 × 1, padding 1, 1", "bias 1"),
    ),
    "Conv1d": (
        nir.Conv1d(6, np.ones((2, 1, 2)), 1, 0, 2, 2, np.zeros(2)), (2, 6), (2, 4), "Conv1d",
        ("weights 2 × 1 × 2: 1", "stride 1, dilation 2, 2 groups"),
    ),
    "SumPool2d": (
        nir.SumPool2d(np.array([2, 2]), np.array([2, 1]), np.array([0, 0])), (1, 4, 4), (1, 2, 3), "SumPool2d",
        ("sum over 2 × 2, stride 2 × 1",),
    ),
    "AvgPool2d": (
        nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 0])), (1, 4, 4), (1, 3, 2), "AvgPool2d",
        ("mean over 2 × 2, stride 2 × 2, padding 1, 0",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NODES)
def test_each_kind_of_step(name: str) -> None:
    node, given, result, kind, details = NODES[name]
    program = lower(
        graph({"input": inp(*sizes(given)), "n": node, "output": out(*sizes(result))}, "input > n > output"), dt=DT
    )
    first, step, last = summaries(program)
    found = (step.name, step.kind, step.shape, step.details, step.sources)
    assert found == ("n", kind, sizes(result), details, ("input",))
    assert (first.kind, first.details, first.sources) == ("Input", (), ())
    assert (last.kind, last.details, last.sources) == ("Output", (), ("n",))


def test_sources_that_come_late_are_marked() -> None:
    neuron = nir.IF(full(1.0), full(1.0), v_reset=full(0.0))
    nodes = {"input": inp(1), "n": neuron, "back": nir.Linear(np.ones((1, 1))), "output": out(1)}
    program = lower(graph(nodes, "input > n > output", "n > back > n"), dt=DT)
    sources = {step.name: set(step.sources) for step in summaries(program)}
    assert sources["n"] == {"input", "back (1 step late)"}
    assert sources["back"] == {"n"}


def test_numbers_in_words() -> None:
    assert (counted(1, "step"), counted(0, "step"), counted(2000, "step")) == ("1 step", "0 steps", "2,000 steps")
    assert (shape_text(()), shape_text((3,)), shape_text((2, 16, 16))) == ("1", "3", "2 × 16 × 16")
    assert (span([]), span([0.1234567, 0.1234567]), span([1, 0.123456])) == ("none", "0.123457", "0.1235 .. 1")
