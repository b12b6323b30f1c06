"""Learning rules: declared once, as data, for every backend (docs/plasticity.md)."""

from hasn.plasticity.attach import attach, detach
from hasn.plasticity.rewiring import Rewiring
from hasn.plasticity.rule import Rule, Trace
from hasn.plasticity.rules import BCM, STDP, Hebb, InhibitorySTDP, Oja, RewardSTDP, TripletSTDP

__all__ = [
    "BCM",
    "STDP",
    "Hebb",
    "InhibitorySTDP",
    "Oja",
    "RewardSTDP",
    "Rewiring",
    "Rule",
    "Trace",
    "TripletSTDP",
    "attach",
    "detach",
]
