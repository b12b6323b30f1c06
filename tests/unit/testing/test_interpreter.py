"""The two interpreters on cases of every structure, and as Executables: streams, state, what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasn
from hasn.testing import runners
from hasn.testing.cases import CASES
from hasn.testing.interpreter import NetworkInterpreter, ProgramInterpreter
from hasn.testing.judge import TOLERANCE, assert_same
from hasn.testing.matrix import expected
from hasn.testing.runners import everyone, make, precisions, sharing, why_not

NAMES = [
    "LIF-euler-zero", "LIF-exact-subtract-batch", "CubaLIF-euler-subtract-batch", "CubaLI-exact-zero", "I-euler-zero",
    "nested_recurrence", "spiking_conv_net", "all_neurons_together-hardware", "another_time_step",
    "loop_without_neurons_with_bias_and_delay", "loops_entered_from_two_sides", "Threshold-euler-zero",
    "Delay-euler-zero", "padded_pools_of_spikes-exact-subtract-batch",
]  # fmt: skip
KINDS = {"program": ProgramInterpreter, "network": NetworkInterpreter}


@pytest.mark.parametrize("runner", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_the_reference_says(runner: str, name: str) -> None:
    case = CASES[name]
    executable = make(runner, case.graph(), case.options())
    assert type(executable) is KINDS[runner]
    assert executable.backend == runner
    inputs = case.inputs()
    assert_same(executable.run(inputs, record=("spikes", "voltages")), expected(name), TOLERANCE)


@pytest.mark.parametrize("runner", KINDS)
@pytest.mark.parametrize("name", ["CubaLIF-euler-subtract-batch", "loop_without_neurons_with_bias_and_delay"])
def test_a_stream_stops_and_goes_on_with_its_state(runner: str, name: str) -> None:
    case = CASES[name]
    wanted = expected(name).outputs
    executable = make(runner, case.graph(), case.options())
    inputs = case.inputs()

    def stepped(start: int, stop: int) -> list[Any]:
        return [executable.step({key: value[t] for key, value in inputs.items()}) for t in range(start, stop)]

    executable.reset()
    first = stepped(0, 12)
    state = executable.state()
    once = stepped(12, 20)
    executable.load_state(state)
    again = stepped(12, 20)
    for t, outputs in enumerate([*first, *once]):
        found = outputs if isinstance(outputs, dict) else dict.fromkeys(wanted, outputs)
        for key, value in found.items():
            np.testing.assert_allclose(value, wanted[key][t], rtol=1e-9, atol=1e-9 * np.abs(wanted[key]).max())
    assert repr(once) == repr(again)
    executable.reset()
    assert repr(stepped(0, 12)) == repr(first)


@pytest.mark.parametrize("record", [(), ("spikes",), ("voltages",)])
def test_only_what_is_asked_for_is_recorded(record: tuple[str, ...]) -> None:
    case = CASES["LIF-euler-zero"]
    for runner in KINDS:
        found = make(runner, case.graph(), case.options()).run(case.inputs(), record=record)
        assert (bool(found.spikes), bool(found.voltages)) == ("spikes" in record, "voltages" in record)
        assert found.outputs


# --- who is judged


def test_interpreters_come_first_and_are_judged_in_float64() -> None:
    assert everyone() == ("program", "network", *hasn.list_backends())
    assert precisions("program") == precisions("network") == ("float64",)
    assert why_not("program") == why_not("network") == ""


def test_backends_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []

    class Session:
        def __enter__(self) -> None:
            events.append("in")

        def __exit__(self, *_: object) -> None:
            events.append("out")

    class Some:
        precisions = ("loihi", "float32", "float64")

        def why_not(self) -> str:
            return "gone"

        def session(self) -> Session:
            return Session()

    monkeypatch.setattr(runners, "get_backend", lambda name: Some())
    monkeypatch.setattr(hasn, "list_backends", lambda: {"a": 1, "b": 2})
    monkeypatch.setattr(hasn, "compile", lambda *given, **more: (given, more))
    assert precisions("a") == ("float64", "float32")
    assert why_not("a") == "gone"
    with sharing():
        assert events == ["in", "in"]
    assert events == ["in", "in", "out", "out"]
    assert make("a", "graph", {"dt": 1}, "float32") == (("graph", "a"), {"precision": "float32", "dt": 1})  # type: ignore[comparison-overlap,arg-type]
    assert make("a", "graph", {})[1] == {"precision": "float64"}  # type: ignore[index,arg-type]
