"""The plain meaning of precision "loihi": one neuron after the other, one step after the other, Python's own integers.

Slow and readable; what every executor of that precision is held against. Rules: :mod:`hasn.program.integers.model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hasn.program.integers.model import IntegerNetwork, IntegerPopulation, Integers

LIMIT = 2**23


@dataclass(frozen=True)
class IntegerTraces:
    """{population: (T, batch, n)}: u after the wrap, v after the reset, and spikes."""

    u: dict[str, Integers]
    v: dict[str, Integers]
    spikes: dict[str, NDArray[np.bool_]]


def interpret(network: IntegerNetwork, inputs: Mapping[str, Integers], steps: int, batch: int) -> IntegerTraces:
    """Run every sample by itself.

    Args:
        network: registers and weights.
        inputs: Input -> (T, batch, n).
        steps: T.
        batch: samples.
    """
    empty = {name: np.zeros((steps, batch, p.size), dtype=np.int64) for name, p in network.populations.items()}
    traces = IntegerTraces(empty, {n: a.copy() for n, a in empty.items()}, {n: a != 0 for n, a in empty.items()})
    weights = {id(p): p.weights.toarray() for p in network.projections}
    for sample in range(batch):
        u = {name: [0] * p.size for name, p in network.populations.items()}
        v = {name: p.v_init.tolist() for name, p in network.populations.items()}
        for t in range(steps):
            for name, population in network.populations.items():
                arrived = np.zeros(population.size, dtype=np.int64)
                for p in network.into(name):
                    source = inputs[p.source] if p.source in inputs else traces.spikes[p.source]
                    if t >= p.delay:
                        arrived += weights[id(p)] @ source[t - p.delay, sample].astype(np.int64)
                for first, value in population.drives.items():
                    if t >= first:
                        arrived += value
                for i in range(population.size):
                    new_u, new_v, z = neuron(population, i, u[name][i], v[name][i], int(arrived[i]))
                    u[name][i], v[name][i] = new_u, new_v
                    traces.u[name][t, sample, i], traces.v[name][t, sample, i] = new_u, new_v
                    traces.spikes[name][t, sample, i] = z
    return traces


def neuron(p: IntegerPopulation, i: int, u: int, v: int, arrived: int) -> tuple[int, int, bool]:
    """One step of neuron ``i``: (u, v, whether it spikes)."""
    u = _decayed(u, int(p.du[i]) + 1) + arrived * 64
    if u > LIMIT:
        u -= 2 * LIMIT
    elif u <= -LIMIT:
        u += 2 * LIMIT
    v = _decayed(v, int(p.dv[i])) + u + int(p.bias_mant[i]) * 2 ** int(p.bias_exp[i])
    v = max(1 - LIMIT, min(LIMIT - 1, v))
    z = v > int(p.vth[i]) * 64
    return u, 0 if z else v, z


def _decayed(x: int, amount: int) -> int:
    kept = abs(x) * (4096 - amount) // 4096
    return kept if x >= 0 else -kept
