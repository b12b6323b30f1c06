"""hasn.check flags what looks like one factor dt too many or too few in tau, and nothing ordinary."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from tests.graphs import Draw, chain


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
        assert not warnings_of(graph(lif(tau), dt=dt))
        assert not warnings_of(graph(cuba(tau, tau), dt=dt))


SLOW, FAST = "counted in steps or milliseconds", "multiplied by dt once too often"


@pytest.mark.parametrize(
    ("tau", "dt", "said"),
    [
        (1.0, 1e-3, None),
        (1.001, 1e-3, SLOW),
        (1.9, 0.02, None),  # under 100 steps of 20 ms
        (2.1, 0.02, SLOW),
        (50.0, 0.1, None),  # dt is as coarse as that: about something slower than neurons
        (50.0, 0.099, SLOW),
        (5e-4, 1e-3, None),  # half a step is as short as Euler steps allow
        (4.9e-4, 1e-3, FAST),
        (1.01e-6, 1e-3, FAST),
        (0.99e-6, 1e-3, None),  # divided by dt it is still under a step
        (2e-4, 1e-2, FAST),
    ],
)
def test_the_bounds(tau: float, dt: float, said: str | None) -> None:
    for node in (lif(tau), cuba(tau, tau), nir.LI(np.full(2, tau), np.ones(2), np.zeros(2))):
        found = warnings_of(graph(node, dt=dt))
        assert [said in text for text in found] == [True] * (said is not None)


def test_the_whole_graph_is_judged_and_its_first_time_constant_named() -> None:
    """Every tau of every population counts, both of a CubaLIF; what is named is the first value of the first."""
    mixed = lif(1.0)
    for slow, ordinary in [(20.0, 0.5), (4e-4, 6e-4)]:
        mixed.tau = np.array([slow, ordinary])
        assert not warnings_of(graph(mixed, dt=1e-3))
        for node in (cuba(ordinary, slow), cuba(slow, ordinary)):
            assert not warnings_of(graph(lif(slow), node, dt=1e-3))
    mixed.tau = np.array([30.0, 20.0])
    (finding,) = hasn.check(graph(integrator(5.0), mixed, cuba(7.0, 40.0), dt=1e-3))
    assert (finding.severity, finding.node, finding.parameter) == ("warning", "n1", "tau")
    assert finding.got == "30 s, 30000 steps of dt = 0.001 s"
    assert "it means 0.03 s" in finding.repair
    mixed.tau = np.array([4e-5, 2e-5])
    (finding,) = hasn.check(graph(cuba(3e-5, 1e-5), mixed, dt=1e-3), method="exact")
    assert (finding.severity, finding.node, finding.parameter) == ("warning", "n0", "tau_syn")
    assert finding.got == "3e-05 s, 0.03 steps of dt = 0.001 s"
    assert "Divide every tau by dt = 0.001 s: this one then is 0.03 s" in finding.repair


def test_one_slow_or_fast_population_is_the_networks_own_business() -> None:
    assert not warnings_of(graph(lif(20.0), lif(0.02), dt=1e-3))
    assert not warnings_of(graph(lif(1e-5), lif(0.02), dt=1e-3))


def test_a_graph_that_reckons_with_dt_is_not_suspected() -> None:
    """snnTorch's beta = 0.9999 is a tau of 10 s at dt = 1 ms, and r = tau/dt says that it is meant."""
    assert not warnings_of(graph(lif(10.0, r=1e4), dt=1e-3))
    assert not warnings_of(graph(lif(10.0, r=1e4 * 1.0005), dt=1e-3))
    assert not warnings_of(graph(lif(20.0), dt=1.0))  # counts in steps, or in milliseconds, throughout
    assert warnings_of(graph(lif(10.0, r=1e4 * 1.002), dt=1e-3))
    assert warnings_of(graph(lif(10.0, r=1e4), lif(20.0), dt=1e-3))  # throughout, or not at all
    for tau_mem, suspected in [(10.0, False), (20.0, True)]:  # the membrane's: a synapse has no r
        node = cuba(30.0, tau_mem)
        node.r = np.full(2, 1e4)
        assert bool(warnings_of(graph(node, integrator(3.0), dt=1e-3))) == suspected


