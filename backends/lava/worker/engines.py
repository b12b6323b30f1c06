"""What the processes of ours compute in a step. No Lava in here, so that it can be tested alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .memory import Alarm, Clock, Memory

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

    Attributes:
        alarm: told of numbers that are not finite; None: nobody asks.
    """

    alarm: Alarm | None = None

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
        with np.errstate(over="ignore", invalid="ignore"):
            made = self.value(x)
            if self.alarm is not None:
                self.alarm.look(t, *self.numbers(x))
        return made

    def numbers(self, x: Any) -> tuple[Any, ...]:
        """What has to be finite after a step with the summed input ``x``."""
        return (x,)

    def value(self, x: Any) -> Any:
        """The population's value for the summed input ``x``."""
        raise NotImplementedError


class Relay(Population):
    """``y = x``."""

    def value(self, x: Any) -> Any:
        return x


class Threshold(Population):
    """``y = 1[x > threshold]``."""

    def __init__(
        self, clock: Clock, memory: Memory, cell: Mapping[str, Any], arrays: Arrays, shape: tuple[int, ...]
    ) -> None:
        super().__init__(clock, memory, cell, arrays, shape)
        self.threshold = arrays["threshold"]

    def value(self, x: Any) -> Any:
        return (x > self.threshold).astype(np.float64)


class Neurons(Population):
    """Rows ``state <- sum(coefficient * state) + gain * x + bias`` in order, ``z = 1[sum(coefficient * state) +
    constant > 0]``, and where ``z`` the rows of the reset; for ``held`` steps after a spike ``v`` stays as it is.

    Args:
        cell: further ``states``; ``rows`` and ``resets``: {state, terms: [[state, array]], gain, bias: array or None,
            before: whether the states of before the step are read}; ``condition``: {terms, constant} or None; ``held``:
            array or None.
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
        self.arrays, self.shape = arrays, shape
        self.states = {name: memory.array(name, shape, arrays[f"initial.{name}"]) for name in cell["states"]}
        self.rows, self.resets, self.condition = cell["rows"], cell["resets"], cell["condition"]
        self.reads_before = any(row["before"] for row in self.rows)
        self.held = None if cell["held"] is None else arrays[cell["held"]]
        self.left = None if self.held is None else memory.array("held", shape)
        self.voltages = voltages

    def value(self, x: Any) -> Any:
        held = None if self.left is None else self.left > 0
        before = {name: state.copy() for name, state in self.states.items()} if self.reads_before else {}
        for row in self.rows:
            made = self._written(row, before if row["before"] else self.states, x)
            if held is not None and row["state"] == "v":
                made = np.where(held, self.states["v"], made)
            self.states[row["state"]][...] = made
        output = self.states["v"].copy()
        if self.condition is not None:
            output = self._spikes(held)
        if self.voltages is not None:
            place = self.clock.place(self.voltages, self.onset)
            if place is not None:
                place[...] = self.states["v"]
        return output

    def numbers(self, x: Any) -> tuple[Any, ...]:
        return tuple(self.states.values())

    def _written(self, row: Mapping[str, Any], states: Mapping[str, Any], x: Any) -> Any:
        total = self._summed(row["terms"], states)
        if row["gain"] is not None:
            total = total + self.arrays[row["gain"]] * x
        if row["bias"] is not None:
            total = total + self.arrays[row["bias"]]
        return total

    def _summed(self, terms: Any, states: Mapping[str, Any]) -> Any:
        total: Any = 0.0
        for i, (state, name) in enumerate(terms):
            term = self.arrays[name] * states[state]
            total = total + term if i else term
        return total

    def _spikes(self, held: Any) -> Any:
        seen = self._summed(self.condition["terms"], self.states) + self.arrays[self.condition["constant"]]
        spikes = seen > 0
        if held is not None:
            spikes &= ~held
        for row in self.resets:
            made, old = self._written(row, self.states, 0.0), self.states[row["state"]]
            # What is not finite outlives the reset (inf - inf is NaN): the look at the end of the step finds it.
            np.copyto(old, made + (old - old), where=spikes)
        if self.held is not None and self.left is not None:
            self.left[...] = np.where(spikes, self.held, np.maximum(self.left - 1, 0))
        return spikes.astype(np.float64)


class Instant(Engine):
    """``y[t] = W x[t]``: delivered in the step in which it was sent."""

    def __init__(self, clock: Clock, memory: Memory, weights: Any) -> None:
        super().__init__(clock, memory)
        self.weights = selecting(weights)

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
        self.weights = [(delay, selecting(matrix)) for delay, matrix in weights]
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


class Selecting:
    """A matrix with weights that are not finite (composed ones may overflow): who sends nothing adds nothing."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def __matmul__(self, x: Any) -> Any:
        """``W x`` for x (n,) or (n, batch)."""
        if x.ndim == 1:
            active = np.flatnonzero(x)
            return self.weights[:, active] @ x[active]
        return np.stack([self @ column for column in x.T], axis=1)


def selecting(weights: Any) -> Any:
    """The same matrix, where all its weights are finite."""
    values = weights if isinstance(weights, np.ndarray) else weights.data
    return weights if np.isfinite(values).all() else Selecting(weights)


def apply(weights: Any, x: Any) -> Any:
    """``W x`` for x (n,) or (batch, n)."""
    return weights @ x if x.ndim == 1 else (weights @ x.T).T
