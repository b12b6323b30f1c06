"""hasn.check flags what looks like one factor dt too many or too few in tau, and nothing ordinary."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

import hasn


def graph(*nodes: nir.NIRNode, dt: float) -> nir.NIRGraph:
    named = {"input": nir.Input(np.array([2])), **{f"n{i}": node for i, node in enumerate(nodes)}}
    named["output"] = nir.Output(np.array([2]))
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), metadata={"dt": dt})


def lif(tau: float, r: float = 1.0) -> nir.LIF:
    one = np.ones(2)
    return nir.LIF(tau=tau * one, r=r * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def cuba(tau_syn: float, tau_mem: float) -> nir.CubaLIF:
    one = np.ones(2)
    taus: dict[str, Any] = {"tau_syn": tau_syn * one, "tau_mem": tau_mem * one}
    return nir.CubaLIF(**taus, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def integrator(r: float) -> nir.IF:
    return nir.IF(r=np.full(2, r), v_threshold=np.ones(2), v_reset=np.zeros(2))


def warnings_of(checked: nir.NIRGraph, method: str = "exact") -> list[str]:
    return [str(finding) for finding in hasn.check(checked, method=method) if "every time constant" in finding.message]


@pytest.mark.parametrize("tau", [2.0, 10.0, 500.0])
@pytest.mark.parametrize("dt", [1e-4, 1e-3, 1e-2])
def test_steps_in_place_of_seconds(tau: float, dt: float) -> None:
    (text,) = warnings_of(graph(lif(tau), dt=dt), "euler")
    assert "node 'n0' tau" in text
    assert "counted in steps" in text
    assert f"it means {tau * dt:g} s" in text


@pytest.mark.parametrize("tau", [5e-3, 1e-2, 0.1])
@pytest.mark.parametrize("dt", [1e-4, 1e-3])
def test_multiplied_by_dt_once_too_often(tau: float, dt: float) -> None:
    (text,) = warnings_of(graph(lif(tau * dt), cuba(tau * dt, 2 * tau * dt), dt=dt))
    assert "multiplied by dt once too often" in text
    assert f"this one then is {tau:g} s" in text


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 1e-2])
def test_ordinary_time_constants_are_not_suspected(dt: float) -> None:
    for tau in (dt / 2, dt, 3 * dt, 0.02, 0.2, 1.0):
        if tau >= dt / 2:
            assert not warnings_of(graph(lif(tau), dt=dt))
            assert not warnings_of(graph(cuba(tau, tau), dt=dt))


def test_one_slow_or_fast_population_is_the_networks_own_business() -> None:
    assert not warnings_of(graph(lif(20.0), lif(0.02), dt=1e-3))
    assert not warnings_of(graph(lif(1e-5), lif(0.02), dt=1e-3))


def test_a_graph_that_reckons_with_dt_is_not_suspected() -> None:
    """snnTorch's beta = 0.9999 is a tau of 10 s at dt = 1 ms, and r = tau/dt says that it is meant."""
    assert not warnings_of(graph(lif(10.0, r=1e4), dt=1e-3))
    assert not warnings_of(graph(lif(20.0), dt=1.0))  # counts in steps, or in milliseconds, throughout


def test_an_integrator_whose_input_weighs_dt() -> None:
    found = [finding for finding in hasn.check(graph(integrator(1.0), dt=1e-3)) if finding.parameter == "r"]
    assert [finding.severity for finding in found] == ["note"]
    assert "a spike takes 1000 of them" in str(found[0])
    for r, dt in ((1000.0, 1e-3), (1.0, 1.0), (5.0, 1e-3)):
        assert not [finding for finding in hasn.check(graph(integrator(r), dt=dt)) if finding.parameter == "r"]
