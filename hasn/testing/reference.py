"""What a NIR graph means, in plain NumPy: SEMANTICS run node by node and step by step in float64.

Written to be read, not to be fast, and without any of hasn's lowering, so that it can judge it. Signals are arrays
(batch, *shape). The exact method integrates each neuron's equations with a matrix exponential.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from hasn.nodes import AdaptiveLIF, HomeostaticLIF, ResonateFire, SparseLinear
from hasn.testing.drawn import DRAWN, DrawnInput
from hasn.testing.layers import STATELESS, Synapses
from hasn.testing.learning import Learner
from hasn.testing.structure import Shape, Structure, is_neuron, structure
from hasn.testing.suite import added

Array = NDArray[Any]
Log = dict[str, dict[str, list[Array]]]
#: A node's behaviour: what arrives (batch, *shape) and its log, to what it sends.
Cell = Callable[[Array, dict[str, list[Array]]], Array]


@dataclass
class Reference:
    """Arrays (T, batch, *shape) by node name.

    ``margins`` are the least |x - threshold| of each spiking node, ``scale`` the largest magnitude that any node sent,
    ``weights`` those of the connections that learn, (T, batch, synapses).
    """

    outputs: dict[str, Array]
    spikes: dict[str, Array]
    voltages: dict[str, Array]
    margins: dict[str, float]
    scale: float = 0.0
    weights: dict[str, Array] = field(default_factory=dict)


def run(
    graph: nir.NIRGraph,
    inputs: dict[str, Array],
    dt: float,
    method: str,
    reset: str,
    timing: str,
    steps: int = 0,
    learner: type[Learner] = Learner,
) -> Reference:
    """Run a graph on inputs (T, batch, *shape), one array for each Input.

    ``steps``: T of a graph that has none; ``learner``: what a connection that learns does.
    """
    found = structure(graph, timing)
    log: Log = {name: defaultdict(list) for name in found.nodes}
    scale = 0.0
    steps, batch = next(iter(inputs.values())).shape[:2] if inputs else (steps, 1)

    def neurons(name: str, shape: Shape) -> Cell:
        node = found.nodes[name]
        make: Callable[..., Cell] = added().neurons.get(type(node), Neurons)
        return make(node, shape, dt, method, reset)

    for now in walk(found, inputs, log, dt, neurons, steps, batch, learner):
        scale = max(scale, *(float(np.max(np.abs(value))) for value in now.values()))
    return Reference(
        stacked(log, "output"),
        stacked(log, "spikes"),
        stacked(log, "voltage"),
        {name: float(min(map(np.min, kept["margin"]))) for name, kept in log.items() if kept["margin"]},
        scale,
        stacked(log, "weight"),
    )


def walk(
    found: Structure,
    inputs: Mapping[str, Array],
    log: Log,
    dt: float,
    neurons: Callable[[str, Shape], Cell],
    steps: int,
    batch: int,
    learner: type[Learner] = Learner,
) -> Iterator[dict[str, Array]]:
    """What every node sends, step by step; Outputs and whatever the nodes note go to the log.

    Args:
        found: the graph.
        inputs: Input -> (T, batch, *shape).
        log: node -> what -> its arrays (batch, *shape), one a step.
        dt: seconds a step.
        neurons: makes a population's behaviour from its name and (batch, *shape).
        steps, batch: T, and samples.
        learner: what a connection that learns does.
    """
    cells = {
        name: neurons(name, (batch, *found.shapes[name])) if is_neuron(node) else make_node(name, node, dt)
        for name, node in found.nodes.items()
    }
    cells |= {
        name: learner(node, target, dt, found.shapes[name], found.shapes[target])
        for name, node in found.nodes.items()
        if "plasticity" in node.metadata
        for target in [next(target for source, target in found.edges if source == name)]
    }
    before: dict[str, Array] = {}
    for t in range(steps):
        now: dict[str, Array] = {}
        for name in found.nodes:
            x = np.zeros((batch, *found.shapes[name]))
            for source, target in found.edges:
                if target == name:
                    x = x + (before.get(source, 0.0) if (source, target) in found.late else now[source])
            now[name] = inputs[name][t].astype(float) if name in inputs else cells[name](x, log[name])
        for name in found.outputs:
            log[name]["output"].append(now[name])
        for name, cell in cells.items():
            if isinstance(cell, Learner):
                given = cell.modulators(name, found, inputs, now, before, t)
                cell.learn(now[cell.target], log[cell.target]["voltage"][-1], given)
                log[name]["weight"].append(cell.weight)
        yield now
        before = now


def stacked(log: Log, what: str) -> dict[str, Array]:
    """node -> (T, batch, *shape) of what it noted."""
    return {name: np.stack(kept[what]) for name, kept in log.items() if what in kept}


# --- nodes: each is a function (x, log) -> y with its state inside


def make_node(name: str, node: Any, dt: float) -> Cell:
    """The behaviour of a node that is no population of neurons."""
    if isinstance(node, nir.Delay):
        return DelayLine(node.delay, dt)
    if isinstance(node, DRAWN):
        return DrawnInput(name, node, dt)
    if isinstance(node, SparseLinear):
        return Synapses(node)
    if isinstance(node, nir.Threshold):
        return lambda x, log: fire(x, node.threshold, log)
    function = (STATELESS | dict(added().stateless))[type(node)]
    return lambda x, log: function(node, x)


def fire(x: Array, threshold: Array, log: dict[str, list[Array]], free: Array | None = None) -> Array:
    """1 where x lies above the threshold; a neuron that is not free cannot spike, so it is near no threshold."""
    free = np.ones(x.shape, dtype=bool) if free is None else free
    log["margin"].append(np.where(free, np.abs(x - threshold), np.inf))
    log["spikes"].append((x > threshold) & free)
    return log["spikes"][-1].astype(float)


class DelayLine:
    """``y[t] = x[t - round(d / dt)]`` for each element."""

    def __init__(self, delay: Array, dt: float) -> None:
        self.steps = np.rint(delay / dt).astype(int)
        self.past: list[Array] = []

    def __call__(self, x: Array, log: dict[str, list[Array]]) -> Array:
        self.past.append(x)
        y = np.zeros_like(x)
        for index in np.ndindex(self.steps.shape):
            when = len(self.past) - 1 - self.steps[index]
            if when >= 0:
                y[(slice(None), *index)] = self.past[when][(slice(None), *index)]
        return y


class Neurons:
    """A population. ``c``, ``w``, ``theta`` and ``x`` (a resonator's) are there for all, and used by those that have
    them; ``v`` is a resonator's ``y``."""

    def __init__(self, node: Any, shape: Shape, dt: float, method: str, reset: str) -> None:
        self.node, self.dt, self.method = node, dt, method
        self.reset = node.metadata.get("reset", reset)
        self.c, self.w, self.theta, self.x = np.zeros((4, *shape))
        self.v = np.zeros(shape) + node.metadata.get("v_init", 0.0)
        self.rest = np.rint(np.asarray(node.metadata.get("refractory", 0.0)) / dt)
        self.since = np.full(shape, np.inf)  # steps since the last spike
        if method == "exact" and not isinstance(node, AdaptiveLIF | HomeostaticLIF | ResonateFire):
            self.transition = transition(node, dt)

    def advance(self, x: Array) -> None:
        if isinstance(self.node, AdaptiveLIF):
            self.adaptive(x)
        elif isinstance(self.node, HomeostaticLIF):
            self.theta = self.theta - self.node.threshold_jump * self.node.rate * self.dt
            self.v = self.towards(self.v, self.node.v_leak + self.node.r * x, self.node.tau)
        elif isinstance(self.node, ResonateFire):
            self.resonating(x)
        elif self.method == "exact":
            self.exact(x)
        else:
            self.euler(x)

    def euler(self, x: Array) -> None:
        node, dt = self.node, self.dt
        if isinstance(node, nir.I | nir.IF):
            self.v = self.v + dt * node.r * x
        elif isinstance(node, nir.LI | nir.LIF):
            self.v = self.v + dt / node.tau * (node.v_leak - self.v + node.r * x)
        else:
            self.c = self.c + dt / node.tau_syn * (-self.c + node.w_in * x)
            self.v = self.v + dt / node.tau_mem * (node.v_leak - self.v + node.r * self.c)

    def exact(self, x: Array) -> None:
        state = np.stack([self.v, self.c, x, np.ones_like(x)], axis=-1)
        after = np.einsum("...ij,...j->...i", self.transition, state)
        self.v, self.c = after[..., 0], after[..., 1]

    def adaptive(self, x: Array) -> None:
        """SEMANTICS, "AdaptiveLIF": each state moves towards where it would come to rest, w and theta first."""
        node = self.node
        self.w = self.towards(self.w, node.a * (self.v - node.v_leak), node.tau_adaptation)
        self.theta = self.towards(self.theta, np.zeros_like(x), node.tau_threshold)
        self.v = self.towards(self.v, node.v_leak + node.r * (x - self.w), node.tau)

    def towards(self, state: Array, rest: Array, tau: Array) -> Array:
        share = self.dt / tau if self.method == "euler" else 1.0 - np.exp(-self.dt / tau)
        return np.asarray(state + share * (rest - state))

    def resonating(self, x: Array) -> None:
        """SEMANTICS, "ResonateFire", in complex numbers: tau dz/dt = (i omega tau - 1) z + R I."""
        node, dt = self.node, self.dt
        z = self.x + 1j * self.v
        rate = 1j * node.omega - 1.0 / node.tau
        if self.method == "euler":
            z = z + dt * (rate * z + node.r / node.tau * x)
        else:
            still = -node.r / node.tau * x / rate  # where dz/dt = 0
            z = still + (z - still) * np.exp(rate * dt)
        self.x, self.v = z.real, z.imag

    def __call__(self, x: Array, log: dict[str, list[Array]]) -> Array:
        node, before = self.node, self.v
        self.advance(x)
        self.since = self.since + 1
        free = self.since > self.rest
        self.v = np.where(free, self.v, before)
        y: Array = self.v
        if hasattr(node, "v_threshold"):
            y = fire(self.v - self.theta, node.v_threshold, log, free)
            jumped = node.v_reset if self.reset == "zero" else self.v - (node.v_threshold - node.v_reset)
            # What is added is 0, but for a spike that is NaN, which tests plant to see whom it reaches.
            self.v = np.where(y > 0, jumped, self.v) + 0.0 * y
            self.x = np.where(y > 0, 0.0, self.x)
            self.since = np.where(y > 0, 0, self.since)
        if isinstance(node, AdaptiveLIF):
            self.theta, self.w = self.theta + y * node.threshold_jump, self.w + y * node.b
        if isinstance(node, HomeostaticLIF):
            self.theta = self.theta + y * node.threshold_jump
        log["voltage"].append(self.v)
        return y


def transition(node: nir.NIRNode, dt: float) -> Array:
    """(v, c, x, 1) one step later, x held: exp(dt M) of the linear equations d/dt (v, c, x, 1) = M (v, c, x, 1)."""
    m = np.zeros((*node.r.shape, 4, 4))
    if isinstance(node, nir.I | nir.IF):
        m[..., 0, 2] = node.r
    elif isinstance(node, nir.LI | nir.LIF):
        m[..., 0, 0], m[..., 0, 2], m[..., 0, 3] = -1 / node.tau, node.r / node.tau, node.v_leak / node.tau
    else:
        m[..., 1, 1], m[..., 1, 2] = -1 / node.tau_syn, node.w_in / node.tau_syn
        m[..., 0, 0], m[..., 0, 1], m[..., 0, 3] = -1 / node.tau_mem, node.r / node.tau_mem, node.v_leak / node.tau_mem
    return np.asarray(expm(dt * m))
