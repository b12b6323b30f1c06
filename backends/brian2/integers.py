"""Integer registers as Brian2 code: the chip's arithmetic, bit for bit, in float64 variables that hold integers.

Brian2's own ``integer`` variables have 32 bits, and a state times its decay needs 35 (and ``//`` of negative numbers
differs from the chip's rounding towards 0). float64 holds every integer up to 2**53, and here nothing is ever rounded:

    x + drive            at most ACTIVATION_LIMIT < 2**25, as is every partial sum, in whatever order events come
    64*(x + drive)       below 2**31
    |u| * keep_u         keep_u = (4095 - du)/4096 is a multiple of 2**-12 and |u| < 2**31 an integer: 43 bits
    |v| * keep_v         likewise, |v| < 2**23
    floor                below 2**31, for Brian2's gives 32 bits
    sign, clip and comparisons are exact by nature.

So the result depends neither on the order of operations nor on fused multiply-adds, and all targets give the same bits.
A turn of ``wrap`` may be too little for large input, and u grow from step to step: its largest sum is kept in ``peak``,
and what 32 bits could not hold is refused.
Chip units have no dimension, so all of Brian2's units are 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hasn.backends.brian2.code import PEAK, GroupCode, given, source_code
from hasn.backends.brian2.neurons import group_code
from hasn.backends.brian2.plan import Plan, make_plan
from hasn.program.fuse import Population, Projection
from hasn.program.integers.lower import check_current
from hasn.program.integers.model import ALIGN_BITS, DECAY_BITS, STATE_LIMIT, IntegerNetwork, IntegerPopulation
from hasn.program.model import Source

UNIT = "1"
#: The chip's sums have 32 bits, a sign among them.
SUM_LIMIT = 1 << 31


def integer_plan(integers: IntegerNetwork) -> Plan:
    """The plan of a network in the chip's integers: its weights and registers, on the float network's structure."""
    network = integers.network
    projections = tuple(Projection(p.source, p.target, p.delay, p.weights) for p in integers.projections)
    codes = {p.name: _code(p, integers) for p in network.populations}
    return make_plan(replace(network, projections=projections), codes, "float64")


def _code(population: Population, integers: IntegerNetwork) -> GroupCode:
    if isinstance(population, Source):
        return source_code(UNIT)
    if population.name in integers.populations:
        return register_code(integers.populations[population.name])
    return group_code(population, {})  # an Output into which nothing leads: always 0


def register_code(p: IntegerPopulation) -> GroupCode:
    """The update of :mod:`hasn.program.integers.model`, a threshold and a reset.

    A population that does not spike has them too, as on the chip; its spikes go nowhere.
    """
    x = given(p.drives, UNIT)
    unity, turn, limit, largest = 1 << DECAY_BITS, 2 * STATE_LIMIT, STATE_LIMIT, SUM_LIMIT - 1
    update = [
        *x.before,
        f"u = sign(u)*floor(abs(u)*keep_u) + {1 << ALIGN_BITS}*{x.code}",
        f"{PEAK} = clip(abs(u), {PEAK}, {float(1 << 52)})",
        f"u = clip(u, -{largest}, {largest})",  # changes only what will be refused: nothing is undefined until then
        f"u = u - {turn}*int(u > {limit}) + {turn}*int(u <= -{limit})",
        f"v = clip(sign(v)*floor(abs(v)*keep_v) + u + bias, -{limit - 1}, {limit - 1})",
        x.after,
    ]
    registers = {
        "keep_u": (unity - 1 - p.du) / unity,
        "keep_v": (unity - p.dv) / unity,
        "bias": p.bias.astype(float),
        "theta": (p.vth << ALIGN_BITS).astype(float),
    }
    constants = {**{name: (UNIT, value) for name, value in registers.items()}, **x.constants}
    initial = {**x.initial, "v": p.v_init.astype(float)}
    variables = {"u": UNIT, "v": UNIT, PEAK: UNIT, **x.variables}
    return GroupCode(variables, constants, initial, "\n".join(update), "v > theta", "v = 0")


def check_peaks(peaks: Mapping[str, float]) -> None:
    """Refuse currents that have left 32 bits.

    Args:
        peaks: population -> largest absolute value of its current before it was wrapped.

    Raises:
        UnsupportedError: it is 2**31 or more.
    """
    for name, peak in peaks.items():
        check_current(name, peak)
