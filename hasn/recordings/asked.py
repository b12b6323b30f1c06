"""What ``run(record=...)`` asks for, checked: groups, nodes, neurons, and how much of them to keep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import OptionError
from hasn.program.learning import pattern
from hasn.program.model import Program, Sink
from hasn.recordings.histograms import TIMES

Neurons: TypeAlias = "NDArray[np.int64] | None"
#: Names beside what a backend can record; histograms are of weights that learn.
ALSO = ("counts", "outputs", "rates", "histograms")


@dataclass(frozen=True)
class Asked:
    """What a run is to keep.

    Attributes:
        chosen: group -> node -> flat numbers of its neurons, or None for all.
        counts: whether to count while running, and forget what was counted.
        active: whether to count active updates of neurons too.
        plain: whether all is kept as the backend hands it over; else it is kept piece by piece.
        every: steps between two records of voltages, currents, rates and weights.
        last: spikes kept for each neuron, or None for all.
        tau: seconds of the running mean.
    """

    chosen: dict[str, dict[str, Neurons]]
    counts: bool
    plain: bool
    every: int
    last: int | None
    tau: float
    active: bool = False

    @property
    def groups(self) -> frozenset[str]:
        """What the backend has to record."""
        spikes = {"spikes"} if self.counts or "rates" in self.chosen else set()
        return frozenset(spikes | set(self.chosen)) - set(ALSO)

    def weights(self, program: Program) -> int:
        """Weights that a backend records at every step, for one sample."""
        return sum(synapses(program, name) for name in program.learning) if "weights" in self.groups else 0

    @property
    def pieces(self) -> int:
        """Pieces that a run needs at least: histograms are made between them."""
        return TIMES if "histograms" in self.chosen else 1


def synapses(program: Program, connection: str) -> int:
    """Weights of a connection that learns."""
    shape: tuple[int, ...] = pattern(program.by_name[connection].map)  # type: ignore[union-attr]
    return math.prod(shape)


def asked(
    record: Any, program: Program, recordable: tuple[str, ...], every: Any = 1, last: Any = None, tau: Any = 0.1
) -> Asked:
    """Check what a user asks for.

    Raises:
        OptionError: a group, a node or a neuron that is not there, or a number that makes no sense.
    """
    _check_numbers(every, last, tau)
    there = _there(program, recordable)
    also = ALSO if program.learning else tuple(name for name in ALSO if name != "histograms")
    known = " and/or ".join(recordable) + f" ({', '.join(also)} as well)"
    if not isinstance(record, Iterable):
        raise OptionError("not a name or several", parameter="record", got=repr(record), wanted=known)
    wanted = record if isinstance(record, Mapping) else dict.fromkeys([record] if isinstance(record, str) else record)
    for group in sorted(wanted, key=str):
        if group not in (*recordable, *also):
            raise OptionError("nothing of that name can be recorded", parameter="record", got=repr(group), wanted=known)
    counts = "counts" in wanted and wanted["counts"] is not False
    active = counts and _active(wanted["counts"])
    chosen = {group: _nodes(group, wanted[group], there[group]) for group in wanted if group != "counts"}
    if "outputs" not in chosen and set(wanted) != {"counts"}:
        chosen["outputs"] = dict.fromkeys(there["outputs"])
    if last is not None and "spikes" not in chosen:
        raise OptionError("no spikes are recorded", parameter="last", got=last, way_out="Ask for 'spikes' too.")
    names = not isinstance(record, Mapping) and set(wanted) - {"counts"} <= set(recordable)
    plain = names and set(wanted) != {"counts"} and last is None and every == 1
    return Asked(chosen, counts, plain, int(every), last, float(tau), active)


def _active(counts: Any) -> bool:
    """Whether counts are to have active updates."""
    if counts in (None, True, "active"):
        return bool(counts == "active")
    raise OptionError("no such counts", parameter="record['counts']", got=repr(counts), wanted="True or 'active'")


def _there(program: Program, recordable: tuple[str, ...]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Group -> node that has it -> its shape."""
    shape = {node.name: node.shape for node in program.nodes}
    spiking = {name: shape[name] for name in program.recorded_spikes}
    states = {name: shape[name] for name in program.recorded_voltages}
    found = {group: spiking if group == "spikes" else states for group in recordable}
    learning = {name: pattern(program.by_name[name].map) for name in program.learning}  # type: ignore[union-attr]
    found |= {"weights": learning, "histograms": learning}
    return {**found, "rates": spiking, "outputs": {sink.name: sink.shape for sink in program.of(Sink)}}


def _nodes(group: str, value: Any, there: dict[str, tuple[int, ...]]) -> dict[str, Neurons]:
    if value is None or value is True:
        return dict.fromkeys(there)
    if value is False:
        return {}
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, Iterable):
        raise OptionError(
            "not the names of nodes",
            parameter=f"record[{group!r}]",
            got=repr(value),
            wanted="names, or {name: neurons}",
        )
    pairs = value.items() if isinstance(value, Mapping) else ((name, None) for name in value)
    found = {}
    for name, neurons in pairs:
        if name not in there:
            raise OptionError(
                f"no node of that name has {group} to record",
                parameter=f"record[{group!r}]",
                got=repr(name),
                wanted=", ".join(there) or "nothing: the graph has none",
            )
        found[name] = _neurons(neurons, there[name], f"record[{group!r}][{name!r}]")
    return found


def _neurons(neurons: Any, shape: tuple[int, ...], where: str) -> Neurons:
    """Flat numbers of ``[0, 17]`` or ``[(0, 3), (2, 1)]``."""
    if neurons is None or neurons is True:
        return None
    size = int(np.prod(shape))
    wanted = f"numbers from 0 to {size - 1}" + (f", or tuples within {shape}" if len(shape) > 1 else "")
    try:
        indices = np.atleast_1d(np.asarray(neurons))
        if indices.size == 0:
            indices = indices.astype(np.int64)
        if indices.dtype.kind not in "iu" or indices.ndim > 2 or (indices.ndim == 2 and indices.shape[1] != len(shape)):
            raise ValueError
        flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
        if np.any((flat < 0) | (flat >= size)) or len(np.unique(flat)) != len(flat):
            raise ValueError
    except (ValueError, TypeError):
        raise OptionError(
            "not neurons of the node, each once", parameter=where, got=repr(neurons), wanted=wanted
        ) from None
    found: NDArray[np.int64] = flat.astype(np.int64)
    return found


def _check_numbers(every: Any, last: Any, tau: Any) -> None:
    for name, value in (("every", every), ("last", last)):
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not (integer and value >= 1) and not (name == "last" and value is None):
            raise OptionError(
                "not a number of steps or spikes", parameter=name, got=repr(value), wanted="an integer >= 1"
            )
    if isinstance(tau, bool) or not isinstance(tau, int | float | np.number) or not 0 < tau < math.inf:
        raise OptionError("not a time", parameter="rate_tau", got=repr(tau), wanted="seconds > 0")
