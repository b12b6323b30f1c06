"""Connections that learn on Lava's own learning engine: each is a LearningDense from its source to its target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hasn.backends.lava.engine_rule import engine_rule
from hasn.errors import UnsupportedError
from hasn.plasticity.rule import KEY
from hasn.program.fuse import Network, Plastic, Projection, has_spikes
from hasn.program.maps import Dense, Matrix
from hasn.program.model import Floats, Source

#: What `hasn.compare` says of the engine.
OWN_RULE = "Lava's learning engine applies the terms of a rule that a target's spike causes a step later, to the weight of then"
_WAY_OUT = "Take learning='process', which has it and is not deployable."


@dataclass(frozen=True)
class Synapses:
    """A connection that learns, between two populations.

    Attributes:
        plastic: the connection.
        source: whose spikes it gets.
        projection: its synapses.
    """

    plastic: Plastic
    source: str
    projection: Projection

    def spec(self, shift: int, scale: Floats | None) -> tuple[dict[str, Any], dict[str, Any], str]:
        """Settings and arrays of its cell, and why the chip could not run it.

        Args:
            shift: steps that the target runs late.
            scale: what the weights are multiplied with, the same for all, > 0; None for 1.
        """
        learning = self.plastic.learning
        factor = 1.0 if scale is None else float(scale.reshape(-1)[0])
        rule = engine_rule(self.plastic.name, learning, factor)
        low, high = learning.low * factor, learning.high * factor
        sign = "excitatory" if low == 0 else "inhibitory" if high == 0 else "mixed"
        settings: dict[str, Any] = {"onset": shift - 1, "scale": factor, "rule": rule.settings(), "sign": sign}
        if [low, high] not in ([0.0, np.inf], [-np.inf, 0.0], [-np.inf, np.inf]):
            settings["bounds"] = [float(np.clip(bound, -1.7e308, 1.7e308)) for bound in (low, high)]
        uneven = sign == "mixed" and low != -high
        why_not = f"weights of {learning.low:g} .. {learning.high:g}; the chip's end at 0 or go as far to both sides"
        weights = np.asarray(self._map.weight, dtype=np.float64) * factor
        return settings, {"weights": weights}, why_not if uneven else ""

    @property
    def _map(self) -> Dense:
        if not isinstance(self.plastic.map, Dense):
            raise TypeError(f"{self.plastic.name} is not dense")
        return self.plastic.map


def synapses(network: Network) -> tuple[Network, list[Synapses]]:
    """The network without its connections that learn, and these.

    Raises:
        UnsupportedError: one is not dense, or does not get the spikes of one population as they are.
    """
    found = [_between(network, plastic) for plastic in network.plastic]
    inner = {one.plastic.name for one in found}
    for name, shown in network.outputs.items():
        if shown in inner:
            raise _no(shown, "shows nobody what arrives", f"Output '{name}'", "an Output of a population")
    rest = [p for p in network.projections if p.target not in inner]
    for projection in rest:
        if projection.source in inner:
            raise _no(projection.source, "is all that what arrives there reaches", projection.target, "one edge")
    populations = tuple(p for p in network.populations if p.name not in inner)
    return replace(network, populations=populations, projections=tuple(rest), plastic=()), found


def joined(network: Network, found: list[Synapses]) -> Network:
    """The network with projections in their place, for retiming."""
    return replace(network, projections=(*network.projections, *(one.projection for one in found)))


def require_single_steps(found: list[Synapses], steps: tuple[int, ...]) -> None:
    """Refuse delays.

    Raises:
        UnsupportedError: one takes more than its own step.
    """
    for one, taken in zip(found, steps, strict=True):
        if taken != 1:
            raise _no(
                one.plastic.name,
                "has no delays",
                f"{taken - 1} step(s) beside its own, so that '{one.plastic.target}' gets all at its time",
                "none",
            )


def _between(network: Network, plastic: Plastic) -> Synapses:
    if not isinstance(plastic.map, Dense):
        raise _no(plastic.name, "is all to all here", type(plastic.map).__name__, "a dense connection")
    into = network.into(plastic.name)
    if len(into) != 1 or plastic.name in network.drives or not _same(into[0].weights):
        got = ", ".join(p.source for p in into) + (" and a bias" if plastic.name in network.drives else "")
        raise _no(plastic.name, "gets spikes", got or "nothing", "one population's, without weights in between")
    source = network.by_name[into[0].source]
    if not (isinstance(source, Source) or has_spikes(source)):
        raise _no(plastic.name, "gets spikes", f"real numbers from '{source.name}'", "a population that spikes")
    from scipy.sparse import csr_array

    weights = csr_array(np.asarray(plastic.map.weight, dtype=np.float64))
    return Synapses(plastic, source.name, Projection(source.name, plastic.target, into[0].delay, weights))


def _same(weights: Matrix) -> bool:
    rows, columns = weights.shape
    return bool(rows == columns and weights.nnz == rows and np.all(weights.diagonal() == 1.0))


def _no(node: str, what: str, got: str, wanted: str) -> UnsupportedError:
    return UnsupportedError(
        f"Lava's learning engine {what}",
        node=node,
        parameter=f"metadata['{KEY}']",
        got=got,
        wanted=wanted,
        way_out=_WAY_OUT,
    )
