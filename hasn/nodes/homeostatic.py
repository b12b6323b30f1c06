"""HomeostaticLIF: a leaky integrate-and-fire neuron whose threshold moves until it spikes at a rate of its own.

    tau dv/dt = v_leak - v + R I             dtheta/dt = -threshold_jump rate
    z = 1[v > v_threshold + theta];   at a spike: v is reset, theta <- theta + threshold_jump

Between spikes the threshold sinks; where the neuron spikes ``rate`` times a second, jumps and sinking cancel. Nothing
pulls theta back to 0, so the rate is held for any lasting input. The rule is that of Lazar, Pipa & Triesch, SORN: a
self-organizing recurrent neural network, Frontiers in Computational Neuroscience 3, 2009 (intrinsic plasticity,
``T <- T + eta (z - H)``), with ``H = rate dt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.nodes.kind import Parameter, finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, element_types, floats, time_constant, unless_zero
from hasn.program.discretise import decay
from hasn.program.model import ONE, Condition, Row


@dataclass(eq=False)
class HomeostaticLIF(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """A leaky integrate-and-fire neuron whose threshold moves until it spikes at a given rate.

    One value a neuron of each, all of one shape; the equations stand in :mod:`hasn.nodes.homeostatic`.

    Args:
        tau: membrane time constant, s.
        r: resistance, ohm.
        v_leak: where the voltage leaks to, V.
        v_threshold: the threshold at the start, V.
        v_reset: V; with the reset "subtract", ``v_threshold - v_reset`` is taken off.
        rate: the rate that it comes to, Hz.
        threshold_jump: what a spike adds to the threshold, V.
    """

    tau: NDArray[Any]
    r: NDArray[Any]
    v_leak: NDArray[Any]
    v_threshold: NDArray[Any]
    v_reset: NDArray[Any]
    rate: NDArray[Any]
    threshold_jump: NDArray[Any]

    def __post_init__(self) -> None:
        element_types(self)


class HomeostaticLIFKind(NeuronKind):
    """The threshold sinks, then the voltage moves."""

    type = HomeostaticLIF
    parameters: tuple[Parameter, ...] = (
        time_constant("tau"),
        RESISTANCE,
        finite("v_leak", "V"),
        *FIRES,
        Parameter("rate", "Hz", lambda a: np.isfinite(a) & (a >= 0), "a finite rate >= 0 Hz"),
        finite("threshold_jump", "V"),
    )
    taus = ("tau",)

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """Two rows: theta and v."""
        keep, fill = decay(floats(node.tau, xp), dt, method, xp)
        sinks = floats(node.threshold_jump, xp) * floats(node.rate, xp) * dt
        v_leak = floats(node.v_leak, xp)
        return (
            Row("theta", (("theta", ONE),), bias=-sinks),
            Row("v", (("v", keep),), fill * floats(node.r, xp), unless_zero(fill * v_leak, xp)),
        )

    def firing(self, node: nir.NIRNode, reset: str, xp: Any = np) -> tuple[Condition, Rows]:
        """Where v lies above the threshold of this step."""
        still, resets = super().firing(node, reset, xp)
        condition = Condition((*still.terms, ("theta", -ONE)), still.constant)
        return condition, (*resets, Row("theta", (("theta", ONE),), bias=floats(node.threshold_jump, xp)))
