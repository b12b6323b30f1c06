"""From a tool's own coefficients back to NIR's tau and R: the inverse of an Euler step in hasn.program.discretise.

A tool that steps ``v <- keep * v + gain * x`` is NIR's leaky integrator with ``1 - dt/tau = keep`` and
``(dt/tau) * r = gain``. Of the floats nearest to the solution, the one is taken whose Euler step gives the tool's
coefficient back exactly, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def tau_for(keep: Floats, dt: float) -> Floats:
    """tau (s) of a state that keeps ``keep`` (0 <= keep < 1) over an Euler step of ``dt`` seconds."""
    return _nearest(dt / (1.0 - keep), keep, lambda tau: 1.0 - dt / tau)


def resistance_for(gain: Floats, tau: Floats, dt: float) -> Floats:
    """R (ohm; also w_in) with which an input x adds ``gain * x`` in an Euler step."""
    return _nearest(gain * (tau / dt), gain, lambda r: (dt / tau) * r)


def integrator_resistance_for(gain: Floats, dt: float) -> Floats:
    """R (ohm) with which an input x adds ``gain * x`` to an integrator without a leak."""
    return _nearest(gain / dt, gain, lambda r: dt * r)


def _nearest(guess: Floats, wanted: Floats, step: Callable[[Floats], Floats]) -> Floats:
    """The float next to ``guess`` whose ``step`` comes nearest to ``wanted``, for each element."""
    best = np.asarray(guess, dtype=np.float64)
    for direction in (np.inf, -np.inf):
        other = best
        for _ in range(2):  # division and product round once each
            other = np.nextafter(other, direction)
            best = np.where(np.abs(step(other) - wanted) < np.abs(step(best) - wanted), other, best)
    return best
