"""The operations that a profile can price, and how many of each a run did, node by node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hasn.counts import Counts, Operations
from hasn.errors import InputError

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement import Placement

Numbers: TypeAlias = dict[str, float]
#: The whole, where no node has a share.
WHOLE = "all nodes"


@dataclass(frozen=True)
class Priced:
    """A run as prices see it.

    Attributes:
        counts: what it did.
        dt: seconds a step.
        placement: who is on which core, or None.
        release_probability: of a vesicle at a synapse that an action potential reaches.
        measured: joules that a meter read over the run, or None.
    """

    counts: Counts
    dt: float
    placement: Placement | None = None
    release_probability: float = 0.25
    measured: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds of model time, over all samples."""
        return self.counts.steps * self.counts.samples * self.dt

    @property
    def neurons(self) -> Numbers:
        """Population -> neurons."""
        return {name: n / (self.counts.steps * self.counts.samples) for name, n in self.counts.neuron_updates.items()}


@dataclass(frozen=True)
class Term:
    """An operation.

    Attributes:
        what: in words.
        units: what its price may be in: joules or ATP an operation, or watts or ATP/s for what goes on.
        part: of the work that it pays for: "synapses", "neurons", "plasticity", "routing", "static", "whole".
        count: how many a run did, by node; None: that is not known of this run.
    """

    what: str
    units: tuple[str, ...]
    part: str
    count: Callable[[Priced], Numbers | None]


def _operations(count: Callable[[Operations], float]) -> Callable[[Priced], Numbers]:
    return lambda run: {name: float(count(found)) for name, found in run.counts.connections.items()}


def _active(run: Priced) -> Numbers:
    missing = [name for name in run.counts.neuron_updates if name not in run.counts.active_updates]
    if missing:
        raise InputError(
            "its active updates were not counted",
            node=missing[0],
            parameter="counts",
            way_out="Record 'spikes' of all nodes, or record={'counts': 'active'}.",
        )
    return {name: float(n) for name, n in run.counts.active_updates.items()}


def _inactive(run: Priced) -> Numbers:
    active = _active(run)
    return {name: n - active[name] for name, n in run.counts.neuron_updates.items()}


def _of(name: str) -> Callable[[Priced], Numbers]:
    return lambda run: {node: float(n) for node, n in getattr(run.counts, name).items()}


def _vesicles(run: Priced) -> Numbers:
    return {name: run.release_probability * found.accumulates for name, found in run.counts.connections.items()}


def _spikes(run: Priced) -> Numbers:
    return {name: float(n) for name, n in run.counts.spikes.items() if name in run.counts.neuron_updates}


def _cells(run: Priced) -> Numbers:
    """Seconds of neurons' lives."""
    return {name: n * run.seconds for name, n in run.neurons.items()}


def _messages(run: Priced) -> Numbers | None:
    return _travelled(run, lambda sent: sent.messages + sent.local)


def _hops(axis: int) -> Callable[[Priced], Numbers | None]:
    def count(run: Priced) -> Numbers | None:
        if run.placement is None:
            return None
        places = run.placement.positions[:, axis]
        along = run.placement.between * np.abs(places[:, np.newaxis] - places)
        all_of = run.placement.message_hops
        share = float(along.sum()) / all_of if all_of else 0.0
        return _travelled(run, lambda sent: share * sent.message_hops)

    return count


def _travelled(run: Priced, of: Callable[..., float]) -> Numbers | None:
    """Per spike as on the placement's calibration, times this run's spikes."""
    if run.placement is None:
        return None
    found = {}
    for name, sent in run.placement.populations.items():
        if name not in run.counts.neuron_updates:
            raise InputError(
                "the placement is of another network",
                node=name,
                parameter="placement",
                wanted=", ".join(run.counts.neuron_updates),
            )
        spikes = run.counts.spikes.get(name, 0)
        if spikes and not sent.spikes:
            raise InputError(
                "it was silent when the placement was made, so nothing is known of where its spikes go",
                node=name,
                parameter="placement",
                way_out="Place the network on data on which it spikes.",
            )
        found[name] = of(sent) * spikes / sent.spikes if sent.spikes else 0.0
    return found


