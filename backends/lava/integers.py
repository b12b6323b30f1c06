"""What an integer network becomes on Lava: stock LIF, Dense and DelayDense alone, as on the chip.

A LIF process has one (du, dv, vth): a population with several is split into one process each, and connections from and
to it are cut to match. Constant inputs come from a neuron that fires at every step from the right one on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from hasn.backends.lava.connections import DENSE_ENTRIES, LONGEST_DELAY
from hasn.backends.lava.mapping import Cell, Entry, Mapping, Place
from hasn.backends.lava.onset import Onset, onset, without_wrap
from hasn.errors import UnsupportedError
from hasn.program.fuse import Projection
from hasn.program.integers.model import (
    ALIGN_BITS,
    IntegerNetwork,
    IntegerPopulation,
    IntegerProjection,
    Integers,
    WeightPart,
)
from hasn.program.integers.weights import weight_parts
from hasn.program.maps import Matrix
from hasn.program.model import Source
from hasn.program.retime import retime

#: The source of constant inputs while shifts are sought; no node has an empty name.
_ALWAYS = ""
#: Every Lava process is a process of the operating system, with a channel (shared memory, threads) for every wire.
MOST_PROCESSES = 256


@dataclass(frozen=True)
class IntegerMapping(Mapping):
    """An integer network as Lava processes.

    Attributes:
        onsets: population -> how it starts.
    """

    onsets: dict[str, Onset] = field(default_factory=dict)

    def check_wrap(self, network: IntegerNetwork, largest: dict[str, int]) -> None:
        """Refuse inputs that could wrap a current which carries a part of its population's bias.

        Raises:
            UnsupportedError: ``largest`` (Input -> largest absolute value) is too large.
        """
        for name, most in network.largest_activation(largest).items():
            if not without_wrap(self.onsets[name], most):
                raise UnsupportedError(
                    "its bias comes through its current here, which this much input could wrap",
                    node=name, parameter="bias of v", got=f"up to {most} units of synaptic input",
                    way_out="Take a smaller bias, or timing='hardware'.",
                )  # fmt: skip


def map_integers(network: IntegerNetwork) -> IntegerMapping:
    """The processes of an integer network, every connection taking a step.

    Raises:
        RetimingError: a cycle has fewer steps of delay than its connections take.
        UnsupportedError: a population cannot start late, a delay is longer than the chip's, or there are more
            processes than Lava can run.
    """
    made = _Maker(network)
    return made.mapping()


class _Maker:
    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self.cells: list[Cell] = []
        self.wires: list[tuple[str, str]] = []
        self.targets: dict[str, list[str]] = {name: [] for name in network.inputs}
        self.always: dict[int, str] = {}
        self.shifts, self.delays = _times(network)
        self.onsets = {name: onset(p, self.shifts[name]) for name, p in network.populations.items()}
        self.groups = {name: self._groups(f"p{i}", p) for i, (name, p) in enumerate(network.populations.items())}
        self.count = 0

    def mapping(self) -> IntegerMapping:
        for delay, p in zip(self.delays, self.network.projections, strict=True):
            self._projection(p, delay)
        for name, population in self.network.populations.items():
            for first, parts in self._drives(population):
                self._drive(name, first + self.shifts[name] - 1, parts)
        if len(self.cells) > MOST_PROCESSES:
            raise _too_many(self.network, len(self.cells))
        inputs = {
            name: Entry(i.size, self.shifts[name], tuple(self.targets[name])) for name, i in self.network.inputs.items()
        }
        places = {
            name: Place(tuple(cell for cell, _ in self.groups[name]), p.size, self.shifts[name])
            for name, p in self.network.populations.items()
        }
        mapped = IntegerMapping(
            tuple(self.cells), tuple(self.wires), inputs, places, "retimed", self.shifts, "loihi", self.onsets
        )
        mapped.check_wrap(self.network, {})
        return mapped

    # --- populations

    def _groups(self, name: str, p: IntegerPopulation) -> list[tuple[str, Integers]]:
        """(cell, members) for every (du, dv, vth) of a population."""
        found, start = [], self.onsets[p.name]
        for i, ((du, dv, vth), members) in enumerate(p.registers().items()):
            arrays: dict[str, Any] = {
                "bias_mant": start.bias_mant[members].astype(np.int16),
                "bias_exp": start.bias_exp[members].astype(np.int16),
                "v": start.v[members].astype(np.int32),
                "members": members.astype(np.int32),
            }
            if np.any(start.through[members]):
                arrays["u_offset"] = (start.through[members] << ALIGN_BITS).astype(np.int32)
            settings = {"du": du, "dv": dv, "vth": vth, "onset": self.shifts[p.name], "drives": []}
            size = members.size
            self.cells.append(Cell(f"{name}g{i}", p.name, "lif", True, "", size, size, settings, arrays))
            found.append((f"{name}g{i}", members))
        return found

    def _drives(self, p: IntegerPopulation) -> Iterator[tuple[int, tuple[WeightPart, ...]]]:
        """First canonical step -> weights of the neuron that brings a constant input from there on."""
        yield from p.drive_parts.items()
        through = self.onsets[p.name].through
        if np.any(through):
            yield 0, weight_parts(csr_array(through.reshape(-1, 1)))

    def _drive(self, target: str, fires: int, parts: tuple[WeightPart, ...]) -> None:
        if fires not in self.always:
            name = self.always[fires] = f"always{fires}"
            arrays: dict[str, Any] = {"bias_mant": np.ones(1, np.int16), "v": np.array([-fires], np.int32)}
            settings = {"du": 4095, "dv": 0, "vth": 0, "onset": 0, "drives": []}
            node = f"(a neuron that fires at every step from step {fires} on)"
            self.cells.append(Cell(name, node, "lif", True, "", 1, 1, settings, arrays))
        source = self.cells[[cell.name for cell in self.cells].index(self.always[fires])]
        for part in parts:
            self._part(source.node, [(source.name, np.zeros(1, np.int64))], target, 1, part)

    # --- connections

    def _projection(self, p: IntegerProjection, delay: int) -> None:
        if delay - 1 > LONGEST_DELAY:
            raise UnsupportedError(
                "the chip's longest delay is exceeded", node=p.target, parameter=f"delay from {p.source}",
                got=f"{delay - 1} step(s) beyond a connection's own", wanted=f"at most {LONGEST_DELAY}",
                way_out="Split the delay over several populations.",
            )  # fmt: skip
        sources = self.groups.get(p.source, [("", np.arange(p.weights.shape[1]))])
        for part in p.parts:
            self._part(p.source, sources, p.target, delay, part)

    def _part(
        self, source: str, sources: list[tuple[str, Integers]], target: str, delay: int, part: WeightPart
    ) -> None:
        """One process for each pair of groups that has synapses."""
        for to, rows in self.groups[target]:
            chosen = part.mantissas[rows]
            for of, columns in sources:
                block = chosen[:, columns]
                if block.nnz:
                    self._connection(source, of, target, to, delay, part.weight_exp, block)

    def _connection(
        self, source: str, of: str, target: str, to: str, delay: int, weight_exp: int, block: Matrix
    ) -> None:
        name, self.count = f"c{self.count}", self.count + 1
        settings = {"source": source, "target": target, "graded": False, "weight_exp": weight_exp}
        kind, arrays = _weights(block, delay)
        if kind == "delay_dense":
            settings["slots"] = delay
        size_out, size_in = block.shape
        self.cells.append(
            Cell(name, f"{source} -> {target}", kind, True, "", size_in, size_out, settings, arrays)
        )  # fmt: skip
        self.wires.append((name, to))
        if of:
            self.wires.append((of, name))
        else:
            self.targets[source].append(name)


def _times(network: IntegerNetwork) -> tuple[dict[str, int], tuple[int, ...]]:
    """Shifts, and the steps that each projection takes. What brings constant inputs takes a step too."""
    floats = network.network
    driven = [
        Projection(_ALWAYS, name, first, csr_array((p.size, 1)))
        for name, p in network.populations.items()
        for first, parts in p.drive_parts.items()
        if parts
    ]
    extended = replace(
        floats,
        populations=(*floats.populations, Source(_ALWAYS, (1,))),
        projections=(*floats.projections, *driven),
    )
    timing = retime(extended, latency=1)
    shifts = {name: timing.shifts[name] for name in floats.by_name}
    return shifts, tuple(timing.latency + extra for extra in timing.extra[: len(floats.projections)])


def _weights(block: Matrix, delay: int) -> tuple[str, dict[str, Any]]:
    """Kind of a connection that takes ``delay`` steps, and its mantissas."""
    if delay > 1:
        weights = block.toarray().astype(np.int16)
        return "delay_dense", {"weights": weights, "delays": np.full(block.shape, delay - 1, dtype=np.int8)}
    if block.shape[0] * block.shape[1] <= DENSE_ENTRIES:
        return "dense", {"weights": block.toarray().astype(np.int16)}
    csr = block.tocsr().astype(np.int16)
    parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr, "shape": np.array(csr.shape)}
    return "sparse", {f"weights.{part}": value for part, value in parts.items()}


def _too_many(network: IntegerNetwork, processes: int) -> UnsupportedError:
    name, most = max(((n, len(p.registers())) for n, p in network.populations.items()), key=lambda pair: pair[1])
    return UnsupportedError(
        "Lava would need more processes than it can run",
        node=name,
        parameter="(du, dv, vth)",
        got=f"{processes} processes; this population alone has {most} kinds of neuron",
        wanted=f"at most {MOST_PROCESSES} processes",
        way_out="Quantise time constants and thresholds more coarsely, or run precision='loihi' on snnTorch.",
    )
