"""From rounded populations and connections back to NIR: once in the chip's units, once in volts.

Both graphs have the nodes of the float graph under their names, as far as each connection has a node of its own: a
node that leads into two populations becomes two, since each population has a scale of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from hasn.conversions.loihi.quantising.cone import Cone
from hasn.conversions.loihi.quantising.connect import Synapses, Weights
from hasn.conversions.loihi.quantising.plan import UNIT, Registers
from hasn.ir.meaning import keep
from hasn.ir.typed import copy_node
from hasn.program.integers.encode import chip_neuron, steps_of
from hasn.program.integers.model import DECAY_BITS
from hasn.program.maps import Pooling, Scaling
from hasn.program.model import Connection, Program, Sink, Source

_UNITY = float(1 << DECAY_BITS)


@dataclass
class Draft:
    """A graph under construction.

    Attributes:
        taken: names of the float graph, which only its own nodes get.
        nodes, edges: as NIR has them.
        weights: node -> what its weights were made from.
    """

    taken: frozenset[str]
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    weights: dict[str, Weights] = field(default_factory=dict)

    def add(self, name: str, node: Any) -> None:
        """A node, unless it is there."""
        self.nodes.setdefault(name, node)

    def edge(self, source: str, target: str) -> None:
        """An edge, unless it is there."""
        if (source, target) not in self.edges:
            self.edges.append((source, target))


def build(
    program: Program,
    originals: Mapping[str, nir.NIRNode],
    cones: Mapping[str, Cone],
    synapses: Mapping[str, Synapses],
    registers: Mapping[str, Registers],
    outputs: Mapping[str, str],
    chip: bool,
) -> tuple[nir.NIRGraph, dict[str, Weights]]:
    """Put a graph together: the graph, and {its node: the rounded weights in it} without those put in between.

    Args:
        program: of the float graph.
        originals: its NIR nodes by flat name.
        cones, synapses, registers: for every population.
        outputs: Output -> population that it shows.
        chip: in the chip's units, or in volts.
    """
    draft = Draft(frozenset(program.by_name))
    for step in program.nodes:
        if isinstance(step, Source):
            draft.add(step.name, nir.Input(np.array(step.shape, dtype=int)))
        elif step.name in registers:
            found = registers[step.name]
            draft.add(step.name, _chip_node(found, program.dt) if chip else _volt_node(found, program.dt))
        elif isinstance(step, Sink):
            draft.add(step.name, nir.Output(np.array(step.shape, dtype=int)))
            if outputs.get(step.name, step.name) != step.name:
                draft.edge(outputs[step.name], step.name)
    for name, cone in cones.items():
        if cone.why_composed:
            _composed(draft, synapses[name], program.dt, chip)
        else:
            _in_place(draft, program, originals, cone, synapses[name], chip)
    graph = nir.NIRGraph(draft.nodes, draft.edges, type_check=False)
    keep(graph, dt=program.dt, timing=program.timing)  # decays of the chip are Euler's, whatever the method was
    return graph, draft.weights


# --- populations


def _chip_node(r: Registers, dt: float) -> nir.NIRNode:
    shape = r.equation.shape

    def shaped(value: Any) -> Any:
        return None if value is None else np.asarray(value).reshape(shape)

    return chip_neuron(
        shape, dt=dt, dv=shaped(r.dv), du=shaped(r.du), vth=shaped(r.vth), bias=shaped(r.bias), v_init=shaped(r.v_init)
    )


def _volt_node(r: Registers, dt: float) -> nir.NIRNode:
    """The neuron that the registers stand for, in volts."""
    e = r.equation

    def shaped(value: Any) -> Any:
        return np.asarray(value, dtype=np.float64).reshape(e.shape)

    tau = steps_of(r.dv)
    units = r.units_a_volt
    common: dict[str, Any] = {"v_leak": shaped(r.bias / units * tau + e.offset)}
    if r.vth is not None:
        common |= {"v_threshold": shaped(r.vth * UNIT / units + e.offset), "v_reset": shaped(e.offset)}
    if r.du is None or e.rate is None:
        kind: Any = nir.LI if r.vth is None else nir.LIF
        node = kind(tau=shaped(dt * tau), r=shaped(e.gain * e.volts * tau), **common)
    else:
        kind = nir.CubaLI if r.vth is None else nir.CubaLIF
        tau_syn = _UNITY / (r.du + 1.0)
        taus = {"tau_syn": shaped(dt * tau_syn), "tau_mem": shaped(dt * tau)}
        node = kind(**taus, r=shaped(e.rate[1] * tau), w_in=shaped(e.rate[0] * tau_syn), **common)
    initial = r.v_init / units + e.offset
    if np.any(initial):
        node.metadata["v_init"] = shaped(initial)
    return node


# --- connections that keep their nodes


def _in_place(
    draft: Draft, program: Program, originals: Mapping[str, nir.NIRNode], cone: Cone, s: Synapses, chip: bool
) -> None:
    names = {name: name if name not in draft.nodes else _free(draft, f"{name}_{cone.target}") for name in cone.steps}
    for name, step in cone.steps.items():
        draft.add(names[name], _node(step, originals[name], s, chip))
        if name in s.of_node:
            draft.weights[names[name]] = s.of_node[name]
    known = {*names, *draft.nodes}
    for edge in program.edges:
        if edge.source not in known:
            continue  # a node without input: all it sends is its bias, which the population's own has
        if edge.target in names:
            draft.edge(names.get(edge.source, edge.source), names[edge.target])
        elif edge.target == cone.target:
            end = names.get(edge.source, edge.source)
            if edge.source in s.direct:
                between = _free(draft, f"{end}_{cone.target}")
                draft.add(between, nir.Scale(s.direct[edge.source].weight(chip)))
                draft.edge(end, between)
                end = between
            draft.edge(end, cone.target)


def _free(draft: Draft, name: str) -> str:
    while name in draft.nodes or name in draft.taken:
        name += "_"
    return name


def _node(step: Connection, original: nir.NIRNode, s: Synapses, chip: bool) -> nir.NIRNode:
    """The node with rounded weights and biases; what only passes on stays, a mean becomes a sum on the chip."""
    weights = s.of_node.get(step.name)
    if weights is None:
        return _passing(step, original, chip)
    weight, bias = weights.weight(chip), weights.bias(chip)
    if isinstance(step.map, Scaling):
        return nir.Scale(weight)
    if isinstance(original, nir.Conv1d | nir.Conv2d):
        made = _copy(original)
        made.weight, made.bias = weight, np.zeros(weight.shape[0]) if bias is None else bias
        return made
    return nir.Linear(weight) if bias is None or not np.any(bias) else nir.Affine(weight, bias)


def _passing(step: Connection, original: nir.NIRNode, chip: bool) -> nir.NIRNode:
    if chip and isinstance(step.map, Pooling) and step.map.mean:
        return nir.SumPool2d(original.kernel_size, original.stride, original.padding)
    if isinstance(original, nir.Input | nir.Output) or (chip and isinstance(step.map, Scaling)):
        return nir.Scale(np.ones(step.shape))  # a nested graph's end, or a factor that the weights have taken in
    return _copy(original)


def _copy(original: nir.NIRNode) -> Any:
    made = copy_node(original)
    made.metadata = {}
    return made


# --- connections that are composed


def _composed(draft: Draft, s: Synapses, dt: float, chip: bool) -> None:
    for (source, delay), weights in s.composed.items():
        shape = draft.nodes[source].output_type["output"] if isinstance(draft.nodes[source], nir.Input) else None
        size = np.asarray(shape if shape is not None else np.shape(draft.nodes[source].v_leak))
        end = source
        if size.size != 1:
            flat = _free(draft, f"{source}_flat_{s.target}")
            draft.add(flat, nir.Flatten({"input": size.astype(int)}, start_dim=0))
            draft.edge(source, flat)
            end = flat
        name = _free(draft, f"{source}_{s.target}")
        draft.weights[name] = weights
        bias = weights.bias(chip)
        draft.add(name, nir.Linear(weights.weight(chip)) if bias is None else nir.Affine(weights.weight(chip), bias))
        draft.edge(end, name)
        steps = delay - s.feedback.get((source, delay), 0)
        if steps > 0:
            late = _free(draft, f"{name}_late")
            draft.add(late, nir.Delay(np.full(weights.weight(chip).shape[0], steps * dt)))
            draft.edge(name, late)
            name = late
        draft.edge(name, s.target)
