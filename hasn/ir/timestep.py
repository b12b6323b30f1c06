"""dt: where it stands, what betrays it, and when a time constant is too short for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import TimeStepError
from hasn.ir.finding import Finding
from hasn.ir.structure import FlatGraph

#: Time constants by neuron type; the membrane's last.
TAUS: dict[type[nir.NIRNode], tuple[str, ...]] = {
    nir.LI: ("tau",),
    nir.LIF: ("tau",),
    nir.CubaLI: ("tau_syn", "tau_mem"),
    nir.CubaLIF: ("tau_syn", "tau_mem"),
}


def check_dt(value: Any) -> float:
    """``value`` as seconds.

    Raises:
        TimeStepError: it is not a finite number > 0.
    """
    try:
        dt = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        dt = float("nan")
    if not (np.isfinite(dt) and dt > 0):
        raise TimeStepError(
            "the time step has no meaning",
            parameter="dt",
            got=repr(value),
            wanted="a finite number of seconds > 0",
        )
    return dt


def dt_of(metadata: Any, given: Any = None) -> float | None:
    """dt as given, else as the graph's metadata has it, else None.

    Raises:
        TimeStepError: the value has no meaning.
    """
    if given is None and isinstance(metadata, dict):
        given = metadata.get("dt")
    return None if given is None else check_dt(given)


def propose_dt(flat: FlatGraph) -> float | None:
    """The dt that ``r = tau / dt`` betrays, as exporters write it whose neurons have no R; None if nothing does.

    snnTorch, for one, writes a ``Leaky`` neuron as ``r = tau / dt`` so that an input weighs 1.
    """
    candidates: list[float] = []
    for node in flat.nodes.values():
        tau = getattr(node, "tau", None) if isinstance(node, nir.LI | nir.LIF) else getattr(node, "tau_mem", None)
        if tau is None:
            continue
        with np.errstate(all="ignore"):
            ratio = np.asarray(tau, dtype=float) / np.asarray(node.r, dtype=float)
        candidates.extend(np.unique(ratio[np.isfinite(ratio) & (ratio > 0) & (np.asarray(node.r) != 1)]).tolist())
    if not candidates or max(candidates) > 1.001 * min(candidates):
        return None
    return float(f"{np.median(candidates):.4g}")


def missing_dt_text(flat: FlatGraph) -> str:
    """How to give dt, with the value that the graph betrays if it does."""
    proposed = propose_dt(flat)
    hint = f" r = tau/dt in this graph points to dt={proposed:g}." if proposed else ""
    return f"Pass dt=... (seconds), or set graph.metadata['dt'].{hint}"


def dt_findings(flat: FlatGraph, dt: float | None, method: str) -> Iterator[Finding]:
    """dt missing, Euler steps that oscillate (tau < dt <= 2 tau) or diverge (dt > 2 tau), rounded delays."""
    if dt is None:
        yield Finding(
            "warning",
            "",
            "dt",
            "the graph does not say its time step",
            missing_dt_text(flat),
            error=TimeStepError,
        )
        return
    for name, node in flat.nodes.items():
        if method == "euler":
            for parameter in TAUS.get(type(node), ()):
                yield from _euler_findings(name, parameter, np.asarray(getattr(node, parameter), dtype=float), dt)
        if isinstance(node, nir.Delay):
            yield from _delay_findings(name, np.asarray(node.delay, dtype=float), dt)


def _euler_findings(name: str, parameter: str, tau: np.ndarray[Any, Any], dt: float) -> Iterator[Finding]:
    if tau.size == 0:
        return
    shortest = float(tau.min())
    if dt > 2 * shortest:
        yield Finding(
            "error",
            name,
            parameter,
            "is under dt/2, so an Euler step diverges",
            "Take a smaller dt, or method='exact'.",
            f"{shortest:g} s",
            f">= {dt / 2:g} s (dt = {dt:g} s)",
            TimeStepError,
        )
    elif dt > shortest:
        yield Finding(
            "warning",
            name,
            parameter,
            "is under dt, so an Euler step overshoots and oscillates",
            "Take a smaller dt, or method='exact'.",
            f"{shortest:g} s",
            f">= dt = {dt:g} s",
            TimeStepError,
        )


def _delay_findings(name: str, delay: np.ndarray[Any, Any], dt: float) -> Iterator[Finding]:
    steps = delay / dt
    # 1e-6 of a step is far above the rounding of delay/dt and far below any delay that is meant.
    off = np.abs(steps - np.rint(steps)) > 1e-6
    if np.any(off):
        yield Finding(
            "warning",
            name,
            "delay",
            "is no whole number of steps and is rounded to the nearest",
            f"Give a multiple of dt = {dt:g} s.",
            f"{float(delay[off].reshape(-1)[0]):g} s",
        )
