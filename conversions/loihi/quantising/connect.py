"""The rounded weights of what leads into a population, each with what one integer is worth in the float graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hasn.conversions.loihi.quantising.cone import Cone, uniform
from hasn.conversions.loihi.quantising.equation import Equation
from hasn.conversions.loihi.quantising.plan import UNIT
from hasn.conversions.loihi.quantising.rounding import Rounding
from hasn.errors import UnsupportedError
from hasn.program.fuse import Network
from hasn.program.integers.model import Integers
from hasn.program.maps import Convolution, Dense, Scaling
from hasn.program.model import Connection, Floats

#: Entries of a composed matrix; NIR has no sparse node.
MOST_ENTRIES = 64_000_000


@dataclass(frozen=True)
class Weights:
    """A node's weights.

    Attributes:
        integers: as they stand in the graph of the chip, in the node's own shape.
        exponent: of them.
        volts: what one of them is worth in the float graph's weights (broadcasts with them).
        bias_integers, bias_volts: likewise, or None.
        exact: the weights before rounding, in weight units.
    """

    integers: Integers
    exponent: int
    volts: Floats
    bias_integers: Integers | None
    bias_volts: Floats | None
    exact: Floats

    def weight(self, chip: bool) -> Floats:
        """For the graph in the chip's units, or in volts."""
        return self.integers.astype(np.float64) * (1.0 if chip else self.volts)

    def bias(self, chip: bool) -> Floats | None:
        """Likewise; None for none."""
        if self.bias_integers is None:
            return None
        return self.bias_integers.astype(np.float64) * (1.0 if chip or self.bias_volts is None else self.bias_volts)


@dataclass(frozen=True)
class Synapses:
    """All connections into a population.

    Attributes:
        target: the population.
        of_node: node -> its weights.
        direct: last node before the population (or source) -> weights of a Scale that is put in between.
        composed: (source, delay) -> weights of a composed matrix.
        feedback: (source, delay) -> steps that the composed connection's place in a loop brings by itself.
    """

    target: str
    of_node: dict[str, Weights] = field(default_factory=dict)
    direct: dict[str, Weights] = field(default_factory=dict)
    composed: dict[tuple[str, int], Weights] = field(default_factory=dict)
    feedback: dict[tuple[str, int], int] = field(default_factory=dict)

    def all(self) -> dict[str, Weights]:
        """Name for people -> weights."""
        composed = {f"{source} -> {self.target}": w for (source, _), w in self.composed.items()}
        return {**self.of_node, **{f"{end} -> {self.target}": w for end, w in self.direct.items()}, **composed}

    def replaced(self, new: Mapping[int, Weights]) -> Synapses:
        """The same with other weights: ``new`` has them by the ``id`` of those that they replace."""
        of_node = {name: new.get(id(w), w) for name, w in self.of_node.items()}
        composed = {key: new.get(id(w), w) for key, w in self.composed.items()}
        return replace(self, of_node=of_node, composed=composed)


@dataclass(frozen=True)
class Real:
    """A node's weights as they reach the voltage: ``values = node's weights * to_volts`` (rows by the target's gain).

    Attributes:
        values: in volts for one unit of integer input.
        to_volts: factor, broadcasts with the node's weights.
        bias, bias_to_volts: likewise, or None.
    """

    values: Floats
    to_volts: Floats
    bias: Floats | None = None
    bias_to_volts: Floats | None = None


def real_weights(
    cone: Cone, equation: Equation, network: Network, input_scales: Mapping[str, float], keep_bias: bool
) -> dict[tuple[str, str, int], Real]:
    """{("node" | "direct" | "composed", name, delay): weights}: what is to be rounded.

    Args:
        cone: what leads into the population.
        equation: of the population.
        network: for composed matrices.
        input_scales: Input -> factor of its data.
        keep_bias: whether biases stay in the nodes, as input to the current; else the population's bias has them.
    """
    if cone.why_composed:
        return _composed(cone, equation, network, input_scales, keep_bias)
    found: dict[tuple[str, str, int], Real] = {}
    for path in cone.paths:
        share = path.factor / input_scales.get(path.source, 1.0)
        if path.weighted:
            step = path.weighted[0]
            found["node", step.name, 0] = _of_node(step, equation.gain, share, path.factor_behind, keep_bias)
        else:
            to_volts = equation.gain.reshape(equation.shape) * share
            found["direct", path.end, 0] = Real(to_volts, to_volts)
    return found


