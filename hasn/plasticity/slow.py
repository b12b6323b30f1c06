"""Rules that act over seconds to hours: homeostasis, metaplasticity, consolidation."""

from __future__ import annotations

import math

from hasn.plasticity.rule import Rule, Trace


def SynapticScaling(
    rate: float = 5.0,
    beta: float = 0.1,
    tau_rate: float = 1.0,
    w_min: float = -math.inf,
    w_max: float = math.inf,
    *,
    every: int = 1,
) -> Rule:
    """Synaptic scaling to a target rate (van Rossum, Bi & Turrigiano 2000, Journal of Neuroscience 20, equation 4, its
    proportional term; found by Turrigiano et al. 1998).

        dw = beta w (1 - y / rate) K dt      at every K-th step; y: the target's rate over tau_rate, Hz

    All weights of a target are scaled alike, so that what they have learned of each other stays.

    Args:
        rate: the target, Hz.
        beta: 1/s; slower than ``1 / tau_rate``, or the rate swings.
        tau_rate: s.
        w_min, w_max: bounds.
        every: K.
    """
    return Rule(
        "beta * steps * dt * w * (1 - y)",
        traces={"y": Trace("post / dt / rate", tau_rate, mean=True)},
        constants={"beta": beta, "steps": float(every), "rate": rate},
        w_min=w_min,
        w_max=w_max,
        every=every,
        name="synaptic scaling",
        source="van Rossum, Bi & Turrigiano 2000",
    )


def MetaplasticSTDP(
    a_plus: float = 0.01,
    a_minus: float = 0.012,
    tau_plus: float = 20e-3,
    tau_minus: float = 20e-3,
    w_min: float = -math.inf,
    w_max: float = math.inf,
    *,
    rate: float = 10.0,
    tau_history: float = 10.0,
) -> Rule:
    """Pair STDP whose rates of learning slide with the history of activity (Abraham & Bear 1996, Metaplasticity: the
    plasticity of synaptic plasticity, Trends in Neurosciences 19: a busy past favours depression, a quiet one
    potentiation; the linear form is ours).

        dw = a_plus [2 - m]+ x post - a_minus m y pre;     m: the target's rate over tau_history as a share of ``rate``

    At ``m = 1`` it is :func:`hasn.plasticity.STDP`.
    """
    return Rule(
        "a_plus * pos(2 - m) * x * post - a_minus * m * y * pre",
        traces={
            "x": Trace("pre", tau_plus),
            "y": Trace("post", tau_minus),
            "m": Trace("post / dt / rate", tau_history, mean=True),
        },
        constants={"a_plus": a_plus, "a_minus": a_minus, "rate": rate},
        w_min=w_min,
        w_max=w_max,
        name="metaplastic STDP",
        source="Abraham & Bear 1996",
    )


def TagAndCapture(
    tau_early: float = 60.0,
    tau_late: float = 60.0,
    tag: float = 0.0,
    *,
    protein: str = "protein",
) -> Rule:
    """Consolidation by tagging and capture (found by Frey & Morris 1997, Nature 385; a linear form of the model of
    Clopath, Ziegler, Vasilaki, Büsing & Gerstner 2008, PLoS Computational Biology 4).

    Each synapse has a late part ``c``, which starts as its weight. What other rules have moved is early: it is lost
    with ``tau_early``, unless proteins are there while it is tagged, that is further than ``tag`` from the late part:

        dw = (c - w) dt/tau_early,      dc = p (pos(w - c - tag) - pos(c - w - tag)) dt/tau_late

    Use it with a rule that learns: ``together(STDP(...), TagAndCapture(...))``.

    Args:
        tau_early, tau_late: s.
        tag: difference above which a synapse is tagged, in the weight's unit.
        protein: name of the modulator p: what there is of proteins, 1 for as much as ``tau_late`` is meant for.
    """
    return Rule(
        "dt / tau_early * (c - w)",
        traces={
            "c": Trace(f"{protein} * dt / tau_late * (pos(w - c - tag) - pos(c - w - tag))", math.inf, start="weight")
        },
        constants={"tau_early": tau_early, "tau_late": tau_late, "tag": tag},
        modulators=(protein,),
        name="tagging and capture",
        source="Frey & Morris 1997; Clopath et al. 2008",
    )
