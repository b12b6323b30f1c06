"""PoissonInput and NoiseInput: inputs that the network draws itself, the same numbers on every backend.

    PoissonInput   y[t] = weight * k,  k ~ Poisson(rate * dt)         NoiseInput   y[t] = mean + std * n,  n ~ N(0, 1)

Each element, sample and step has a number of its own (:mod:`hasn.program.drawn`), which depends on the seed and the
node's flat name, and on nothing else. A NoiseInput draws anew at every step, whatever dt is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import ParameterError, TimeStepError
from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Parameter, Place, error, finite
from hasn.nodes.values import single
from hasn.program.drawn import MOST_EVENTS, Drawn, Gaussian, Poisson
from hasn.program.model import Shape, Source


@dataclass(eq=False)
class PoissonInput(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """Independent Poisson trains, whose events add their weight. No edge leads into it.

    Args:
        rate: Hz, in the node's shape.
        weight: what an event adds, in the same shape.
        seed: 0 .. 2^64 - 1.
    """

    rate: NDArray[Any]
    weight: NDArray[Any]
    seed: int = 0

    def __post_init__(self) -> None:
        _types(self, self.rate)


@dataclass(eq=False)
class NoiseInput(nir.NIRNode):  # type: ignore[misc]  # nir has no types
    """Independent Gaussian numbers, new ones at every step. No edge leads into it.

    Args:
        mean: in the node's shape.
        std: standard deviation, in the same shape.
        seed: 0 .. 2^64 - 1.
    """

    mean: NDArray[Any]
    std: NDArray[Any]
    seed: int = 0

    def __post_init__(self) -> None:
        _types(self, self.mean)


def _types(node: nir.NIRNode, value: Any) -> None:
    shape = np.array(np.shape(value))
    node.input_type, node.output_type = {"input": shape}, {"output": shape}


class DrawnKind(NodeKind):
    """A value for each element, and a seed."""

    elementwise = True
    takes_edges = False

    @abstractmethod
    def drawn(self, node: nir.NIRNode, place: Place) -> Drawn:
        """What is drawn."""

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The shape of its parameters."""
        return tuple(np.shape(getattr(node, self.parameters[0].name)))

    def meaning(self, node: nir.NIRNode, place: Place) -> Source:
        """A Source that nobody is asked for."""
        return Source(place.name, place.result, self.drawn(node, place))

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Shapes that differ, and a seed that is none."""
        first, second = self.parameters
        wanted, got = (np.shape(getattr(node, parameter.name)) for parameter in (first, second))
        if got != wanted:
            yield error(name, second.name, f"has another shape than {first.name}", got, str(wanted))
        try:
            good = 0 <= single(node.seed) < 1 << 64
        except ParameterError:
            good = False
        if not good:
            yield error(name, "seed", "is no seed", repr(node.seed), "an integer from 0 to 2^64 - 1")


class PoissonKind(DrawnKind):
    """Poisson trains."""

    type = PoissonInput
    parameters = (
        Parameter("rate", "Hz", lambda a: np.isfinite(a) & (a >= 0), "a finite rate >= 0 Hz"),
        finite("weight"),
    )

    def drawn(self, node: nir.NIRNode, place: Place) -> Drawn:
        """Events of mean ``rate * dt`` a step."""
        mean, weight = np.array(node.rate, dtype=np.float64) * place.dt, np.array(node.weight, dtype=np.float64)
        return Poisson(place.name, single(node.seed), mean, weight)

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """More events a step than can be drawn."""
        rate = np.asarray(node.rate, dtype=np.float64)
        if rate.size and float(rate.max()) * dt > MOST_EVENTS:
            got, wanted = f"{float(rate.max()):g} Hz", f"at most {MOST_EVENTS / dt:g} Hz (dt = {dt:g} s)"
            what = f"is more than {MOST_EVENTS:g} events a step, which float64 cannot draw by inversion"
            way = "Take a smaller dt, or a NoiseInput of the same mean and variance."
            yield Finding("error", name, "rate", what, way, got, wanted, TimeStepError)


class NoiseKind(DrawnKind):
    """Gaussian numbers."""

    type = NoiseInput
    parameters = (
        finite("mean"),
        Parameter("std", "1", lambda a: np.isfinite(a) & (a >= 0), "a finite standard deviation >= 0"),
    )

    def drawn(self, node: nir.NIRNode, place: Place) -> Drawn:
        """The same at every dt."""
        mean, std = np.array(node.mean, dtype=np.float64), np.array(node.std, dtype=np.float64)
        return Gaussian(place.name, single(node.seed), mean, std)


KINDS = (PoissonKind(), NoiseKind())
