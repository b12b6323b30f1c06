"""The speech demo's network as a NIR graph: a recurrent spiking network that tells nine speakers apart."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.demo.vowels import COEFFICIENTS, SPEAKERS

#: Time constants in seconds: of the hidden neurons' current and voltage, and of the readout.
TAU_SYN, TAU_MEM, TAU_OUT = 10e-3, 20e-3, 40e-3
HIDDEN = 64


def speech_network(dt: float, hidden: int = HIDDEN, seed: int = 0) -> nir.NIRGraph:
    """24 spike trains, ``hidden`` CubaLIF neurons that also hear each other's spikes of the step before, 9 LI neurons.

    With w_in = 1 and R = tau/dt of the voltage: c <- a c + (1 - a) w, v <- b v + c for a spike of weight w, a = 1 -
    dt/TAU_SYN, b = 1 - dt/TAU_MEM; threshold 1 V, reset to 0 V; a spike adds its weight to the readout. Weights are
    uniform in +-1/sqrt(fan-in), torch's default for a Linear layer. The Output shows the readout's voltages.

    Args:
        dt: seconds a step.
        hidden: neurons of the hidden population.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)

    def weights(outs: int, ins: int) -> NDArray[np.float32]:
        return np.asarray(rng.uniform(-1.0, 1.0, (outs, ins)) / np.sqrt(ins), dtype=np.float32)

    def full(n: int, value: float) -> NDArray[np.float64]:
        return np.full(n, value)

    nodes = {
        "input": nir.Input(np.array([2 * COEFFICIENTS])),
        "fc1": nir.Linear(weights(hidden, 2 * COEFFICIENTS)),
        "hidden": nir.CubaLIF(
            tau_syn=full(hidden, TAU_SYN),
            w_in=full(hidden, 1.0),
            tau_mem=full(hidden, TAU_MEM),
            r=full(hidden, TAU_MEM / dt),
            v_leak=full(hidden, 0.0),
            v_threshold=full(hidden, 1.0),
        ),
        "recurrent": nir.Linear(weights(hidden, hidden)),
        "fc2": nir.Linear(weights(SPEAKERS, hidden)),
        "readout": nir.LI(tau=full(SPEAKERS, TAU_OUT), r=full(SPEAKERS, TAU_OUT / dt), v_leak=full(SPEAKERS, 0.0)),
        "output": nir.Output(np.array([SPEAKERS])),
    }
    edges = [
        ("input", "fc1"),
        ("fc1", "hidden"),
        ("hidden", "recurrent"),
        ("recurrent", "hidden"),
        ("hidden", "fc2"),
        ("fc2", "readout"),
        ("readout", "output"),
    ]
    return nir.NIRGraph(nodes, edges, metadata={"dt": dt})


def speakers(output: NDArray[Any]) -> NDArray[np.int64]:
    """Whom the network heard: the readout with the largest voltage, summed over time.

    Args:
        output: (T, N, 9), volts or the chip's integers.

    Returns:
        (N,) of 0..8.
    """
    summed = output.sum(axis=0, dtype=np.int64 if np.issubdtype(output.dtype, np.integer) else np.float64)
    return np.asarray(summed.argmax(axis=-1), dtype=np.int64)
