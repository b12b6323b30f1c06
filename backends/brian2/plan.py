"""Network -> which synapses Brian2 gets: levels, merged projections, delay lines. Pure: imports no simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.code import GroupCode
from hasn.backends.brian2.plastic import with_fired
from hasn.errors import UnsupportedError
from hasn.program.fuse import Network, Plastic, Population, Projection, has_spikes
from hasn.program.learning import listed, sizes
from hasn.program.maps import Floats, Integers, Matrix


@dataclass(frozen=True)
class Link:
    """All projections between two populations, as one list of synapses of one sample.

    A spike's delay is Brian2's own. A graded value would have changed by the time it is delivered, so it is read from a
    delay line instead: element ``age * n + i`` holds what neuron ``i`` sent ``age`` steps ago.

    The synapses stand in the network's matrices; lists of them are made when they are read, for they are long.

    Attributes:
        source, target: population names.
        parts: (steps of delay that are left once delivery has taken its own, matrix).
        line: elements of one age in the source's delay line; 0: the source's events have Brian2's own delays.
        from_line: whether there is such a line, in which ``pre`` counts.
    """

    source: str
    target: str
    parts: tuple[tuple[int, Matrix], ...]
    line: int
    from_line: bool

    @property
    def synapses(self) -> int:
        """How many there are."""
        return sum(matrix.nnz for _, matrix in self.parts)

    @property
    def pre(self) -> Integers:
        """Element of the source, or of its delay line."""
        return np.concatenate([_integers(matrix.indices) + steps * self.line for steps, matrix in self.parts])

    @property
    def post(self) -> Integers:
        """Element of the target."""
        return np.concatenate([matrix.tocoo(copy=False).coords[0] for _, matrix in self.parts])

    @property
    def weights(self) -> Floats:
        """One a synapse, float64 or float32."""
        return np.concatenate([matrix.data for _, matrix in self.parts])

    @property
    def steps(self) -> Integers:
        """Brian2's delay of each synapse, in steps; 0 for graded sources."""
        return np.repeat([0 if self.line else steps for steps, _ in self.parts], [m.nnz for _, m in self.parts])

    @property
    def one_delay(self) -> int | None:
        """The delay that all of them have, if they do."""
        found = {0 if self.line else steps for steps, _ in self.parts}
        return found.pop() if len(found) == 1 else None


def _integers(indices: Integers) -> NDArray[np.int64]:
    return indices.astype(np.int64)


@dataclass(frozen=True)
class Plan:
    """What to build.

    Attributes:
        network: where it comes from.
        codes: population -> its code, which is where the arithmetic is.
        dtype: type of every variable: "float64" or "float32".
        levels: population -> topological level; each level has its own slots within a step.
        links: synapses, merged for each pair of populations.
        lines: graded population -> greatest age (in steps) that its delay line holds.
        plastic: connections that learn; their sources are Relays of their names.
    """

    network: Network
    codes: dict[str, GroupCode]
    dtype: str
    levels: dict[str, int]
    links: tuple[Link, ...]
    lines: dict[str, int]
    plastic: tuple[Plastic, ...] = ()

    @property
    def depth(self) -> int:
        """Number of levels."""
        return max(self.levels.values()) + 1

    @property
    def synapses(self) -> int:
        """Synapses of one sample."""
        return sum(link.synapses for link in self.links) + sum(math.prod(sizes(p.map)["synapse"]) for p in self.plastic)

    @property
    def line_elements(self) -> int:
        """Elements of the delay lines of one sample."""
        return sum((oldest + 1) * size(self.network.by_name[name]) for name, oldest in self.lines.items())

    def sends(self, name: str) -> bool:
        """Whether a population has synapses."""
        return any(link.source == name for link in self.links) or any(p.name == name for p in self.plastic)


def size(population: Population) -> int:
    """Neurons of a population (of one sample)."""
    return int(np.prod(population.shape))


def make_plan(network: Network, codes: dict[str, GroupCode], dtype: str) -> Plan:
    """Merge projections and choose how each delay is kept."""
    levels = network.levels()
    pairs: dict[tuple[str, str], list[Projection]] = {}
    for projection in network.projections:
        pairs.setdefault((projection.source, projection.target), []).append(projection)
    graded = {p.name for p in network.populations if not has_spikes(p)}
    lines: dict[str, int] = {}
    for (source, target), group in pairs.items():
        oldest = max(p.delay for p in group) - _late(levels, source, target)
        if source in graded and oldest > 0:
            lines[source] = max(oldest, lines.get(source, 0))
    links = tuple(_link(network, levels, lines, graded, group) for group in pairs.values())
    for plastic in network.plastic:
        oldest = int(listed(plastic.map).late.max(initial=0))
        if oldest:
            lines[plastic.name] = oldest
        codes = {**codes, plastic.target: with_fired(codes[plastic.target])}
    return Plan(network, codes, dtype, levels, links, lines, network.plastic)


def _late(levels: dict[str, int], source: str, target: str) -> int:
    """Steps that delivery takes by itself: an event that comes after its target's update counts in the next step."""
    return 0 if levels[target] > levels[source] else 1


def _link(
    network: Network, levels: dict[str, int], lines: dict[str, int], graded: set[str], group: list[Projection]
) -> Link:
    source, target = group[0].source, group[0].target
    late = _late(levels, source, target)
    parts = tuple((p.delay - late, p.weights) for p in group)
    return Link(source, target, parts, size(network.by_name[source]) if source in graded else 0, source in lines)


def samples_at_once(plan: Plan, max_synapses: int) -> int:
    """How many samples fit into one network.

    Raises:
        UnsupportedError: not even one.
    """
    if plan.synapses > max_synapses:
        largest = max(plan.links, key=lambda link: link.synapses)
        raise UnsupportedError(
            f"one sample has {plan.synapses} synapses, {largest.synapses} of them from '{largest.source}'",
            node=largest.target,
            parameter="max_synapses",
            got=max_synapses,
            wanted=f">= {plan.synapses}",
            way_out="Raise max_synapses (Brian2 takes some 50 bytes a synapse).",
        )
    # An element of a delay line takes about the memory of a synapse.
    return max(1, max_synapses // max(plan.synapses + plan.line_elements, 1))
