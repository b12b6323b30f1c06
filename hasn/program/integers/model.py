"""The integer form of a network, in the registers of Loihi. Frozen; every backend's precision "loihi" runs this.

The arithmetic is that of Lava's bit-accurate models (lava-nc 0.10, tag ``fixed_pt``; Davies et al., IEEE Micro 38,
2018, for the chip). Each step, for a population with synaptic input ``x = sum of mantissas << weight_exp`` and drive:

    u <- wrap(sign(u) * (|u| * (4096 - (du + 1)) >> 12) + ((x + drive) << 6))
    v <- clip(sign(v) * (|v| * (4096 - dv) >> 12) + u + (bias_mant << bias_exp))
    z  = v > vth << 6,  v <- 0 where z

``wrap`` takes 2**24 off a current above 2**23 and adds it at or below -2**23, once; ``clip`` keeps a voltage within
+-(2**23 - 1). A population that does not spike is, on the chip, one with the highest threshold whose spikes nobody
reads: it has the same update, the reset included.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Network
from hasn.program.maps import Matrix
from hasn.program.model import Shape

Integers: TypeAlias = NDArray[np.int64]

#: Fraction bits of a decay; bits by which synaptic input and thresholds are aligned; u and v lie within +-STATE_LIMIT.
DECAY_BITS, ALIGN_BITS, STATE_LIMIT = 12, 6, 1 << 23
#: Largest register values.
DECAY_MAX, THRESHOLD_MAX, BIAS_MANTISSA, BIAS_EXPONENT_MAX, WEIGHT_EXPONENT_MAX = 4095, 131071, 4096, 7, 7
#: Mantissas of weights of both signs are even; of one sign they have all 8 bits.
MIXED_MAX, SIGNED_MAX = 254, 255
#: Loihi 2's graded spikes have 24 bits, a sign among them (lava-nc: ``num_message_bits`` 0..24).
GRADED_LIMIT = 1 << 23
#: Lava adds up in 32 bits: what a step adds, aligned, must leave room for u.
ACTIVATION_LIMIT = ((1 << 31) - 2 * STATE_LIMIT) >> ALIGN_BITS


@dataclass(frozen=True)
class IntegerInput:
    """An Input: spikes (0, 1), or integers within 24 bits where the chip has graded spikes."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class IntegerPopulation:
    """A population in registers; arrays are flat (C order), one value for each neuron.

    Attributes:
        name, shape: as in the graph.
        du, dv: decays, 0..4095; the current keeps 4096 - (du + 1) of 4096, the voltage 4096 - dv.
        vth: threshold mantissa, 0..131071; THRESHOLD_MAX where the population does not spike.
        bias_mant, bias_exp: added to the voltage at every step from canonical step 0 on.
        v_init: voltage before step 0; the current starts at 0.
        drives: first canonical step -> integers added to the synaptic input at every step from there on; a neuron that
            always fires brings them, through ``drive_parts``.
        drive_parts: the same as weights of such a neuron: for each first step (mantissas (n, 1), weight_exp), ...
        spiking: whether it has a threshold, and so spikes to send.
    """

    name: str
    shape: Shape
    du: Integers
    dv: Integers
    vth: Integers
    bias_mant: Integers
    bias_exp: Integers
    v_init: Integers
    drives: dict[int, Integers]
    drive_parts: dict[int, tuple[WeightPart, ...]]
    spiking: bool

    @property
    def size(self) -> int:
        """Neurons."""
        return int(np.prod(self.shape))

    @property
    def bias(self) -> Integers:
        """``bias_mant << bias_exp``."""
        return np.asarray(self.bias_mant << self.bias_exp, dtype=np.int64)

    def registers(self) -> dict[tuple[int, int, int], Integers]:
        """(du, dv, vth) -> indices of the neurons that have these: the chip has one of each for a group of neurons."""
        rows = np.stack([self.du, self.dv, self.vth], axis=1)
        kinds, member = np.unique(rows, axis=0, return_inverse=True)
        return {tuple(kind.tolist()): np.flatnonzero(member.reshape(-1) == i) for i, kind in enumerate(kinds)}


@dataclass(frozen=True)
class WeightPart:
    """8-bit weights with one exponent: ``mantissas << weight_exp``.

    Attributes:
        mantissas: scipy.sparse.csr_array of int64: 0..255, -255..0, or even -254..254 where both signs occur.
        weight_exp: 0..7.
    """

    mantissas: Matrix
    weight_exp: int

    @property
    def mixed(self) -> bool:
        """Whether both signs occur."""
        data = self.mantissas.data
        return bool(np.any(data > 0) and np.any(data < 0))


@dataclass(frozen=True)
class IntegerProjection:
    """``x_target[t] += W y_source[t - delay]`` over flat elements.

    Attributes:
        source, target, delay: as in :class:`hasn.program.fuse.Projection`.
        weights: scipy.sparse.csr_array of int64 (elements of target, elements of source): the sum of the parts.
        parts: the connections on the chip that make it up; one, unless the weights need more than 8 bits.
    """

    source: str
    target: str
    delay: int
    weights: Matrix
    parts: tuple[WeightPart, ...]

    @cached_property
    def fan_in(self) -> Integers:
        """Sum of the absolute weights into each element of the target: its largest sum of spikes."""
        return np.asarray(abs(self.weights).sum(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class IntegerNetwork:
    """Populations in the order of evaluation and projections, in integers.

    Attributes:
        inputs: Input -> its size and shape.
        populations: name -> registers, in the order of evaluation.
        projections: as in the network; a projection without delay points forwards.
        outputs: Output node -> the population (its spikes, or its voltage if it does not spike) or Input it shows.
        network: the float network that this was made from, for times and operation counts.
    """

    inputs: dict[str, IntegerInput]
    populations: dict[str, IntegerPopulation]
    projections: tuple[IntegerProjection, ...]
    outputs: dict[str, str]
    network: Network

    def into(self, name: str) -> list[IntegerProjection]:
        """Projections that end at a population."""
        return [projection for projection in self.projections if projection.target == name]

    def largest_activation(self, inputs: dict[str, int]) -> dict[str, int]:
        """Population -> the largest synaptic sum that can arrive in a step, in weight units.

        Args:
            inputs: Input -> largest absolute value of its data.
        """
        bound: dict[str, Any] = {}
        for name, population in self.populations.items():
            total = sum((np.abs(drive) for drive in population.drives.values()), np.zeros(population.size, np.int64))
            for p in self.into(name):
                total = total + p.fan_in * inputs.get(p.source, 1)
            bound[name] = int(total.max(initial=0))
        return bound
