"""LI and LIF: ``tau dv/dt = v_leak - v + R I`` (NIR, Pedersen et al., Nature Communications 15, 2024, table 1)."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.nodes.kind import Parameter, finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, floats, time_constant, unless_zero
from hasn.program.discretise import decay
from hasn.program.model import Row


class LIKind(NeuronKind):
    """The leaky integrator: ``v <- a v + (1 - a) R I + (1 - a) v_leak``."""

    type = nir.LI
    parameters: tuple[Parameter, ...] = (time_constant("tau"), RESISTANCE, finite("v_leak", "V"))
    taus = ("tau",)

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """One row: v."""
        keep, fill = decay(floats(node.tau, xp), dt, method, xp)
        leak = unless_zero(fill * floats(node.v_leak, xp), xp)
        return (Row("v", (("v", keep),), fill * floats(node.r, xp), leak),)


class LIFKind(LIKind):
    """The leaky integrator with a threshold."""

    type = nir.LIF
    parameters: tuple[Parameter, ...] = (*LIKind.parameters, *FIRES)


KINDS = (LIKind(), LIFKind())
