"""Integer populations that run late, and come to their first canonical step in exactly the state that they start in.

On Lava, as on the chip, a neuron runs from step 0 on. One that is shifted by ``s`` steps has no input meanwhile, so
its current stays 0, but its voltage decays and takes its bias. So it starts at a voltage from which ``s`` steps lead to
``v_init``: ``v <- trunc(v (4096 - dv) / 4096)`` is onto the integers, and each step back takes the smallest preimage of
``v - bias``. What cannot start so (a spike or the range's end lies on the way) takes its bias, but for the remainder
of 64, from a neuron that always fires from the right step on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasn.errors import UnsupportedError
from hasn.program.integers.model import (
    ALIGN_BITS,
    DECAY_BITS,
    DECAY_MAX,
    STATE_LIMIT,
    IntegerPopulation,
    Integers,
)

_UNIT = 1 << ALIGN_BITS


@dataclass(frozen=True)
class Onset:
    """How a population starts.

    Attributes:
        bias_mant, bias_exp: registers.
        v: voltage before step 0 of the run.
        through: units of weight that a neuron that always fires adds to the synaptic input from canonical step 0 on,
            in place of a part of the bias. The current shows them too: 64 each are taken off what is recorded.
    """

    bias_mant: Integers
    bias_exp: Integers
    v: Integers
    through: Integers


def onset(p: IntegerPopulation, shift: int) -> Onset:
    """Registers and initial voltage of a population that runs ``shift`` steps late.

    Raises:
        UnsupportedError: neither the initial voltage nor an always-firing neuron brings it to its initial state.
    """
    through = np.zeros_like(p.v_init)
    v, possible = _before(p, p.bias, shift)
    if np.all(possible):
        return Onset(p.bias_mant, p.bias_exp, v, through)
    units = np.asarray(np.rint(p.bias / _UNIT), dtype=np.int64)
    rest = p.bias - units * _UNIT
    other, instead = _before(p, rest, shift)
    instead = instead & ~possible & (p.du == DECAY_MAX)
    if not np.all(possible | instead):
        raise _refused(p, int(np.argmin(possible | instead)), shift)
    return Onset(
        np.where(instead, rest, p.bias_mant),
        np.where(instead, 0, p.bias_exp),
        np.where(instead, other, v),
        np.where(instead, units, 0),
    )


def _before(p: IntegerPopulation, bias: Integers, steps: int) -> tuple[Integers, NDArray[np.bool_]]:
    """The voltage ``steps`` steps before ``v_init``, and where one is that no spike and no clipping interrupts."""
    v, keep, threshold = p.v_init.copy(), (1 << DECAY_BITS) - p.dv, p.vth << ALIGN_BITS
    possible = np.ones(v.shape, dtype=bool)
    for _ in range(steps):
        possible = possible & (v <= threshold)  # v is the result of a step: it must not spike
        decayed = np.abs(v - bias)
        magnitude = -(-(decayed << DECAY_BITS) // keep)
        possible = possible & (magnitude < STATE_LIMIT)
        v = np.where(possible, np.sign(v - bias) * magnitude, 0)
    return v, possible


def _refused(p: IntegerPopulation, neuron: int, shift: int) -> UnsupportedError:
    bias, memory = int(p.bias[neuron]), bool(p.du[neuron] != DECAY_MAX)
    why = f"neuron {neuron} runs {shift} step(s) late there, and no initial voltage leads from its bias to v_init then"
    if memory:
        why += "; an always-firing neuron cannot bring the bias either: the population has a synaptic current"
    return UnsupportedError(
        f"it cannot be held at its initial voltage: {why}",
        node=p.name,
        parameter="bias of v" if bias else "v_init",
        got=bias or int(p.v_init[neuron]),
        way_out="Take a smaller bias or v_init, timing='hardware', or precision='loihi' on snnTorch.",
    )


def without_wrap(p: Onset, most: int) -> bool:
    """Whether ``most`` units of synaptic input and the always-firing neuron together leave the current unwrapped."""
    largest = int(np.abs(p.through).max(initial=0))
    return not largest or (most + largest) << ALIGN_BITS < STATE_LIMIT
