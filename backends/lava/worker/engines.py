"""What the processes of ours compute in a step. No Lava in here, so that it can be tested alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .memory import Clock, Memory

Arrays = Mapping[str, Any]


class Engine:
    """One process: ``respond`` to the step's input, or, if ``buffered``, ``emit`` first and ``take`` the input then.

    A buffered process breaks a loop of processes that wait for each other.
    """

    buffered = False

    def __init__(self, clock: Clock, memory: Memory) -> None:
        self.clock = clock
        self.memory = memory

    def respond(self, x: Any) -> Any:
        """The step's output for the step's input."""
        raise NotImplementedError

    def emit(self) -> Any:
        """The step's output, which its input does not reach."""
        raise NotImplementedError

    def take(self, x: Any) -> None:
        """The step's input."""
        raise NotImplementedError

    def end(self) -> None:
        """End of the step; at the end of a sample nothing of it may stay."""
        if self.clock.last:
            self.memory.clear()


class Population(Engine):
    """A population that starts at ``onset``: before it, it sends 0 and keeps its initial state.

    Args:
        cell: ``onset``; ``drives``: [first step in canonical time, array's name].
        arrays: the cell's arrays.
        shape: of a step's values, (n,) or (batch, n).
    """

    def __init__(
        self, clock: Clock, memory: Memory, cell: Mapping[str, Any], arrays: Arrays, shape: tuple[int, ...]
    ) -> None:
        super().__init__(clock, memory)
        self.onset = int(cell["onset"])
        self.drives = [(int(first), arrays[name]) for first, name in cell["drives"]]
        self.silence = np.zeros(shape)

    def respond(self, x: Any) -> Any:
        t = self.clock.t - self.onset
        if t < 0:
            return self.silence
        for first, value in self.drives:
            if t >= first:
                x = x + value
        return self.value(x)

    def value(self, x: Any) -> Any:
        """The population's value for the summed input ``x``."""
        raise NotImplementedError


class Relay(Population):
    """``y = x``."""

    def value(self, x: Any) -> Any:
        return x


class Compare(Population):
    """``y = 1[x > threshold]``."""

    def __init__(
        self, clock: Clock, memory: Memory, cell: Mapping[str, Any], arrays: Arrays, shape: tuple[int, ...]
    ) -> None:
        super().__init__(clock, memory, cell, arrays, shape)
        self.threshold = arrays["threshold"]

    def value(self, x: Any) -> Any:
        return (x > self.threshold).astype(np.float64)


class Neurons(Population):
    """Rows ``state <- sum(coefficient * state) + gain * x + bias`` in order, ``z = 1[v > threshold]``, the jump.

    Args:
        cell: further ``states``; ``rows``: {state, terms: [[state, array]], gain, bias: array or None}; ``threshold``:
            array or None; ``reset``: "zero" or "subtract"; ``jump``.
        voltages: (T, samples, n) to write ``v`` after the reset to, or None.
    """

    def __init__(
        self,
        clock: Clock,
        memory: Memory,
        cell: Mapping[str, Any],
        arrays: Arrays,
        shape: tuple[int, ...],
        voltages: Any = None,
    ) -> None:
        super().__init__(clock, memory, cell, arrays, shape)
        self.states = {name: memory.array(name, shape, arrays[f"initial.{name}"]) for name in cell["states"]}
        self.rows = [
            (
                self.states[row["state"]],
                [(self.states[state], arrays[name]) for state, name in row["terms"]],
                None if row["gain"] is None else arrays[row["gain"]],
                None if row["bias"] is None else arrays[row["bias"]],
            )
            for row in cell["rows"]
        ]
        self.threshold = None if cell["threshold"] is None else arrays[cell["threshold"]]
        self.jump: Any = None if self.threshold is None else np.broadcast_to(arrays[cell["jump"]], shape)
        self.to_value = cell["reset"] == "zero"
        self.voltages = voltages

    def value(self, x: Any) -> Any:
        for target, terms, gain, bias in self.rows:
            total = None
            for state, coefficient in terms:
                term = coefficient * state
                total = term if total is None else total + term
            if gain is not None:
                total = gain * x if total is None else total + gain * x
            if bias is not None:
                total = bias if total is None else total + bias
            target[...] = 0.0 if total is None else total
        return self._output()

    def _output(self) -> Any:
        v = self.states["v"]
        output = v.copy()
        if self.threshold is not None:
            spikes = v > self.threshold
            output = spikes.astype(np.float64)
            if self.to_value:
                np.copyto(v, self.jump, where=spikes)
            else:
                np.subtract(v, self.jump, out=v, where=spikes)
        if self.voltages is not None:
            place = self.clock.place(self.voltages, self.onset)
            if place is not None:
                place[...] = v
        return output


class Instant(Engine):
    """``y[t] = W x[t]``: delivered in the step in which it was sent."""

    def __init__(self, clock: Clock, memory: Memory, weights: Any) -> None:
        super().__init__(clock, memory)
        self.weights = weights

    def respond(self, x: Any) -> Any:
        return apply(self.weights, x)


class Delayed(Engine):
    """``y[t] = sum_k W_k x[t - d_k]`` with every ``d_k >= 1``: the last inputs in a ring."""

    buffered = True

    def __init__(
        self,
        clock: Clock,
        memory: Memory,
        weights: list[tuple[int, Any]],
        shape: tuple[int, ...],
        result: tuple[int, ...],
    ) -> None:
        super().__init__(clock, memory)
        self.weights = weights
        self.length = max(delay for delay, _ in weights)
        self.ring = memory.array("ring", (self.length, *shape))
        self.zero = np.zeros(result)

    def emit(self) -> Any:
        total = self.zero
        for delay, weights in self.weights:
            total = total + apply(weights, self.ring[(self.clock.t - delay) % self.length])
        return total

    def take(self, x: Any) -> None:
        self.ring[self.clock.t % self.length] = x


def apply(weights: Any, x: Any) -> Any:
    """``W x`` for x (n,) or (batch, n)."""
    return weights @ x if x.ndim == 1 else (weights @ x.T).T
