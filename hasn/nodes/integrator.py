"""I and IF: ``dv/dt = R I`` (NIR, Pedersen et al., Nature Communications 15, 2024, table 1)."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.nodes.kind import Parameter
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, floats
from hasn.program.model import Row


class _Integrator(NeuronKind):
    """``v <- v + dt R I``; without a leak, Euler is exact."""

    parameters: tuple[Parameter, ...] = (RESISTANCE,)

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """One row: v."""
        gain = dt * floats(node.r, xp)
        return (Row("v", (("v", xp.ones_like(gain)),), gain),)


class IKind(_Integrator):
    """The integrator."""

    type = nir.I


class IFKind(_Integrator):
    """The integrator with a threshold."""

    type = nir.IF
    parameters: tuple[Parameter, ...] = (RESISTANCE, *FIRES)


KINDS = (IKind(), IFKind())
