"""What leads into a population: paths of stateless nodes, each with the one node whose weights the chip will hold.

A path from a population (or Input) to the next is one connection on the chip, so its weights must stand in one place:
pooling and Flatten add nothing of their own, a mean or a uniform Scale is a factor that goes into the weights. Where a
path multiplies weights with weights, or weights per neuron that its node cannot take, the whole way is composed to one
matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hasn.errors import UnsupportedError
from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling
from hasn.program.model import Connection, Floats, Program

#: Paths into one population; branching stateless nodes multiply them.
MOST_PATHS = 10_000


@dataclass(frozen=True)
class Path:
    """A way into a population.

    Attributes:
        source: population or Input.
        steps: Connections on the way, in order.
    """

    source: str
    steps: tuple[Connection, ...]

    @property
    def weighted(self) -> list[Connection]:
        """The nodes with weights of their own."""
        return [step for step in self.steps if has_weights(step)]

    @property
    def factor(self) -> float:
        """What means and uniform Scales multiply the weights with."""
        return float(np.prod([_factor(step) for step in self.steps if not has_weights(step)]))

    @property
    def factor_behind(self) -> float:
        """The part of it that comes after the weights."""
        return float(np.prod([_factor(step) for step in self.behind]))

    @property
    def end(self) -> str:
        """The last node before the population."""
        return self.steps[-1].name if self.steps else self.source

    @property
    def behind(self) -> tuple[Connection, ...]:
        """The nodes after the one with weights."""
        places = [i for i, step in enumerate(self.steps) if has_weights(step)]
        return self.steps[places[-1] + 1 :] if places else self.steps


@dataclass(frozen=True)
class Cone:
    """All paths into a population.

    Attributes:
        target: the population.
        paths: into it.
        why_composed: why its connections are composed to matrices; empty: the graph's own nodes keep the weights.
    """

    target: str
    paths: tuple[Path, ...]
    why_composed: str

    @property
    def steps(self) -> dict[str, Connection]:
        """Every Connection that leads here, by name."""
        return {step.name: step for path in self.paths for step in path.steps}


def has_weights(step: Connection) -> bool:
    """Whether the node brings weights that differ from synapse to synapse."""
    if isinstance(step.map, Scaling):
        return not uniform(step.map.scale)
    return not isinstance(step.map, Identity | Pooling)


def cone_into(
    program: Program, target: str, gain: Floats, input_scales: dict[str, float], keep_bias: bool = False
) -> Cone:
    """The paths into a population.

    Args:
        program: the network.
        target: a population.
        gain: for each neuron (flat): what its summed input is multiplied with.
        input_scales: Input -> factor of its data; its weights are divided by it.
        keep_bias: whether the nodes' biases stay in them.

    Raises:
        UnsupportedError: more ways than anyone means, or a loop of stateless nodes.
    """
    found = []
    for path in _paths(program, target):
        found.append(path)
        if len(found) > MOST_PATHS:
            raise UnsupportedError(
                "more ways of stateless nodes lead into it than are looked at", node=target, wanted=f"<= {MOST_PATHS}"
            )
    why = _why_composed(found, gain, input_scales)
    if not why and keep_bias and _has_dangling(program, target, found):
        why = "a node without input adds its bias"
    return Cone(target, tuple(found), why)


def shares_rows(cone: Cone, gain: Floats) -> bool:
    """Whether some weights are shared between neurons whose gain differs, so that they cannot take it in."""
    return not uniform(gain) and any(len(p.weighted) <= 1 and not _takes_rows(p) for p in cone.paths)


def _has_dangling(program: Program, target: str, paths: list[Path]) -> bool:
    """Whether Connections that lead here have no source at all."""
    on_the_way = {step.name for path in paths for step in path.steps}
    steps = program.by_name
    ends = {target, *on_the_way}
    return any(
        edge.target in ends and isinstance(steps[edge.source], Connection) and edge.source not in on_the_way
        for edge in program.edges
    )


def _paths(program: Program, target: str) -> Iterator[Path]:
    steps = program.by_name
    into = {name: program.edges_into(name) for name in steps}
    stack: list[tuple[str, tuple[Connection, ...]]] = [(target, ())]
    while stack:
        name, behind = stack.pop()
        for edge in into[name]:
            step = steps[edge.source]
            if not isinstance(step, Connection):
                yield Path(edge.source, behind)
            elif step in behind:
                raise UnsupportedError(
                    "a loop of stateless nodes: the chip has no such thing",
                    node=step.name,
                    way_out="Put a neuron into the loop.",
                )
            else:
                stack.append((step.name, (step, *behind)))


def _why_composed(paths: list[Path], gain: Floats, input_scales: dict[str, float]) -> str:
    factors: dict[str, set[float]] = {}
    ends: dict[str, set[bool]] = {}
    for path in paths:
        weighted = path.weighted
        if not all(isinstance(step.map, Dense | Convolution | Scaling) for step in weighted):
            return f"the chip's nodes are dense: {', '.join(step.name for step in weighted)}"
        if len(weighted) > 1:
            return f"weights are multiplied with weights: {', '.join(step.name for step in weighted)}"
        if not uniform(gain) and not _takes_rows(path):
            return "the neurons weigh their input differently, and its weights are shared between neurons"
        name = weighted[0].name if weighted else path.end
        factors.setdefault(name, set()).add(path.factor / input_scales.get(path.source, 1.0))
        ends.setdefault(path.end, set()).add(bool(weighted))
    for name, several in factors.items():
        if len(several) > 1:
            return f"the weights of {name} act with several factors"
    for name, both in ends.items():
        if len(both) > 1:
            return f"weighted and unweighted input comes through {name}"
    return ""


def _takes_rows(path: Path) -> bool:
    """Whether each neuron of the target has weights of its own in the node that holds them."""
    weighted = path.weighted
    plain = all(isinstance(step.map, Identity) for step in path.behind) if weighted else True
    return plain and (not weighted or isinstance(weighted[0].map, Dense | Scaling))


def _factor(step: Connection) -> float:
    if isinstance(step.map, Pooling):
        return 1.0 / float(np.prod(step.map.kernel)) if step.map.mean else 1.0
    if isinstance(step.map, Scaling):
        return float(np.ravel(step.map.scale)[0])
    return 1.0


def uniform(values: Any) -> bool:
    """Whether all are the same."""
    flat = np.ravel(values)
    return bool(np.all(flat == flat[0]))
