"""How much work a run was, worked out when it is asked for; :mod:`hasn.program.operations` says what is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hasn.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hasn.program.model import Program
    from hasn.program.operations import Tally
    from hasn.sent import Sent


@dataclass(frozen=True)
class Operations:
    """What a connection did in a run, over all steps and samples.

    Attributes:
        synapses: weights that are not 0 or learn (convolutions and pools unrolled), for each node that sends to it.
        effective: synaptic operations: events times the synapses that each reaches.
        dense: what it would be if every synapse acted at every step.
        multiply_accumulates: additions of a product, where what arrives is real numbers.
        accumulates: additions alone: where spikes arrive, and where there is no weight (a sum, a straight edge).
        weight_reads: weights fetched for them; a pool and a straight edge have none.
    """

    synapses: int = 0
    effective: int = 0
    dense: int = 0
    multiply_accumulates: int = 0
    accumulates: int = 0
    weight_reads: int = 0

    def __add__(self, other: Operations) -> Operations:
        """Of both."""
        return Operations(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Work:
    """What one node did in a run: an Input its events, a population its updates and spikes, a connection its synapses.

    An edge straight from one population to another counts with the population that it leads to.

    Attributes:
        spikes: of a population or a Threshold.
        events: of an Input: values that are not 0.
        synaptic_operations: events times the synapses that each reaches.
        dense_operations: what it would be if every synapse acted at every step.
        macs: multiply-accumulates, where what arrives is real numbers.
        acs: accumulates, where spikes arrive.
        weight_reads: weights fetched for them.
        neuron_updates: neurons times steps times samples.
        active_updates: those in which something reached the neuron or it spiked; None: not counted.
        plastic_updates: synapses times the steps at which their weights may move.
        memory: numbers read or written.
    """

    spikes: int = 0
    events: int = 0
    synaptic_operations: int = 0
    dense_operations: int = 0
    macs: int = 0
    acs: int = 0
    weight_reads: int = 0
    neuron_updates: int = 0
    active_updates: int | None = 0
    plastic_updates: int = 0
    memory: int = 0

    @property
    def inactive_updates(self) -> int | None:
        """Neuron updates in which nothing reached the neuron and it did not spike; None: not counted."""
        return None if self.active_updates is None else self.neuron_updates - self.active_updates


@dataclass(frozen=True)
class Counts(Mapping[str, Work]):
    """How much work the run was. A recording's are worked out when one of them is first read.

    Attributes:
        spikes: node -> spikes over all steps and samples.
        synaptic_operations: who sends (an Input, a population, or a connection that others build on) -> its events
            times the synapses that each reaches.
        steps: of the run.
        samples: of the run.
        events: Input -> values that are not 0, over all steps and samples.
        neuron_updates: population -> neurons times steps times samples.
        active_updates: population -> those in which something reached the neuron or it spiked, where that is known.
        plastic_updates: connection that learns -> synapses times the steps at which their weights may move.
        memory: population or connection -> numbers read or written.
        connections: connection (``source -> target`` where an edge leads straight) -> what it did.
        unknown: nodes whose spikes are not known because they were not recorded; what they cause is in no mapping.
        counted: whether more than spikes was counted; a run that records selected nodes does so only if asked.
    """

    spikes: dict[str, int] = field(default_factory=dict)
    synaptic_operations: dict[str, int] = field(default_factory=dict)
    steps: int = field(default_factory=int)  # factories all: a plain default would answer before the work is done
    samples: int = field(default_factory=int)
    events: dict[str, int] = field(default_factory=dict)
    neuron_updates: dict[str, int] = field(default_factory=dict)
    connections: dict[str, Operations] = field(default_factory=dict)
    unknown: tuple[str, ...] = field(default_factory=tuple)
    counted: bool = field(default_factory=lambda: True)
    active_updates: dict[str, int] = field(default_factory=dict, compare=False)  # not known of every run
    plastic_updates: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    @property
    def total_spikes(self) -> int:
        """Spikes of all nodes.

        Raises:
            InputError: not all of them were recorded.
        """
        self._known()
        return sum(self.spikes.values())

    @property
    def total_synaptic_operations(self) -> int:
        """Synaptic operations of all populations, Inputs included.

        Raises:
            InputError: not all spikes were recorded, or nothing but spikes was counted.
        """
        self._known(counted=True)
        return sum(self.synaptic_operations.values())

    @property
    def total(self) -> Operations:
        """What all connections did.

        Raises:
            InputError: not all spikes were recorded, or nothing but spikes was counted.
        """
        self._known(counted=True)
        return sum(self.connections.values(), Operations())

    # --- node by node

    def __iter__(self) -> Iterator[str]:
        """The nodes that did something, in no order that means anything."""
        straight = {name.rpartition(" -> ")[2] if " -> " in name else name for name in self.connections}
        return iter(dict.fromkeys([*self.events, *self.neuron_updates, *self.spikes, *straight]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, node: object) -> bool:  # Mapping's own would work each out
        return node in list(iter(self))

    def __getitem__(self, node: str) -> Work:
        """What one node did.

        Raises:
            InputError: it was not recorded, or nothing but spikes was counted.
            KeyError: there is no such node.
        """
        if not self.counted:
            self._known(counted=True)
        if node in self.unknown:
            raise _unrecorded(node)
        if node not in self:
            raise KeyError(node)
        own = [found for name, found in self.connections.items() if name == node or name.endswith(f" -> {node}")]
        all_of = sum(own, Operations())
        updates = self.neuron_updates.get(node, 0)
        return Work(
            spikes=self.spikes.get(node, 0),
            events=self.events.get(node, 0),
            synaptic_operations=all_of.effective,
            dense_operations=all_of.dense,
            macs=all_of.multiply_accumulates,
            acs=all_of.accumulates,
            weight_reads=all_of.weight_reads,
            neuron_updates=updates,
            active_updates=self.active_updates.get(node) if updates else 0,
            plastic_updates=self.plastic_updates.get(node, 0),
            memory=self.memory.get(node, 0),
        )

    def during(self, start: int, stop: int) -> Counts:
        """The counts of steps ``start`` to ``stop - 1`` alone.

        Raises:
            InputError: there are no such steps, or what was sent at each step was not kept.
        """
        sent: Sent | None = vars(self).get("_sent")
        if sent is None:
            raise InputError(
                "what was sent at each step was not kept",
                parameter="counts",
                way_out="Run with record='spikes' (or 'spikes' and more, by name) and ask that recording itself.",
            )
        return tallied(sent.during(start, stop))

    def _known(self, counted: bool = False) -> None:
        if counted and not self.counted:
            raise InputError("nothing but spikes was counted", parameter="counts", way_out="Record 'counts' as well.")
        if self.unknown:
            raise _unrecorded(self.unknown[0])

    def __add__(self, after: Counts) -> Counts:
        """Of a run and of what followed it; synapses are those of the end."""
        both = {
            name: self.connections[name] + new for name, new in after.connections.items() if name in self.connections
        }
        ended = {name: replace(work, synapses=after.connections[name].synapses) for name, work in both.items()}
        return Counts(
            _sums(self.spikes, after.spikes),
            _sums(self.synaptic_operations, after.synaptic_operations),
            self.steps + after.steps,
            after.samples,
            _sums(self.events, after.events),
            _sums(self.neuron_updates, after.neuron_updates),
            {**self.connections, **after.connections, **ended},
            tuple(dict.fromkeys([*self.unknown, *after.unknown])),
            self.counted and after.counted,
            {n: self.active_updates[n] + more for n, more in after.active_updates.items() if n in self.active_updates},
            _sums(self.plastic_updates, after.plastic_updates),
            _sums(self.memory, after.memory),
        )

    # --- when it is asked for

    @classmethod
    def later(cls, work: Callable[[], Counts], sent: Sent | None = None) -> Counts:
        """Counts that ``work`` gives when one of them is first read.

        Args:
            work: gives all but the active updates.
            sent: what was sent at each step: for active updates, which are worked out by themselves, and
                :meth:`during`.
        """
        made = object.__new__(cls)
        vars(made).update({"_work": work, "_sent": sent})
        return made

    if not TYPE_CHECKING:  # a checker should see the fields alone

        def __getattr__(self, name: str) -> Any:
            """A field that has not been worked out yet: Python asks here for what an object lacks."""
            sent = vars(self).get("_sent")
            if name == "active_updates" and sent is not None:
                vars(self)[name] = sent.tally(active=True).active
            elif name in type(self).__dataclass_fields__ and "_work" in vars(self):
                self._find()
            else:
                raise AttributeError(f"Counts has no {name!r}")
            return vars(self)[name]

        def _find(self) -> None:
            found, sent = self._work(), self._sent
            fields = set(type(self).__dataclass_fields__) - ({"active_updates"} if sent is not None else set())
            vars(self).update({field: getattr(found, field) for field in fields})
            del vars(self)["_work"]
            vars(self)["_sent"] = None if sent is None else sent.packed()

    def __getstate__(self) -> dict[str, Any]:
        """Figures alone travel."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _unrecorded(node: str) -> InputError:
    return InputError(
        "its spikes were not recorded, so there is no total",
        node=node,
        parameter="counts",
        way_out="Record 'spikes' of all nodes, or 'counts'.",
    )


