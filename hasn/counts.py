"""How much work a run was, worked out when it is asked for; :mod:`hasn.program.operations` says what is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hasn.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hasn.program.model import Program
    from hasn.program.operations import Tally


@dataclass(frozen=True)
class Operations:
    """What a connection did in a run, over all steps and samples.

    Attributes:
        synapses: weights that are not 0 (convolutions and pools unrolled), for each node that sends to it.
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
class Counts:
    """How much work the run was. A recording's are worked out when one of them is first read.

    Attributes:
        spikes: node -> spikes over all steps and samples.
        synaptic_operations: who sends (an Input, a population, or a connection that others build on) -> its events
            times the synapses that each reaches.
        steps: of the run.
        samples: of the run.
        events: Input -> values that are not 0, over all steps and samples.
        neuron_updates: population -> neurons times steps times samples.
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

    def _known(self, counted: bool = False) -> None:
        if counted and not self.counted:
            raise InputError("nothing but spikes was counted", parameter="counts", way_out="Record 'counts' as well.")
        if self.unknown:
            raise InputError(
                "its spikes were not recorded, so there is no total",
                node=self.unknown[0],
                parameter="counts",
                way_out="Record 'spikes' of all nodes, or 'counts'.",
            )

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
        )

    # --- when it is asked for

    @classmethod
    def later(cls, work: Callable[[], Counts]) -> Counts:
        """Counts that ``work`` gives when one of them is first read."""
        made = object.__new__(cls)
        object.__setattr__(made, "_work", work)
        return made

    if not TYPE_CHECKING:  # a checker should see the fields alone

        def __getattr__(self, name: str) -> Any:
            """A field that has not been worked out yet: Python asks here for what an object lacks."""
            if name not in type(self).__dataclass_fields__ or "_work" not in vars(self):
                raise AttributeError(f"Counts has no {name!r}")
            found = self._work()
            vars(self).update({field: getattr(found, field) for field in type(self).__dataclass_fields__})
            del vars(self)["_work"]
            return vars(self)[name]

    def __getstate__(self) -> dict[str, Any]:
        """Figures alone travel."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _sums(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in [*one, *(set(two) - set(one))]}


def counts_of(
    program: Program, values: Mapping[str, NDArray[Any]], spikes: Mapping[str, NDArray[Any]], steps: int, samples: int
) -> Counts:
    """The counts of a run that is over.

    Args:
        program: what ran.
        values: Input -> (T, batch, *shape).
        spikes: spiking node -> (T, batch, *shape), those that are known.
        steps: T.
        samples: batch.
    """
    from hasn.program.operations import Tally

    tally = Tally(program, samples)
    tally.add({**values, **{name: spikes[name] for name in program.recorded_spikes if name in spikes}}, steps)
    return tallied(tally)


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
    return Counts(
        {name: int(tally.events[name].sum()) for name in spiking if name in tally.events},
        operations,
        tally.steps,
        tally.batch,
        {source.name: int(tally.events[source.name].sum()) for source in program.of(Source)},
        {node.name: routes.sizes[node.name] * cases for node in program.of(Neurons)},
        {name: found for name, found in connections.items() if name not in incomplete},
        tuple(name for name in spiking if name not in tally.events),
    )