def _of_node(step: Connection, gain: Floats, share: float, behind: float, keep_bias: bool) -> Real:
    linear = step.map
    if isinstance(linear, Scaling):
        scale = np.asarray(linear.scale, dtype=np.float64)
        to_volts = np.broadcast_to(gain[:1] if uniform(gain) else gain, (scale.size,)).reshape(scale.shape)
        return Real(scale * to_volts * share, to_volts * share)
    if not isinstance(linear, Dense | Convolution):
        raise TypeError(f"{step.name} has no weights")
    weight = np.asarray(linear.weight, dtype=np.float64)
    if isinstance(linear, Dense):
        outs = weight.shape[:-1]
        rows = np.full(outs, gain[0]) if uniform(gain) else gain.reshape(outs)
        to_volts, bias_to_volts = rows[..., None] * share, rows * behind
    else:
        to_volts = np.full((weight.shape[0], *(1,) * (weight.ndim - 1)), gain[0] * share)
        bias_to_volts = np.full(weight.shape[0], gain[0] * behind)
    bias = None if linear.bias is None or not keep_bias else np.asarray(linear.bias, dtype=np.float64)
    return Real(weight * to_volts, to_volts, None if bias is None else bias * bias_to_volts, bias_to_volts)


def _composed(
    cone: Cone, e: Equation, network: Network, input_scales: Mapping[str, float], keep_bias: bool
) -> dict[tuple[str, str, int], Real]:
    """The projections as matrices; a constant input with them, if it stays."""
    if len(e.shape) != 1:
        raise UnsupportedError(
            f"its connections would have to be composed ({cone.why_composed}), and NIR cannot say such a matrix for it",
            node=cone.target,
            parameter="shape",
            got=e.shape,
            wanted="a population of one dimension",
            way_out="Put neurons between the nodes, or give all neurons the same tau and R.",
        )
    found = {}
    for p in network.into(cone.target):
        if p.weights.shape[0] * p.weights.shape[1] > MOST_ENTRIES:
            raise UnsupportedError(
                f"its connections would have to be composed ({cone.why_composed}), to a matrix too large for NIR",
                node=cone.target, got=p.weights.shape, wanted=f"at most {MOST_ENTRIES:,} entries",
            )  # fmt: skip
        to_volts = e.gain[:, None] / input_scales.get(p.source, 1.0)
        found["composed", p.source, p.delay] = Real(p.weights.astype(np.float64).toarray() * to_volts, to_volts)
    drives = network.drives.get(cone.target, {}) if keep_bias else {}
    for onset, value in drives.items():
        key = next((key for key in found if key[2] == onset), None)
        if key is None:
            raise UnsupportedError(
                f"a bias that comes {onset} step(s) late through composed nodes ({cone.why_composed})",
                node=cone.target, parameter="bias", way_out="Put neurons between the nodes.",
            )  # fmt: skip
        found[key] = Real(found[key].values, found[key].to_volts, value * e.gain, e.gain)
    return found


def rounded(
    target: str, real: Mapping[tuple[str, str, int], Real], scale: float, rounding: Rounding
) -> Synapses:  # fmt: skip
    """Round every connection into a population at its scale."""
    made = Synapses(target)
    for (kind, name, delay), found in real.items():
        units = found.values * scale / UNIT
        integers, exponent = rounding.weights(units)
        bias = None if found.bias is None else np.rint(found.bias * scale / UNIT).astype(np.int64)
        volts = UNIT / scale / _safe(found.to_volts)
        bias_volts = None if found.bias_to_volts is None else UNIT / scale / _safe(found.bias_to_volts)
        weights = Weights(integers, exponent, volts, bias, bias_volts, units)
        if kind == "composed":
            made.composed[name, delay] = weights
        else:
            (made.of_node if kind == "node" else made.direct)[name] = weights
    return made


def _safe(factor: Floats) -> Floats:
    """Where nothing reaches the voltage, the float weights are anything: 0 / 1."""
    return np.where(factor == 0, 1.0, factor)
