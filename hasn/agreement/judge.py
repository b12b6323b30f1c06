"""Which spikes differ, and which of them a tie at the threshold explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from hasn.agreement.cause import Scene, cause_of
from hasn.agreement.comparison import Comparison, Divergence, Verdict
from hasn.agreement.consequences import Bools, Consequences
from hasn.agreement.margin import Margins
from hasn.agreement.weights import Weights
from hasn.program.fuse import Network
from hasn.program.model import Neurons, Program, Threshold
from hasn.recording import Array, Recording


def judge(
    program: Program,
    network: Network,
    inputs: Mapping[str, Array],
    recordings: Mapping[str, Recording],
    reference: str,
    skipped: Mapping[str, str] | None = None,
    other_method: Callable[[], Program | None] = lambda: None,
) -> Comparison:
    """Hold recordings of one network and input against a reference.

    Args:
        program, network: what they ran.
        inputs: Input node -> (T, batch, *shape).
        recordings: label -> recording with spikes and voltages and a batch axis.
        reference: one of the labels.
        skipped: label -> why it did not run.
        other_method: makes the Program under the other discretisation, to look for that cause.
    """
    verdicts = {
        label: _Pair(program, network, inputs, recordings, reference, label, other_method).verdict()
        if label != reference
        else Verdict(0, 0, 0, 1.0, 0.0, None)
        for label in recordings
    }
    return Comparison(program, network, dict(inputs), reference, dict(recordings), dict(skipped or {}), verdicts)


@dataclass(frozen=True, order=True)
class Place:
    """A spike: step, place of its node in the order of evaluation, sample, flat neuron; sorted in that order."""

    step: int
    order: int
    sample: int
    neuron: int


@dataclass
class _Sample:
    """The differing spikes of one sample.

    Attributes:
        differing: how many no tie explains.
        ties: the ties, in order.
        after: how many the ties can have caused.
        first: the first that no tie explains.
        explained: population -> (T, elements): where ties explain what differs.
    """

    differing: int = 0
    ties: list[Place] = field(default_factory=list)
    after: int = 0
    first: Place | None = None
    explained: dict[str, Bools] = field(default_factory=dict)


class _Pair:
    """A backend against the reference."""

    def __init__(
        self,
        program: Program,
        network: Network,
        inputs: Mapping[str, Array],
        recordings: Mapping[str, Recording],
        reference: str,
        label: str,
        other_method: Callable[[], Program | None],
    ) -> None:
        self.program, self.network, self.inputs, self.other_method = program, network, inputs, other_method
        self.labels = (reference, label)
        self.one, self.other = recordings[reference], recordings[label]
        self.nodes = list(program.recorded_spikes)
        self.margins = Margins(network, inputs, self.one, self.other)
        self.consequences = Consequences(network)

    def verdict(self) -> Verdict:
        union = both = 0
        differ: list[Bools] = []
        for node in self.nodes:
            a, b = self.one.spikes[node], self.other.spikes[node]
            union += int(np.count_nonzero(a | b))
            both += int(np.count_nonzero(a & b))
            differ.append((a != b).reshape(*a.shape[:2], prod(a.shape[2:])))
        samples = {n: self._sample(n, [d[:, n].copy() for d in differ]) for n in _samples(differ)}
        firsts = [s for s in samples.values() if s.first is not None]
        found = min(firsts or samples.values(), key=lambda s: s.first or s.ties[0], default=None)
        explained = {n: sample.explained for n, sample in samples.items()}
        weights = Weights(self.network, self.inputs, self.labels, self.one, self.other, explained)
        return Verdict(
            sum(s.differing for s in samples.values()),
            sum(len(s.ties) for s in samples.values()),
            sum(s.after for s in samples.values()),
            both / union if union else 1.0,
            self._voltage_error(),
            self._divergence(found) if found else None,
            *weights.verdict(),
        )

    def _voltage_error(self) -> float:
        pairs = ((self.one.voltages, self.other.voltages), (self.one.currents, self.other.currents))
        errors = [np.abs(a[n] - b[n]).max(initial=0.0) for a, b in pairs for n in a if n in b]
        return float(np.max(errors, initial=0.0))  # NaN, where there is one

    def _sample(self, sample: int, left: list[Bools]) -> _Sample:
        """What the differing spikes of a sample are; takes those that are explained out of ``left``."""
        found = _Sample()
        while (place := _earliest(left, sample)) is not None:
            if not self.margins.is_tie(self.nodes[place.order], place.step, sample, place.neuron):
                found.first = place
                found.differing = sum(int(d.sum()) for d in left)
                break
            found.ties.append(place)
            left[place.order][place.step, place.neuron] = False
            if self.network.plastic or any(d.any() for d in left):
                found.after += self._take_out(left, place, found.explained)
        return found

    def _take_out(self, left: list[Bools], tie: Place, explained: dict[str, Bools]) -> int:
        """Remove what a tie can have caused, and note where that is; how many spikes there were."""
        node, steps = self.nodes[tie.order], left[0].shape[0]
        for name, felt in self.consequences.of(node, tie.neuron, steps - tie.step).items():
            explained.setdefault(name, np.zeros((steps, felt.shape[1]), dtype=bool))[tie.step :] |= felt
        before = sum(int(d.sum()) for d in left)
        for name, differ in zip(self.nodes, left, strict=True):
            differ &= ~explained[name]
        return before - sum(int(d.sum()) for d in left)

    def _divergence(self, sample: _Sample) -> Divergence:
        tie = sample.first is None
        place = sample.first or sample.ties[0]
        node = self.nodes[place.order]
        step = self.program.by_name[node]
        if not isinstance(step, Neurons | Threshold) or step.threshold is None:
            raise TypeError(f"{node} has no threshold")
        index = tuple(int(i) for i in np.unravel_index(place.neuron, step.shape))
        at = (place.step, place.sample, *index)
        pair = dict(zip(self.labels, (self.one, self.other), strict=True))
        scene = Scene(
            self.program,
            self.network,
            self.inputs,
            self.one,
            self.other,
            self.other_method,
            node,
            place.step,
            place.sample,
            self.margins.gap(node, place.step, place.sample, place.neuron),
            sample.explained,
        )
        cause = cause_of(scene, tie)
        return Divergence(
            node,
            index,
            place.sample,
            place.step,
            *self.labels,
            {label: bool(r.spikes[node][at]) for label, r in pair.items()},
            {label: float(r.voltages[node][at]) for label, r in pair.items() if node in r.voltages},
            float(np.broadcast_to(step.threshold, step.shape)[index]),
            tie,
            cause.text,
            cause.kind,
        )


def _samples(differ: list[Bools]) -> list[int]:
    """The samples in which some spike differs."""
    return sorted({int(n) for d in differ for n in np.flatnonzero(d.any(axis=(0, 2)))})


def _earliest(left: list[Bools], sample: int) -> Place | None:
    """The first differing spike of a sample: by step, then by the order of evaluation."""
    found: Place | None = None
    for order, differ in enumerate(left):
        steps = differ.any(axis=1)
        if steps.any():
            step = int(steps.argmax())
            if found is None or step < found.step:
                found = Place(step, order, sample, int(differ[step].argmax()))
    return found
