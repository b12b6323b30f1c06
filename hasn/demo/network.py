"""The demo's network as a NIR graph."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
from numpy.typing import NDArray

#: Seconds a step, and membrane time constant in seconds: an Euler step keeps 1 - dt/tau = 0.9 of the voltage.
DT, TAU = 1e-3, 10e-3
HIDDEN, CLASSES = 128, 10


def digit_network(inputs: int = 784, hidden: int = HIDDEN, classes: int = CLASSES, seed: int = 0) -> nir.NIRGraph:
    """``inputs``-``hidden``-``classes`` LIF neurons, fully connected, untrained.

    R = tau / dt, so that a spike adds its weight to the voltage (v <- 0.9 v + w); threshold 1 V, reset to 0 V.
    Weights are uniform in +-1/sqrt(fan-in), torch's default for a Linear layer.

    Args:
        inputs, hidden, classes: sizes of the layers.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)

    def weights(outs: int, ins: int) -> NDArray[np.float32]:
        return np.asarray(rng.uniform(-1.0, 1.0, (outs, ins)) / np.sqrt(ins), dtype=np.float32)

    def lif(n: int) -> nir.LIF:
        return nir.LIF(tau=np.full(n, TAU), r=np.full(n, TAU / DT), v_leak=np.zeros(n), v_threshold=np.ones(n))

    nodes = {
        "input": nir.Input(np.array([inputs])),
        "fc1": nir.Linear(weights(hidden, inputs)),
        "hidden": lif(hidden),
        "fc2": nir.Linear(weights(classes, hidden)),
        "readout": lif(classes),
        "output": nir.Output(np.array([classes])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata={"dt": DT})
