"""The plain meaning of precision "loihi": one neuron after the other, one step after the other, Python's own integers.

What every executor of that precision is held against. It starts from a graph in the chip's units and finds the
registers by itself, by the table of docs/loihi.md; what lies between neurons is the float reference's walk over the
graph, whose numbers are whole here, so that float64 is exact. Each step, for a neuron with the synaptic input ``x``:

    u <- wrap(sign(u) * (|u| * (4096 - (du + 1)) >> 12) + (x << 6))
    v <- clip(sign(v) * (|v| * (4096 - dv) >> 12) + u + bias)
    z  = v > vth << 6,  v <- 0 where z

``wrap`` takes 2**24 off a current above 2**23 and adds it at or below -2**23, once; ``clip`` keeps a voltage within
+-(2**23 - 1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.testing.drawn import DRAWN
from hasn.testing.reference import Array, Cell, Log, stacked, walk
from hasn.testing.structure import Shape, Structure, structure

LIMIT = 2**23
#: Threshold of a population that does not spike: the highest there is. Its voltage is reset all the same.
HIGHEST = 131071


@dataclass(frozen=True)
class IntegerTraces:
    """Arrays (T, batch, *shape) by node.

    Attributes:
        u, v: of every population, u after the wrap and v after the reset.
        spikes: of those that have spikes to send.
        outputs: what the Outputs show.
        wraps, clips, resets: where u was wrapped, v clipped and v reset, of every population.
    """

    u: dict[str, NDArray[np.int64]]
    v: dict[str, NDArray[np.int64]]
    spikes: dict[str, NDArray[np.bool_]]
    outputs: dict[str, NDArray[np.int64]]
    wraps: dict[str, NDArray[np.bool_]]
    clips: dict[str, NDArray[np.bool_]]
    resets: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Registers:
    """Of one neuron; ``bias`` is its mantissa times its power of two."""

    du: int
    dv: int
    vth: int
    bias: int


def interpret(
    graph: nir.NIRGraph,
    inputs: Mapping[str, Array],
    *,
    dt: float | None = None,
    timing: str = "synchronous",
    steps: int | None = None,
) -> IntegerTraces:
    """Run a graph in the chip's units.

    Args:
        graph: weights are integers, neurons lie on the grid.
        inputs: Input -> whole numbers (T, batch, *shape).
        dt: seconds a step; default: the graph's own.
        timing: as in hasn.compile.
        steps: T, for a graph without Inputs.

    Raises:
        ValueError: a number is off the grid.
    """
    seconds = float(graph.metadata["dt"] if dt is None else dt)
    found = structure(graph, timing)
    constant = constants(found, seconds)
    log: Log = {name: defaultdict(list) for name in found.nodes}

    def neurons(name: str, shape: Shape) -> Cell:
        return ChipNeurons(found.nodes[name], shape, seconds, constant[name])

    extent = (steps or 0, 1) if not inputs else next(iter(inputs.values())).shape[:2]
    for _ in walk(found, inputs, log, seconds, neurons, *extent):
        pass
    outputs = {name: whole(name, value) for name, value in stacked(log, "output").items()}
    kept = {what: stacked(log, what) for what in ("u", "v", "spikes", "wraps", "clips", "resets")}
    return IntegerTraces(**kept, outputs=outputs)


def constants(found: Structure, dt: float) -> dict[str, Array]:
    """What arrives at each population in step 0 if no Input and no neuron sends anything: biases of connections."""
    drawn = [name for name, node in found.nodes.items() if isinstance(node, DRAWN)]
    silence = {name: np.zeros((1, 1, *found.shapes[name])) for name in [*found.inputs, *drawn]}
    log: Log = {name: defaultdict(list) for name in found.nodes}

    def silent(name: str, shape: Shape) -> Cell:
        def arrives(x: Array, log: dict[str, list[Array]]) -> Array:
            log["arrived"].append(x[0])
            return np.zeros(shape)

        return arrives

    for _ in walk(found, silence, log, dt, silent, 1, 1):
        pass
    return {name: array[0] for name, array in stacked(log, "arrived").items()}


class ChipNeurons:
    """A population. Where a neuron has no current, its bias register takes what connections add from step 0 on.

    That register is finer than the synaptic input, whose unit is 64; but where it cannot hold the sum of one neuron,
    the whole population gets it with the synaptic input.
    """

    def __init__(self, node: Any, shape: Shape, dt: float, constant: Array) -> None:
        zero = np.zeros(node.r.shape)
        has_current = isinstance(node, nir.CubaLI | nir.CubaLIF)
        if has_current:
            rate, du, self.gain = dt / node.tau_mem, 4096 * dt / node.tau_syn - 1, node.w_in * dt / node.tau_syn
            if np.any(whole("R dt/tau_mem", node.r * rate) != 1):
                raise ValueError("the current does not go to the voltage as it is")
        elif isinstance(node, nir.I | nir.IF):
            rate, du, self.gain = zero, zero + 4095, dt * node.r
        else:
            rate, du, self.gain = dt / node.tau, zero + 4095, dt / node.tau * node.r
        bias = whole("bias", rate * getattr(node, "v_leak", 0.0))
        self.in_register = zero
        if not has_current:
            both = bias + whole("bias", self.gain * constant)
            if all(fits_register(n) for n in both.reshape(-1).tolist()):
                bias, self.in_register = both, constant
        self.spikes = hasattr(node, "v_threshold")
        vth = whole("v_threshold / 64", node.v_threshold / 64) if self.spikes else (zero + HIGHEST).astype(int)
        columns = (whole("du", du), whole("dv", 4096 * rate), vth, bias)
        self.registers = [Registers(*row) for row in zip(*(c.reshape(-1).tolist() for c in columns), strict=True)]
        start = np.zeros(shape) + node.metadata.get("v_init", 0.0)
        self.v = [whole("v_init", sample).reshape(-1).tolist() for sample in start]
        self.u = [[0] * len(self.registers) for _ in start]

    def __call__(self, x: Array, log: dict[str, list[Array]]) -> Array:
        arrived = whole("synaptic input", self.gain * (x - self.in_register) / 64).reshape(len(x), -1).tolist()
        done = [list(map(step, self.registers, *rows)) for rows in zip(self.u, self.v, arrived, strict=True)]
        self.u, self.v = ([[neuron[k] for neuron in sample] for sample in done] for k in range(2))
        for k, what in enumerate(Step._fields):
            log[what].append(np.array([[neuron[k] for neuron in sample] for sample in done]).reshape(x.shape))
        if not self.spikes:
            return log["v"][-1].astype(float)
        log["spikes"].append(log["resets"][-1])
        return log["spikes"][-1].astype(float)


class Step(NamedTuple):
    """What a neuron did: its state, and what happened to it on the way."""

    u: int
    v: int
    resets: bool
    wraps: bool
    clips: bool


def step(r: Registers, u: int, v: int, x: int) -> Step:
    """One step of one neuron with the state u, v and the synaptic input x."""
    sum_u = decayed(u, r.du + 1) + x * 64
    u = sum_u - 2 * LIMIT if sum_u > LIMIT else sum_u + 2 * LIMIT if sum_u <= -LIMIT else sum_u
    sum_v = decayed(v, r.dv) + u + r.bias
    v = max(1 - LIMIT, min(LIMIT - 1, sum_v))
    z = v > r.vth * 64
    return Step(u, 0 if z else v, z, u != sum_u, v != sum_v)


def decayed(x: int, amount: int) -> int:
    """What is left of ``x``, cut towards 0."""
    kept = abs(x) * (4096 - amount) // 4096
    return kept if x >= 0 else -kept


def fits_register(bias: int) -> bool:
    """Whether a bias is a mantissa of 13 bits, with a sign, times 2**0 .. 2**7."""
    return any(bias % 2**e == 0 and -4096 <= bias // 2**e <= 4095 for e in range(8))


def whole(what: str, value: Any) -> NDArray[np.int64]:
    """``value`` as integers; float64 has rounded it a few times.

    Raises:
        ValueError: it is off the grid.
    """
    rounded: NDArray[np.float64] = np.rint(np.asarray(value, dtype=float))
    if np.any(np.abs(value - rounded) > 1e-4):
        raise ValueError(f"{what} is no integer")
    return rounded.astype(np.int64)
