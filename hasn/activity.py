"""Populations that never spike on some inputs, or always do, and the gain of their weights that would mend it.

The gain multiplies weights and biases of the connections into a population, without those of its own recurrence; it is
found by running the network, doubling and halving until the rate is on both sides of the wanted one, then by bisection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hasn.compiler import compile as compile_graph
from hasn.finding import Finding
from hasn.ir.check import check as check_graph
from hasn.ir.structure import FlatGraph, flatten
from hasn.ir.typed import copy_graph
from hasn.nodes.lookup import neuron_kind
from hasn.program.cycles import cycles

#: What a gain scales.
SCALED = ("weight", "bias", "scale")
#: Doublings or halvings at most, and halvings of the interval then: a gain to 1%.
_TRIES, _FINER = 24, 8
#: Spikes for each neuron and step that a gain is looked for.
RATE = 0.1


@dataclass(frozen=True)
class Gain:
    """A gain and the rate that it gives.

    Attributes:
        gain: factor of the weights.
        rate: spikes for each neuron and step.
    """

    gain: float
    rate: float


def check(
    graph: nir.NIRGraph, *, dt: float | None = None, method: str | None = None, inputs: Any = None
) -> list[Finding]:
    """List what is wrong (errors) or doubtful (warnings, notes) in a graph; raises nothing for a bad graph.

    Args:
        graph: the graph, which is not changed.
        dt: time step in seconds; default: the graph's ``metadata["dt"]``.
        method: ``"euler"`` or ``"exact"``; default: the graph's ``metadata["method"]``, else "euler". Euler steps are
            checked against the time constants.
        inputs: (T, N, *shape), as :meth:`Executable.run` takes them: the graph is run, unless it has errors, and
            populations that never spike, or always, are listed, with the gain of their weights that gives a rate of
            0.1 (:func:`hasn.models.initialise` sets it); and those of which more than half of the neurons never do.

    Returns:
        Findings, errors first. An empty list: the graph compiles on a backend that has its primitives.

    Raises:
        OptionError: unknown method, or not a graph.
        InputError: inputs of another shape than the graph's.
        BackendUnavailable: inputs are given, and no backend is installed.
    """
    found = check_graph(graph, dt=dt, method=method)
    if inputs is None or any(finding.severity == "error" for finding in found):
        return found
    return [*found, *activity_findings(graph, inputs, dt=dt, method=method)]


def activity_findings(graph: nir.NIRGraph, inputs: Any, **lowering: Any) -> list[Finding]:
    """A warning for each population that never spikes, or at every step, on some inputs; a note if most are silent."""
    found = []
    shape = np.shape(inputs if not isinstance(inputs, dict) else next(iter(inputs.values())))
    where = f"on these inputs ({shape[0]} steps)"
    for name, own in _neurons(graph, inputs, **lowering).items():
        rate, silent = float(np.mean(own)), int(np.sum(own == 0))
        if 0 < rate < 1:
            if silent > len(own) / 2:
                message = f"{silent} of {len(own)} neurons never spike {where}"
                repair = "They learn little: look at their weights and thresholds, or give more samples."
                found.append(Finding("note", name, "", message, repair, f"a rate of {rate:.3g}", "spikes of most"))
            continue
        sources = feeding(flatten(graph), name)
        gain = gain_for(graph, inputs, name, RATE, **lowering) if sources else None
        what = "never spikes" if rate == 0 else "spikes at every step"
        if gain is None:
            repair = "No gain of its weights changes that: look at what comes before it." if sources else ""
        else:
            repair = (
                f"Multiply the weights of {', '.join(sources)} by {gain.gain:.3g} (a rate of {gain.rate:.2g}), "
                f"or use hasn.models.initialise(graph, inputs, rate={RATE})."
            )
        message = f"{what} {where}"
        found.append(Finding("warning", name, "", message, repair, f"a rate of {rate:g}", "0 < rate < 1"))
    return found


def rates(graph: nir.NIRGraph, inputs: Any, **lowering: Any) -> dict[str, float]:
    """Spiking population -> spikes for each neuron and step on some inputs."""
    return {name: float(np.mean(own)) for name, own in _neurons(graph, inputs, **lowering).items()}


def _neurons(graph: nir.NIRGraph, inputs: Any, **lowering: Any) -> dict[str, Any]:
    """Spiking population -> spikes for each step of each of its neurons, over all samples."""
    spikes = compile_graph(graph, **lowering).run(inputs).spikes
    sizes = {name: int(np.prod(flatten(graph).nodes[name].input_type["input"])) for name in spikes}
    return {name: np.asarray(found).reshape(-1, sizes[name]).mean(0, dtype=float) for name, found in spikes.items()}


def gain_for(graph: nir.NIRGraph, inputs: Any, name: str, rate: float, **lowering: Any) -> Gain | None:
    """The gain of the weights into a population at which it has a rate; None: no gain brings it there."""
    tried: dict[float, float] = {}

    def rate_at(gain: float) -> float:
        tried[gain] = rates(scaled(graph, name, gain), inputs, **lowering)[name]
        return tried[gain]

    low = high = 1.0
    if rate_at(1.0) < rate:
        while tried[high] < rate and len(tried) <= _TRIES:
            low, high = high, 2 * high
            rate_at(high)
    else:
        while tried[low] > rate and len(tried) <= _TRIES:
            low, high = low / 2, low
            rate_at(low)
    if not tried[low] <= rate <= tried[high]:
        return None
    for _ in range(_FINER):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if rate_at(middle) < rate else (low, middle)
    best = min((gain for gain in tried if 0 < tried[gain] < 1), key=lambda gain: abs(tried[gain] - rate), default=None)
    return None if best is None else Gain(best, tried[best])


def scaled(graph: nir.NIRGraph, name: str, gain: float) -> nir.NIRGraph:
    """A copy of a graph in which what comes into a population is multiplied."""
    made = copy_graph(graph)
    flat = flatten(made)
    for source in feeding(flat, name):
        node = flat.nodes[source]
        for parameter in SCALED:
            if getattr(node, parameter, None) is not None:
                setattr(node, parameter, np.asarray(getattr(node, parameter)) * gain)
    return made


def feeding(flat: FlatGraph, name: str) -> list[str]:
    """The connections into a population that have weights, without those of its own recurrence."""
    before: dict[str, list[str]] = {}
    for source, target in flat.edges:
        before.setdefault(target, []).append(source)
    own = next(set(group) for group in cycles(list(flat.nodes), list(flat.edges)) if name in group)
    found: list[str] = []
    todo, seen = list(before.get(name, ())), {name}
    while todo:
        source = todo.pop(0)
        node = flat.nodes[source]
        if source in seen or source in own or neuron_kind(node) is not None or isinstance(node, nir.Threshold):
            continue
        seen.add(source)
        if any(getattr(node, parameter, None) is not None for parameter in SCALED):
            found.append(source)
        else:
            todo += before.get(source, ())
    return found
