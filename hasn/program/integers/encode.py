"""Registers -> NIR neuron: how a graph in the chip's units says them. :mod:`hasn.program.integers.lower` reads it back.

    LIF        dt/tau = dv/4096,  R dt/tau = 64,  v_leak dt/tau = bias;  no current, so du = 4095
    CubaLIF    dt/tau_syn = (du + 1)/4096,  w_in dt/tau_syn = 64;  dt/tau_mem = dv/4096,  R dt/tau_mem = 1
    v_threshold = 64 vth,  v_reset = 0

So weights stand in the graph as ``mantissa << weight_exp``, and a bias of a connection adds to the synaptic input.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.program.integers.model import ALIGN_BITS, DECAY_BITS

_UNITY, _ALIGN = float(1 << DECAY_BITS), float(1 << ALIGN_BITS)
#: Time constant, in steps, of a voltage that keeps everything (dv = 0): an Euler step loses 2**-40 of it, nothing on
#: the chip's grid, and a power of two keeps R and v_leak exact.
_FOREVER = 2.0**40


def steps_of(dv: Any) -> NDArray[np.float64]:
    """Time constants, in steps, of voltages with these decays."""
    return np.asarray(np.where(dv > 0, _UNITY / np.maximum(dv, 1), _FOREVER))


def chip_neuron(
    shape: tuple[int, ...],
    *,
    dt: float,
    dv: Any,
    du: Any = None,
    vth: Any = None,
    bias: Any = 0,
    v_init: Any = 0,
) -> nir.NIRNode:
    """A NIR neuron in the chip's units.

    Args:
        shape: of the population.
        dt: seconds a step.
        dv: decay of the voltage, 0..4095; one or one for each neuron, as all that follow.
        du: decay of the current, 0..4095; None: no current (LIF, LI).
        vth: threshold mantissa; None: it does not spike (LI, CubaLI).
        bias: added to the voltage at every step (must be a 13-bit mantissa times a power of two).
        v_init: voltage before the first step.
    """

    def full(value: Any) -> NDArray[np.float64]:
        return np.array(np.broadcast_to(np.asarray(value, dtype=np.float64), shape))

    tau = steps_of(full(dv))
    common: dict[str, Any] = {"v_leak": full(bias) * tau}
    if vth is not None:
        common |= {"v_threshold": full(vth) * _ALIGN, "v_reset": np.zeros(shape)}
    if du is None:
        kind: Any = nir.LI if vth is None else nir.LIF
        node = kind(tau=dt * tau, r=_ALIGN * tau, **common)
    else:
        kind = nir.CubaLI if vth is None else nir.CubaLIF
        tau_syn = _UNITY / (full(du) + 1.0)
        node = kind(tau_syn=dt * tau_syn, tau_mem=dt * tau, r=tau, w_in=_ALIGN * tau_syn, **common)
    if np.any(v_init):
        node.metadata["v_init"] = full(v_init)
    return node
