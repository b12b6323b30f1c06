"""AdaptiveLIF: a leaky integrate-and-fire neuron with a moving threshold and an adaptation current.

    tau dv/dt = v_leak - v + R (I - w)
    tau_adaptation dw/dt = a (v - v_leak) - w        tau_threshold dtheta/dt = -theta
    z = 1[v > v_threshold + theta];   at a spike: v is reset, theta <- theta + threshold_jump, w <- w + b

The threshold is that of Bellec et al., Long short-term memory and learning-to-learn in networks of spiking neurons,
NeurIPS 2018; the current that of Brette & Gerstner, Adaptive exponential integrate-and-fire model, Journal of
Neurophysiology 94, 2005, without its exponential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.nodes.homeostatic import HomeostaticLIFKind
from hasn.nodes.kind import Parameter, finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, element_types, floats, time_constant, unless_zero
from hasn.program.discretise import decay
from hasn.program.model import ONE, Condition, Row


@dataclass(eq=False)
class AdaptiveLIF(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """A leaky integrate-and-fire neuron whose threshold moves and whose voltage drives a current against itself.

    One value a neuron of each, all of one shape; the equations stand in :mod:`hasn.nodes.adaptive`.

    Args:
        tau: membrane time constant, s.
        r: resistance, ohm.
        v_leak: where the voltage leaks to, V.
        v_threshold: the threshold at rest, V.
        v_reset: V; with the reset "subtract", ``v_threshold - v_reset`` is taken off.
        tau_adaptation: time constant of the adaptation current, s.
        a: what a volt above v_leak drives of it, S.
        b: what a spike adds to it, A.
        tau_threshold: time constant with which the threshold comes back, s.
        threshold_jump: what a spike adds to the threshold, V.
    """

    tau: NDArray[Any]
    r: NDArray[Any]
    v_leak: NDArray[Any]
    v_threshold: NDArray[Any]
    v_reset: NDArray[Any]
    tau_adaptation: NDArray[Any]
    a: NDArray[Any]
    b: NDArray[Any]
    tau_threshold: NDArray[Any]
    threshold_jump: NDArray[Any]

    def __post_init__(self) -> None:
        element_types(self)


class AdaptiveLIFKind(NeuronKind):
    """The current first, with the voltage of before; then the threshold; then the voltage, with the new current."""

    type = AdaptiveLIF
    parameters: tuple[Parameter, ...] = (
        time_constant("tau"),
        RESISTANCE,
        finite("v_leak", "V"),
        *FIRES,
        time_constant("tau_adaptation"),
        finite("a", "S"),
        finite("b", "A"),
        time_constant("tau_threshold"),
        finite("threshold_jump", "V"),
    )
    taus = ("tau_adaptation", "tau_threshold", "tau")

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """Three rows: w, theta and v."""
        tau, r, v_leak, a = (floats(value, xp) for value in (node.tau, node.r, node.v_leak, node.a))
        keep_w, fill_w = decay(floats(node.tau_adaptation, xp), dt, method, xp)
        keep_theta, _ = decay(floats(node.tau_threshold, xp), dt, method, xp)
        keep_v, fill_v = decay(tau, dt, method, xp)
        gain = fill_v * r
        return (
            Row("w", (("w", keep_w), ("v", fill_w * a)), bias=unless_zero(-(fill_w * a * v_leak), xp)),
            Row("theta", (("theta", keep_theta),)),
            Row("v", (("v", keep_v), ("w", -gain)), gain, unless_zero(fill_v * v_leak, xp)),
        )

    def firing(self, node: nir.NIRNode, reset: str, xp: Any = np) -> tuple[Condition, Rows]:
        """Where v lies above the threshold and what was added to it."""
        still, resets = super().firing(node, reset, xp)
        condition = Condition((*still.terms, ("theta", -ONE)), still.constant)
        moved = Row("theta", (("theta", ONE),), bias=floats(node.threshold_jump, xp))
        return condition, (*resets, moved, Row("w", (("w", ONE),), bias=floats(node.b, xp)))


KINDS = (AdaptiveLIFKind(), HomeostaticLIFKind())
