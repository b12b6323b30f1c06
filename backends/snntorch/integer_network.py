"""The integer network on torch, some steps at a time.

Populations that are in no cycle run one after the other, each with the synaptic input of all these steps from a single
matrix product. Populations in a cycle step together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hasn.backends.snntorch.devices import float32_is_exact
from hasn.backends.snntorch.integer_neurons import IntegerNeurons, Running, Wrap
from hasn.backends.snntorch.integer_products import FLOAT32_EXACT, Product
from hasn.program.cycles import cycles
from hasn.program.integers.model import ALIGN_BITS, IntegerNetwork


@dataclass
class IntegerState:
    """Where a run stands.

    Attributes:
        step: canonical step to come.
        u, v: population -> int32 (batch, n).
        past: population or Input -> its values in the steps before, as many as the longest delay, (steps, batch, n).
        largest: Input -> largest absolute value so far: it says how large currents may be.
        resumed: whether currents may have come from anywhere, so that nothing is known of them.
    """

    step: int
    u: dict[str, Tensor]
    v: dict[str, Tensor]
    past: dict[str, Tensor]
    largest: dict[str, int]
    resumed: bool = False


class _Incoming(NamedTuple):
    source: str
    delay: int
    product: Product


class _Arithmetic(NamedTuple):
    """What is exact for a population: the type of its synaptic sums, and how its current is wrapped."""

    dtype: torch.dtype
    wrap: Wrap


class TorchIntegers:
    """An :class:`IntegerNetwork` as tensors on a device.

    Attributes:
        width: numbers held for each step and sample while it runs.
    """

    def __init__(self, integers: IntegerNetwork, device: torch.device) -> None:
        self.integers, self.device = integers, device
        self.neurons = {name: IntegerNeurons(p, device) for name, p in integers.populations.items()}
        self._into = {
            name: [_Incoming(p.source, p.delay, Product(p, device)) for p in integers.into(name)]
            for name in integers.populations
        }
        self._groups = _groups(integers)
        self._memory: dict[str, int] = {}  # source -> its longest delay
        for p in integers.projections:
            self._memory[p.source] = max(p.delay, self._memory.get(p.source, 0))
        self._sizes = {name: p.size for name, p in integers.inputs.items()}
        self._sizes |= {name: p.size for name, p in integers.populations.items()}
        self.width = 2 * sum(self._sizes.values()) + 3 * sum(p.size for p in integers.populations.values())
        self._known: dict[tuple[int, ...], dict[str, _Arithmetic]] = {}

    def start(self, batch: int) -> IntegerState:
        """The state before step 0."""
        v = {name: n.v_init.repeat(batch, 1) for name, n in self.neurons.items()}
        past = {
            name: torch.zeros(steps, batch, self._sizes[name], device=self.device)
            for name, steps in self._memory.items()
        }
        return IntegerState(0, {name: torch.zeros_like(x) for name, x in v.items()}, v, past, {})

    def advance(
        self, state: IntegerState, inputs: dict[str, Tensor], steps: int, batch: int, keep_v: set[str]
    ) -> dict[str, Running]:
        """Run the next steps; ``state`` moves on.

        Args:
            state: changed in place; ``largest`` must cover the inputs.
            inputs: Input -> whole numbers (steps, batch, n), float32.
            steps: how many.
            batch: samples.
            keep_v: populations whose voltages are wanted.

        Returns:
            {population: its traces}.

        Raises:
            UnsupportedError: a current left 32 bits.
        """
        signals = {name: self._signal(past, inputs.get(name), steps) for name, past in state.past.items()}
        arithmetic = self._arithmetic(state.largest)
        running: dict[str, Running] = {}
        with torch.autocast(self.device.type, enabled=False):  # it would multiply in 16 bits
            for group in self._groups:
                for name in group:
                    x = self._from_outside(name, group, signals, state.step, steps, batch, arithmetic[name].dtype)
                    u, v = state.u[name], state.v[name]
                    wrap = Wrap.ONCE if state.resumed else arithmetic[name].wrap
                    running[name] = Running(self.neurons[name], x, u, v, wrap, name in keep_v)
                self._run(group, running, signals, steps, arithmetic)
        for name, run in running.items():
            run.check()
            state.u[name], state.v[name] = run.u.clone(), run.v
        state.step += steps
        state.past = {name: signal[steps:].clone() for name, signal in signals.items()}
        return running

    def _from_outside(
        self,
        name: str,
        group: tuple[str, ...],
        signals: dict[str, Tensor],
        first: int,
        steps: int,
        batch: int,
        dtype: torch.dtype,
    ) -> Tensor:
        """Aligned input, int32 (steps, batch, n), but for what the population's own group sends."""
        total: Tensor | None = None
        for source, delay, product in self._into[name]:
            if source not in group:
                start = self._memory[source] - delay
                part = product(signals[source][start : start + steps], dtype)
                total = part if total is None else total.add_(part)
        if total is None:
            total = torch.zeros(steps, batch, self._sizes[name], device=self.device)
        x = total.to(torch.int32)
        for onset, value in self.integers.populations[name].drives.items():
            if onset < first + steps:
                x[max(0, onset - first) :] += torch.from_numpy(value << ALIGN_BITS).to(self.device, torch.int32)
        return x

    def _run(
        self,
        group: tuple[str, ...],
        running: dict[str, Running],
        signals: dict[str, Tensor],
        steps: int,
        arithmetic: dict[str, _Arithmetic],
    ) -> None:
        inside = {name: [edge for edge in self._into[name] if edge.source in group] for name in group}
        if not any(inside.values()):
            (name,) = group
            running[name].all()
            if name in signals:
                running[name].spikes(out=signals[name][-steps:])
            return
        for t in range(steps):
            for name in group:
                for source, delay, product in inside[name]:
                    sent = signals[source][self._memory[source] - delay + t]
                    running[name].currents[t].add_(product(sent, arithmetic[name].dtype).to(torch.int32))
                running[name].step(t)
                if name in signals:
                    running[name].spikes(t, out=signals[name][self._memory[name] + t])

    def _signal(self, past: Tensor, value: Tensor | None, steps: int) -> Tensor:
        """A source's values from its longest delay ago on; an Input's new ones are known, room is made for others."""
        if value is None:
            value = torch.empty(steps, *past.shape[1:], device=self.device)
        return torch.cat([past, value]) if len(past) else value

    def _arithmetic(self, largest: dict[str, int]) -> dict[str, _Arithmetic]:
        exact = float32_is_exact()
        key = (exact, *largest.values())
        if key not in self._known:
            self._known = {key: {name: self._needed(name, largest, exact) for name in self.neurons}}
        return self._known[key]

    def _needed(self, name: str, largest: dict[str, int], float32_exact: bool) -> _Arithmetic:
        population = self.integers.populations[name]
        sums = np.zeros(population.size, dtype=np.int64)
        for p in self.integers.into(name):
            sums += p.fan_in * largest.get(p.source, 1)
        dtype = torch.float32 if float32_exact and sums.max(initial=0) < FLOAT32_EXACT else torch.float64
        driven = sum((np.abs(value) for value in population.drives.values()), sums)
        return _Arithmetic(dtype, self.neurons[name].wrap(driven << ALIGN_BITS))


def _groups(integers: IntegerNetwork) -> list[tuple[str, ...]]:
    """Populations that are in cycles together, sources before targets; inside a group, the order of evaluation."""
    populations = integers.populations
    return cycles(list(populations), [(p.source, p.target) for p in integers.projections if p.source in populations])
