"""What a network becomes on Lava: cells (one Lava process each), wires between them, and when each population runs.

A mapping knows no Lava: it is data, written as a bundle (see :mod:`hasn.backends.lava.bundle`) for the worker or
a chip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hasn.backends.lava.connections import Link, links
from hasn.backends.lava.engine import Synapses, halved, joined, require_times, synapses
from hasn.backends.lava.neurons import PopulationCell, population_cell
from hasn.backends.lava.plastic import WHY_NOT, Learner, learners, port_size, spec, widened
from hasn.errors import RetimingError
from hasn.nonfinite import all_finite
from hasn.program.fuse import Network
from hasn.program.model import Source
from hasn.program.retime import retime

Delivery = Literal["retimed", "in-step"]


@dataclass(frozen=True)
class Cell:
    """One Lava process.

    Attributes:
        name: unique in the mapping.
        node: the population, or ``source -> target`` of a connection.
        kind: stock "lif", "lif_refractory", "dense", "delay_dense", "sparse", "learning_dense"; of ours "neurons",
            "compare", "relay", "instant", "delayed".
        stock: whether Lava brings the process.
        why_not: why the chip could not run it as it is; empty if it could.
        size_in, size_out: elements of its ports.
        settings: numbers and names.
        arrays: its arrays.
    """

    name: str
    node: str
    kind: str
    stock: bool
    why_not: str
    size_in: int
    size_out: int
    settings: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a population is: the cells that send its value, its size, and how many steps it runs late.

    Of several cells, each holds the neurons in its array ``members``; a single cell holds all.
    """

    cells: tuple[str, ...]
    size: int
    shift: int


@dataclass(frozen=True)
class Entry:
    """An Input: its size, how many steps late it is fed, and the cells that receive it."""

    size: int
    shift: int
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Mapping:
    """A network as Lava processes.

    Attributes:
        cells: the processes.
        wires: (sending cell, receiving cell).
        inputs: Input -> entry.
        populations: population -> place; Inputs are not among them.
        delivery: "retimed" (every connection takes a step) or "in-step".
        shifts: population -> steps that it runs late, Inputs included.
        precision: "float64" or "loihi".
        stride: steps of Lava for one of the network; shifts are steps of Lava.
    """

    cells: tuple[Cell, ...]
    wires: tuple[tuple[str, str], ...]
    inputs: dict[str, Entry]
    populations: dict[str, Place]
    delivery: Delivery
    shifts: dict[str, int]
    precision: str = "float64"
    stride: int = field(default=1, kw_only=True)

    @property
    def longest(self) -> int:
        """Steps to run after the last input until the last value is there."""
        return max(self.shifts.values(), default=0)


