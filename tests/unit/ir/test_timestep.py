"""dt: where it may stand, what betrays it, and the bounds of an Euler step."""

from __future__ import annotations

import warnings
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import TimeStepError
from hasn.ir.structure import flatten
from hasn.ir.timestep import check_dt, dt_of, propose_dt
from tests.graphs import Draw, chain

D = Draw(2)


def exported(dt: float, *taus: float) -> nir.NIRGraph:
    """A net as snnTorch writes it: r = tau / dt."""
    nodes = [D.lif(3, tau=tau, r=tau / dt) for tau in taus]
    return chain(*nodes, given=(3,), result=(3,))


def test_dt_of_the_call_wins_over_the_graphs() -> None:
    net = exported(1e-4, 0.02)
    net.metadata["dt"] = 2e-4
    assert hasn.lower(net).dt == 2e-4
    assert hasn.lower(net, dt=5e-4).dt == 5e-4


def test_a_missing_dt_is_an_error_that_proposes_what_r_betrays() -> None:
    with pytest.raises(TimeStepError, match=r"not known.*r = tau/dt in this graph points to dt=0\.0001\."):
        hasn.lower(exported(1e-4, 0.02, 0.005))


@pytest.mark.parametrize(
    ("net", "proposed"),
    [
        (exported(1e-4, 0.02, 0.005), 1e-4),
        (exported(1.0, 3.0), 1.0),
        (chain(D.neuron("CubaLIF", (3,), tau_mem=0.01, r=10.0), given=(3,), result=(3,)), 1e-3),
        (chain(D.lif(3, tau=0.01, r=1.0), given=(3,), result=(3,)), None),  # r = 1: written without a thought of dt
        (
            chain(D.lif(3, tau=0.01, r=10.0), D.lif(3, tau=0.01, r=20.0), given=(3,), result=(3,)),
            None,
        ),  # they contradict
        (chain(D.linear(3, 3), given=(3,), result=(3,)), None),
        (chain(D.lif(3, tau=-0.01, r=10.0), given=(3,), result=(3,)), None),
        (chain(D.neuron("LI", (3,), tau=0.01, r=10.0), given=(3,), result=(3,)), 1e-3),
        (chain(D.neuron("IF", (3,), r=10.0), D.lif(3, tau=0.01, r=10.0), given=(3,), result=(3,)), 1e-3),
        (chain(D.lif(3, tau=0.01, r=[1.0, 10.0, 10.0]), given=(3,), result=(3,)), 1e-3),
        (chain(D.lif(3, tau=0.01, r=[10.0, 0.0, 10.0]), given=(3,), result=(3,)), 1e-3),
        (chain(D.lif(3, tau=[-0.02, 0.01, 0.01], r=10.0), given=(3,), result=(3,)), 1e-3),
        (chain(D.lif(3, tau=[0.02, 0.02001, 0.020018], r=10.0), given=(3,), result=(3,)), 2.001e-3),  # the median
        (chain(D.lif(3, tau=[0.02, 0.02, 0.02003], r=10.0), given=(3,), result=(3,)), None),  # over 0.1 % apart
        (chain(D.lif(3, tau=0.0123456, r=10.0), given=(3,), result=(3,)), 1.235e-3),
    ],
)
def test_what_is_proposed(net: nir.NIRGraph, proposed: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # r = 0 is the check's affair
        assert propose_dt(flatten(net)) == proposed


@pytest.mark.parametrize("dt", [0, -1e-3, float("nan"), float("inf"), "1 ms", [1e-3, 2e-3]])
def test_a_dt_without_meaning(dt: Any) -> None:
    with pytest.raises(
        TimeStepError, match=r"dt: the time step has no meaning; got .*; wanted a finite number of seconds > 0"
    ):
        hasn.lower(exported(1e-4, 0.02), dt=dt)
    net = exported(1e-4, 0.02)
    net.metadata["dt"] = dt
    assert hasn.check(net)[0].error is TimeStepError


def test_dt_may_come_as_hdf5_gives_it() -> None:
    net = exported(1e-4, 0.02)
    net.metadata["dt"] = np.array([1e-3])
    assert hasn.lower(net).dt == 1e-3


@pytest.mark.parametrize(
    ("ratio", "severity"), [(2.01, "error"), (2.0, "warning"), (1.01, "warning"), (1.0, None), (0.1, None)]
)
@pytest.mark.parametrize(
    ("kind", "parameter"),
    [("LI", "tau"), ("LIF", "tau"), *((kind, tau) for kind in ("CubaLI", "CubaLIF") for tau in ("tau_syn", "tau_mem"))],
)
def test_bounds_of_an_euler_step(ratio: float, severity: str | None, kind: str, parameter: str) -> None:
    """dt > 2 tau diverges: |1 - dt/tau| > 1; up to there, dt > tau changes sign at every step."""
    net = chain(D.neuron(kind, (3,), **{parameter: [0.01, 0.001, 0.01]}), given=(3,), result=(3,))
    found = hasn.check(net, dt=ratio * 1e-3)
    assert [(f.severity, f.node, f.parameter) for f in found] == ([(severity, "n1", parameter)] if severity else [])
    assert hasn.check(net, dt=ratio * 1e-3, method="exact") == []


@pytest.mark.parametrize(("dt", "said"), [(1.5e-3, "overshoots"), (3e-3, "diverges")])
def test_an_euler_finding_names_the_shortest_and_its_bound(dt: float, said: str) -> None:
    (found,) = hasn.check(chain(D.lif(3, tau=[0.01, 1e-3, 0.02]), given=(3,), result=(3,)), dt=dt)
    bound = ">= dt = 0.0015 s" if said == "overshoots" else ">= 0.0015 s (dt = 0.003 s)"
    assert said in found.message
    assert (found.got, found.wanted, found.error) == ("0.001 s", bound, TimeStepError)
    assert found.repair == "Take a smaller dt, or method='exact'."


@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize(
    ("delay", "said"),
    [([0.0, 2e-3, 1.5e-3, 0.7e-3], "0.0015 s"), ([1e-3, 2.000002e-3], "0.002 s"), ([1e-3, 2.0000005e-3], None)],
)
def test_a_delay_between_two_steps_is_named(delay: list[float], said: str | None, method: str) -> None:
    """Up to a millionth of a step is rounding; the first that is more is named."""
    n = len(delay)
    found = hasn.check(chain(nir.Delay(np.array(delay)), given=(n,), result=(n,)), dt=1e-3, method=method)
    assert [(f.severity, f.node, f.parameter, f.got) for f in found] == [("warning", "n1", "delay", said)] * bool(said)
    assert all(f.repair == "Give a multiple of dt = 0.001 s." for f in found)


def test_a_missing_dt_is_a_warning_of_the_graph() -> None:
    (found,) = hasn.check(exported(1e-4, 0.02))
    assert (found.severity, found.node, found.parameter, found.error) == ("warning", "", "dt", TimeStepError)
    assert found.repair == (
        "Pass dt=... (seconds), or set graph.metadata['dt']. r = tau/dt in this graph points to dt=0.0001."
    )
    (found,) = hasn.check(chain(D.linear(3, 3), given=(3,), result=(3,)))
    assert found.repair == "Pass dt=... (seconds), or set graph.metadata['dt']."


@pytest.mark.parametrize("value", [2e-3, np.float32(2e-3), np.array(2e-3), [[2e-3]], np.array([2e-3])])
def test_forms_of_a_number_of_seconds(value: Any) -> None:
    assert check_dt(value) == pytest.approx(2e-3, rel=1e-7)  # float32
    assert dt_of({"dt": 5e-3}, value) == check_dt(value) == dt_of({"dt": value})
    assert dt_of("no mapping", value) == check_dt(value)
    assert dt_of("no mapping") is None
    assert dt_of({}) is None


def test_the_bound_is_where_a_decay_diverges() -> None:
    """The warning and the error say what the coefficients then do."""
    from hasn.program.model import Neurons

    def kept(ratio: float) -> float:
        program = hasn.lower(chain(D.neuron("LI", (1,), tau=1.0), given=(1,), result=(1,)), dt=ratio)
        step = program.node("n1")
        assert isinstance(step, Neurons)
        return float(step.rows[0].terms[0][1][0])

    assert 0 <= kept(1.0) < kept(0.5) < 1
    assert -1 < kept(1.9) < 0
