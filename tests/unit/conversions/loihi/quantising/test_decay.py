"""Time constants that the chip cannot have are refused, those that rounding moves are warned of, with the numbers."""

from __future__ import annotations

import warnings
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import ParameterError, UnsupportedError
from tests.graphs import Draw, chain, spikes

DT = 1e-3


def net(**taus: Any) -> nir.NIRGraph:
    """Three neurons that all have these time constants, in seconds; one value each."""
    every = {key: np.broadcast_to(np.asarray(value, dtype=float), (3,)).copy() for key, value in taus.items()}
    zero, one = np.zeros(3), np.ones(3)
    if "tau" in taus:
        neuron: Any = nir.LIF(r=every["tau"] / DT, v_leak=zero, v_threshold=one, v_reset=zero, **every)
    else:
        every = {"tau_syn": 5e-3 * one, "tau_mem": 1e-2 * one, **every}
        gains = {"r": every["tau_mem"] / DT / 8, "w_in": every["tau_syn"] / DT}
        neuron = nir.CubaLIF(v_leak=zero, v_threshold=one, v_reset=zero, **gains, **every)
    made = chain(Draw(1).linear(3, 2), neuron, given=(2,), result=(3,))
    made.metadata["dt"] = DT
    return made


def quantised(graph: nir.NIRGraph, **options: Any) -> hasn.QuantisedNetwork:
    return hasn.quantise(graph, calibrate=spikes((2,), 30, 2), **options)


@pytest.mark.parametrize(
    ("taus", "got"),
    [
        ({"tau_syn": 6e-4}, r"0\.0006 s, so that a step of 0\.001 s keeps -0\.667"),
        ({"tau_mem": [1e-2, 9e-4, 2e-2]}, r"0\.0009 s, so that a step of 0\.001 s keeps -0\.111"),
        ({"tau": 6e-4}, r"0\.0006 s, so that a step of 0\.001 s keeps -0\.667"),
    ],
)
def test_a_time_constant_under_dt_is_refused(taus: dict[str, Any], got: str) -> None:
    with pytest.raises(UnsupportedError, match=got) as caught:
        quantised(net(**taus))
    assert (caught.value.node, caught.value.parameter) == ("n2", next(iter(taus)))
    assert caught.value.wanted == "at least dt = 0.001 s"


def test_an_exact_step_never_turns_the_sign() -> None:
    """keep = exp(-1/0.6) = 0.189."""
    made = quantised(net(tau=6e-4), method="exact")
    assert made.integers.populations["n2"].dv.tolist() == [round(4096 * (1 - np.exp(-1 / 0.6)))] * 3


# dt/tau * 4096 = 4.096/tau[ms^-1]: 8.2 s are half a unit, which a voltage loses and a current takes for one.
@pytest.mark.parametrize(
    ("taus", "words"),
    [
        ({"tau": 8.3}, "node 'n2' tau: rounding to 12 bits moves it from 8.3 s to infinite (3 such neurons)"),
        ({"tau_mem": 8.3}, "node 'n2' tau_mem: rounding to 12 bits moves it from 8.3 s to infinite (3 such"),
        ({"tau_syn": 8.2}, "node 'n2' tau_syn: rounding to 12 bits moves it from 8.2 s to 4.096 s (3 such"),
        # 1.4 units become 1.
        ({"tau": [4.096 / 1.4, 1e-2, 1e-2]}, "node 'n2' tau: rounding to 12 bits moves it from 2.926 s to 4.096 s; a"),
        ({"tau_syn": [1e-2, 1e-2, 4.096 / 1.6]}, "tau_syn: rounding to 12 bits moves it from 2.56 s to 2.048 s; a"),
    ],
)
def test_a_time_constant_that_rounding_moves_is_warned_of(taus: dict[str, Any], words: str) -> None:
    with pytest.warns(RuntimeWarning) as caught:
        quantised(net(**taus))
    assert [words in str(warning.message) for warning in caught] == [True]
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "taus", [{"tau": 4.096 / 4.3}, {"tau": DT}, {"tau_syn": DT}, {"tau_mem": 4.096, "tau_syn": 4.096}]
)
def test_what_moves_by_less_than_a_tenth_needs_no_word(taus: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantised(net(**taus))


def test_nodes_without_time_constants_need_no_word() -> None:
    one = np.ones(3)
    middle = nir.IF(r=one, v_threshold=one, v_reset=0 * one), nir.Linear(np.eye(3)), nir.Threshold(0.5 * one)
    graph = chain(Draw(1).linear(3, 2), *middle, given=(2,), result=(3,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hasn.quantise(graph, calibrate=np.ones((200, 2)), dt=DT)


@pytest.mark.parametrize(("parameter", "value"), [("w_in", 0.0), ("r", 0.0)])
def test_what_takes_an_input_away_is_named(parameter: str, value: float) -> None:
    graph = net(tau_syn=5e-3)
    setattr(graph.nodes["n2"], parameter, np.full(3, value))
    with pytest.raises(ParameterError) as caught:
        quantised(graph)
    assert (caught.value.node, caught.value.parameter) == ("n2", parameter)
    assert "all weights are zero" not in str(caught.value)
    graph = net(tau_syn=5e-3)
    graph.nodes["n1"].weight = np.zeros((3, 2))
    with pytest.raises(ParameterError, match="all weights are zero") as caught:
        quantised(graph)
    assert (caught.value.node, caught.value.parameter) == ("n1", "weight")
