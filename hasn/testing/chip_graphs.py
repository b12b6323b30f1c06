"""Random graphs in the chip's units, for precision "loihi": all registers over their whole range, and every structure.

Small voltages test decays and rounding, large ones the wrap of u and the clipping of v.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

DT = 1e-3


def chip_node(
    shape: tuple[int, ...], *, dv: Any, du: Any = None, vth: Any = None, bias: Any = 0, v_init: Any = 0
) -> Any:
    """A NIR neuron with these registers, by the table of docs/loihi.md, whose units hasn's own encoding is held to.

    Args:
        shape: of the population.
        dv, du, vth: registers, one or one for each neuron; du None: no current; vth None: no spikes.
        bias: a mantissa times its power of two.
        v_init: voltage before step 0.
    """

    def full(value: Any) -> Any:
        return np.zeros(shape) + np.asarray(value)

    steps = 4096 / np.where(full(dv) == 0, 2.0**-40, full(dv))  # dv = 0: a time constant of 2**52 steps
    given: dict[str, Any] = {"v_leak": full(bias) * steps}
    if vth is not None:
        given |= {"v_threshold": full(vth) * 64, "v_reset": full(0)}
    if np.any(v_init):
        given["metadata"] = {"v_init": full(v_init)}
    if du is None:
        kind: Any = nir.LI if vth is None else nir.LIF
        return kind(tau=DT * steps, r=64 * steps, **given)
    kind = nir.CubaLI if vth is None else nir.CubaLIF
    steps_u = 4096 / (full(du) + 1)
    return kind(tau_syn=DT * steps_u, tau_mem=DT * steps, r=steps, w_in=64 * steps_u, **given)


def random_chip_graph(seed: int) -> nir.NIRGraph:
    """One or two Inputs, two to four populations, feed-forward and recurrent connections, delays, one or two Outputs.

    Recurrence is from a population to itself (which can be retimed). One graph in three has weights and biases so
    large that currents wrap and voltages clip.
    """
    return _Draw(np.random.default_rng(seed)).graph()


class _Draw:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.large = rng.random() < 1 / 3
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []

    def graph(self) -> nir.NIRGraph:
        sizes: dict[str, int] = {}
        for i in range(int(self.rng.integers(1, 3))):
            sizes[f"in{i}"] = int(self.rng.integers(1, 9))
            self.nodes[f"in{i}"] = nir.Input(np.array([sizes[f"in{i}"]]))
        for i in range(int(self.rng.integers(2, 5))):
            name, before = f"pop{i}", list(sizes)
            sizes[name] = int(self.rng.integers(1, 9))
            self.nodes[name] = self._neuron(sizes[name], spiking=True)
            for source in self.rng.permutation(before)[: int(self.rng.integers(1, 3))].tolist():
                self._connect(source, name, sizes)
            if self.rng.random() < 0.5:
                self._connect(name, name, sizes)
        last = list(sizes)[-1]
        self._readout("out", last, sizes, voltage=self.rng.random() < 0.5)
        if self.rng.random() < 0.5:
            self._readout("out2", last, sizes, voltage=self.rng.random() < 0.5)
        return nir.NIRGraph(self.nodes, self.edges, metadata={"dt": DT}, type_check=False)

    def _readout(self, name: str, source: str, sizes: dict[str, int], voltage: bool) -> None:
        size = sizes[source]
        if voltage:
            size = int(self.rng.integers(1, 5))
            reader = f"{name}_v"
            self.nodes[reader] = self._neuron(size, spiking=False)
            self._connect(source, reader, {**sizes, reader: size})
            source = reader
        self.nodes[name] = nir.Output(np.array([size]))
        self.edges.append((source, name))

    def _neuron(self, size: int, spiking: bool) -> Any:
        rng = self.rng
        exponent = int(rng.integers(0, 8)) if self.large else int(rng.integers(0, 3))
        several = rng.random() < 0.4  # registers that differ within the population

        def some(low: int, high: int) -> Any:
            return rng.integers(low, high, size) if several else int(rng.integers(low, high))

        return chip_node(
            (size,),
            du=some(0, 4096) if rng.random() < 0.6 else None,
            dv=some(0, 4096) if rng.random() < 0.8 else 0,
            vth=some(0, 131072 if self.large else 600) if spiking else None,
            bias=(rng.integers(-4096, 4096, size) << exponent) if rng.random() < 0.4 else 0,
            v_init=rng.integers(-60_000, 60_000, size) if rng.random() < 0.3 else 0,
        )

    def _connect(self, source: str, target: str, sizes: dict[str, int]) -> None:
        name = f"{source}_{target}"
        shape = (sizes[target], sizes[source])
        weight = self._weights(shape)
        if self.rng.random() < 0.3:
            bias = self.rng.integers(-20, 21, shape[0]) * 2
            self.nodes[name] = nir.Affine(weight.astype(float), bias.astype(float))
        else:
            self.nodes[name] = nir.Linear(weight.astype(float))
        self.edges.append((source, name))
        if self.rng.random() < 0.3:
            self.nodes[f"{name}_late"] = nir.Delay(self.rng.integers(0, 4, shape[0]) * DT)
            self.edges += [(name, f"{name}_late"), (f"{name}_late", target)]
        else:
            self.edges.append((name, target))

    def _weights(self, shape: tuple[int, int]) -> Any:
        rng, exponent = self.rng, int(self.rng.integers(4, 8)) if self.large else int(self.rng.integers(0, 3))
        kind = rng.integers(0, 4)
        if kind == 0:
            mantissas = rng.integers(0, 256, shape)
        elif kind == 1:
            mantissas = -rng.integers(0, 256, shape)
        else:
            mantissas = 2 * rng.integers(-127, 128, shape)
        if kind == 3:
            mantissas = mantissas + rng.integers(-1, 2, shape)  # more than 8 bits: several connections on the chip
        return np.where(rng.random(shape) < 0.8, mantissas, 0) << exponent


def random_chip_inputs(graph: nir.NIRGraph, seed: int, steps: int, batch: int, graded: bool = False) -> dict[str, Any]:
    """{Input: (T, batch, *shape)} of random spikes; where ``graded``, of signed integers."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            shape = (steps, batch, *np.asarray(node.input_type["input"]).tolist())
            spikes = rng.random(shape) < rng.choice([0.1, 0.5, 0.9])
            found[name] = (spikes * rng.integers(-50, 51, shape) if graded else spikes).astype(float)
    return found
