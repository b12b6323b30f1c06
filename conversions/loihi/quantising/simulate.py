"""Runs of a network in plain numpy, float or integer, that see what no recording shows: currents and voltages before
the reset, wraps and clips. Used to choose scales and to report on them; executors are held against the reference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.nonfinite import all_finite, not_finite
from hasn.program.fuse import Network, Relay
from hasn.program.integers.model import ALIGN_BITS, DECAY_BITS, STATE_LIMIT, IntegerNetwork, IntegerPopulation
from hasn.program.model import Floats, Neurons, Source, Threshold
from hasn.program.simulate import Simulated

Progress: TypeAlias = Callable[[int, int], None]
#: Matrices up to this size are held dense if a quarter of them is there: a product is then one call of BLAS.
DENSE_ENTRIES = 16_000_000


@dataclass
class Trace:
    """What a population did.

    Attributes:
        output: (T, n, batch): spikes as 0 and 1, or voltages.
        current: largest absolute current of each neuron, in volts or in chip units.
        voltage: largest absolute voltage of each neuron before the reset, measured from v_reset; likewise.
        wraps, clips: how often the current wrapped and the voltage clipped (integers only).
    """

    output: NDArray[Any]
    current: Floats
    voltage: Floats
    wraps: int = 0
    clips: int = 0

    def reach(self, current: Any, voltage: Any) -> None:
        """Note a step's current and voltage (n, batch)."""
        self.current = np.maximum(self.current, np.abs(current).max(axis=1))
        self.voltage = np.maximum(self.voltage, np.abs(voltage).max(axis=1))


class _Run(ABC):
    """A network, its inputs and what has been sent so far."""

    def __init__(self, inputs: Mapping[str, Floats]) -> None:
        self.steps, self.batch = next(iter(inputs.values())).shape[:2]
        self.sent = {
            name: np.ascontiguousarray(value.reshape(self.steps, self.batch, -1).swapaxes(1, 2))
            for name, value in inputs.items()
        }
        self.into: dict[str, list[tuple[str, int, Any]]] = {}
        self.traces: dict[str, Trace] = {}

    def arriving(self, name: str, size: int, t: int) -> Floats:
        """Summed input (n, batch) at step t, without constants."""
        total = np.zeros((size, self.batch))
        for source, delay, weights in self.into[name]:
            if t >= delay:
                total += weights @ self.sent[source][t - delay]
        return total

    def trace(self, name: str, size: int) -> Trace:
        """A new trace of a population, whose output other populations read."""
        self.sent[name] = np.zeros((self.steps, size, self.batch))
        self.traces[name] = Trace(self.sent[name], np.zeros(size), np.zeros(size))
        return self.traces[name]

    @abstractmethod
    def update(self, t: int) -> None:
        """Step t of every population, in the order of evaluation."""

    def run(self, progress: Progress | None) -> dict[str, Trace]:
        for t in range(self.steps):
            self.update(t)
            if progress:
                progress(t + 1, self.steps)
        return self.traces


