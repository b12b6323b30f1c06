"""One population run again on its own, with the inputs that a recording shows: what would it have done, had ...?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from hasn.program.fuse import Network, Plastic, Projection, Relay
from hasn.program.learning import PLAIN, listed
from hasn.program.maps import Matrix
from hasn.program.model import Floats, Neurons, Source
from hasn.program.simulate import Simulated
from hasn.program.synapses import Synapses
from hasn.recording import Array, Recording

Rounding = Callable[[Floats], Floats]


class Replay:
    """A network's traffic in one sample of a recording.

    Args:
        network: what ran.
        inputs: Input node -> (T, batch, *shape).
        recording: with a batch axis; what it does not hold is not known, and reads NaN.
        sample: place in the batch.
        steps: how many steps to look at.
    """

    def __init__(
        self, network: Network, inputs: Mapping[str, Array], recording: Recording, sample: int, steps: int
    ) -> None:
        self.network = network
        self.inputs, self.recording, self.sample, self.steps = inputs, recording, sample, steps
        self.relays = [p.name for p in network.populations if isinstance(p, Relay) and network.out_of(p.name)]

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
        relayed = self._relayed(inputs_late, rounding)
        total = self._zeros(name)
        for projection in self.network.into(name):
            delay, weights = self._changed(projection, inputs_late, rounding)
            if delay < self.steps:
                total[delay:] += (weights @ self._sent(projection.source, relayed)[: self.steps - delay].T).T
        for plastic in self.network.plastic:
            if plastic.target == name:
                total += self._learned(plastic, self.arriving(plastic.name, inputs_late=inputs_late), rounding)
        if with_drive:
            for onset, value in self.network.drives.get(name, {}).items():
                total[onset:] += value
        return total

    def modulator(self, node: str) -> Floats:
        """What a modulator was: (steps, 1)."""
        given = self.inputs.get(node)
        return self.arriving(node) if given is None else given[: self.steps, self.sample].reshape(-1, 1)

    def _learned(self, plastic: Plastic, sent: Floats, rounding: Rounding | None) -> Floats:
        """What arrives over a connection that learns, by the weights that the recording shows: (steps, outputs)."""
        synapses, learning = listed(plastic.map), plastic.learning
        shown = course(self.recording, plastic)[: self.steps, self.sample]
        run = None if learning.transmits == PLAIN else Synapses(learning, synapses.spread(synapses.weight))
        given = {} if run is None else self._given(plastic)
        total = self._zeros(plastic.target)
        for t in range(self.steps):
            weights = np.asarray(shown[t - 1] if t else synapses.weight, dtype=np.float64)
            weights = weights if rounding is None else rounding(weights)
            there = np.flatnonzero(synapses.late <= t)
            pre = np.zeros(len(synapses.pre))
            pre[there] = sent[t - synapses.late[there], synapses.pre[there]]
            own = synapses.spread(weights)
            values = own * pre if run is None else run.sent(pre, own)
            total[t] = np.bincount(synapses.post, values, minlength=total.shape[1])
            if run is not None:
                now = {name: array[t] for name, array in given.items()}
                run.feed(run.read({"pre": pre, "w": own, **now}, run.decayed()))
        return total

    def _given(self, plastic: Plastic) -> dict[str, Array]:
        """What a connection's traces read beside weights and what arrives: each (steps, synapses)."""
        post = listed(plastic.map).post
        target, recording = plastic.target, self.recording
        found = {"post": recording.spikes.get(target), "v": recording.voltages.get(target)}
        given = {
            name: np.full((self.steps, len(post)), np.nan)
            if array is None
            else np.asarray(array[: self.steps, self.sample], dtype=np.float64).reshape(self.steps, -1)[:, post]
            for name, array in found.items()
        }
        for name, node in plastic.learning.modulators:
            given[name] = np.repeat(self.modulator(node), len(post), axis=1)
        return given

    def _relayed(self, inputs_late: int, rounding: Rounding | None) -> dict[str, Floats]:
        """What sums without a state pass on: step by step, for they may feed each other and themselves."""
        values = {name: self._zeros(name) for name in self.relays}
        ways = {
            name: [
                (*self._changed(projection, inputs_late, rounding), self._sent(projection.source, values))
                for projection in self.network.into(name)
            ]
            for name in self.relays
        }
        for t in range(self.steps):
            for name, into in ways.items():
                for delay, weights, sent in into:
                    if delay <= t:
                        values[name][t] += weights @ sent[t - delay]
                for onset, value in self.network.drives.get(name, {}).items():
                    if onset <= t:
                        values[name][t] += value
        return values

    def _sent(self, name: str, relayed: Mapping[str, Floats]) -> Floats:
        """What a population sent: (steps, elements)."""
        if name in relayed:
            return relayed[name]
        groups = (self.inputs, self.recording.spikes, self.recording.voltages)
        array = next((group[name] for group in groups if name in group), None)
        if array is None:
            return self._zeros(name) + np.nan
        return np.asarray(array[: self.steps, self.sample], dtype=np.float64).reshape(self.steps, -1)

    def _changed(self, projection: Projection, inputs_late: int, rounding: Rounding | None) -> tuple[int, Matrix]:
        """Delay and weights of a projection under the changed rule."""
        late = inputs_late if isinstance(self.network.by_name[projection.source], Source) else 0
        weights = projection.weights
        if rounding is not None:
            weights = weights.astype(np.float64)
            weights.data = rounding(weights.data)
        return projection.delay + late, weights

    def _zeros(self, name: str) -> Floats:
        return np.zeros((self.steps, int(np.prod(self.network.by_name[name].shape))))


def course(recording: Recording, plastic: Plastic) -> Array:
    """Weights after each step, (steps, batch, weights), in the order of :func:`listed`; NaN: none were recorded."""
    weights = len(listed(plastic.map).weight)
    kept = recording.series.get("weights", {}).get(plastic.name)
    if kept is None:
        batch = next(len(array[0]) for group in recording.series.values() for array in group.values())
        return np.full((recording.steps, batch, weights), np.nan)
    return kept.reshape(*kept.shape[:2], weights)


def voltages(spec: Neurons, current: Floats) -> Floats:
    """Membrane potentials after the reset, (steps, neurons), of a population driven by ``current`` (steps, neurons)."""
    run = Simulated(spec)
    trace = np.empty_like(current)
    for t, x in enumerate(current):
        run.step(x.reshape(spec.shape))
        trace[t] = run.states["v"].reshape(-1)
    return trace


def seen(spec: Neurons, current: Floats, spikes: Array) -> Floats:
    """What the spike condition compared with 0, (steps, neurons), in a population driven by ``current`` that spiked as
    it did; -inf where a neuron was held."""
    run = Simulated(spec)
    trace = np.empty_like(current)
    for t, x in enumerate(current):
        run.step(x.reshape(spec.shape), np.asarray(spikes[t], dtype=bool).reshape(spec.shape))
        trace[t] = run.seen.reshape(-1)
    return trace
