"""Coefficients: the exact method against the matrix exponential, Euler against its definition and its order."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from hasn.nodes.lookup import neuron_kind
from tests.graphs import Draw

D = Draw(3)
N = 200


def propagator(node: nir.NIRNode, dt: float, method: str) -> NDArray[np.float64]:
    """(N, 2, 4): the new (v, c) as a function of (v, c, x, 1), from the rows as an executor applies them."""
    now = {"v": np.tile([1.0, 0, 0, 0], (N, 1)), "c": np.tile([0, 1.0, 0, 0], (N, 1))}
    for row in neuron_kind(node).rows(node, dt, method):
        value = np.zeros((N, 4))
        for state, coefficient in row.terms:
            value = value + coefficient[:, None] * now[state]
        value[:, 2] += 0 if row.gain is None else row.gain
        value[:, 3] += 0 if row.bias is None else row.bias
        now[row.state] = value
    return np.stack([now["v"], now["c"]], axis=1)


def system(node: nir.NIRNode) -> NDArray[np.float64]:
    """M of d/dt (v, c, x, 1) = M (v, c, x, 1), straight from NIR's table of equations."""
    m = np.zeros((N, 4, 4))
    if isinstance(node, nir.I | nir.IF):
        m[:, 0, 2] = node.r
    elif isinstance(node, nir.LI | nir.LIF):
        m[:, 0] = np.stack([-1 / node.tau, 0 * node.r, node.r / node.tau, node.v_leak / node.tau], axis=-1)
    else:
        m[:, 0] = np.stack([-1 / node.tau_mem, node.r / node.tau_mem, 0 * node.r, node.v_leak / node.tau_mem], axis=-1)
        m[:, 1] = np.stack([0 * node.r, -1 / node.tau_syn, node.w_in / node.tau_syn, 0 * node.r], axis=-1)
    return m


def solution(node: nir.NIRNode, dt: float) -> NDArray[np.float64]:
    """(N, 2, 4) by the matrix exponential, of a 1024th of the step: of a long one scipy's is good to 1e-7 alone where
    two time constants nearly coincide (50 digits of mpmath say so)."""
    part = expm(dt / 1024 * system(node))
    return np.asarray(np.linalg.matrix_power(part, 1024))[:, :2]


KINDS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dt", [1e-6, 1e-3, 0.5])
def test_exact_is_the_matrix_exponential(kind: str, dt: float) -> None:
    """dt from a ten-thousandth of tau to a hundred times tau. a thousand products keep some 1e-12."""
    node = D.neuron(kind, (N,))
    wanted = solution(node, dt)
    np.testing.assert_allclose(propagator(node, dt, "exact"), wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("ratio", [1.0, 1 + 1e-15, 1 + 1e-12, 1 - 1e-9, 1 + 1e-6, 1 - 1e-3, 1.1, 1e-3, 1e3])
@pytest.mark.parametrize("dt", [1e-5, 1e-3, 0.1])
def test_exact_with_equal_and_nearly_equal_time_constants(ratio: float, dt: float) -> None:
    """Where the textbook's tau_syn / (tau_mem - tau_syn) divides by 0 or cancels."""
    tau = np.linspace(2e-3, 2e-2, N)
    node = D.neuron("CubaLIF", (N,), tau_mem=tau, tau_syn=ratio * tau)
    wanted = solution(node, dt)
    np.testing.assert_allclose(propagator(node, dt, "exact"), wanted, rtol=1e-11, atol=1e-13)


def test_very_unequal_time_constants_overflow_nothing() -> None:
    with np.errstate(all="raise", under="ignore"):
        node = D.neuron("CubaLIF", (N,), tau_mem=1e-7, tau_syn=1e3)
        assert np.all(np.isfinite(propagator(node, 1e-3, "exact")))
        node = D.neuron("CubaLIF", (N,), tau_mem=1e3, tau_syn=1e-7)
        assert np.all(np.isfinite(propagator(node, 1e-3, "exact")))


def test_euler_of_a_leaky_neuron_is_its_definition() -> None:
    node, dt = D.neuron("LIF", (N,)), 1e-3
    v, x = D.between(-1, 1, (N,)), D.between(-1, 1, (N,))
    p = propagator(node, dt, "euler")[:, 0]
    wanted = v + dt / node.tau * (node.v_leak - v + node.r * x)
    np.testing.assert_allclose(p[:, 0] * v + p[:, 2] * x + p[:, 3], wanted, rtol=1e-13)


def test_euler_of_cuba_takes_the_new_current() -> None:
    node, dt = D.neuron("CubaLIF", (N,)), 1e-3
    v, c, x = (D.between(-1, 1, (N,)) for _ in range(3))
    new_c = c + dt / node.tau_syn * (-c + node.w_in * x)
    new_v = v + dt / node.tau_mem * (node.v_leak - v + node.r * new_c)
    p = propagator(node, dt, "euler")
    state = np.stack([v, c, x, np.ones(N)], axis=-1)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", p, state), np.stack([new_v, new_c], axis=-1), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_euler_is_of_first_order(kind: str) -> None:
    """Over a fixed time, half the step halves the error, whatever the neuron (an integrator's error is rounding)."""
    node, total = D.neuron(kind, (N,)), 4e-3
    wanted = solution(node, total)

    def error(steps: int) -> float:
        p = propagator(node, total / steps, "euler")
        full = np.concatenate([p, np.tile(np.eye(4)[2:], (N, 1, 1))], axis=1)
        return float(np.max(np.abs(np.linalg.matrix_power(full, steps)[:, :2] - wanted)))

    coarse, fine = error(400), error(800)
    if kind in ("I", "IF"):
        assert max(coarse, fine) < 1e-10
    else:
        assert fine > 1e-6
        assert 1.9 < coarse / fine < 2.1


def test_a_leak_of_zero_costs_nothing() -> None:
    node = D.neuron("CubaLIF", (N,), v_leak=0.0)
    assert all(row.bias is None for row in neuron_kind(node).rows(node, 1e-3, "exact"))
