"""Learning rules: declared once, as data, for every backend (docs/plasticity.md)."""

from hasn.plasticity.attach import attach, detach
from hasn.plasticity.clopath import Clopath
from hasn.plasticity.intrinsic import homeostatic
from hasn.plasticity.pairs import window
from hasn.plasticity.rewiring import Rewiring
from hasn.plasticity.rule import Rule, Trace
from hasn.plasticity.rules import BCM, STDP, Hebb, InhibitorySTDP, Oja, RewardSTDP, TripletSTDP
from hasn.plasticity.short_term import ShortTerm
from hasn.plasticity.slow import MetaplasticSTDP, SynapticScaling, TagAndCapture
from hasn.plasticity.sums import together

__all__ = [
    "BCM",
    "STDP",
    "Clopath",
    "Hebb",
    "InhibitorySTDP",
    "MetaplasticSTDP",
    "Oja",
    "RewardSTDP",
    "Rewiring",
    "Rule",
    "ShortTerm",
    "SynapticScaling",
    "TagAndCapture",
    "Trace",
    "TripletSTDP",
    "attach",
    "detach",
    "homeostatic",
    "together",
    "window",
]
