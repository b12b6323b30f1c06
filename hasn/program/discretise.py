"""The one place where time constants become factors of a step. All in float64.

``euler`` is the forward step. ``exact`` is the solution over one step with the input held constant (Rotter & Diesmann,
Biological Cybernetics 81, 1999, section 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np


def decay(tau: Any, dt: float, method: str, xp: Any = np) -> tuple[Any, Any]:
    """(a, 1 - a) with a the factor that a state of time constant ``tau`` keeps over a step; 1 - a without cancellation.

    Args:
        tau: seconds.
        dt: seconds.
        method: "euler" (1 - dt/tau) or "exact" (exp(-dt/tau)).
        xp: numpy, or the same names for the arrays given.
    """
    if method == "exact":
        return xp.exp(-dt / tau), -xp.expm1(-dt / tau)
    return 1.0 - dt / tau, dt / tau


def carried(tau_syn: Any, tau_mem: Any, dt: float, xp: Any = np) -> Any:
    """(1/tau_mem) * integral over a step of exp(-(dt-s)/tau_mem) exp(-s/tau_syn) ds, also where both tau are equal.

    With x = dt/tau_mem - dt/tau_syn this is (dt/tau_mem) exp(-dt/tau_mem) (exp(x) - 1)/x, whose limit at x = 0 is
    the alpha function. The larger of the two exponentials is taken out, so that nothing overflows.
    """
    x = dt / tau_mem - dt / tau_syn
    slower = xp.exp(-dt / xp.maximum(tau_syn, tau_mem))
    distance = xp.abs(x)
    ratio = xp.where(distance > 0, -xp.expm1(-distance) / xp.where(distance > 0, distance, 1.0), 1.0)
    return xp.asarray(dt / tau_mem * slower * ratio, dtype=xp.float64)


def turned(tau: Any, omega: Any, dt: float, method: str, xp: Any = np) -> tuple[Any, Any, Any, Any]:
    """(keep, turn, along, across): a step of ``tau dz/dt = (-1 + i omega tau) z + I`` with ``z = x + i y``.

    ``x <- keep x - turn y + along I``, ``y <- turn x + keep y + across I``; "exact" solves it with I held constant.

    Args:
        tau: seconds.
        omega: radians per second.
        dt, method, xp: as in :func:`decay`.
    """
    if method == "euler":
        return 1.0 - dt / tau, omega * dt, dt / tau, xp.zeros_like(tau)
    angle, ratio = omega * dt, omega * tau
    grown = xp.expm1(-dt / tau)
    keep, turn = (1.0 + grown) * xp.cos(angle), (1.0 + grown) * xp.sin(angle)
    # (exp(lambda dt) - 1) / (lambda tau) with lambda tau = -1 + i ratio; keep - 1 without cancellation.
    less = grown * xp.cos(angle) - 2.0 * xp.sin(angle / 2.0) ** 2
    norm = 1.0 + ratio**2
    return keep, turn, (turn * ratio - less) / norm, -(turn + less * ratio) / norm