_ENERGY, _POWER = ("J",), ("W",)
#: Name in a profile -> what it is.
TERMS: dict[str, Term] = {
    "synaptic_operation": Term(
        "an event at a synapse, or a number at one", _ENERGY, "synapses",
        _operations(lambda found: found.multiply_accumulates + found.accumulates),
    ),
    "mac": Term("a multiply-accumulate", _ENERGY, "synapses", _operations(lambda found: found.multiply_accumulates)),
    "ac": Term("an accumulate", _ENERGY, "synapses", _operations(lambda found: found.accumulates)),
    "weight_read": Term("a weight read", _ENERGY, "memory", _operations(lambda found: found.weight_reads)),
    "dense_pass": Term(
        "a synapse in one dense pass a sample, without time", _ENERGY, "whole",
        lambda run: {name: float(n.synapses * run.counts.samples) for name, n in run.counts.connections.items()},
    ),
    "dense_read": Term(
        "a weight read in one dense pass a sample", _ENERGY, "memory",
        lambda run: {name: float(n.synapses * run.counts.samples) for name, n in run.counts.connections.items()},
    ),
    "neuron_update": Term("an update of a neuron", _ENERGY, "neurons", _of("neuron_updates")),
    "active_update": Term("an active update of a neuron", _ENERGY, "neurons", _active),
    "inactive_update": Term("an update of a neuron that nothing reaches", _ENERGY, "neurons", _inactive),
    "neuron_time": Term("a second of a neuron", _POWER, "neurons", _cells),
    "plastic_update": Term("a synapse whose weight may move", _ENERGY, "plasticity", _of("plastic_updates")),
    "message": Term("a spike to one core", _ENERGY, "routing", _messages),
    "hop_east_west": Term("a hop of a message along a row", _ENERGY, "routing", _hops(0)),
    "hop_north_south": Term("a hop of a message along a column", _ENERGY, "routing", _hops(1)),
    "static_power": Term(
        "a second of the chip, whatever it does", _POWER, "static", lambda run: {WHOLE: run.seconds}
    ),
    "measured": Term(
        "what a meter read", _ENERGY, "whole", lambda run: None if run.measured is None else {WHOLE: run.measured}
    ),
    "action_potential": Term("an action potential of a population", ("ATP",), "neurons", _spikes),
    "resting_neuron": Term("a second of a neuron at rest", ("ATP/s",), "neurons", _cells),
    "resting_glia": Term("a second of a neuron's glia at rest", ("ATP/s",), "neurons", _cells),
    "network_synchrony": Term("a second of a neuron in synchrony, a model choice", ("ATP/s",), "neurons", _cells),
    "postsynaptic": Term("receptors that one vesicle opens", ("ATP",), "synapses", _vesicles),
    "presynaptic_calcium": Term("calcium that enters for one vesicle", ("ATP",), "synapses", _vesicles),
    "vesicle_cycling": Term("one vesicle out and in again", ("ATP",), "synapses", _vesicles),
    "glutamate_recycling": Term("one vesicle's glutamate taken up and filled again", ("ATP",), "synapses", _vesicles),
}  # fmt: skip
#: What a figure with everything in it has in it; learning and what a meter reads are apart.
ALL_IN_COVERS = frozenset(TERMS) - {"plastic_update", "measured"}
#: Term -> those that count some of the same work: no account has both.
SPLITS = {
    "synaptic_operation": ("mac", "ac"),
    "neuron_update": ("active_update", "inactive_update"),
    "dense_pass": ("synaptic_operation", "mac", "ac"),
    "dense_read": ("weight_read",),
    "measured": tuple(name for name in TERMS if name != "measured"),
}
