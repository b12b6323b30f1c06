"""One population in plain NumPy: what its rows say, step by step. For replays and simulations, not for speed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.model import Floats, Neurons, Row

Array = NDArray[Any]


class Simulated:
    """A population that takes one step after the other.

    Attributes:
        states: name -> (*lead, *shape).
        left: steps for which each neuron is still held.
        peak: v of the last step, before the reset.
        seen: what the spike condition compared with 0 in the last step; -inf where a neuron was held.

    Args:
        spec: the population.
        lead: leading axes (a batch), before the population's shape.
    """

    def __init__(self, spec: Neurons, lead: tuple[int, ...] = ()) -> None:
        self.spec = spec
        shape = (*lead, *spec.shape)
        self.states: dict[str, Array] = {name: np.zeros(shape) + value for name, value in spec.initial.items()}
        self.left: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
        self.peak = self.states["v"]
        self.seen: Array = np.full(shape, -np.inf)

    def step(self, x: Array, spikes: Array | None = None) -> Array:
        """The step's output, ``z`` as 0.0 and 1.0 or ``v``.

        Args:
            x: the summed input, (*lead, *shape).
            spikes: who is to have spiked, whatever the condition says; default: whom it lets.
        """
        spec = self.spec
        held, before = self.left > 0, dict(self.states)
        for row in spec.rows:
            made = written(row, before if row.before else self.states, x)
            self.states[row.state] = np.where(held, before["v"], made) if row.state == "v" else made
        self.peak = self.states["v"]
        if spec.condition is None:
            return self.peak
        seen = _summed(spec.condition.terms, self.states) + spec.condition.constant
        self.seen = np.where(held, -np.inf, seen)
        spikes = self.seen > 0 if spikes is None else spikes
        for row in spec.resets:
            self.states[row.state] = np.where(spikes, written(row, self.states), self.states[row.state])
        if spec.held is not None:
            self.left = np.where(spikes, spec.held, np.maximum(self.left - 1, 0))
        return spikes.astype(np.float64)


def written(row: Row, states: dict[str, Array], x: Array | None = None) -> Array:
    """What a row writes: the sum from left to right."""
    total = _summed(row.terms, states)
    if row.gain is not None and x is not None:
        total = total + row.gain * x
    if row.bias is not None:
        total = total + row.bias
    return np.broadcast_to(total, np.shape(states[row.state])).copy()


def _summed(terms: tuple[tuple[str, Floats], ...], states: dict[str, Array]) -> Any:
    total: Any = None
    for state, coefficient in terms:
        term = coefficient * states[state]
        total = term if total is None else total + term
    return 0.0 if total is None else total
