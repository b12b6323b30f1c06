"""Networks that NetX can say, in the chip's units: random chains of dense layers, and chains of convolutions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from hasn.program.integers.encode import chip_neuron

DT = 1e-3


def chain(*nodes: tuple[str, Any]) -> nir.NIRGraph:
    """A graph of nodes one after the other."""
    return nir.NIRGraph(dict(nodes), list(pairwise(name for name, _ in nodes)), metadata={"dt": DT}, type_check=False)


def weights(rng: np.random.Generator, shape: tuple[int, ...], kind: int) -> Any:
    """Of every sort that NetX reads rightly: 8 bits of one sign, even ones of both, small odd ones of both."""
    if kind == 0:
        return rng.integers(0, 256, shape).astype(float)
    if kind == 1:
        return -(2 * rng.integers(1, 60, shape) + 130.0)  # even, without 0 and powers of two
    if kind == 2:
        return 2.0 * rng.integers(-100, 128, shape)
    return rng.integers(-20, 32, shape).astype(float)


def neuron(rng: np.random.Generator, shape: tuple[int, ...], vth: int, bias: bool) -> nir.NIRNode:
    """Registers over their whole range, one of each; a threshold that its weights reach."""
    return chip_neuron(
        shape,
        dt=DT,
        du=int(rng.integers(0, 4096)) if rng.random() < 0.5 else None,
        dv=int(rng.integers(0, 4096)),
        vth=int(rng.integers(vth // 8, vth)),
        bias=64 * rng.integers(-vth // 8, vth // 3, shape) if bias else 0,
    )


def dense_chain(seed: int) -> nir.NIRGraph:
    """One to three layers: with biases, with delays, or recurrent, by ``seed % 3``."""
    rng = np.random.default_rng(seed)
    bias, sizes = seed % 3 == 0, rng.integers(3, 9, int(rng.integers(2, 5))).tolist()
    nodes: list[tuple[str, Any]] = [("in", nir.Input(np.array(sizes[:1])))]
    loops = []
    for i, (ins, outs) in enumerate(pairwise(sizes)):
        kind = int(rng.integers(2, 4)) if seed % 3 == 2 else int(rng.choice([0, 1, 2, 3] if bias and i else [0, 2, 3]))
        nodes.append((f"w{i}", nir.Linear(weights(rng, (outs, ins), kind))))
        if seed % 3 == 1:
            nodes.append((f"late{i}", nir.Delay(rng.integers(0, 5, outs) * DT)))
        nodes.append((f"pop{i}", neuron(rng, (outs,), 60 if kind == 3 else 600, bias)))
        if seed % 3 == 2:
            loops.append((f"loop{i}", nir.Linear(weights(rng, (outs, outs), kind)), f"pop{i}"))
    graph = chain(*nodes, ("out", nir.Output(np.array(sizes[-1:]))))
    for name, node, population in loops:
        graph.nodes[name] = node
        graph.edges += [(population, name), (name, population)]
    return graph


def convolutions(seed: int, dense: bool) -> nir.NIRGraph:
    """(2, 7, 6) -> (4, 4, 5) -> (4, 3, 2) -> 5, or -> (3, 3, 3): stride, padding, dilation, groups, no square."""
    rng = np.random.default_rng(seed)
    kernel = 2.0 * rng.integers(-100, 128, (4, 1, 3, 2))
    added = rng.integers(-30, 60, 4).astype(float)
    first = nir.Conv2d((7, 6), kernel, stride=(2, 1), padding=(1, 0), dilation=(1, 1), groups=2, bias=added)
    nodes: list[tuple[str, Any]] = [
        ("in", nir.Input(np.array([2, 7, 6]))),
        ("conv", first),
        ("a", chip_neuron((4, 4, 5), dt=DT, dv=500, vth=150)),
    ]
    if not dense:
        last = nir.Conv2d((4, 5), 2.0 * rng.integers(-60, 128, (3, 4, 2, 2)), 1, 0, (1, 2), 1, np.zeros(3))
        bias = 64 * rng.integers(-60, 90, (3, 3, 3))
        return chain(*nodes, ("last", last), ("b", chip_neuron((3, 3, 3), dt=DT, du=900, dv=700, vth=1500, bias=bias)),
                     ("out", nir.Output(np.array([3, 3, 3]))))  # fmt: skip
    return chain(
        *nodes,
        ("pool", nir.SumPool2d(np.array([2, 3]), np.array([1, 2]), np.array([0, 0]))),
        ("b", chip_neuron((4, 3, 2), dt=DT, dv=1000, vth=2)),
        ("flat", nir.Flatten({"input": np.array([4, 3, 2])}, 0, -1)),
        ("w", nir.Linear(weights(rng, (5, 24), 2))),
        ("c", chip_neuron((5,), dt=DT, du=2000, dv=100, vth=250)),
        ("out", nir.Output(np.array([5]))),
    )
