"""Short-term plasticity: what a spike sends hangs on the spikes before it, and goes back by itself."""

from __future__ import annotations

from hasn.errors import OptionError
from hasn.plasticity.rule import Rule, Trace


def ShortTerm(u: float = 0.5, tau_recovery: float = 0.8, tau_facilitation: float = 0.0) -> Rule:
    """Facilitation and depression (Tsodyks, Pawelzik & Markram 1998, Neural Networks with Dynamic Synapses, Neural
    Computation 10, equations 2 and 3; Markram, Wang & Tsodyks 1998).

    A spike uses the share ``U+`` of the resources ``R``: it sends ``w U+ R``. With ``U`` of before it,

        U+ = U + u (1 - U),     R <- R (1 - U+),     tau_facilitation dU/dt = -U,     tau_recovery dR/dt = 1 - R

    Several spikes in one step (an Input's number) send as many times as much as one, and use as much. The weight does
    not move: :func:`hasn.plasticity.together` adds a rule by which it does.

    Args:
        u: what a first spike uses, 0 < u <= 1.
        tau_recovery: s.
        tau_facilitation: s; 0: every spike uses ``u`` (depression alone).

    Raises:
        OptionError: an argument outside its range.
    """
    if not 0 < u <= 1:
        raise OptionError("no share of the resources", parameter="u", got=u, wanted="0 < u <= 1")
    used, traces = "u", {}
    if tau_facilitation:
        used = "(U + u - u * U)"
        traces["U"] = Trace("u * pre * (1 - U)", tau_facilitation)
    traces["used"] = Trace(f"pre * {used} * (1 - used)", tau_recovery)
    return Rule(
        "0",
        traces=traces,
        constants={"u": u},
        transmits=f"w * pre * {used} * (1 - used)",
        name="short-term plasticity",
        source="Tsodyks, Pawelzik & Markram 1998",
    )
