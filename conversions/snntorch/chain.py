"""A Program as a chain: Source, then one step after the other, then Sink; loops of a neuron onto itself set apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from hasn.conversions.refuse import refusal
from hasn.program.maps import Convolution, Dense
from hasn.program.model import Connection, Edge, Neurons, Node, Program, Sink, Source, Threshold

Middle: TypeAlias = Connection | Neurons | Threshold


@dataclass(frozen=True)
class Link:
    """A step of the chain.

    Attributes:
        step: a Connection or Neurons, or a Threshold that no Neurons feed.
        compare: the Threshold behind Neurons without one of their own.
        recurrent: weights from the neuron's spikes of the last step back to its input.
        recurrent_bias: a constant beside its input, which is the bias of these weights.
    """

    step: Middle
    compare: Threshold | None = None
    recurrent: Connection | None = None
    recurrent_bias: Connection | None = None


def chain_of(program: Program) -> list[Link]:
    """The steps between the Source and the Sink, in order.

    Raises:
        UnsupportedError: the graph branches, has several Inputs or Outputs, or loops over more than one neuron.
    """
    loops = {inlet: step for step in program.of(Connection) if (inlet := _loop_target(program, step)) is not None}
    biases = {
        inlet: step
        for step in program.of(Connection)
        if (inlet := _bias_target(program, step)) is not None and inlet in loops
    }
    apart = {step.name for step in [*loops.values(), *biases.values()]}
    edges = [edge for edge in program.edges if edge.source not in apart and edge.target not in apart]
    order = _in_a_row(program, edges, [step for step in program.nodes if step.name not in apart])
    links: list[Link] = []
    for step in order:
        last = links[-1] if links else None
        if isinstance(step, Threshold) and last and isinstance(last.step, Neurons) and not last.step.spiking:
            links[-1] = Link(last.step, step, last.recurrent, last.recurrent_bias)
        else:
            links.append(Link(step, None, loops.get(step.name), biases.get(step.name)))
    return links


def _ends(program: Program, step: Node) -> tuple[list[Edge], list[Edge]]:
    return program.edges_into(step.name), [edge for edge in program.edges if edge.source == step.name]


def _loop_target(program: Program, step: Connection) -> str | None:
    """The neuron to which ``step`` carries its own spikes of the last step."""
    into, out = _ends(program, step)
    if step.delay is not None or len(into) != 1 or len(out) != 1 or into[0].delay + out[0].delay != 1:
        return None
    source, target = program.node(into[0].source), program.node(out[0].target)
    if not isinstance(target, Neurons):
        return None
    if isinstance(source, Threshold):  # a Threshold behind an integrator
        feeds = program.edges_into(source.name)
        return target.name if len(feeds) == 1 and feeds[0].source == target.name and not target.spiking else None
    return target.name if source is target and target.spiking else None


def _bias_target(program: Program, step: Connection) -> str | None:
    """The neuron beside whose input ``step`` adds nothing but a constant."""
    into, out = _ends(program, step)
    if not isinstance(step.map, Dense | Convolution) or step.map.bias is None or np.any(step.map.weight):
        return None
    if len(into) != 1 or len(out) != 1 or into[0].delay or out[0].delay:
        return None
    beside = any(edge.source == into[0].source for edge in program.edges_into(out[0].target))
    return out[0].target if beside else None


def _in_a_row(program: Program, edges: list[Edge], steps: list[Node]) -> list[Middle]:
    """The steps between Source and Sink, if each feeds the next one and no other."""
    if len(program.inputs) != 1 or len(program.of(Source)) != 1 or len(program.of(Sink)) != 1:
        raise refusal("", None, "the graph has not one Input and one Output", way_out=_WAY_OUT)
    after: dict[str, str] = {}
    for edge in edges:
        if edge.source in after or edge.delay or edge.target in after.values():
            raise refusal(edge.source, None, "the graph branches or loops here", way_out=_WAY_OUT)
        after[edge.source] = edge.target
    by_name = program.by_name
    row: list[Middle] = []
    name: str | None = after.get(program.of(Source)[0].name)
    while name is not None:
        step = by_name[name]
        if not isinstance(step, Source | Sink):
            row.append(step)
        name = after.get(name)
    if len(row) + 2 != len(steps):
        raise refusal("", None, "some nodes lie beside the way from Input to Output", way_out=_WAY_OUT)
    return row


_WAY_OUT = "Leave sequential out: hasn's SpikingNetwork runs every graph."
