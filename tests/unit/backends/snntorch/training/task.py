"""A small task that spiking networks learn in a second, and the network that learns it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

DT = 1e-3
INPUTS, HIDDEN, CLASSES, STEPS = 12, 16, 3, 10


def lif(count: int, **changed: Any) -> nir.LIF:
    """LIF neurons whose values are not round, all alike."""
    values = {"tau": 5.1e-3, "r": 5.0, "v_leak": 0.0, "v_threshold": 0.97, "v_reset": 0.0, **changed}
    return nir.LIF(**{name: np.full(count, value) for name, value in values.items()})


def readout(count: int) -> nir.LI:
    """Neurons that do not spike."""
    return nir.LI(tau=np.full(count, 6e-3), r=np.full(count, 3.0), v_leak=np.zeros(count))


def net(seed: int = 0, last: nir.NIRNode | None = None, hidden: nir.NIRNode | None = None) -> nir.NIRGraph:
    """12 inputs, 16 LIF neurons, 3 LIF neurons (or what is given)."""
    rng = np.random.default_rng(seed)
    nodes = {
        "in": nir.Input(np.array([INPUTS])),
        "w1": nir.Affine(rng.normal(0.1, 0.5, (HIDDEN, INPUTS)), rng.normal(0, 0.05, HIDDEN)),
        "hidden": hidden or lif(HIDDEN),
        "w2": nir.Linear(rng.normal(0.1, 0.4, (CLASSES, HIDDEN))),
        "last": last or lif(CLASSES),
        "out": nir.Output(np.array([CLASSES])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata={"dt": DT})


def samples(count: int = 48, seed: int = 1, steps: int = STEPS) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Bernoulli spikes (T, count, 12) around one pattern of rates for each of 3 classes, and the classes."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).random((CLASSES, INPUTS)) ** 2
    labels = rng.integers(0, CLASSES, count)
    spikes = rng.random((steps, count, INPUTS)) < patterns[labels]
    return spikes.astype(np.float32), labels


def weights(graph: nir.NIRGraph) -> dict[str, NDArray[Any]]:
    """Every trained array of a graph."""
    return {
        f"{name}.{parameter}": np.asarray(getattr(node, parameter))
        for name, node in graph.nodes.items()
        for parameter in ("weight", "bias", "tau", "tau_syn", "tau_mem", "v_threshold")
        if hasattr(node, parameter)
    }
