"""Networks that learn on Lava's own learning engine, and rules that it has no place for."""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np

from hasn.plasticity import STDP, InhibitorySTDP, Rule, Trace, TripletSTDP
from hasn.testing.cases.learning import CASES as LEARNING
from hasn.testing.cases.learning import LearningCase, dense


@dataclass(frozen=True)
class EngineCase:
    """A network, and what of it Lava has no process for that a chip could run.

    Attributes:
        case: the network and its input.
        ours: nodes that the chip could not run as they are mapped.
        exact: whether two steps of the engine for one give SEMANTICS' order.
    """

    case: LearningCase
    ours: frozenset[str] = frozenset()
    exact: bool = True


def cells(gain: float | None = None, rest: float = 0.0) -> nir.LIF:
    """Five cells, whose input weighs ``gain`` in a step; None: each another, so that no rule fits all in stock LIF."""
    gains = np.linspace(0.7, 1.3, 5) if gain is None else np.full(5, gain)
    return nir.LIF(np.full(5, 20e-3), 20.0 * gains, np.full(5, rest), np.ones(5), np.zeros(5))


def soft(w_min: float, w_max: float) -> Rule:
    return STDP(0.03, 0.03, w_min=w_min, w_max=w_max, dependence="multiplicative")


#: Both sides read traces of their own, and a product of three.
WHOLE = Rule(
    "a * x * (2 - y) * post - b * y * (1 + x) * pre",
    traces={"x": Trace("0.5 * pre", 15e-3), "y": Trace("post", 30e-3)},
    constants={"a": 0.01, "b": 0.008},
    name="traces of both sides",
)

#: A population that no stock LIF is: it runs late with a bias, or has gains of its own.
OURS = frozenset({"cells"})

CASES: dict[str, EngineCase] = {
    "pair": EngineCase(LEARNING["pair"]),
    "pair-free": EngineCase(LearningCase(dense(STDP(0.01, 0.012)), batch=2, steps=400)),
    "pair-unlike": EngineCase(
        LearningCase(dense(STDP(0.01, 0.012, w_min=-1.0, w_max=1.0), target=cells()), steps=400), OURS, False
    ),
    "pair-from-0": EngineCase(
        LearningCase(dense(STDP(0.01, 0.02, w_min=0.0), 0.0, 0.5, cells(1.1)), rate=0.2, steps=400)
    ),
    "pair-to-0": EngineCase(
        LearningCase(dense(STDP(0.01, 0.012, w_max=0.0), -0.1, 0.0, cells(0.4, 1.8)), steps=400), OURS, False
    ),
    "pair-loop": EngineCase(LEARNING["pair-loop"], frozenset({"cells", "loop"}), False),
    "two-layers": EngineCase(LEARNING["two-layers"], OURS, False),
    "soft": EngineCase(LearningCase(dense(soft(0.0, 1.0), target=cells(0.7)))),
    "soft-from-low": EngineCase(LearningCase(dense(soft(0.1, 1.0)), steps=400), frozenset({"plastic"})),
    "triplet": EngineCase(LearningCase(dense(TripletSTDP(a2_plus=2e-3, w_min=0.0, w_max=1.0)))),
    "inhibitory": EngineCase(LearningCase(dense(InhibitorySTDP(-0.01, 8.0, w_min=-0.8, w_max=0.8), low=-0.2))),
    "whole": EngineCase(LearningCase(dense(WHOLE, target=cells(0.9)), steps=400)),
}
