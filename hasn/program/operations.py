"""How much work a run was, from the Program and what its populations sent: no backend, nothing composed or unrolled.

A *route* leads from a node that sends (an Input, a population, a Threshold, or a connection that others build on) to a
connection, over edges, Delays and Flattens, which only pass on; or straight from one population to another, a synapse
of weight 1 for each neuron. A route's synapses are the weights that are not 0 (of a SparseLinear all that are
stored, of a connection that learns all that may move), convolutions and pools unrolled.

An *event* is a spike, or an Input's value that is not 0. A *synaptic operation* is one event at one synapse (Merolla et
al., A million spiking-neuron integrated circuit with a scalable communication network and interface, Science 345,
2014), counted in the step in which the event is sent. Where connections follow each other (a convolution, a pool, a
matrix), each is counted at its own input: a connection sends an event from every element of its result that an event
reaches in that step, whatever the sum there; its bias is a constant, no event. What a population without spikes (I, LI,
CubaLI) or a loop without any population sends are real numbers at every step, not events: they cause
multiply-accumulates at all synapses, and no synaptic operation. Reading an Output costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.cycles import cycles
from hasn.program.fan_out import Bools, Integers, by_delay, fan_out, reached, with_zeros
from hasn.program.maps import Identity, Pooling
from hasn.program.model import Connection, Neurons, Program, Shape, Sink, Source, Threshold

#: What a node sends: "spikes" (0 or 1), "events" (numbers, most of them 0), or "numbers" (at every step).
Sent: TypeAlias = Literal["spikes", "events", "numbers"]
Delay: TypeAlias = "int | Integers"
#: Elements of a run that are looked at together.
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Route:
    """From a node that sends to one that it works in.

    Attributes:
        source: who sends.
        connection: whose synapses they are: a connection's name, or ``source -> target``.
        target: the connection, or the population that is reached straight.
        delay: steps on the way, one number or one for each element.
        map: the linear map, or None for a synapse of weight 1 for each neuron.
        shape: of what arrives.
    """

    source: str
    connection: str
    target: str
    delay: Delay
    map: Any
    shape: Shape

    @cached_property
    def fan_out(self) -> Integers:
        """For each flat element of the source, the synapses that it reaches."""
        return fan_out(Identity() if self.map is None else self.map, self.shape)

    @property
    def weighted(self) -> bool:
        """Whether there are weights to read: a pool's are all the same, and a straight edge has none."""
        return not (self.map is None or isinstance(self.map, Pooling))

    @property
    def multiplies(self) -> bool:
        """Whether a number is multiplied: a sum and a straight edge only add."""
        return self.weighted or (isinstance(self.map, Pooling) and self.map.mean)


