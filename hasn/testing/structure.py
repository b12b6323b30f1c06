"""A graph's structure by SEMANTICS alone: nested graphs laid flat, edges that come late, an order, shapes.

In plain code of its own, because lowering is judged by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hasn.nodes import AdaptiveLIF, HomeostaticLIF, NoiseInput, PoissonInput, ResonateFire, SparseLinear
from hasn.testing.drawn import DRAWN
from hasn.testing.layers import STATELESS
from hasn.testing.suite import added

Pair = tuple[str, str]
Shape = tuple[int, ...]
NEURONS = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, AdaptiveLIF, HomeostaticLIF, ResonateFire)


def is_neuron(node: Any) -> bool:
    """Whether a node is a population, of a plug-in's kind too."""
    return isinstance(node, (*NEURONS, *added().neurons))


@dataclass(frozen=True)
class Structure:
    """A flat graph.

    Attributes:
        nodes: name -> node, in an order in which sources come before their targets.
        edges: (source, target).
        late: those that deliver the value of the step before.
        shapes: the shape that each node takes.
        inputs, outputs: names of the graph's own Inputs and Outputs.
        timing: "synchronous" or "hardware".
    """

    nodes: dict[str, Any]
    edges: list[Pair]
    late: set[Pair]
    shapes: dict[str, Shape]
    inputs: list[str]
    outputs: list[str]
    timing: str


def structure(graph: nir.NIRGraph, timing: str) -> Structure:
    """Lay a graph flat and say which of its edges come late."""
    nodes, edges = inline(graph)
    inputs, outputs = (
        sorted(name for name, node in graph.nodes.items() if isinstance(node, kind)) for kind in (nir.Input, nir.Output)
    )
    if timing == "hardware":
        nodes, edges = without_ports(nodes, edges, inputs + outputs)
    late = late_edges(nodes, edges, inputs, outputs, timing)
    for source, target in [edge for edge in late if "plasticity" in nodes[edge[0]].metadata]:
        # What reaches the target comes late as a whole: through the weights that there are then.
        late -= {(source, target)}
        late |= {edge for edge in edges if edge[1] == source}
    order = evaluation_order(nodes, [edge for edge in edges if edge not in late])
    return Structure({n: nodes[n] for n in order}, edges, late, input_shapes(nodes, edges), inputs, outputs, timing)


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
        fires = {name for name, node in nodes.items() if isinstance(node, (nir.Threshold, *DRAWN)) or is_neuron(node)}
        hops = {(a, b) for a, b in edges if (a in inputs or a in fires) and b not in outputs}
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


def input_shapes(nodes: dict[str, Any], edges: list[Pair]) -> dict[str, Shape]:
    """The shape that each node takes: from its parameters, or by sending zeros through its predecessors."""
    shapes: dict[str, Shape] = {}
    while len(shapes) < len(nodes):
        for name in nodes.keys() - shapes.keys():
            own = own_shape(nodes[name])
            if own is not None:
                shapes[name] = own
            for source in (a for a, b in edges if b == name and a in shapes and own is None):
                shapes[name] = shape_after(nodes[source], shapes[source])
    return shapes


def own_shape(node: Any) -> Shape | None:
    """The input shape that a node says itself."""
    if isinstance(node, nir.Affine | nir.Linear):
        return (*node.weight.shape[:-2], node.weight.shape[-1])
    if isinstance(node, SparseLinear):
        return (node.shape[1],)
    elementwise: dict[Any, str] = {nir.Scale: "scale", nir.Threshold: "threshold", nir.Delay: "delay"}
    for kind, parameter in ((PoissonInput, "rate"), (NoiseInput, "mean")):
        elementwise[kind] = parameter
    if type(node) in elementwise:
        return tuple(getattr(node, elementwise[type(node)]).shape)
    if is_neuron(node):
        return next(np.shape(value) for value in vars(node).values() if isinstance(value, np.ndarray))
    if isinstance(node, nir.Input | nir.Output | nir.Flatten):
        declared = node.output_type["output"] if isinstance(node, nir.Output) else node.input_type["input"]
        return tuple(int(n) for n in np.atleast_1d(declared))
    if isinstance(node, nir.Conv1d | nir.Conv2d) and node.input_shape is not None:
        return (node.weight.shape[1] * int(node.groups), *(int(n) for n in np.atleast_1d(node.input_shape)))
    return None


def shape_after(node: Any, shape: Shape) -> Shape:
    """What a node gives for an input of ``shape``."""
    if isinstance(node, SparseLinear):
        return (node.shape[0],)
    function = (STATELESS | dict(added().stateless)).get(type(node))
    return shape if function is None else function(node, np.zeros((1, *shape))).shape[1:]