def map_network(network: Network, delivery: str = "auto", stock: bool = True, engine: int = 0) -> Mapping:
    """Choose a process for every population and projection.

    Args:
        network: the composed form of a Program.
        delivery: "retimed": every connection takes a step, and populations are shifted so that the network stays the
            same; "in-step": a connection delivers in the step in which it receives; "auto": retimed where that is
            possible.
        stock: whether to use Lava's own processes where they can express a cell.
        engine: connections learn on Lava's learning engine, always retimed, with so many steps of it for one of the
            network, 1 or 2; 0: in the population that they feed, always in-step.

    Raises:
        RetimingError: ``delivery="retimed"`` and a cycle has too little delay.
        UnsupportedError: ``engine``, and it has no place for a rule or its connection.
    """
    whole, learning, stride = network, list[Synapses](), 1
    if engine and network.plastic:
        (network, learning), delivery, stride = synapses(network), "retimed", engine
    found = learners(network)
    if found:  # everything meets within the step
        network, delivery = widened(network), "in-step"
    chosen, shifts, delays = _times(joined(network, learning, stride), delivery)
    plain = len(network.projections)
    require_times(learning, delays[plain:], shifts, stride)
    populations = [p for p in network.populations if not isinstance(p, Source)]
    learnt = {one.plastic.target for one in learning}
    chosen_cells = {
        p.name: _chosen(
            p, network.drives.get(p.name, {}), shifts[p.name], stock and p.name not in found, p.name in learnt
        )
        for p in populations
    }
    if stride > 1:
        chosen_cells = {name: halved(name, cell) for name, cell in chosen_cells.items()}
    scales = {name: cell.input_scale for name, cell in chosen_cells.items()}
    cells = [_population(f"p{i}", name, cell, found) for i, (name, cell) in enumerate(chosen_cells.items())]
    names = {cell.node: cell.name for cell in cells}
    wires: list[tuple[str, str]] = []
    targets: dict[str, list[str]] = {p.name: [] for p in network.populations if isinstance(p, Source)}
    made = [
        (link.source, link.target, _connection(f"c{i}", link))
        for i, link in enumerate(links(network, delays[:plain], scales, stock))
    ]
    made += [
        (one.source, one.plastic.target, _learning(f"l{i}", one, shifts[one.plastic.target], scales, names, stride))
        for i, one in enumerate(learning)
    ]
    for source, target, cell in made:
        if stock and not all(map(all_finite, cell.arrays.values())):
            # With the gain in the weights they overflow; a stock process would multiply by them where nothing is sent.
            return map_network(whole, delivery, False, engine)
        cells.append(cell)
        wires.append((cell.name, names[target]))
        if source in names:
            wires.append((names[source], cell.name))
        else:
            targets[source].append(cell.name)
    sizes = {p.name: int(np.prod(p.shape)) for p in network.populations}
    inputs = {name: Entry(sizes[name], shifts[name], tuple(to)) for name, to in targets.items()}
    places = {name: Place((cell,), sizes[name], shifts[name]) for name, cell in names.items()}
    return Mapping(tuple(cells), tuple(wires), inputs, places, chosen, shifts, stride=stride)


def _times(network: Network, delivery: str) -> tuple[Delivery, dict[str, int], tuple[int, ...]]:
    """Delivery, shifts, and the steps that each projection takes."""
    if delivery != "in-step":
        try:
            timing = retime(network, latency=1)
        except RetimingError:
            if delivery == "retimed":
                raise
        else:
            return "retimed", timing.shifts, tuple(timing.latency + extra for extra in timing.extra)
    return "in-step", dict.fromkeys(network.by_name, 0), tuple(p.delay for p in network.projections)


def _chosen(population: Any, drives: Any, shift: int, stock: bool, learnt: bool) -> PopulationCell:
    """Its process; one of ours, without gains in its weights, where they would not be the same for a whole rule."""
    cell = population_cell(population, drives, shift, stock)
    scale = cell.input_scale
    if learnt and scale is not None and not (scale.min() == scale.max() > 0):
        return population_cell(population, drives, shift, False)
    return cell


def _population(name: str, node: str, cell: PopulationCell, found: dict[str, list[Learner]]) -> Cell:
    if node not in found:
        return Cell(name, node, cell.kind, cell.stock, cell.why_not, cell.size, cell.size, cell.settings, cell.arrays)
    settings, arrays = spec(found[node])
    size_in = port_size(node, cell.size, found)
    more = {**cell.settings, "learners": settings}, {**cell.arrays, **arrays}
    return Cell(name, node, cell.kind, False, WHY_NOT, size_in, cell.size, *more)


def _learning(name: str, one: Synapses, shift: int, scales: dict[str, Any], names: dict[str, str], stride: int) -> Cell:
    target = one.plastic.target
    settings, arrays, why_not = one.spec(shift, scales[target], stride)
    more = {**settings, "source": one.source, "target": target, "graded": False, "post": names[target]}
    outputs, inputs = arrays["weights"].shape
    stock = "bounds" not in settings
    return Cell(name, one.plastic.name, "learning_dense", stock, why_not, inputs, outputs, more, arrays)


def _connection(name: str, link: Link) -> Cell:
    node = f"{link.source} -> {link.target}"
    settings = {**link.settings, "source": link.source, "target": link.target, "graded": link.graded}
    return Cell(name, node, link.kind, link.stock, link.why_not, link.size_in, link.size_out, settings, link.arrays)
