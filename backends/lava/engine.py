"""Connections that learn on Lava's own learning engine: each is a LearningDense from its source to its target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hasn.backends.lava.engine_rule import engine_rule, refusal
from hasn.backends.lava.neurons import PopulationCell
from hasn.errors import UnsupportedError
from hasn.program.fuse import Network, Plastic, Projection, has_spikes
from hasn.program.maps import Dense, Matrix
from hasn.program.model import Floats, Source

#: What a recording says of the engine's order, with one step of it for a step of the network.
OWN_RULE = (
    "Lava's learning engine applies the terms of a rule that a target's spike causes a step later, "
    "to the weight of then"
)
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

    def spec(self, shift: int, scale: Floats | None, stride: int) -> tuple[dict[str, Any], dict[str, Any], str]:
        """Settings and arrays of its cell, and why the chip could not run it.

        Args:
            shift: steps that the target runs late.
            scale: what the weights are multiplied with, the same for all, > 0; None for 1.
            stride: steps of Lava for one of the network.
        """
        learning = self.plastic.learning
        factor = 1.0 if scale is None else float(scale.reshape(-1)[0])
        rule = engine_rule(self.plastic.name, learning, factor, stride)
        low, high = learning.low * factor, learning.high * factor
        sign = "excitatory" if low == 0 else "inhibitory" if high == 0 else "mixed"
        settings: dict[str, Any] = {"onset": shift + stride - 2, "scale": factor, "rule": rule.settings(), "sign": sign}
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
            raise refusal(shown, "shows nobody what arrives", f"Output '{name}'", "an Output of a population", _WAY_OUT)
    rest = [p for p in network.projections if p.target not in inner]
    for projection in rest:
        if projection.source in inner:
            raise refusal(
                projection.source, "is all that what arrives there reaches", projection.target, "one edge", _WAY_OUT
            )
    populations = tuple(p for p in network.populations if p.name not in inner)
    return replace(network, populations=populations, projections=tuple(rest), plastic=()), found


def joined(network: Network, found: list[Synapses], stride: int) -> Network:
    """The network with projections in their place, for retiming, in steps of Lava."""
    projections = (*network.projections, *(one.projection for one in found))
    return replace(network, projections=tuple(replace(p, delay=stride * p.delay) for p in projections))


def halved(name: str, cell: PopulationCell) -> PopulationCell:
    """A population in two steps for one: nothing comes in the second, so that two decays are one, and it is silent.

    Raises:
        UnsupportedError: something would happen in between.
    """
    quiet = cell.kind == "lif" and cell.settings["du"] == 1.0 and not cell.arrays
    if not quiet or cell.settings["vth"] < 0 or cell.settings["dv"] > 1:
        raise UnsupportedError(
            "two steps for one need neurons that only decay in between",
            node=name,
            got=cell.why_not or "a synaptic current, a bias or a threshold below 0",
            wanted="LIF or Threshold on stock LIF, without bias or current",
            way_out="Take learning='engine', by the engine's own order, or learning='process'.",
        )
    return replace(cell, settings={**cell.settings, "dv": 1.0 - (1.0 - cell.settings["dv"]) ** 0.5})


def require_times(found: list[Synapses], steps: tuple[int, ...], shifts: dict[str, int], stride: int) -> None:
    """Refuse delays, and spikes at the wrong end of an epoch.

    Raises:
        UnsupportedError: one takes more than its own step; with two steps for one, its target's spike is not in the
            second of the epoch that its source's begins.
    """
    for one, taken in zip(found, steps, strict=True):
        if taken != 1:
            got = f"{taken - 1} step(s) beside its own, so that '{one.plastic.target}' gets all at its time"
            raise refusal(one.plastic.name, "has no delays", got, "none", _WAY_OUT)
        if stride > 1 and shifts[one.plastic.target] % stride != 1:
            got = f"'{one.source}', which another layer makes {shifts[one.plastic.target] - 1} steps late"
            raise refusal(
                one.plastic.name, "has its epochs in one place", got, "a source that is an even number late", _WAY_OUT
            )


def _between(network: Network, plastic: Plastic) -> Synapses:
    if not isinstance(plastic.map, Dense):
        raise refusal(plastic.name, "is all to all here", type(plastic.map).__name__, "a dense connection", _WAY_OUT)
    into = network.into(plastic.name)
    if len(into) != 1 or plastic.name in network.drives or not _same(into[0].weights):
        got = ", ".join(p.source for p in into) + (" and a bias" if plastic.name in network.drives else "")
        raise refusal(
            plastic.name, "gets spikes", got or "nothing", "one population's, without weights in between", _WAY_OUT
        )
    source = network.by_name[into[0].source]
    if not (isinstance(source, Source) or has_spikes(source)):
        raise refusal(
            plastic.name, "gets spikes", f"real numbers from '{source.name}'", "a population that spikes", _WAY_OUT
        )
    from scipy.sparse import csr_array

    weights = csr_array(np.asarray(plastic.map.weight, dtype=np.float64))
    return Synapses(plastic, source.name, Projection(source.name, plastic.target, into[0].delay, weights))


def _same(weights: Matrix) -> bool:
    rows, columns = weights.shape
    return bool(rows == columns and weights.nnz == rows and np.all(weights.diagonal() == 1.0))