@pytest.mark.parametrize(
    ("r", "threshold", "dt", "inputs"),
    [
        (1.0, 1.0, 1e-3, 1000),
        (1.0, -0.2, 1e-3, 200),
        (1.0, 0.11, 1e-3, 110),
        (1.0, 0.09, 1e-3, None),
        (1000.0, 1.0, 1e-3, None),
        (5.0, 1.0, 1e-3, None),
        (1.0, 20.0, 0.099, 202.02),
        (1.0, 20.0, 0.1, None),
        (1.0, 1.0, 1.0, None),
    ],
)
def test_an_integrator_whose_input_weighs_dt(r: float, threshold: float, dt: float, inputs: float | None) -> None:
    node = integrator(r)
    node.v_threshold = np.array([3 * threshold, threshold])  # the lowest says it
    found = [f for f in hasn.check(graph(lif(30 * dt), node, dt=dt)) if f.parameter == "r"]
    assert [(f.severity, f.node, f.got) for f in found] == [("note", "n1", "1")] * (inputs is not None)
    assert all(f"adds dt*r = {dt:g} to the voltage, so a spike takes {inputs:g} of them" in f.message for f in found)
    assert all(f"r is 1/dt = {1 / dt:g}." in f.repair for f in found)


def test_an_integrator_with_one_resistance_of_its_own_is_not_suspected() -> None:
    node = integrator(1.0)
    node.r = np.array([1.0, 200.0])
    assert hasn.check(graph(node, dt=1e-3)) == []
    other = nir.I(r=np.ones(2))  # no threshold: nothing to reach
    assert hasn.check(graph(other, dt=1e-3)) == []
    found = hasn.check(graph(node, integrator(1.0), dt=1e-3))
    assert [f.node for f in found] == ["n1"]


@pytest.mark.parametrize("kind", ["IF", "LIF"])
def test_populations_of_no_neuron_are_not_suspected(kind: str) -> None:
    """Their shapes do not meet; that is said, and there is no smallest of nothing."""
    found = hasn.check(chain(Draw(1).neuron(kind, (0,)), given=(2,), result=(2,)), dt=1e-3)
    assert {f.message for f in found} == {
        "shape mismatch along the edge from 'input'",
        "shape mismatch along the edge from 'n1'",
    }


#: delays in seconds at dt = 1 ms -> whether they look counted in steps or milliseconds.
DELAYS: dict[str, tuple[list[float], bool]] = {
    "steps": ([1, 2, 3], True),
    "some are none": ([0, 5, 1], True),
    "none at all": ([0, 0, 0], False),
    "one short one": ([1, 2, 0.003], False),
    "just under a second": ([0.999, 2, 3], False),
    "milliseconds": ([0.001, 0.002, 0.003], False),
}


@pytest.mark.parametrize("name", DELAYS)
@pytest.mark.parametrize("told", [True, False])
def test_delays_are_doubted_even_where_r_knows_dt(name: str, told: bool) -> None:
    """r = tau/dt says dt = 1 ms, and nothing of how delays were counted."""
    values, doubted = DELAYS[name]
    tau, one = np.full(3, 0.02), np.ones(3)
    lif = nir.LIF(tau=tau, r=tau / 1e-3, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    net = chain(nir.Delay(np.array(values, dtype=float)), lif, given=(3,), result=(3,))
    found = [f for f in hasn.check(net, dt=1e-3 if told else None) if "looks counted" in f.message]
    assert [(f.severity, f.node, f.parameter) for f in found] == [("warning", "n1", "delay")] * doubted
    if doubted:
        assert "1000 steps of dt = 0.001 s or more" in str(found[0].got)
    assert not [f for f in hasn.check(net, dt=1.0) if "looks counted" in f.message]  # time is counted in steps


def test_refractory_periods_are_doubted_too() -> None:
    tau, one = np.full(3, 0.02), np.ones(3)
    for value, doubted in ((2.0, True), (np.array([1.0, 2, 0]), True), (0.002, False), (0.0, False)):
        lif = nir.LIF(tau=tau, r=tau / 1e-3, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
        lif.metadata["refractory"] = value
        net = chain(lif, given=(3,), result=(3,))
        found = [f.parameter for f in hasn.check(net, dt=1e-3) if "looks counted" in f.message]
        assert found == ["metadata['refractory']"] * doubted


@pytest.mark.parametrize(("seconds", "lost"), [(4e-4, True), (5e-4, True), (6e-4, False), (0.0, False), (1e-9, True)])
def test_what_rounds_to_no_step_is_said(seconds: float, lost: bool) -> None:
    tau, one = np.full(3, 0.02), np.ones(3)
    lif = nir.LIF(tau=tau, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one, metadata={"refractory": seconds})
    net = chain(nir.Delay(np.array([seconds, 0.002, 0.003])), lif, given=(3,), result=(3,))
    found = [f for f in hasn.check(net, dt=1e-3) if "rounds to 0" in f.message]
    assert [(f.severity, f.parameter) for f in found] == [
        ("warning", "delay"),
        ("warning", "metadata['refractory']"),
    ] * lost
    if not lost and seconds:
        assert len([f for f in hasn.check(net, dt=1e-3) if "rounded to the nearest" in f.message]) == 2
