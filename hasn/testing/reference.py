"""What a NIR graph means, in plain NumPy: SEMANTICS run node by node and step by step in float64.

Written to be read, not to be fast, and without any of hasn's lowering, so that it can judge it. Signals are arrays
(batch, *shape). The exact method integrates each neuron's equations with a matrix exponential.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from hasn.testing.layers import STATELESS

Array = NDArray[Any]
Pair = tuple[str, str]
NEURONS = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)


@dataclass
class Reference:
    """Arrays (T, batch, *shape) by node name.

    ``margins`` are the least |x - threshold| of each spiking node, ``scale`` the largest magnitude that any node sent.
    """

    outputs: dict[str, Array]
    spikes: dict[str, Array]
    voltages: dict[str, Array]
    margins: dict[str, float]
    scale: float = 0.0


def run(graph: nir.NIRGraph, inputs: dict[str, Array], dt: float, method: str, reset: str, timing: str) -> Reference:
    """Run a graph on inputs (T, batch, *shape), one array for each Input."""
    nodes, edges = inline(graph)
    tops = {
        kind: sorted(n for n, node in graph.nodes.items() if isinstance(node, kind)) for kind in (nir.Input, nir.Output)
    }
    if timing == "hardware":
        nodes, edges = without_ports(nodes, edges, tops[nir.Input] + tops[nir.Output])
    late = late_edges(nodes, edges, tops[nir.Input], tops[nir.Output], timing)
    order = evaluation_order(nodes, [edge for edge in edges if edge not in late])
    shapes = input_shapes(nodes, edges)
    batch = next(iter(inputs.values())).shape[1]
    cells = {name: make_node(nodes[name], (batch, *shapes[name]), dt, method, reset) for name in order}
    log: dict[str, dict[str, list[Array]]] = {name: defaultdict(list) for name in order}
    before: dict[str, Array] = {}
    scale = 0.0
    for t in range(len(next(iter(inputs.values())))):
        now: dict[str, Array] = {}
        for name in order:
            x = np.zeros((batch, *shapes[name]))
            for source, target in edges:
                if target == name:
                    x = x + (before.get(source, 0.0) if (source, target) in late else now[source])
            now[name] = inputs[name][t].astype(float) if name in inputs else cells[name](x, log[name])
        for name in tops[nir.Output]:
            log[name]["output"].append(now[name])
        before = now
        scale = max(scale, *(float(np.max(np.abs(value))) for value in now.values()))

    def stacked(what: str) -> dict[str, Array]:
        return {name: np.stack(found[what]) for name, found in log.items() if what in found}

    return Reference(
        stacked("output"),
        stacked("spikes"),
        stacked("voltage"),
        {name: float(min(map(np.min, found["margin"]))) for name, found in log.items() if found["margin"]},
        scale,
    )


# --- structure


def inline(graph: nir.NIRGraph, prefix: str = "") -> tuple[dict[str, nir.NIRNode], list[Pair]]:
    """Nested graphs laid flat as ``outer.inner``; their own Inputs and Outputs pass values on."""
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[Pair] = []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            inner_nodes, inner_edges = inline(node, f"{prefix}{name}.")
            nodes |= inner_nodes
            edges += inner_edges
        else:
            nodes[prefix + name] = node

    def end(name: str, port: type) -> str:
        node = graph.nodes.get(name)
        if not isinstance(node, nir.NIRGraph):
            return prefix + name
        (only,) = (inner for inner, n in node.nodes.items() if isinstance(n, port))
        return f"{prefix}{name}.{only}"

    return nodes, edges + [(end(a, nir.Output), end(b, nir.Input)) for a, b in graph.edges]


def without_ports(nodes: dict[str, Any], edges: list[Pair], tops: list[str]) -> tuple[dict[str, Any], list[Pair]]:
    """Hardware has no nodes for the Inputs and Outputs of nested graphs: what enters one leaves it in the same step."""
    ports = {name for name, node in nodes.items() if isinstance(node, nir.Input | nir.Output) and name not in tops}
    ports = {name for name in ports if (name, name) not in edges and any(b == name for _, b in edges)}
    for port in ports:
        before, after = [a for a, b in edges if b == port], [b for a, b in edges if a == port]
        edges = [edge for edge in edges if port not in edge] + [(a, b) for a in before for b in after]
    return {name: node for name, node in nodes.items() if name not in ports}, edges


def late_edges(
    nodes: dict[str, Any], edges: list[Pair], inputs: list[str], outputs: list[str], timing: str
) -> set[Pair]:
    """Edges that deliver the value of the step before: feedback, and on "hardware" whatever crosses the network."""
    hops: set[Pair] = set()
    if timing == "hardware":
        fires = (nir.Threshold, *NEURONS)
        hops = {(a, b) for a, b in edges if (a in inputs or isinstance(nodes[a], fires)) and b not in outputs}
    feedback: set[Pair] = set()
    done: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> None:
        for target in sorted(b for a, b in edges if a == node and (a, b) not in hops):
            if target in (*path, node):
                feedback.add((node, target))
            elif target not in done:
                visit(target, (*path, node))
        done.add(node)

    for root in [*sorted(inputs), *sorted(nodes)]:
        if root not in done:
            visit(root, ())
    return hops | feedback


def evaluation_order(nodes: dict[str, Any], edges: list[Pair]) -> list[str]:
    """Any order in which sources come before their targets."""
    order: list[str] = []
    while len(order) < len(nodes):
        order += [n for n in sorted(nodes) if n not in order and all(a in order for a, b in edges if b == n)]
    return order


def input_shapes(nodes: dict[str, nir.NIRNode], edges: list[Pair]) -> dict[str, tuple[int, ...]]:
    """The shape that each node takes: from its parameters, or by sending zeros through its predecessors."""
    shapes: dict[str, tuple[int, ...]] = {}
    while len(shapes) < len(nodes):
        for name in nodes.keys() - shapes.keys():
            node = nodes[name]
            if isinstance(node, nir.Affine | nir.Linear):
                shapes[name] = (*node.weight.shape[:-2], node.weight.shape[-1])
            elif isinstance(node, NEURONS):
                shapes[name] = node.r.shape
            elif isinstance(node, nir.Input | nir.Output):
                declared = node.input_type["input"] if isinstance(node, nir.Input) else node.output_type["output"]
                shapes[name] = tuple(int(n) for n in np.atleast_1d(declared))
            else:
                for source in (a for a, b in edges if b == name and a in shapes):
                    zeros = np.zeros((1, *shapes[source]))
                    shapes[name] = make_node(nodes[source], zeros.shape, 1.0, "euler", "zero")(
                        zeros, defaultdict(list)
                    ).shape[1:]
    return shapes


# --- nodes: each is a function (x, log) -> y with its state inside

Cell = Callable[[Array, dict[str, list[Array]]], Array]


def make_node(node: nir.NIRNode, shape: tuple[int, ...], dt: float, method: str, reset: str) -> Cell:
    """One node's behaviour for inputs of ``shape`` = (batch, *its input shape)."""
    if isinstance(node, NEURONS):
        return Neuron(node, shape, dt, method, reset)
    if isinstance(node, nir.Delay):
        return DelayLine(node.delay, dt)
    if isinstance(node, nir.Threshold):
        return lambda x, log: fire(x, node.threshold, log)
    function = STATELESS[type(node)]
    return lambda x, log: function(node, x)


def fire(x: Array, threshold: Array, log: dict[str, list[Array]]) -> Array:
    log["margin"].append(np.abs(x - threshold))
    log["spikes"].append(x > threshold)
    return (x > threshold).astype(float)


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


class Neuron:
    """The six neurons of NIR; the current ``c`` is there for all and used by Cuba alone."""

    def __init__(self, node: nir.NIRNode, shape: tuple[int, ...], dt: float, method: str, reset: str) -> None:
        self.node, self.dt = node, dt
        self.reset = node.metadata.get("reset", reset)
        self.c = np.zeros(shape)
        self.v = np.zeros(shape) + node.metadata.get("v_init", 0.0)
        self.advance = self.exact if method == "exact" else self.euler
        self.transition = transition(node, dt)

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

    def __call__(self, x: Array, log: dict[str, list[Array]]) -> Array:
        node = self.node
        self.advance(x)
        y: Array = self.v
        if hasattr(node, "v_threshold"):
            y = fire(self.v, node.v_threshold, log)
            jumped = node.v_reset if self.reset == "zero" else self.v - (node.v_threshold - node.v_reset)
            self.v = np.where(y > 0, jumped, self.v)
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