class Routes:
    """The routes of a Program.

    Attributes:
        all: in the order of their targets' evaluation.
        sizes: elements of every node.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes = program.by_name
        self.sizes = {name: int(np.prod(node.shape)) for name, node in self.nodes.items()}
        self.loops = _stateless_loops(program)
        self._into: dict[str, list[Any]] = {name: [] for name in self.nodes}
        for edge in program.edges:
            self._into[edge.target].append(edge)
        self._known: dict[str, dict[Any, tuple[str, Delay]]] = {}
        self.all = tuple(route for name in self.nodes for route in self._ending_at(name))

    def _passes_on(self, name: str) -> bool:
        node = self.nodes[name]
        plain = isinstance(node, Sink) or (isinstance(node, Connection) and isinstance(node.map, Identity))
        return plain and name not in self.loops

    def _arriving(self, name: str) -> dict[Any, tuple[str, Delay]]:
        """Who sends what arrives at a node, and how much later; equal ways are one."""
        if name not in self._known:
            found: dict[Any, tuple[str, Delay]] = {}
            for edge in self._into[name]:
                sender = self.nodes[edge.source]
                own: Delay = (
                    sender.delay.reshape(-1) if isinstance(sender, Connection) and sender.delay is not None else 0
                )
                passed = self._arriving(edge.source) if self._passes_on(edge.source) else {None: (edge.source, 0)}
                for source, delay in passed.values():
                    late: Delay = delay + own + edge.delay
                    found[source, late if isinstance(late, int) else late.tobytes()] = (source, late)
            self._known[name] = found
        return self._known[name]

    def _ending_at(self, name: str) -> Iterable[Route]:
        node = self.nodes[name]
        for source, delay in self._arriving(name).values():
            if isinstance(node, Connection) and not self._passes_on(name):
                shape = node.given if node.given is not None else self.nodes[source].shape
                of = with_zeros(node.map) if name in self.program.learning else node.map
                for late, part in by_delay(of, shape):
                    yield Route(source, name, name, delay + late, part, shape)
            elif isinstance(node, Neurons | Threshold) and not isinstance(self.nodes[source], Connection):
                yield Route(source, f"{source} -> {name}", name, delay, None, node.shape)

    @cached_property
    def building(self) -> tuple[str, ...]:
        """Connections whose events reach further connections, each after those that it builds on."""
        return self._ordered({route.source for route in self.all})

    @cached_property
    def feeding(self) -> tuple[str, ...]:
        """The same, with those whose events reach a population."""
        last = {source for name in self.populations for source, _ in self._arriving(name).values()}
        return self._ordered({route.source for route in self.all} | last)

    @property
    def populations(self) -> tuple[str, ...]:
        """The populations, in order."""
        return tuple(node.name for node in self.program.of(Neurons))

    def arriving(self, name: str) -> list[tuple[str, Delay]]:
        """Who sends what arrives at a population, and how many steps later."""
        return list(self._arriving(name).values())

    def _ordered(self, wanted: set[str]) -> tuple[str, ...]:
        senders = {name for name in wanted if isinstance(self.nodes[name], Connection)}
        before = {
            name: {route.source for route in self.all if route.target == name and route.source in senders}
            for name in senders
            if not self.numbers(name)
        }
        order = TopologicalSorter(before).static_order()
        return tuple(name for name in order if name in before)

    @cached_property
    def _numbers(self) -> dict[str, bool]:
        found = {
            name: name in self.loops or (isinstance(node, Neurons) and not node.spiking)
            for name, node in self.nodes.items()
        }
        spreads: dict[str, list[str]] = {}
        for route in self.all:
            if isinstance(self.nodes[route.target], Connection):
                spreads.setdefault(route.source, []).append(route.target)
        front = [name for name, numbers in found.items() if numbers]
        while front:
            for name in spreads.get(front.pop(), ()):
                if not found[name]:
                    found[name] = True
                    front.append(name)
        return found

    def numbers(self, name: str) -> bool:
        """Whether a node sends real numbers at every step."""
        return self._numbers[name]


def spike_fan_out(program: Program) -> dict[str, Integers]:
    """Spiking population -> for each neuron, the synapses that its spike reaches at the next connections."""
    found = {name: np.zeros(program.node(name).shape, dtype=np.int64) for name in program.recorded_spikes}
    for route in Routes(program).all:
        if route.source in found:
            found[route.source] += route.fan_out.reshape(found[route.source].shape)
    return found


class Tally:
    """Counts events while a run goes on, in memory that does not grow with its steps.

    Args:
        program: what runs.
        batch: samples.
        active: whether to count active updates of neurons too, which takes what a step of the network takes.
        first: number of the first step.

    Attributes:
        steps: that have been added.
        events: node that sends events -> events of each element, over steps and samples.
        active: population -> updates in which something reached the neuron or it spiked, those that are known; None:
            they are not counted.
    """

    def __init__(self, program: Program, batch: int, active: bool = False, first: int = 0) -> None:
        self.routes = Routes(program)
        self.batch = batch
        self.first = first
        self.steps = 0
        self.active: dict[str, int] | None = {} if active else None
        self.events: dict[str, Integers] = {}
        self._spikes = dict.fromkeys(program.recorded_spikes, True)  # and Inputs, while they send 0 and 1 only
        self._past: dict[str, Bools] = {}
        self._late: dict[str, int] = {}
        self._building = self.routes.feeding if active else self.routes.building
        late = [(route.source, route.delay) for route in self.routes.all if route.target in self._building]
        if active:
            late += [way for name in self.routes.populations for way in self.routes.arriving(name)]
        for source, delay in late:
            self._late[source] = max(self._late.get(source, 0), int(np.max(delay, initial=0)))

    def add(self, values: Mapping[str, NDArray[Any]], steps: int) -> None:
        """Count the next steps: {Input or spiking population: (steps, batch, *shape)}, as many as are known."""
        width = max(1, self.batch * max(self.routes.sizes.values(), default=1))
        block = max(1, _BLOCK // width)
        for t in range(0, steps, block):
            self._add({name: value[t : t + block] for name, value in values.items()}, min(block, steps - t))
        self.steps += steps

    def going_on(self, program: Program) -> Tally:
        """A tally of the steps to come, in which another Program with the same populations runs."""
        new = Tally(program, self.batch, self.active is not None, self.first + self.steps)
        new._past = {name: past for name, past in self._past.items() if new._late.get(name)}
        new._spikes |= {name: all_one for name, all_one in self._spikes.items() if name in new.routes.nodes}
        return new

    def _add(self, values: Mapping[str, NDArray[Any]], steps: int) -> None:
        sent: dict[str, Bools] = {}
        for name, value in values.items():
            flat = value.reshape(steps, self.batch, -1)
            sent[name] = flat != 0
        self.know(values)
        for name in self._building:
            arriving = [route for route in self.routes.all if route.target == name]
            if all(route.source in sent for route in arriving):
                sent[name] = self._through(name, arriving, sent, steps)
        if self.active is not None:
            for name in self.routes.populations:
                self._add_active(self.active, name, sent, steps)
        for name, events in sent.items():
            self.events[name] = self.events.get(name, 0) + np.count_nonzero(events, axis=(0, 1))
        for name, late in self._late.items():
            if late and name in sent:
                self._past[name] = self._history(name, sent[name])[-late:]

    def know(self, values: Mapping[str, NDArray[Any]]) -> None:
        """See which Inputs send 0 and 1 alone, without counting."""
        for name, value in values.items():
            if isinstance(self.routes.nodes[name], Source):
                self._spikes[name] = self._spikes.get(name, True) and bool(np.all((value == 0) | (value == 1)))

    def _history(self, name: str, sent: Bools) -> Bools:
        """What a node sends now, behind what it sent in the steps before: as many as are waited for and have been."""
        return np.concatenate([self._past[name], sent]) if name in self._past else sent

    def _through(self, name: str, arriving: list[Route], sent: dict[str, Bools], steps: int) -> Bools:
        """The events that a connection sends."""
        found = np.zeros((steps * self.batch, self.routes.sizes[name]), dtype=bool)
        for route in arriving:
            there = self._later(route.source, sent[route.source], route.delay)
            found |= reached(route.map, there.reshape(-1, *route.shape))
        return found.reshape(steps, self.batch, -1)

    def _later(self, name: str, sent: Bools, delay: Delay) -> Bools:
        """What arrives of what a node sends, with a delay on the way."""
        if not np.any(delay):
            return sent
        history, steps = self._history(name, sent), len(sent)
        rows = len(history) - steps + np.arange(steps)[:, np.newaxis] - np.asarray(delay).reshape(1, -1)
        begun = history[np.maximum(rows, 0), :, np.arange(sent.shape[2])] & (rows >= 0)[..., np.newaxis]
        arrived: Bools = begun.swapaxes(1, 2)
        return arrived

    def _add_active(self, active: dict[str, int], name: str, sent: Mapping[str, Bools], steps: int) -> None:
        """Count the updates of a population in which something reached the neuron or it spiked."""
        arriving = self.routes.arriving(name)
        if any(self.routes.numbers(source) for source, _ in arriving):
            active[name] = active.get(name, 0) + steps * self.batch * self.routes.sizes[name]
            return
        spiking = name in self.routes.program.recorded_spikes
        if (spiking and name not in sent) or any(source not in sent for source, _ in arriving):
            return
        found = sent[name].copy() if spiking else np.zeros((steps, self.batch, self.routes.sizes[name]), dtype=bool)
        for source, delay in arriving:
            found |= self._later(source, sent[source], delay)
        active[name] = active.get(name, 0) + int(np.count_nonzero(found))

    def sends(self, name: str) -> Sent | None:
        """What a node sends; None: what it sent is not known."""
        if self.routes.numbers(name):
            return "numbers"
        if name not in self.events:
            return None
        return "spikes" if self._spikes.get(name, False) else "events"


def _stateless_loops(program: Program) -> set[str]:
    """Connections and Outputs that are in a loop without any population: what goes round there never ends."""
    names = [node.name for node in program.of(Connection, Sink)]
    inside = set(names)
    inner = [(e.source, e.target) for e in program.edges if e.source in inside and e.target in inside]
    together = {name for group in cycles(names, inner) if len(group) > 1 for name in group}
    return together | {source for source, target in inner if source == target}
