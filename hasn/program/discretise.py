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

from hasn.program.model import Row

Rows = tuple[Row, ...]


def rows_of(node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
    """The update of a NIR neuron as coefficients.

    Args:
        node: I, IF, LI, LIF, CubaLI or CubaLIF.
        dt: seconds a step.
        method: ``"euler"`` or ``"exact"``.
        xp: numpy, or the same names for other arrays that the node holds (torch's: then the coefficients have
            gradients).
    """
    return _ROWS[type(node)](node, dt, method == "exact", xp)


def _floats(value: Any, xp: Any) -> Any:
    return xp.asarray(value, dtype=xp.float64)


def _unless_zero(value: Any, xp: Any) -> Any:
    return value if xp.any(value) else None


def _decay(tau: Any, dt: float, exact: bool, xp: Any) -> tuple[Any, Any]:
    """(a, 1 - a) with a the factor that a state keeps over a step; 1 - a without cancellation."""
    if exact:
        return xp.exp(-dt / tau), -xp.expm1(-dt / tau)
    return 1.0 - dt / tau, dt / tau


def _integrator(node: nir.NIRNode, dt: float, exact: bool, xp: Any) -> Rows:
    gain = dt * _floats(node.r, xp)  # without a leak, Euler is exact
    return (Row("v", (("v", xp.ones_like(gain)),), gain),)


def _leaky(node: nir.NIRNode, dt: float, exact: bool, xp: Any) -> Rows:
    keep, fill = _decay(_floats(node.tau, xp), dt, exact, xp)
    leak = _unless_zero(fill * _floats(node.v_leak, xp), xp)
    return (Row("v", (("v", keep),), fill * _floats(node.r, xp), leak),)


def _cuba(node: nir.NIRNode, dt: float, exact: bool, xp: Any) -> Rows:
    tau_syn, tau_mem, r, w_in = (_floats(value, xp) for value in (node.tau_syn, node.tau_mem, node.r, node.w_in))
    keep_c, fill_c = _decay(tau_syn, dt, exact, xp)
    keep_v, fill_v = _decay(tau_mem, dt, exact, xp)
    leak = _unless_zero(fill_v * _floats(node.v_leak, xp), xp)
    current = Row("c", (("c", keep_c),), fill_c * w_in)
    if not exact:
        return current, Row("v", (("v", keep_v), ("c", fill_v * r)), None, leak)
    # c(s) = w I + (c - w I) exp(-s/tau_syn) drives v: the voltage reads the old current, so its row comes first.
    carried = _carried(tau_syn, tau_mem, dt, xp)
    return Row("v", (("v", keep_v), ("c", r * carried)), r * w_in * (fill_v - carried), leak), current


def _carried(tau_syn: Any, tau_mem: Any, dt: float, xp: Any) -> Any:
    """(1/tau_mem) * integral over a step of exp(-(dt-s)/tau_mem) exp(-s/tau_syn) ds, also where both tau are equal.

    With x = dt/tau_mem - dt/tau_syn this is (dt/tau_mem) exp(-dt/tau_mem) (exp(x) - 1)/x, whose limit at x = 0 is
    the alpha function. The larger of the two exponentials is taken out, so that nothing overflows.
    """
    x = dt / tau_mem - dt / tau_syn
    slower = xp.exp(-dt / xp.maximum(tau_syn, tau_mem))
    distance = xp.abs(x)
    ratio = xp.where(distance > 0, -xp.expm1(-distance) / xp.where(distance > 0, distance, 1.0), 1.0)
    return _floats(dt / tau_mem * slower * ratio, xp)


_ROWS: dict[type[nir.NIRNode], Callable[[nir.NIRNode, float, bool, Any], Rows]] = {
    nir.I: _integrator,
    nir.IF: _integrator,
    nir.LI: _leaky,
    nir.LIF: _leaky,
    nir.CubaLI: _cuba,
    nir.CubaLIF: _cuba,
}
