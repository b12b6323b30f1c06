"""CubaLI and CubaLIF: a synaptic current drives the voltage (NIR, Pedersen et al., Nature Communications 15, 2024).

tau_syn dc/dt = -c + w_in I        tau_mem dv/dt = v_leak - v + R c
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.nodes.kind import Parameter, finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, floats, time_constant, unless_zero
from hasn.program.discretise import carried, decay
from hasn.program.model import Row


class CubaLIKind(NeuronKind):
    """Euler: the current first, the voltage with the new one. Exact: the current decays while it drives the voltage."""

    type = nir.CubaLI
    parameters: tuple[Parameter, ...] = (
        time_constant("tau_syn"),
        time_constant("tau_mem"),
        RESISTANCE,
        finite("v_leak", "V"),
        finite("w_in"),
    )
    taus = ("tau_syn", "tau_mem")

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """Two rows: c and v."""
        tau_syn, tau_mem, r, w_in = (floats(value, xp) for value in (node.tau_syn, node.tau_mem, node.r, node.w_in))
        keep_c, fill_c = decay(tau_syn, dt, method, xp)
        keep_v, fill_v = decay(tau_mem, dt, method, xp)
        leak = unless_zero(fill_v * floats(node.v_leak, xp), xp)
        current = Row("c", (("c", keep_c),), fill_c * w_in)
        if method == "euler":
            return current, Row("v", (("v", keep_v), ("c", fill_v * r)), None, leak)
        # c(s) = w I + (c - w I) exp(-s/tau_syn) drives v: the voltage reads the old current, so its row comes first.
        share = carried(tau_syn, tau_mem, dt, xp)
        return Row("v", (("v", keep_v), ("c", r * share)), r * w_in * (fill_v - share), leak), current


class CubaLIFKind(CubaLIKind):
    """The same with a threshold."""

    type = nir.CubaLIF
    parameters: tuple[Parameter, ...] = (*CubaLIKind.parameters, *FIRES)


KINDS = (CubaLIKind(), CubaLIFKind())
