"""Values that are legal but look like an exporter's slip: one factor dt too many or too few.

Tools keep time constants in seconds, in milliseconds, in steps, or as 1/tau times dt, and their exporters mix these up:
Norse's (1.1) writes ``dt * tau``, Sinabs' (3.1) writes steps; both write an integrator's ``r = 1``, where an input
weighs ``dt * r``. A graph is only suspected as a whole: one slow or fast population among others is a network's own
business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError
from hasn.finding import Finding
from hasn.ir.structure import FlatGraph
from hasn.ir.timestep import taus_of
from hasn.nodes.values import numbers

Array = np.ndarray[Any, Any]
#: Membranes and synapses decay within milliseconds to about a second; all of them slower than this is suspected ...
_SLOWEST = 1.0
#: ... where it is also this many steps (a simulation with such a coarse dt may be about something slower) ...
_STEPS = 100
#: ... and dt is one that spiking networks are simulated with. With dt = 1, time is counted in steps or milliseconds.
_COARSEST = 0.1


def suspicion_findings(flat: FlatGraph, dt: float) -> Iterator[Finding]:
    """Warnings about time constants, and notes about integrators, that look as if dt were missing or doubled."""
    taus = {
        (name, parameter): np.asarray(getattr(node, parameter), dtype=float).reshape(-1)
        for name, node in flat.nodes.items()
        for parameter in taus_of(node)
        if np.size(getattr(node, parameter))
    }
    if taus:
        yield from _tau_findings(taus, flat, dt)
    if dt < _COARSEST:
        yield from _integrator_findings(flat, dt)


def delay_findings(flat: FlatGraph, dt: float) -> Iterator[Finding]:
    """Warnings about delays, and about refractory periods, that are all so long that they look counted in steps.

    Also where ``r = tau/dt`` throughout: time constants in seconds say nothing of how somebody has counted these.
    """
    delays = {(name, "delay"): node.delay for name, node in flat.nodes.items() if isinstance(node, nir.Delay)}
    held = {
        (name, "metadata['refractory']"): node.metadata["refractory"]
        for name, node in flat.nodes.items()
        if isinstance(node.metadata, dict) and numbers(node.metadata.get("refractory")) is not None
    }
    for group, what in ((delays, "delay"), (held, "refractory period")):
        values = {key: np.asarray(value, dtype=float).reshape(-1) for key, value in group.items()}
        there = {key: value[value > 0] for key, value in values.items() if np.any(value > 0)}
        shortest = min((value.min() for value in there.values()), default=0.0)
        if dt < _COARSEST and shortest >= max(_SLOWEST, _STEPS * dt):
            (name, parameter), found = next(iter(there.items()))
            yield _finding(
                name,
                parameter,
                f"like every {what} of the graph, is a second or more: it looks counted in steps or milliseconds",
                f"If it counts steps, multiply by dt = {dt:g} s; if milliseconds, divide by 1000.",
                f"{found.min():g} .. {found.max():g} s, {shortest / dt:g} steps of dt = {dt:g} s or more",
            )


def _tau_findings(taus: dict[tuple[str, str], Array], flat: FlatGraph, dt: float) -> Iterator[Finding]:
    shortest, longest = min(tau.min() for tau in taus.values()), max(tau.max() for tau in taus.values())
    (name, parameter), tau = next(iter(taus.items()))
    if dt < _COARSEST and shortest > max(_SLOWEST, _STEPS * dt) and not _knows_dt(flat, dt):
        found, likely = float(tau[0]), float(tau[0]) * dt
        yield _finding(
            name,
            parameter,
            "like every time constant of the graph, is over a second: it looks counted in steps or milliseconds",
            f"If it counts steps, it means {likely:g} s: multiply every tau by dt; if milliseconds, divide by 1000.",
            f"{found:g} s, {found / dt:g} steps of dt = {dt:g} s",
        )
    # Below dt/2 an Euler step diverges, so nobody trained a network with it; tau/dt (under half a second) must then be
    # a plausible tau, a step at least.
    elif longest < dt / 2 and dt <= shortest / dt:
        found, likely = float(tau[0]), float(tau[0]) / dt
        yield _finding(
            name,
            parameter,
            "like every time constant of the graph, is under half a step: it looks multiplied by dt once too often",
            f"Divide every tau by dt = {dt:g} s: this one then is {likely:g} s. hasn.conversions.norse does so.",
            f"{found:g} s, {found / dt:g} steps of dt = {dt:g} s",
        )


def _knows_dt(flat: FlatGraph, dt: float) -> bool:
    """Whether ``r = tau/dt`` throughout: then whoever wrote the graph reckoned with this dt."""
    membranes = [node for node in flat.nodes.values() if taus_of(node)]
    return all(
        np.allclose(np.asarray(node.r, dtype=float) * dt, getattr(node, taus_of(node)[-1]), rtol=1e-3)
        for node in membranes
    )


def _integrator_findings(flat: FlatGraph, dt: float) -> Iterator[Finding]:
    """``r = 1`` throughout, so that it takes over a hundred inputs of 1 to make a neuron fire."""
    for name, node in flat.nodes.items():
        if not isinstance(node, nir.IF) or not np.size(node.r) or np.any(np.asarray(node.r) != 1):
            continue
        inputs = float(np.min(np.abs(node.v_threshold))) / dt
        if inputs >= _STEPS:
            yield Finding(
                "note",
                name,
                "r",
                f"an input of 1 adds dt*r = {dt:g} to the voltage, so a spike takes {inputs:g} of them",
                f"If the tool it comes from adds the whole input in a step (Norse, Sinabs), r is 1/dt = {1 / dt:g}.",
                "1",
            )


def _finding(node: str, parameter: str, message: str, repair: str, got: str) -> Finding:
    return Finding("warning", node, parameter, message, repair, got, "", ParameterError)
