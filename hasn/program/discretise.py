"""The one place where tau, R and dt become coefficients.

Continuous time (NIR, Pedersen et al., Nature Communications 15, 2024, table 1):

    I, IF          dv/dt = R I
    LI, LIF        tau dv/dt = v_leak - v + R I
    CubaLI, LIF    tau_syn dc/dt = -c + w_in I        tau_mem dv/dt = v_leak - v + R c

``euler`` is the forward step, the current first and the voltage with the new current. ``exact`` is the solution over
one step with the input held constant (Rotter & Diesmann, Biological Cybernetics 81, 1999, section 3). All in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from hasn.program.model import Floats, Row

Rows = tuple[Row, ...]


def rows_of(node: nir.NIRNode, dt: float, method: str) -> Rows:
    """The update of a NIR neuron as coefficients.

    Args:
        node: I, IF, LI, LIF, CubaLI or CubaLIF.
        dt: seconds a step.
        method: ``"euler"`` or ``"exact"``.
    """
    return _ROWS[type(node)](node, dt, method == "exact")


def _floats(value: Any) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _unless_zero(value: Floats) -> Floats | None:
    return value if np.any(value) else None


def _decay(tau: Floats, dt: float, exact: bool) -> tuple[Floats, Floats]:
    """(a, 1 - a) with a the factor that a state keeps over a step; 1 - a without cancellation."""
    if exact:
        return np.exp(-dt / tau), -np.expm1(-dt / tau)
    return 1.0 - dt / tau, dt / tau


def _integrator(node: nir.NIRNode, dt: float, exact: bool) -> Rows:
    gain = dt * _floats(node.r)  # without a leak, Euler is exact
    return (Row("v", (("v", np.ones_like(gain)),), gain),)


def _leaky(node: nir.NIRNode, dt: float, exact: bool) -> Rows:
    keep, fill = _decay(_floats(node.tau), dt, exact)
    return (Row("v", (("v", keep),), fill * _floats(node.r), _unless_zero(fill * _floats(node.v_leak))),)


def _cuba(node: nir.NIRNode, dt: float, exact: bool) -> Rows:
    tau_syn, tau_mem, r, w_in = map(_floats, (node.tau_syn, node.tau_mem, node.r, node.w_in))
    keep_c, fill_c = _decay(tau_syn, dt, exact)
    keep_v, fill_v = _decay(tau_mem, dt, exact)
    leak = _unless_zero(fill_v * _floats(node.v_leak))
    current = Row("c", (("c", keep_c),), fill_c * w_in)
    if not exact:
        return current, Row("v", (("v", keep_v), ("c", fill_v * r)), None, leak)
    # c(s) = w I + (c - w I) exp(-s/tau_syn) drives v: the voltage reads the old current, so its row comes first.
    carried = _carried(tau_syn, tau_mem, dt)
    return Row("v", (("v", keep_v), ("c", r * carried)), r * w_in * (fill_v - carried), leak), current


def _carried(tau_syn: Floats, tau_mem: Floats, dt: float) -> Floats:
    """(1/tau_mem) * integral over a step of exp(-(dt-s)/tau_mem) exp(-s/tau_syn) ds, also where both tau are equal.

    With x = dt/tau_mem - dt/tau_syn this is (dt/tau_mem) exp(-dt/tau_mem) (exp(x) - 1)/x, whose limit at x = 0 is
    the alpha function. The larger of the two exponentials is taken out, so that nothing overflows.
    """
    x = dt / tau_mem - dt / tau_syn
    slower = np.exp(-dt / np.maximum(tau_syn, tau_mem))
    distance = np.abs(x)
    ratio = np.where(distance > 0, -np.expm1(-distance) / np.where(distance > 0, distance, 1.0), 1.0)
    return _floats(dt / tau_mem * slower * ratio)


_ROWS: dict[type[nir.NIRNode], Callable[[nir.NIRNode, float, bool], Rows]] = {
    nir.I: _integrator,
    nir.IF: _integrator,
    nir.LI: _leaky,
    nir.LIF: _leaky,
    nir.CubaLI: _cuba,
    nir.CubaLIF: _cuba,
}
