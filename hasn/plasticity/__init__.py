"""Learning rules: declared once, as data, for every backend (docs/plasticity.md)."""

from hasn.plasticity.attach import attach, detach
from hasn.plasticity.pairs import window
from hasn.plasticity.rule import Rule, Trace
from hasn.plasticity.rules import BCM, STDP, Hebb, InhibitorySTDP, Oja, RewardSTDP, TripletSTDP

__all__ = [
    "BCM",
    "STDP",
    "Hebb",
    "InhibitorySTDP",
    "Oja",
    "RewardSTDP",
    "Rule",
    "Trace",
    "TripletSTDP",
    "attach",
    "detach",
    "window",
]
