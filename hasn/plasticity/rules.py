"""Ready rules. Time in seconds; a weight in its node's own unit; each returns a :class:`hasn.plasticity.Rule`."""

from __future__ import annotations

import math
from typing import Literal

from hasn.errors import OptionError
from hasn.plasticity.rule import Rule, Trace

#: dw of all pairs of spikes, x of the source and y of the target.
_PAIR = "a_plus * x * post - a_minus * y * pre"
_SOFT = "a_plus * (w_max - w) * x * post - a_minus * (w - w_min) * y * pre"


def STDP(
    a_plus: float = 0.01,
    a_minus: float = 0.012,
    tau_plus: float = 20e-3,
    tau_minus: float = 20e-3,
    w_min: float = -math.inf,
    w_max: float = math.inf,
    *,
    dependence: Literal["additive", "multiplicative"] = "additive",
    pairs: Literal["all", "nearest"] = "all",
) -> Rule:
    """Pair-based spike-timing dependent plasticity (Song, Miller & Abbott 2000; Bi & Poo 1998).

    For spikes dt = t_post - t_pre apart: ``dw = a_plus exp(-dt/tau_plus)`` where dt > 0, ``-a_minus exp(dt/tau_minus)``
    where dt < 0, nothing at dt = 0. "multiplicative" (van Rossum, Bi & Turrigiano 2000; Gutig et al. 2003, mu = 1)
    scales the first with ``w_max - w`` and the second with ``w - w_min``. "nearest": a spike pairs with the last one of
    the other side only (Morrison, Diesmann & Gerstner 2008, figure 7 a: symmetric).
    """
    _one_of("dependence", dependence, ("additive", "multiplicative"))
    _one_of("pairs", pairs, ("all", "nearest"))
    sets = pairs == "nearest"
    return Rule(
        _PAIR if dependence == "additive" else _SOFT,
        traces={"x": Trace("pre", tau_plus, sets), "y": Trace("post", tau_minus, sets)},
        constants={"a_plus": a_plus, "a_minus": a_minus},
        w_min=w_min,
        w_max=w_max,
        name="pair STDP",
        source="Song, Miller & Abbott 2000",
    )


def RewardSTDP(
    a_plus: float = 0.01,
    a_minus: float = 0.012,
    tau_plus: float = 20e-3,
    tau_minus: float = 20e-3,
    w_min: float = -math.inf,
    w_max: float = math.inf,
    *,
    tau_eligibility: float = 1.0,
    modulator: str = "reward",
) -> Rule:
    """Pair STDP that a reward turns into weights: ``dw = r[t] e`` (Izhikevich 2007, Solving the distal reward problem).

    The eligibility ``e`` of each synapse decays with ``tau_eligibility`` and grows by what pair STDP would change.
    """
    return Rule(
        f"{modulator} * e",
        traces={"x": Trace("pre", tau_plus), "y": Trace("post", tau_minus), "e": Trace(_PAIR, tau_eligibility)},
        constants={"a_plus": a_plus, "a_minus": a_minus},
        w_min=w_min,
        w_max=w_max,
        modulators=(modulator,),
        name="reward-modulated STDP",
        source="Izhikevich 2007",
    )


def TripletSTDP(
    a2_plus: float = 0.0,
    a3_plus: float = 6.5e-3,
    a2_minus: float = 7.1e-3,
    a3_minus: float = 0.0,
    tau_plus: float = 16.8e-3,
    tau_minus: float = 33.7e-3,
    tau_x: float = 101e-3,
    tau_y: float = 114e-3,
    w_min: float = -math.inf,
    w_max: float = math.inf,
) -> Rule:
    """Triplets of spikes (Pfister & Gerstner 2006, equations 3 and 4), all to all.

    ``dw = r1 (a2_plus + a3_plus o2) post - o1 (a2_minus + a3_minus r2) pre``. The defaults are their minimal model for
    visual cortex, all-to-all (their Table 4: A3+ = 6.5e-3, A2- = 7.1e-3, tau_y = 114 ms), without A2+ and A3-.
    """
    return Rule(
        "r1 * (a2_plus + a3_plus * o2) * post - o1 * (a2_minus + a3_minus * r2) * pre",
        traces={
            "r1": Trace("pre", tau_plus),
            "r2": Trace("pre", tau_x),
            "o1": Trace("post", tau_minus),
            "o2": Trace("post", tau_y),
        },
        constants={"a2_plus": a2_plus, "a3_plus": a3_plus, "a2_minus": a2_minus, "a3_minus": a3_minus},
        w_min=w_min,
        w_max=w_max,
        name="triplet STDP",
        source="Pfister & Gerstner 2006",
    )


def InhibitorySTDP(
    eta: float = 1e-3, rate: float = 5.0, tau: float = 20e-3, w_min: float = -math.inf, w_max: float = math.inf
) -> Rule:
    """Plasticity of inhibition towards a target rate (Vogels et al. 2011, equations 2 and 3).

    ``dw = eta (x post + (y - alpha) pre)`` with ``alpha = 2 rate tau``. A weight of NIR that inhibits is negative: give
    a negative ``eta`` and ``w_max = 0`` for such a connection.
    """
    return Rule(
        "eta * x * post + eta * (y - alpha) * pre",
        traces={"x": Trace("pre", tau), "y": Trace("post", tau)},
        constants={"eta": eta, "alpha": 2.0 * rate * tau},
        w_min=w_min,
        w_max=w_max,
        name="inhibitory STDP",
        source="Vogels et al. 2011",
    )


def Hebb(eta: float = 1e-3, w_min: float = -math.inf, w_max: float = math.inf) -> Rule:
    """``dw = eta pre v``: the plain product (Hebb 1949), of a rate unit's value, where nothing bounds the weight."""
    return Rule("eta * pre * v", constants={"eta": eta}, w_min=w_min, w_max=w_max, name="Hebb", source="Hebb 1949")


def Oja(eta: float = 1e-3) -> Rule:
    """``dw = eta v (pre - v w)`` (Oja 1982): the weights of a rate unit become the first principal component."""
    return Rule("eta * v * pre - eta * v * v * w", constants={"eta": eta}, name="Oja", source="Oja 1982")


def BCM(
    eta: float = 1e-3,
    tau_rate: float = 50e-3,
    tau_threshold: float = 1.0,
    rate: float = 10.0,
    w_min: float = -math.inf,
    w_max: float = math.inf,
) -> Rule:
    """``dw = eta pre y (y - theta)`` with a sliding threshold (Bienenstock, Cooper & Munro 1982).

    ``y`` is the target's rate over ``tau_rate`` as a share of ``rate`` (Hz), and theta the mean of ``y^2`` over
    ``tau_threshold``, which has to be the slower one.
    """
    return Rule(
        "eta * pre * y * (y - theta)",
        traces={"y": Trace("post / dt / rate", tau_rate, mean=True), "theta": Trace("y * y", tau_threshold, mean=True)},
        constants={"eta": eta, "rate": rate},
        w_min=w_min,
        w_max=w_max,
        name="BCM",
        source="Bienenstock, Cooper & Munro 1982",
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError("no such kind", parameter=name, got=repr(value), wanted=" or ".join(known))
