"""tau and R found for a tool's coefficients give these coefficients back, to the last bit."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.conversions.coefficients import integrator_resistance_for, resistance_for, tau_for
from hasn.nodes.lookup import neuron_kind


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 0.37, 1.0])
def test_an_euler_step_gives_the_coefficients_back(dt: float) -> None:
    rng = np.random.default_rng(3)
    betas = np.concatenate([rng.uniform(0, 1, 4000), [0.0, 0.5, 0.9, 0.999999]])
    keep = betas.astype(np.float32).astype(np.float64)
    gain = rng.uniform(0.05, 3, keep.size)
    tau = tau_for(keep, dt)
    zero = np.zeros_like(keep)
    node = nir.LIF(tau=tau, r=resistance_for(gain, tau, dt), v_leak=zero, v_threshold=zero + 1, v_reset=zero)
    (row,) = neuron_kind(node).rows(node, dt, "euler")
    # 1 - dt/tau cannot hit every float near 0, where floats lie closer than those near 1: half an ulp of 1 there.
    np.testing.assert_allclose(row.terms[0][1], keep, rtol=0, atol=np.finfo(float).eps)
    assert np.array_equal(row.terms[0][1].astype(np.float32), keep.astype(np.float32))
    np.testing.assert_allclose(row.gain, gain, rtol=np.finfo(float).eps)


@pytest.mark.parametrize("dt", [1e-4, 1e-3, 0.37])
def test_an_integrator_adds_what_it_is_given(dt: float) -> None:
    one = np.ones(3)
    node = nir.IF(r=integrator_resistance_for(one, dt), v_threshold=one, v_reset=0 * one)
    (row,) = neuron_kind(node).rows(node, dt, "euler")
    assert row.gain is not None
    assert np.array_equal(row.gain, one)
