"""Network -> which synapses Brian2 gets: levels, merged projections, delay lines. Pure: imports no simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hasn.backends.brian2.code import GroupCode
from hasn.errors import UnsupportedError
from hasn.program.fuse import Network, Population, Projection, has_spikes
from hasn.program.maps import Floats, Integers


@dataclass(frozen=True)
class Link:
    """All projections between two populations, as one list of synapses of one sample.

    A spike's delay is Brian2's own. A graded value would have changed by the time it is delivered, so it is read from a
    delay line instead: element ``age * n + i`` holds what neuron ``i`` sent ``age`` steps ago.

    Attributes:
        source, target: population names.
        pre: element of the source, or of its delay line.
        post: element of the target.
        weights: one a synapse, float64 or float32.
        steps: Brian2's delay of each synapse, in steps; 0 for graded sources.
        from_line: whether ``pre`` counts in the delay line.
    """

    source: str
    target: str
    pre: Integers
    post: Integers
    weights: Floats
    steps: Integers
    from_line: bool


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
    """

    network: Network
    codes: dict[str, GroupCode]
    dtype: str
    levels: dict[str, int]
    links: tuple[Link, ...]
    lines: dict[str, int]

    @property
    def depth(self) -> int:
        """Number of levels."""
        return max(self.levels.values()) + 1

    @property
    def synapses(self) -> int:
        """Synapses of one sample."""
        return sum(link.weights.size for link in self.links)

    @property
    def line_elements(self) -> int:
        """Elements of the delay lines of one sample."""
        return sum((oldest + 1) * size(self.network.by_name[name]) for name, oldest in self.lines.items())

    def sends(self, name: str) -> bool:
        """Whether a population has synapses."""
        return any(link.source == name for link in self.links)


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
    return Plan(network, codes, dtype, levels, links, lines)


def _late(levels: dict[str, int], source: str, target: str) -> int:
    """Steps that delivery takes by itself: an event that comes after its target's update counts in the next step."""
    return 0 if levels[target] > levels[source] else 1


def _link(
    network: Network, levels: dict[str, int], lines: dict[str, int], graded: set[str], group: list[Projection]
) -> Link:
    source, target = group[0].source, group[0].target
    late = _late(levels, source, target)
    parts = [p.weights.tocoo() for p in group]
    post, pre = (np.concatenate([part.coords[axis] for part in parts]) for axis in (0, 1))
    weights = np.concatenate([part.data for part in parts])
    taken = [np.full(part.nnz, p.delay - late, np.int32) for p, part in zip(group, parts, strict=True)]
    steps = np.concatenate(taken)
    if source in graded:
        pre = pre + steps.astype(np.int64) * size(network.by_name[source])
        steps = np.zeros_like(steps)
    return Link(source, target, pre, post, weights, steps, source in lines)


def samples_at_once(plan: Plan, max_synapses: int) -> int:
    """How many samples fit into one network.

    Raises:
        UnsupportedError: not even one.
    """
    if plan.synapses > max_synapses:
        largest = max(plan.links, key=lambda link: link.weights.size)
        raise UnsupportedError(
            f"one sample has {plan.synapses} synapses, {largest.weights.size} of them from '{largest.source}'",
            node=largest.target,
            parameter="max_synapses",
            got=max_synapses,
            wanted=f">= {plan.synapses}",
            way_out="Raise max_synapses (Brian2 takes some 50 bytes a synapse).",
        )
    # An element of a delay line takes about the memory of a synapse.
    return max(1, max_synapses // max(plan.synapses + plan.line_elements, 1))
