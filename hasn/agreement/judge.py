"""Which spikes differ, and which of them a tie at the threshold explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hasn.agreement.cause import Scene, cause_of
from hasn.agreement.comparison import Comparison, Divergence, Verdict
from hasn.agreement.consequences import Bools, Consequences
from hasn.agreement.margin import Margins
from hasn.program.fuse import Network
from hasn.program.model import Compare, Neurons, Program
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
            differ.append((a != b).reshape(*a.shape[:2], -1))
        differing, ties, after, first, first_tie = self._sort(differ)
        found = first or first_tie
        return Verdict(
            differing,
            ties,
            after,
            both / union if union else 1.0,
            self._voltage_error(),
            self._divergence(found, first is None) if found else None,
        )

    def _voltage_error(self) -> float:
        pairs = ((self.one.voltages, self.other.voltages), (self.one.currents, self.other.currents))
        errors = [np.abs(a[n] - b[n]).max(initial=0.0) for a, b in pairs for n in a if n in b]
        return float(max(errors, default=0.0))

    def _sort(self, differ: list[Bools]) -> tuple[int, int, int, Place | None, Place | None]:
        """(differing, ties, after ties, first that is no tie, first tie)."""
        differing = ties = after = 0
        firsts: list[Place] = []
        first_ties: list[Place] = []
        samples = np.zeros(0, dtype=int) if not differ else np.flatnonzero(sum(d.any(axis=(0, 2)) for d in differ))
        for sample in samples:
            left = [d[:, sample].copy() for d in differ]
            while (place := _earliest(left, int(sample))) is not None:
                if not self.margins.is_tie(self.nodes[place.order], place.step, place.sample, place.neuron):
                    firsts.append(place)
                    differing += sum(int(d.sum()) for d in left)
                    break
                first_ties.append(place)
                ties += 1
                after += self._take_out(left, place)
        return differing, ties, after, min(firsts, default=None), min(first_ties, default=None)

    def _take_out(self, left: list[Bools], tie: Place) -> int:
        """Remove a tie and all that it can have caused; how many of the latter there were."""
        left[tie.order][tie.step, tie.neuron] = False
        last = max((int(np.flatnonzero(differ.any(axis=1))[-1]) for differ in left if differ.any()), default=-1)
        if last < tie.step:
            return 0
        felt = self.consequences.of(self.nodes[tie.order], tie.neuron, last + 1 - tie.step)
        after = 0
        for node, differ in zip(self.nodes, left, strict=True):
            caused = differ[tie.step : last + 1] & felt[node]
            after += int(caused.sum())
            differ[tie.step : last + 1] ^= caused
        return after

    def _divergence(self, place: Place, tie: bool) -> Divergence:
        node = self.nodes[place.order]
        step = self.program.by_name[node]
        if not isinstance(step, Neurons | Compare) or step.threshold is None:
            raise TypeError(f"{node} has no threshold")
        index = tuple(int(i) for i in np.unravel_index(place.neuron, step.shape)) if step.shape else ()
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