def run_float(network: Network, inputs: Mapping[str, Floats], progress: Progress | None = None) -> dict[str, Trace]:
    """Run a float network.

    Args:
        network: populations with the reset "zero" (others are none of the chip's).
        inputs: {Input: (T, batch, *shape)}.
        progress: called with (steps done, steps in all).

    Raises:
        NotFiniteError: a current or a voltage is not finite; names the population and the step.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # looked at after each step
        return _FloatRun(network, inputs).run(progress)


def run_integers(
    network: IntegerNetwork, inputs: Mapping[str, Floats], progress: Progress | None = None
) -> dict[str, Trace]:
    """Run an integer network on integer inputs {Input: (T, batch, *shape)}; see :func:`run_float`."""
    return _IntegerRun(network, inputs).run(progress)


def _held(weights: Any, dtype: Any = np.float64) -> Any:
    """Dense where that is quicker."""
    entries = weights.shape[0] * weights.shape[1]
    return weights.toarray().astype(dtype) if entries <= DENSE_ENTRIES and weights.nnz * 4 > entries else weights


class _FloatRun(_Run):
    def __init__(self, network: Network, inputs: Mapping[str, Floats]) -> None:
        super().__init__(inputs)
        self.network = network
        self.populations = [p for p in network.populations if not isinstance(p, Source | Relay)]
        self.runs = {p.name: Simulated(p, (self.batch,)) for p in self.populations if isinstance(p, Neurons)}
        for p in self.populations:
            self.into[p.name] = [(e.source, e.delay, _held(e.weights)) for e in network.into(p.name)]
            self.trace(p.name, int(np.prod(p.shape)))

    def _column(self, value: Any) -> Floats:
        return np.asarray(value, dtype=np.float64).reshape(-1, 1)

    def update(self, t: int) -> None:
        for p in self.populations:
            x = self.arriving(p.name, int(np.prod(p.shape)), t)
            for first, value in self.network.drives.get(p.name, {}).items():
                if t >= first:
                    x = x + self._column(value)
            trace = self.traces[p.name]
            if isinstance(p, Threshold):
                trace.reach(x, x)
                trace.output[t] = x > self._column(p.threshold)
            elif isinstance(p, Neurons):
                trace.output[t] = self._neurons(p, x, trace)
            if not (all_finite(trace.current) and all_finite(trace.voltage)):  # the largest so far: they stay so
                raise not_finite(p.name, t, "float64")

    def _neurons(self, p: Neurons, x: Floats, trace: Trace) -> Floats:
        run, rows = self.runs[p.name], x.T.reshape(self.batch, *p.shape)
        output = run.step(rows).reshape(self.batch, -1).T
        # What the chip's u is: the part of the voltage's change that is neither decay nor bias.
        voltage = p.rows[-1]
        u = voltage.gain * rows if voltage.gain is not None else voltage.terms[1][1] * run.states["c"]
        high = run.peak if p.firing is None else run.peak - p.firing.jump
        trace.reach(u.reshape(self.batch, -1).T, high.reshape(self.batch, -1).T)
        return output


class _IntegerRun(_Run):
    def __init__(self, network: IntegerNetwork, inputs: Mapping[str, Floats]) -> None:
        super().__init__(inputs)
        self.network = network
        self.states: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        for name, p in network.populations.items():
            # Sums of integers below 2**31, so float64 products are exact.
            self.into[name] = [(e.source, e.delay, _held(e.weights.astype(np.float64))) for e in network.into(name)]
            self.trace(name, p.size)
            zero = np.zeros((p.size, self.batch), dtype=np.int64)
            self.states[name] = (zero, zero + p.v_init[:, None])

    def update(self, t: int) -> None:
        for name, p in self.network.populations.items():
            x = self.arriving(name, p.size, t).astype(np.int64)
            for first, value in p.drives.items():
                if t >= first:
                    x = x + value[:, None]
            self._neurons(p, x, t)

    def _neurons(self, p: IntegerPopulation, x: NDArray[np.int64], t: int) -> None:
        u, v = self.states[p.name]
        trace = self.traces[p.name]
        raw = _decayed(u, p.du + 1) + (x << ALIGN_BITS)
        over, under = raw > STATE_LIMIT, raw <= -STATE_LIMIT
        u = raw - 2 * STATE_LIMIT * over + 2 * STATE_LIMIT * under
        free = _decayed(v, p.dv) + u + p.bias[:, None]
        v = np.clip(free, 1 - STATE_LIMIT, STATE_LIMIT - 1)
        z = v > p.vth[:, None] << ALIGN_BITS
        trace.wraps += int(over.sum() + under.sum())
        trace.clips += int((v != free).sum())
        trace.reach(raw, free)
        v = np.where(z, 0, v)
        self.states[p.name] = (u, v)
        trace.output[t] = z if p.spiking else v


def _decayed(x: NDArray[np.int64], amount: NDArray[np.int64]) -> NDArray[np.int64]:
    kept = np.abs(x) * ((1 << DECAY_BITS) - amount[:, None]) >> DECAY_BITS
    return np.where(x < 0, -kept, kept)
