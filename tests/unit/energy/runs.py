"""Runs with work that can be counted on fingers."""

from __future__ import annotations

import nir
import numpy as np

import hasn
from hasn.counts import Counts, Operations
from hasn.recording import Recording
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain


def made(dt: float = 1e-3, **counts: object) -> Recording:
    """A recording of 10 steps and 2 samples: 5 neurons, 7 spikes, 30 synapses that did 40 of 600 operations."""
    what = {
        "spikes": {"n": 7}, "synaptic_operations": {"input": 40}, "steps": 10, "samples": 2, "events": {"input": 8},
        "neuron_updates": {"n": 100}, "active_updates": {"n": 60},
        "connections": {"w": Operations(30, 40, 600, 0, 40, 40)}, "memory": {"n": 200, "w": 40}, **counts,
    }  # fmt: skip
    return Recording({}, {}, {}, dt, {}, Counts(**what))  # type: ignore[arg-type]


def small(real: bool = False) -> Recording:
    """3 inputs that reach 2, 0 and 1 of 2 neurons; at each of 4 steps all send."""
    net = chain(nir.Linear(np.array([[0.3, 0.0, 0.2], [0.1, 0.0, 0.0]])), Draw(1).lif(2), given=(3,), result=(2,))
    x = np.full((4, 3), 0.5 if real else 1.0)
    return ProgramInterpreter(hasn.lower(net, dt=DT)).run(x)
