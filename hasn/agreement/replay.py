"""One population run again on its own, with the inputs that a recording shows: what would it have done, had ...?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hasn.program.fuse import Network, Relay
from hasn.program.model import Floats, Neurons, Source
from hasn.recording import Array, Recording

Rounding = Callable[[Floats], Floats]


class Replay:
    """A network's traffic in one sample of a recording.

    Args:
        network: what ran.
        inputs: Input node -> (T, batch, *shape).
        recording: with spikes, voltages and a batch axis.
        sample: place in the batch.
        steps: how many steps to look at.
    """

    def __init__(
        self, network: Network, inputs: Mapping[str, Array], recording: Recording, sample: int, steps: int
    ) -> None:
        self.network = network
        self.inputs, self.recording, self.sample, self.steps = inputs, recording, sample, steps

    def sent(self, name: str) -> Floats:
        """What a population sent: (steps, elements)."""
        population = self.network.by_name[name]
        if isinstance(population, Relay):
            return self.arriving(name)
        if isinstance(population, Source):
            array = self.inputs[name]
        else:
            array = self.recording.spikes.get(name, self.recording.voltages.get(name, np.zeros(0)))
        return np.asarray(array[: self.steps, self.sample], dtype=np.float64).reshape(self.steps, -1)

    def arriving(
        self, name: str, *, inputs_late: int = 0, with_drive: bool = True, rounding: Rounding | None = None
    ) -> Floats:
        """The summed input of a population: (steps, elements).

        Args:
            name: the population.
            inputs_late: steps by which what Inputs send arrives late.
            with_drive: whether biases count.
            rounding: applied to the weights first.
        """
        size = int(np.prod(self.network.by_name[name].shape))
        total = np.zeros((self.steps, size))
        for projection in self.network.into(name):
            late = inputs_late if isinstance(self.network.by_name[projection.source], Source) else 0
            delay = projection.delay + late
            weights = projection.weights
            if rounding is not None:
                weights = weights.copy()
                weights.data = rounding(weights.data)
            if delay < self.steps:
                total[delay:] += (weights @ self.sent(projection.source)[: self.steps - delay].T).T
        if with_drive:
            for onset, value in self.network.drives.get(name, {}).items():
                total[onset:] += value
        return total


def voltages(spec: Neurons, current: Floats) -> Floats:
    """Membrane potentials after the reset, (steps, neurons), of a population driven by ``current`` (steps, neurons)."""
    states = {name: value.reshape(-1).copy() for name, value in spec.initial.items()}
    trace = np.empty_like(current)
    for t, x in enumerate(current):
        for row in spec.rows:
            total = sum(coefficient.reshape(-1) * states[state] for state, coefficient in row.terms)
            if row.gain is not None:
                total = total + row.gain.reshape(-1) * x
            if row.bias is not None:
                total = total + row.bias.reshape(-1)
            states[row.state] = np.asarray(total)
        if spec.threshold is not None and spec.jump is not None:
            fired = states["v"] > spec.threshold.reshape(-1)
            jump = spec.jump.reshape(-1)
            states["v"] = np.where(fired, jump if spec.reset == "zero" else states["v"] - jump, states["v"])
        trace[t] = states["v"]
    return trace
