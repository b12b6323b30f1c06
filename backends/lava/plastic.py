"""Connections that learn on Lava: inside the population that they feed, in a process of ours.

A rule's pre and post spikes meet there in one step, so no learning comes late. The population's input port has further
elements: what arrives at each of its connections that learn, and their modulators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Network, Plastic, Projection
from hasn.program.learning import Products, arriving, listed
from hasn.program.maps import Matrix

WHY_NOT = "its connections learn in a process of ours"


@dataclass(frozen=True)
class Learner:
    """What a population gets for a connection that learns.

    Attributes:
        plastic: the connection.
        first: element of the port at which what arrives begins.
        modulators: element of the port for each modulator.
    """

    plastic: Plastic
    first: int
    modulators: tuple[int, ...]


def learners(network: Network) -> dict[str, list[Learner]]:
    """Population -> its connections that learn."""
    found: dict[str, list[Learner]] = {}
    ports: dict[str, int] = {p.name: int(np.prod(p.shape)) for p in network.populations}
    for plastic in network.plastic:
        first = ports[plastic.target]
        after = first + arriving(plastic.map)[0]
        sent = tuple(after + i for i, _ in enumerate(plastic.learning.modulators))
        ports[plastic.target] = after + len(sent)
        found.setdefault(plastic.target, []).append(Learner(plastic, first, sent))
    return found


def port_size(name: str, size: int, found: dict[str, list[Learner]]) -> int:
    """Elements of a population's input port."""
    ends = [
        learner.first + arriving(learner.plastic.map)[0] + len(learner.modulators) for learner in found.get(name, [])
    ]
    return max([size, *ends])


def widened(network: Network) -> Network:
    """The network whose projections reach these ports; what arrives at a learner and its modulators come within the
    step."""
    found = learners(network)
    sizes = {p.name: int(np.prod(p.shape)) for p in network.populations}
    ports = {name: port_size(name, size, found) for name, size in sizes.items()}
    made = [replace(p, weights=_placed(p.weights, 0, ports[p.target])) for p in network.projections]
    for target, several in found.items():
        for learner in several:
            size = arriving(learner.plastic.map)[0]
            made.append(Projection(learner.plastic.name, target, 0, _placed(_same(size), learner.first, ports[target])))
            for element, (_, node) in zip(learner.modulators, learner.plastic.learning.modulators, strict=True):
                made.append(Projection(node, target, 0, _placed(_same(1), element, ports[target])))
    return replace(network, projections=tuple(made))


def _same(size: int) -> Matrix:
    from scipy.sparse import eye_array

    return eye_array(size, format="csr")


def _placed(weights: Matrix, first: int, rows: int) -> Matrix:
    """A matrix with rows of zeros before and behind it."""
    from scipy.sparse import csr_array

    behind = rows - first - weights.shape[0]
    ends = np.concatenate(
        [np.zeros(first, weights.indptr.dtype), weights.indptr, np.repeat(weights.indptr[-1:], behind)]
    )
    return csr_array((weights.data, weights.indices, ends), shape=(rows, weights.shape[1]))


def spec(found: list[Learner]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Settings and arrays that the worker's ``learning.Learners`` reads."""
    settings, arrays = [], {}
    for i, learner in enumerate(found):
        synapses, rule = listed(learner.plastic.map), learner.plastic.learning
        for name in ("pre", "post", "late", "weight"):
            arrays[f"learner{i}.{name}"] = getattr(synapses, name)
        arrays[f"learner{i}.rows"] = synapses.rows
        if synapses.tie is not None:
            arrays[f"learner{i}.tie"] = synapses.tie
        settings.append(
            {
                "first": learner.first,
                "size": arriving(learner.plastic.map)[0],
                "modulators": {n: e for (n, _), e in zip(rule.modulators, learner.modulators, strict=True)},
                "traces": [
                    {
                        "name": t.name,
                        "decay": t.decay,
                        "feed": _terms(t.feed),
                        "sets": t.sets,
                        "from_weight": t.from_weight,
                    }
                    for t in rule.traces
                ],
                "rectified": [{"name": part.name, "sum": _terms(part.sum)} for part in rule.rectified],
                "transmits": _terms(rule.transmits),
                "update": _terms(rule.update),
                "low": float(rule.low),
                "high": float(rule.high),
                "every": rule.every,
                "normal": rule.normal or 0.0,
                "normal_every": rule.normal_every,
                "shared": rule.shared,
            }
        )
    return settings, arrays


def _terms(products: Products) -> list[list[Any]]:
    return [[product.factor, list(product.names)] for product in products]
