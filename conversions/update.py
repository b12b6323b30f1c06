"""One step of a neuron, as a tool computes it, and the NIR nodes whose Euler step it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from hasn.conversions.coefficients import Floats, integrator_resistance_for, resistance_for, tau_for
from hasn.conversions.refuse import refusal
from hasn.program.model import Shape


@dataclass
class Piece:
    """The nodes that one neuron becomes.

    Attributes:
        nodes, edges: by name, within the piece.
        inlet: names that the neuron's input goes to.
        spikes: name of the node that gives the spikes.
        membrane: name of the node that gives the membrane potential, where NIR has that as a signal.
        shape: of the population, where it is not that of the input.
    """

    spikes: str
    inlet: list[str]
    membrane: str | None = None
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    shape: Shape | None = None


@dataclass(frozen=True)
class Update:
    """``c <- alpha*c + current_gain*x`` where there is an alpha, then ``v <- keep*v + gain*c`` (or ``gain*x``).

    One value for each neuron throughout.

    Attributes:
        keep, gain: of the membrane.
        alpha, current_gain: of the synaptic current; alpha None: there is none.
        fires: ``v_threshold`` and ``v_reset``, or nothing: the membrane is read, not its spikes.
        metadata: of the node that has the membrane.
        names: what the tool calls keep and alpha, for messages.
    """

    keep: Floats
    gain: Floats
    alpha: Floats | None = None
    current_gain: Floats | None = None
    fires: dict[str, Floats] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, str] = ("beta", "alpha")


def piece_of(update: Update, path: str, dt: float) -> Piece:
    """The node, or the two nodes, that step as ``update`` does.

    Raises:
        UnsupportedError: some neurons of the population decay and others do not.
    """
    leaks = _leaks(update.keep, update.names[0], path)
    if update.alpha is None:
        return Piece(path, [path], nodes={path: _membrane(update, leaks, dt)})
    current_leaks = _leaks(update.alpha, update.names[1], path)
    gain = np.ones_like(update.alpha) if update.current_gain is None else update.current_gain
    if leaks and current_leaks:
        tau_syn, tau_mem = tau_for(update.alpha, dt), tau_for(update.keep, dt)
        r, w_in = resistance_for(update.gain, tau_mem, dt), resistance_for(gain, tau_syn, dt)
        kind = nir.CubaLIF if update.fires else nir.CubaLI
        options = {"v_leak": np.zeros_like(tau_mem), "metadata": dict(update.metadata), **update.fires}
        return Piece(path, [path], nodes={path: kind(tau_syn=tau_syn, tau_mem=tau_mem, r=r, w_in=w_in, **options)})
    # A current or a membrane that never decays: tau would be infinite in CubaLIF, so each state gets its own node.
    syn = f"{path}.syn"
    current = _membrane(Update(update.alpha, gain), current_leaks, dt)
    return Piece(path, [syn], nodes={syn: current, path: _membrane(update, leaks, dt)}, edges=[(syn, path)])


def _membrane(update: Update, leaks: bool, dt: float) -> nir.NIRNode:
    """``v <- keep*v + gain*x``, with or without a threshold."""
    options = {"metadata": dict(update.metadata), **update.fires}
    if not leaks:
        return (nir.IF if update.fires else nir.I)(r=integrator_resistance_for(update.gain, dt), **options)
    tau = tau_for(update.keep, dt)
    r = resistance_for(update.gain, tau, dt)
    return (nir.LIF if update.fires else nir.LI)(tau=tau, r=r, v_leak=np.zeros_like(tau), **options)


def _leaks(keep: Floats, parameter: str, path: str) -> bool:
    if np.any(keep == 1) and not np.all(keep == 1):
        raise refusal(
            path,
            parameter,
            "some neurons of the population leak and others (at 1) do not, which are two NIR nodes",
            got=f"{int(np.sum(keep == 1))} of {keep.size} at 1",
            wanted="all at 1, or all under 1",
            way_out="Clamp it below 1, or split the layer.",
        )
    return not np.all(keep == 1)