def _sums(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in [*one, *(set(two) - set(one))]}


def counts_of(
    program: Program,
    values: Mapping[str, NDArray[Any]],
    spikes: Mapping[str, NDArray[Any]],
    steps: int,
    samples: int,
    first: int = 0,
) -> Counts:
    """The counts of a run that is over, but for active updates.

    Args:
        program: what ran.
        values: Input -> (T, batch, *shape).
        spikes: spiking node -> (T, batch, *shape), those that are known.
        steps: T.
        samples: batch.
        first: number of the first step.
    """
    from hasn.sent import Sent

    return tallied(Sent(program, values, spikes, steps, samples, first).tally())


def tallied(tally: Tally) -> Counts:
    """The counts of what a tally has seen."""
    from hasn.program.model import Neurons, Source

    routes, cases = tally.routes, tally.steps * tally.batch
    program = routes.program
    operations: dict[str, int] = {}
    connections: dict[str, Operations] = {}
    incomplete: set[str] = set()
    for route in routes.all:
        sent = tally.sends(route.source)
        if sent is None:
            incomplete.add(route.connection)
            continue
        synapses = int(route.fan_out.sum())
        effective = 0 if sent == "numbers" else int(tally.events[route.source] @ route.fan_out)
        if sent != "numbers":
            operations[route.source] = operations.get(route.source, 0) + effective
        work = synapses * cases if sent == "numbers" else effective
        multiplied = work if sent != "spikes" and route.multiplies else 0
        reads = work if route.weighted else 0
        found = Operations(synapses, effective, synapses * cases, multiplied, work - multiplied, reads)
        connections[route.connection] = connections.get(route.connection, Operations()) + found
    spiking = program.recorded_spikes
    known = {name: found for name, found in connections.items() if name not in incomplete}
    populations = program.of(Neurons)
    plastic, memory = _learned(tally), {name: found.weight_reads for name, found in known.items()}
    for name, (updates, traces) in plastic.items():
        if name in memory:
            memory[name] += 2 * (updates + traces)
    memory |= {node.name: 2 * len(node.states) * routes.sizes[node.name] * cases for node in populations}
    return Counts(
        {name: int(tally.events[name].sum()) for name in spiking if name in tally.events},
        operations,
        tally.steps,
        tally.batch,
        {source.name: int(tally.events[source.name].sum()) for source in program.of(Source)},
        {node.name: routes.sizes[node.name] * cases for node in populations},
        known,
        tuple(name for name in spiking if name not in tally.events),
        active_updates=dict(tally.active or {}),
        plastic_updates={name: updates for name, (updates, _) in plastic.items()},
        memory=memory,
    )


def _learned(tally: Tally) -> dict[str, tuple[int, int]]:
    """Connection that learns -> updates of its weights, and of its traces, over the steps and samples."""
    from hasn.program.learning import sizes

    found = {}
    for name, rule in tally.routes.program.learning.items():
        each = {extent: math.prod(size) for extent, size in sizes(tally.routes.program.by_name[name].map).items()}  # type: ignore[union-attr]
        times = (tally.first + tally.steps) // rule.every - tally.first // rule.every
        traces = sum(each[trace.extent] for trace in rule.traces) * tally.steps * tally.batch
        found[name] = (each["synapse"] * times * (1 if rule.shared else tally.batch), traces)
    return found
