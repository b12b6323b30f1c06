"""Small graphs that tests share: seeded random parameters that make neurons fire, and a shorthand for chains."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hasn.nodes import AdaptiveLIF, HomeostaticLIF, ResonateFire, SparseLinear

DT = 1e-3
Shape = tuple[int, ...]
#: Neurons that are not NIR's own.
OURS: dict[str, type[nir.NIRNode]] = {
    "AdaptiveLIF": AdaptiveLIF,
    "HomeostaticLIF": HomeostaticLIF,
    "ResonateFire": ResonateFire,
}
_LEAKY = {"tau": (4e-3, 15e-3), "v_leak": (-0.1, 0.2)}
#: Kind, without the F of those that spike -> parameter -> range.
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "I": {"r": (150.0, 400.0)},
    "LI": _LEAKY,
    "CubaLI": {"tau_syn": (3e-3, 8e-3), "tau_mem": (4e-3, 15e-3), "v_leak": (-0.1, 0.2), "w_in": (0.7, 1.4)},
    "AdaptiveLI": {
        **_LEAKY, "tau_adaptation": (5e-3, 30e-3), "a": (-0.05, 0.1), "b": (0.02, 0.1), "tau_threshold": (5e-3, 30e-3),
        "threshold_jump": (0.05, 0.3),
    },
    "HomeostaticLI": {**_LEAKY, "rate": (40.0, 150.0), "threshold_jump": (0.05, 0.2)},
    "ResonateFire": {"tau": (6e-3, 15e-3), "omega": (100.0, 250.0), "r": (8.0, 14.0), "v_threshold": (0.3, 0.6)},
}  # fmt: skip


class Draw:
    """Seeded random parameters. No value is round, so that no voltage meets its threshold exactly."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def between(self, low: float, high: float, shape: Shape) -> NDArray[np.float64]:
        """Uniform numbers."""
        return self.rng.uniform(low, high, shape)

    def weight(self, *shape: int, mean: float = 0.25, spread: float = 0.3) -> NDArray[np.float64]:
        """Weights of both signs that excite on the whole."""
        return mean + spread * self.rng.standard_normal(shape)

    def linear(self, outputs: int, inputs: int, **how: float) -> nir.Linear:
        """A Linear node."""
        return nir.Linear(self.weight(outputs, inputs, **how))

    def sparse(self, outputs: int, inputs: int, longest: int = 0, density: float = 0.6, **how: Any) -> SparseLinear:
        """A SparseLinear node with delays of 0 to ``longest`` steps, none where that is 0."""
        chosen = self.rng.random((outputs, inputs)) < density
        kept = {name: how.pop(name) for name in ("dtype", "scale", "shortest") if name in how}
        weight = csr_array(np.where(chosen, self.weight(outputs, inputs, **how), 0.0))
        delay = self.rng.integers(kept.pop("shortest", 0), longest + 1, weight.nnz) if longest else None
        return SparseLinear(weight, delay, **kept)

    def affine(self, outputs: int, inputs: int, bias: float = 0.05, **how: float) -> nir.Affine:
        """An Affine node with biases around ``bias``."""
        return nir.Affine(self.weight(outputs, inputs, **how), self.between(0.4 * bias, 1.6 * bias, (outputs,)))

    def conv1d(self, outputs: int, inputs: int, kernel: int, **how: Any) -> nir.Conv1d:
        """A Conv1d node; options as in torch."""
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "input_shape": None, **how}
        low, high = options.pop("bias", (-0.02, 0.1))
        weight = self.weight(outputs, inputs // options["groups"], kernel)
        return nir.Conv1d(weight=weight, bias=self.between(low, high, (outputs,)), **options)

    def conv2d(self, outputs: int, inputs: int, kernel: Shape, **how: Any) -> nir.Conv2d:
        """A Conv2d node; options as in torch."""
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "input_shape": None, **how}
        weight = self.weight(outputs, inputs // options["groups"], *kernel)
        return nir.Conv2d(weight=weight, bias=self.between(-0.02, 0.1, (outputs,)), **options)

    def neuron(self, kind: str, shape: Shape, **fixed: Any) -> nir.NIRNode:
        """A neuron of this kind with every parameter drawn for each neuron, but those given in ``fixed``."""
        ranges = {"r": (5.0, 9.0), **RANGES[kind.removesuffix("F") if kind != "ResonateFire" else kind]}
        if kind not in ("I", "LI", "CubaLI"):
            ranges = {"v_threshold": (0.7, 1.3), "v_reset": (-0.2, 0.2), **ranges}
        metadata = fixed.pop("metadata", {})
        drawn = {name: self.between(low, high, shape) for name, (low, high) in sorted(ranges.items())}
        chosen = {name: np.broadcast_to(np.asarray(value, dtype=float), shape).copy() for name, value in fixed.items()}
        node: nir.NIRNode = (OURS.get(kind) or getattr(nir, kind))(**{**drawn, **chosen}, metadata=metadata)
        return node

    def lif(self, *shape: int, **fixed: Any) -> nir.NIRNode:
        """A LIF population."""
        return self.neuron("LIF", shape, **fixed)


def graph(nodes: dict[str, nir.NIRNode], *paths: str, **metadata: Any) -> nir.NIRGraph:
    """A graph from nodes and paths such as ``"input > lin > lif > output"``, each of whose steps is an edge."""
    edges: list[tuple[str, str]] = []
    for path in paths:
        names = [name.strip() for name in path.split(">")]
        edges += [edge for edge in pairwise(names) if edge not in edges]
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)


def inp(*shape: int) -> nir.Input:
    """An Input of this shape."""
    return nir.Input({"input": np.array(shape)})


def out(*shape: int) -> nir.Output:
    """An Output of this shape."""
    return nir.Output({"output": np.array(shape)})


def chain(*nodes: nir.NIRNode, given: Shape, result: Shape) -> nir.NIRGraph:
    """``input > n1 > n2 ... > output``."""
    names = [f"n{i + 1}" for i in range(len(nodes))]
    inner = dict(zip(names, nodes, strict=True))
    return graph({"input": inp(*given), **inner, "output": out(*result)}, " > ".join(["input", *names, "output"]))


def small_net(seed: int = 1) -> nir.NIRGraph:
    """6 inputs, 5 LIF neurons, 3 outputs: the plain net that tests of everything else use."""
    draw = Draw(seed)
    return chain(draw.affine(5, 6), draw.lif(5), draw.linear(3, 5), draw.lif(3), given=(6,), result=(3,))


def spikes(shape: Shape, steps: int, batch: int | None = None, rate: float = 0.4, seed: int = 1) -> NDArray[np.float64]:
    """Random spikes (T[, batch], *shape)."""
    lead = (steps,) if batch is None else (steps, batch)
    drawn: NDArray[np.float64] = (np.random.default_rng(seed).random((*lead, *shape)) < rate).astype(float)
    return drawn


def graded(shape: Shape, steps: int, batch: int | None = None, mean: float = 0.3, seed: int = 1) -> NDArray[np.float64]:
    """Random real numbers (T[, batch], *shape)."""
    lead = (steps,) if batch is None else (steps, batch)
    return mean + np.random.default_rng(seed).standard_normal((*lead, *shape))
