"""How often scales are halved, what is refused at the end, what quantise is told, and what it hands on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.quantising import quantise as quantising
from hasn.errors import OptionError, UnsupportedError
from tests.unit.conversions.loihi.nets import DT, chain, lif, spikes, weights

GRAPH = chain((8,), nir.Linear(weights(6, 8)), lif(6))


def trace(wraps: int = 0, clips: int = 0) -> Any:
    return SimpleNamespace(wraps=wraps, clips=clips)


class Task:
    """Notes what each attempt was asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, float]] = []
        self.made = hasn.quantise(GRAPH, calibrate=spikes(8))

    def attempt(self, floats: Any, extra: Any) -> Any:
        self.asked.append(dict(extra))
        return self.made


def fitted(monkeypatch: pytest.MonkeyPatch, *found: dict[str, Any]) -> tuple[Task, Any]:
    """``_fitting`` where the integers do this at each attempt; the last stays."""
    task, rest = Task(), list(found)
    monkeypatch.setattr(quantising, "run_integers", lambda *_: rest.pop(0) if len(rest) > 1 else rest[0])
    return task, lambda: quantising._fitting(task, {}, {})  # type: ignore[arg-type]


def test_scales_are_halved_where_integers_wrap_or_clip_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"a": trace(wraps=2), "b": trace(), "c": trace(clips=1)}
    second = {"a": trace(clips=1), "b": trace(), "c": trace()}
    good = {"a": trace(), "b": trace(), "c": trace()}
    task, run = fitted(monkeypatch, first, second, good)
    made, integers = run()
    assert task.asked == [{}, {"a": 2.0, "c": 2.0}, {"a": 4.0, "c": 2.0}]
    assert made is task.made
    assert integers is good


def test_after_eight_attempts_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    task, run = fitted(monkeypatch, {"b": trace(), "a": trace(wraps=3, clips=4)})
    with pytest.raises(UnsupportedError, match="leaves 24 bits on the calibration data, however small the") as error:
        run()
    assert (error.value.node, error.value.got) == ("a", "3 wraps and 4 clips")
    assert error.value.way_out.startswith("Look at its inputs")  # type: ignore[union-attr]
    assert [asked.get("a", 1.0) for asked in task.asked] == [2.0**i for i in range(8)]


@pytest.mark.parametrize("bad", [trace(wraps=1), trace(clips=1)])
def test_what_training_drove_out_of_range(bad: Any) -> None:
    with pytest.raises(UnsupportedError, match="calibration data, after training") as error:
        quantising._refuse_saturated({"ok": trace(), "n": bad}, trained=True)
    assert error.value.node == "n"
    assert error.value.way_out.startswith("Quantise with more headroom")  # type: ignore[union-attr]
    quantising._refuse_saturated({"ok": trace()}, trained=True)


@pytest.mark.parametrize("headroom", [0.999, 0, -2.0, 1e6, float("nan"), float("inf"), True, "2", None])
def test_what_is_no_headroom(headroom: Any) -> None:
    with pytest.raises(OptionError, match="no such headroom") as error:
        hasn.quantise(GRAPH, calibrate=spikes(8), headroom=headroom)
    assert (error.value.parameter, error.value.wanted) == ("headroom", "a factor of at least 1")
    assert error.value.got is headroom


def test_headroom_of_1_and_twice_as_much() -> None:
    """Twice the headroom halves the scale, up to what a choice within the octave makes of it."""
    one, four = (hasn.quantise(GRAPH, calibrate=spikes(8), headroom=h).scales["n1"].scale[0] for h in (1, 4.0))
    assert one / 8 < four <= one / 2


def test_the_network_knows_what_it_was_made_for() -> None:
    graph = chain((8,), nir.Linear(weights(6, 8)), lif(6))
    del graph.metadata["dt"]
    before = {name: dict(vars(node)) for name, node in graph.nodes.items()}
    told: list[Any] = []
    made = hasn.quantise(
        graph, "loihi1", calibrate=spikes(8), dt=DT, timing="hardware", progress=lambda *s: told.append(s)
    )
    assert (made.target, made.dt, made.timing, made.input_scales) == ("loihi1", DT, "hardware", {"input": 1.0})
    assert made.integers.projections[0].delay == 1
    assert told[-1] == ("calibrating", 60, 60)
    assert made.floating is not None
    assert made.report() is made._report
    assert "dt" not in graph.metadata
    for name, node in graph.nodes.items():
        assert all(np.all(value == before[name][key]) for key, value in vars(node).items())


def test_the_largest_exponent_bounds_the_weights() -> None:
    for largest in (0, 1):
        made = hasn.quantise(GRAPH, calibrate=spikes(8), largest_exponent=largest)
        assert max(part.weight_exp for p in made.integers.projections for part in p.parts) <= largest
    wide = hasn.quantise(GRAPH, calibrate=spikes(8), headroom=1.0)
    assert wide.integers.projections[0].parts[0].weight_exp > 1
