"""ResonateFire: a damped oscillation that spikes (Izhikevich, Resonate-and-fire neurons, Neural Networks 14, 2001).

    tau dx/dt = -x - omega tau y + R I        tau dy/dt = -y + omega tau x
    z = 1[y > v_threshold];   at a spike: x <- 0, y <- v_reset

``y`` is the membrane potential: what is recorded, what ``metadata["v_init"]`` sets, the state ``v`` of a Program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import TimeStepError
from hasn.finding import Finding
from hasn.nodes.kind import Parameter, finite
from hasn.nodes.neuron import FIRES, RESISTANCE, NeuronKind, Rows, element_types, floats, time_constant
from hasn.program.discretise import turned
from hasn.program.model import Condition, Row


@dataclass(eq=False)
class ResonateFire(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """A resonate-and-fire neuron; one value a neuron of each, all of one shape. ``method="exact"`` is the usual choice.

    Args:
        tau: time constant of the damping, s.
        omega: angular frequency, rad/s.
        r: resistance, ohm.
        v_threshold: of y, V.
        v_reset: of y, V; there is no reset by subtraction.
    """

    tau: NDArray[Any]
    omega: NDArray[Any]
    r: NDArray[Any]
    v_threshold: NDArray[Any]
    v_reset: NDArray[Any]

    def __post_init__(self) -> None:
        element_types(self)


class ResonateFireKind(NeuronKind):
    """Both rows read the states of before the step."""

    type = ResonateFire
    parameters: tuple[Parameter, ...] = (time_constant("tau"), finite("omega", "rad/s"), RESISTANCE, *FIRES)
    taus = ("tau",)
    resets = ("zero",)
    can_be_refractory = False

    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """Two rows: x, and v, which is y."""
        tau, omega, r = (floats(value, xp) for value in (node.tau, node.omega, node.r))
        keep, turn, along, across = turned(tau, omega, dt, method, xp)
        driven = None if method == "euler" else across * r
        return (
            Row("x", (("x", keep), ("v", -turn)), along * r),
            Row("v", (("x", turn), ("v", keep)), driven, before=True),
        )

    def firing(self, node: nir.NIRNode, reset: str, xp: Any = np) -> tuple[Condition, Rows]:
        """Both states jump."""
        condition, resets = super().firing(node, reset, xp)
        return condition, (Row("x", ()), *resets)

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """An Euler step grows the oscillation where ``(1 - dt/tau)^2 + (omega dt)^2 > 1``."""
        if method != "euler":
            return
        tau, omega = (np.asarray(value, dtype=float) for value in (node.tau, node.omega))
        growth = np.hypot(1.0 - dt / tau, omega * dt)
        if growth.size and float(growth.max()) > 1.0:
            worst = int(growth.argmax())
            yield Finding(
                "error",
                name,
                "omega",
                "is so fast that an Euler step makes the oscillation grow",
                "Take method='exact', or a smaller dt.",
                f"{float(omega.reshape(-1)[worst]):g} rad/s with tau = {float(tau.reshape(-1)[worst]):g} s",
                f"(1 - dt/tau)^2 + (omega dt)^2 <= 1 (dt = {dt:g} s)",
                TimeStepError,
            )


KINDS = (ResonateFireKind(),)
