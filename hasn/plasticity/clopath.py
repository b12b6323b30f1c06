"""Plasticity by the voltage of the target."""

from __future__ import annotations

import math

from hasn.plasticity.rule import Rule, Trace


def Clopath(
    a_ltd: float = 0.14,
    a_ltp: float = 80.0,
    theta_minus: float = -70.6e-3,
    theta_plus: float = -45.3e-3,
    tau_x: float = 15e-3,
    tau_minus: float = 10e-3,
    tau_plus: float = 7e-3,
    w_min: float = -math.inf,
    w_max: float = math.inf,
    *,
    spike: float = 0.0,
    v_rest: float = -70.6e-3,
    u_ref: float = 0.0,
    tau_homeostasis: float = 1.0,
) -> Rule:
    """Voltage-based STDP with homeostasis (Clopath, Büsing, Vasilaki & Gerstner 2010, Nature Neuroscience 13, equations
    1 to 3; the parameters of visual cortex of its table 1).

        dw = -a_ltd A pre [u_minus - theta_minus]+  +  a_ltp (dt/tau_x) x [u - theta_plus]+ [u_plus - theta_minus]+

    ``u_minus`` and ``u_plus`` are running means of the target's voltage ``u``, at ``v_rest`` before the start; x is the
    source's trace (1 a spike, so that ``x / tau_x`` is the paper's low-passed train). ``A`` is 1, or with ``u_ref`` the
    paper's homeostasis: the squared running mean of ``u - v_rest`` over ``u_ref^2``.

    Args:
        a_ltd: 1/V (the paper: 14e-5 / mV).
        a_ltp: 1/V^2 (8e-5 / mV^2).
        theta_minus, theta_plus: V.
        tau_x, tau_minus, tau_plus, tau_homeostasis: s.
        spike: V that ``u`` lies above ``v`` in the step of a spike: integrate-and-fire neurons have no upswing, and
            their ``v`` of that step is the one of after the reset. 0: ``u`` is ``v``.
        v_rest: V.
        u_ref: V; 0 for none (the paper: sqrt(60) mV).
    """
    u = "(v - v_rest + spike * post)" if spike else "(v - v_rest)"
    traces = {
        "x": Trace("pre", tau_x),
        "u_minus": Trace(u, tau_minus, mean=True),
        "u_plus": Trace(u, tau_plus, mean=True),
    }
    constants = {
        "a_ltd": a_ltd / u_ref**2 if u_ref else a_ltd,
        "a_ltp": a_ltp,
        "v_rest": v_rest,
        "low": theta_minus - v_rest,
        "high": theta_plus - v_rest,
        "tau_x": tau_x,
    }
    if spike:
        constants["spike"] = spike
    if u_ref:
        traces["excess"] = Trace(u, tau_homeostasis, mean=True)
    history = "* excess * excess " if u_ref else ""
    return Rule(
        f"-a_ltd {history}* pre * pos(u_minus - low) + a_ltp * dt / tau_x * x * pos({u} - high) * pos(u_plus - low)",
        traces=traces,
        constants=constants,
        w_min=w_min,
        w_max=w_max,
        name="voltage-based STDP",
        source="Clopath et al. 2010",
    )
