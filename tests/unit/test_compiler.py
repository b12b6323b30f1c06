"""What is compiled: a graph, a quantised network, a Program; each checked and lowered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.compiler import precision_of, ready
from hasn.errors import OptionError
from hasn.ir import check as check_module
from hasn.ir import lower as lower_module
from hasn.program import fuse as fuse_module
from tests.graphs import DT, small_net, spikes

X = spikes((6,), 40, 3)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_a_program_runs_as_its_graph_does(backend: str) -> None:
    options = {"method": "exact", "reset": "subtract", "timing": "hardware"}
    program = hasn.lower(small_net(), dt=DT, **options)
    of_graph = hasn.compile(small_net(), backend, dt=DT, **options).run(X, record=("spikes", "voltages"))
    of_program = hasn.compile(program, backend).run(X, record=("spikes", "voltages"))
    assert of_graph.spikes["n2"].any()
    for group in ("spikes", "voltages"):
        for name, values in getattr(of_graph, group).items():
            np.testing.assert_array_equal(getattr(of_program, group)[name], values)


def test_a_program_holds_no_graph_to_put_weights_into() -> None:
    with pytest.raises(OptionError, match=r"holds no graph to put weights into.*Compile the graph itself"):
        hasn.compile(hasn.lower(small_net(), dt=DT)).to_nir()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("option", "same", "other"),
    [("dt", DT, 2e-3), ("method", "euler", "exact"), ("timing", "synchronous", "hardware")],
)
def test_what_a_program_has_settled_is_not_said_otherwise(option: str, same: Any, other: Any) -> None:
    program = hasn.lower(small_net(), dt=DT)
    assert hasn.compile(program, **{option: same}).program is program
    with pytest.raises(OptionError, match=f"{option}: the Program has settled it; got {other!r}; wanted {same}"):
        hasn.compile(program, **{option: other})


def test_a_program_s_populations_have_their_resets() -> None:
    with pytest.raises(OptionError, match="reset: the Program has settled it"):
        hasn.compile(hasn.lower(small_net(), dt=DT), reset="zero")


@pytest.fixture
def quantised(net: nir.NIRGraph) -> SimpleNamespace:
    return SimpleNamespace(graph=net, dt=2e-3, timing="hardware")


def test_a_quantised_network_brings_its_own_dt_timing_and_precision(quantised: SimpleNamespace) -> None:
    program = ready(quantised, None, None, None, None).program
    assert (program.dt, program.timing, program.method) == (2e-3, "hardware", "euler")
    assert precision_of(quantised, None) == precision_of(quantised, "loihi") == "loihi"
    assert (precision_of(quantised.graph, None), precision_of(quantised.graph, "float32")) == ("float64", "float32")


@pytest.mark.parametrize(("option", "other"), [("dt", 1e-3), ("timing", "synchronous")])
def test_what_a_quantised_network_has_settled(quantised: SimpleNamespace, option: str, other: Any) -> None:
    given = {"dt": None, "method": None, "reset": None, "timing": None, option: other}
    with pytest.raises(OptionError, match=f"{option}: the quantised network has settled it"):
        ready(quantised, **given)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_quantised_network_does_not_run_as_floats_without_a_word(quantised: Any, precision: str) -> None:
    with pytest.raises(OptionError, match=r"in the chip's integers; got .*; wanted loihi. Pass its .graph"):
        hasn.compile(quantised, "snntorch", precision=precision)
    with pytest.raises(OptionError, match="in the chip's integers"):
        hasn.compare(quantised, X, precision=precision)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a graph's structure, values and shapes were looked at, and it was lowered and composed."""
    found: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(module, name)

        def counted(*given: Any, **named: Any) -> Any:
            found[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(module, name, counted)

    for name in ("structure_findings", "parameter_findings", "infer_shapes"):
        count(check_module, name)
    count(lower_module, "_timed_edges")
    count(fuse_module, "_Fusion")
    return found


def test_one_look_is_enough(calls: Counter[str]) -> None:
    hasn.compile(small_net(), "brian2", dt=DT)
    assert (calls["structure_findings"], calls["parameter_findings"], calls["infer_shapes"]) == (1, 1, 1)
    assert calls["_timed_edges"] == 1


def test_a_comparison_checks_lowers_and_composes_once(calls: Counter[str]) -> None:
    compared = hasn.compare(small_net(), X, backends=("snntorch", "brian2:float32", "snntorch:float32"), dt=DT)
    assert len(compared.recordings) == 4
    assert set(calls.values()) == {1}
    assert len(calls) == 5


def test_a_program_can_be_compared() -> None:
    compared = hasn.compare(hasn.lower(small_net(), dt=DT), X, backends=("snntorch",))
    assert compared.ok
