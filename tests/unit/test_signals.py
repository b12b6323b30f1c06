# ruff: noqa: E501 - a table, one case a line
"""Input data: every form that is taken, and every mistake by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import InputError
from hasn.program.model import Program
from hasn.signals import Signals, signals
from tests.graphs import DT, Draw, graph, inp, out, small_net

D = Draw(1)
ONE = hasn.lower(small_net(), dt=DT)
TWO = hasn.lower(graph({"a": inp(2), "b": inp(3, 2), "o": out(2), "p": out(3, 2)}, "a > o", "b > p"), dt=DT)
NONE = hasn.lower(graph({"n": D.lif(2), "o": out(2)}, "n > o"), dt=DT)


def test_with_and_without_a_batch() -> None:
    data = D.between(0, 1, (7, 4, 6))
    found = signals(ONE, data)
    assert (found.steps, found.batch, found.batched) == (7, 4, True)
    np.testing.assert_array_equal(found.values["input"], data)
    found = signals(ONE, data[:, 0])
    assert (found.steps, found.batch, found.batched) == (7, 1, False)
    np.testing.assert_array_equal(found.values["input"], data[:, :1])


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float16, np.float32, list])
def test_whatever_holds_real_numbers_is_taken(kind: Any) -> None:
    data = D.between(0, 1, (7, 6)) > 0.5
    given = data.tolist() if kind is list else data.astype(kind)
    found = signals(ONE, given).values["input"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[:, 0], data)


def test_the_callers_array_is_never_changed_through_ours() -> None:
    data = D.between(0, 1, (7, 4, 6))
    assert not np.shares_memory(signals(ONE, data).values["input"], data)


def test_a_torch_tensor_with_gradient() -> None:
    torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
    tensor = torch.rand(7, 6, requires_grad=True)
    np.testing.assert_array_equal(signals(ONE, tensor).values["input"][:, 0], tensor.detach().numpy())


def test_several_inputs_and_none() -> None:
    found = signals(TWO, {"a": np.ones((5, 4, 2)), "b": np.ones((5, 4, 3, 2))})
    assert (found.steps, found.batch) == (5, 4)
    found = signals(NONE, None, steps=9)
    assert (found.steps, found.batch, found.values) == (9, 1, {})


def test_one_step_of_a_stream_has_no_time() -> None:
    found = signals(ONE, np.ones((4, 6)), time=False)
    assert (found.steps, found.batch, found.batched) == (1, 4, True)
    with pytest.raises(InputError, match=r"got \(7, 4, 6\); wanted \(6\) or \(batch, 6\)"):
        signals(ONE, np.ones((7, 4, 6)), time=False)


def test_every_input_keeps_its_own_data_and_steps_may_repeat_what_they_say() -> None:
    a, b = D.between(0, 1, (5, 2)), D.between(0, 1, (5, 3, 2))
    for given in ({"a": a, "b": b}, {"b": b, "a": a}):
        for steps in (None, 5, np.int64(5)):
            found = signals(TWO, given, steps)
            assert (found.steps, found.batch, found.batched, list(found.values)) == (5, 1, False, ["a", "b"])
            np.testing.assert_array_equal(found.values["a"][:, 0], a)
            np.testing.assert_array_equal(found.values["b"][:, 0], b)
    assert signals(ONE, np.ones((1, 1, 6))).steps == 1
    assert signals(NONE, {}, 1) == Signals({}, 1, 1, False) == signals(NONE, None, time=False)


#: One step of a stream: messages speak of what the user passes, without time.
STREAM: dict[str, tuple[Program, Any, str]] = {
    "no axis": (ONE, np.float64(1), "got (); wanted (6) or (batch, 6)"),
    "time too": (TWO, {"a": np.ones((4, 2)), "b": np.ones((7, 4, 3, 2))}, "node 'b' inputs: the input has the wrong shape; got (7, 4, 3, 2); wanted (3, 2) or (batch, 3, 2)"),
    "not finite": (ONE, np.array([[1, 1, 1, 1, 1, 1], [1, 1, np.nan, 1, 1, 1]]), "got nan at index (1, 2)"),
    "another batch": (TWO, {"a": np.ones((4, 2)), "b": np.ones((3, 3, 2))}, "node 'b' inputs: another number of steps or samples than Input 'a' has"),
    "no sample": (ONE, np.ones((0, 6)), "no step or no sample"),
    "nothing": (ONE, None, "no input is given"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAM)
def test_a_mistake_in_one_step_of_a_stream(name: str) -> None:
    program, inputs, text = STREAM[name]
    with pytest.raises(InputError) as caught:
        signals(program, inputs, time=False)
    assert text in str(caught.value)


ONES = np.ones((3, 6))
NOT_FINITE = ONES.copy()
NOT_FINITE[2, 4] = np.inf
Mistake = tuple[Program, Any, int | None, str]
MISTAKES: dict[str, Mistake] = {
    "another size": (ONE, np.ones((3, 7)), None, "node 'input' inputs: the input has the wrong shape; got (3, 7); wanted (T, 6) or (T, batch, 6)"),
    "no time": (ONE, np.ones(6), None, "got (6,); wanted (T, 6)"),
    "a number": (ONE, 3.0, None, "got (); wanted (T, 6)"),
    "too many axes": (ONE, np.ones((3, 2, 1, 6)), None, "got (3, 2, 1, 6)"),
    "infinite": (ONE, NOT_FINITE, None, "not finite; got inf at index (2, 4); wanted finite numbers. Clean the data first"),
    "nan": (ONE, np.full((3, 2, 6), np.nan), None, "got nan at index (0, 0, 0)"),
    "text": (ONE, "spikes.npy", None, "node 'input' inputs: not an array of real numbers; got dtype <U10"),
    "complex": (ONE, ONES * 1j, None, "not an array of real numbers; got dtype complex128"),
    "ragged": (ONE, [[1, 2], [3]], None, "not an array of real numbers"),
    "objects": (ONE, np.array([object()]), None, "got dtype object"),
    "nothing": (ONE, None, None, "inputs: no input is given; got NoneType; wanted data for input"),
    "no step": (ONE, np.ones((0, 6)), None, "no step or no sample; got (0, 6); wanted at least one"),
    "no sample": (ONE, np.ones((3, 0, 6)), None, "no step or no sample; got (3, 0, 6)"),
    "a name too few": (ONE, {}, None, "node 'input' inputs: the Input has no data; wanted one array for each of input"),
    "a name too many": (ONE, {"input": ONES, "extra": ONES}, None, "node 'extra' inputs: there is no such Input; wanted one array for each of input"),
    "one array for two": (TWO, np.ones((3, 2)), None, "the graph has 2 Inputs, so one array is not enough; wanted a mapping with a, b"),
    "another T": (TWO, {"a": np.ones((3, 2)), "b": np.ones((4, 3, 2))}, None, "node 'b' inputs: another number of steps or samples than Input 'a' has; got (4,); wanted (3,)"),
    "a batch for one": (TWO, {"a": np.ones((3, 2)), "b": np.ones((3, 1, 3, 2))}, None, "got (3, 1); wanted (3,)"),
    "steps contradict": (ONE, ONES, 4, "steps: steps contradicts the input; got 4; wanted 3. Leave steps out"),
    "steps zero": (ONE, ONES, 0, "steps: no such number of steps; got 0; wanted an integer >= 1"),
    "steps a text": (NONE, None, "9", "got '9'; wanted an integer >= 1"),  # type: ignore[dict-item]
    "two names wrong": (TWO, {"a": np.ones((3, 2)), "z": 1}, None, "node 'b' inputs: the Input has no data; wanted one array for each of a, b"),
    "another number of inner axes": (TWO, {"a": np.ones((3, 2)), "b": np.ones((3, 6))}, None, "node 'b' inputs: the input has the wrong shape; got (3, 6); wanted (T, 3, 2) or (T, batch, 3, 2)"),
    "no step of a batch": (ONE, np.ones((0, 2, 6)), None, "no step or no sample; got (0, 2, 6)"),
    "minus infinity later": (TWO, {"a": np.ones((3, 2)), "b": np.where(np.arange(18).reshape(3, 3, 2) > 8, -np.inf, 1)}, None, "node 'b' inputs: the input has a value that is not finite; got -inf at index (1, 1, 1)"),
    "another batch": (TWO, {"a": np.ones((3, 4, 2)), "b": np.ones((3, 5, 3, 2))}, None, "got (3, 5); wanted (3, 4)"),
    "mapping for none": (NONE, {"i": ONES}, 3, "node 'i' inputs: there is no such Input"),
    "steps negative": (ONE, ONES, -1, "steps: no such number of steps; got -1; wanted an integer >= 1"),
    "steps a fraction": (NONE, None, 2.5, "got 2.5; wanted an integer >= 1"),  # type: ignore[dict-item]
    "steps a truth": (NONE, None, True, "got True"),
    "no steps": (NONE, None, None, "the graph has no Input, so the number of steps is not known. Pass steps=... to run"),
    "input for none": (NONE, ONES, 3, "the graph has no Input; got ndarray; wanted None, and steps=..."),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_the_input_and_what_is_wanted(name: str) -> None:
    program, inputs, steps, text = MISTAKES[name]
    with pytest.raises(InputError) as caught:
        signals(program, inputs, steps)
    assert text in str(caught.value)
