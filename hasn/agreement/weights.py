"""Whether connections that learn have learned the same, and the first weight that parts: its synapse, step and term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hasn.agreement.comparison import WeightDivergence
from hasn.agreement.margin import apart
from hasn.agreement.replay import Replay, course
from hasn.program.fuse import Network, Plastic
from hasn.program.learning import Array, listed, spread
from hasn.program.synapses import Synapses, value_of
from hasn.recording import Recording


@dataclass(frozen=True)
class Weights:
    """Two recordings of one network that learns.

    Args:
        network, inputs: what ran.
        labels: the reference's and the other's.
        one, other: their recordings.
        explained: sample -> population -> (T, elements): where a tie explains what differs.
    """

    network: Network
    inputs: Mapping[str, Array]
    labels: tuple[str, str]
    one: Recording
    other: Recording
    explained: Mapping[int, Mapping[str, Array]]

    def verdict(self) -> tuple[float, WeightDivergence | None]:
        """Largest difference as a part of its connection's largest weight, and the first beyond rounding."""
        worst = 0.0
        first: tuple[int, int, int, int] | None = None  # step, connection, sample, synapse
        for order, plastic in enumerate(self.network.plastic):
            pair = [course(r, plastic) for r in (self.one, self.other)]
            scale = max(float(np.abs(w).max(initial=0.0)) for w in (listed(plastic.map).weight, *pair)) or 1.0
            for step, error in self._errors(plastic, pair):
                largest = float(np.max(error, initial=0.0)) / scale  # NaN, where there is one
                worst = max(worst, largest) if largest == largest else largest
                beyond = not largest <= apart(self.one, self.other)
                if beyond and (first is None or (step, order) < first[:2]):
                    place = int(np.where(np.isnan(error), np.inf, error).argmax())
                    sample, synapse = map(int, np.unravel_index(place, error.shape))
                    first = (step, order, sample, synapse)
        return worst, None if first is None else self._divergence(*first)

    def _errors(self, plastic: Plastic, pair: list[Array]) -> Iterator[tuple[int, Array]]:
        """(step, what differs: (batch, synapses)), 0 where a tie explains it."""
        for step, (a, b) in enumerate(zip(*pair, strict=True)):
            error = np.abs(np.asarray(a, dtype=np.float64) - b)
            for sample, felt in self.explained.items():
                if plastic.target in felt:
                    error[sample][spread(plastic.map, "post", felt[plastic.target][step][np.newaxis])[0]] = 0.0
            yield step, error

    def _divergence(self, step: int, order: int, sample: int, synapse: int) -> WeightDivergence:
        plastic = self.network.plastic[order]
        found = listed(plastic.map)
        place = (int(found.post[synapse]), int(found.pre[synapse]))
        pair = dict(zip(self.labels, (self.one, self.other), strict=True))
        weights = {label: float(course(r, plastic)[step, sample, synapse]) for label, r in pair.items()}
        term, cause = self._cause(plastic, step, sample, synapse)
        return WeightDivergence(plastic.name, place, sample, step, *self.labels, weights, term, cause)

    def _cause(self, plastic: Plastic, step: int, sample: int, synapse: int) -> tuple[str, str]:
        """(the term, a sentence): the first of the two that does not follow the rule, or what the rule reads."""
        shared = plastic.learning.shared
        chosen = range(course(self.one, plastic).shape[1]) if shared else (sample,)  # all samples have a say
        seen = []
        for label, recording in zip(self.labels[::-1], (self.other, self.one), strict=True):
            runs = [Synapse(self.network, self.inputs, recording, plastic, n, synapse, step) for n in chosen]
            missed = _missed(runs, plastic, apart(self.one, self.other), recording.own_rule)
            if missed is not None:
                return missed[0], f"{label} {missed[1]}"
            seen.append(runs)
        for name in ("post", "pre", "v"):
            for mine, theirs in zip(*seen, strict=True):
                if np.any(mine.given[name] != theirs.given[name]):
                    return name, f"both follow the rule, and what it reads as {name} differs"
        return "", "both follow the rule to rounding, which has added up"


class Synapse:
    """One synapse learns again, of what a recording shows.

    Attributes:
        given: ``pre``, ``post``, ``v`` and modulators at every step up to the one that is looked at.
        terms: product -> what it brings at that step.
        orders: what the terms bring if traces had been fed before the update, or had not decayed in this step.
        late: what they bring if those with ``post`` come a step late, to the weight of then.
        before, after: its weight.
    """

    def __init__(
        self,
        network: Network,
        inputs: Mapping[str, Array],
        recording: Recording,
        plastic: Plastic,
        sample: int,
        synapse: int,
        step: int,
    ) -> None:
        steps, found = step + 1, listed(plastic.map)
        late, pre, post = (int(of[synapse]) for of in (found.late, found.pre, found.post))
        sent = Replay(network, inputs, recording, sample, steps).arriving(plastic.name)[:, pre]
        weights = course(recording, plastic)[:steps, sample, synapse].astype(np.float64)
        self.weights = np.concatenate([[found.weight[synapse]], weights])
        self.given: dict[str, Array] = {
            "pre": np.concatenate([np.zeros(late), sent])[:steps],
            "post": _shown(recording.spikes, plastic.target, steps, sample, post),
            "v": _shown(recording.voltages, plastic.target, steps, sample, post),
            "w": self.weights[:-1],
        }
        for name, node in plastic.learning.modulators:
            self.given[name] = np.asarray(inputs[node][:steps, sample], dtype=np.float64)
        self.before, self.after = self.weights[-2:]
        self._learn(plastic, steps)

    def _learn(self, plastic: Plastic, steps: int) -> None:
        learning = plastic.learning
        synapse = Synapses(learning, self.weights[0])
        known: Mapping[str, Array] = {}
        for t in range(steps):
            last, now = known, {name: values[t] for name, values in self.given.items()}
            stale = dict(synapse.traces)
            known = synapse.read(now, synapse.decayed())
            synapse.feed(known)
        self.terms = {term: float(value_of(term, known)) for term in learning.update}
        late = {**last, "w": now["w"]} if last else {**known, "post": 0.0}
        self.late = {t: float(value_of(t, late if "post" in t.names else known)) for t in learning.update}
        other = {
            "traces fed before the update": synapse.read(now, synapse.traces),
            "traces that had not decayed": synapse.read(now, stale),
        }
        self.orders = {why: {t: float(value_of(t, seen)) for t in learning.update} for why, seen in other.items()}


def _missed(runs: list[Synapse], plastic: Plastic, tolerance: float, own_rule: str) -> tuple[str, str] | None:
    """(term, what was done with it), if the step that a recording took is not the rule's."""
    learning, step = plastic.learning, len(runs[0].given["pre"]) - 1
    due = (step + 1) % learning.every == 0
    terms = {term: float(np.mean([run.terms[term] for run in runs])) * due for term in learning.update}
    before, after = runs[0].before, runs[0].after
    room = tolerance * max(abs(before), abs(after), max(map(abs, terms.values()), default=0.0))

    def fits(change: float) -> bool:
        return bool(abs(min(max(before + change, learning.low), learning.high) - after) <= room)

    right = sum(terms.values())
    if fits(right):
        return None
    if own_rule:
        late = {term: float(np.mean([run.late[term] for run in runs])) for term in terms}
        if fits(sum(late.values())):
            return str(
                max(terms, key=lambda term: abs(late[term] - terms[term]))
            ), f"has an order of its own: {own_rule}"
    if not due:
        every = f"of which only every {learning.every}th changes weights"
        return "", f"changed it at step {step}, {every}"
    for term, value in terms.items():
        for what, change in (
            ("left out", right - value),
            ("took twice", right + value),
            ("took away", right - 2 * value),
        ):
            if value and fits(change):
                return str(term), f"{what} the term {term} = {value:.6g}"
    for why in runs[0].orders:
        other = {term: float(np.mean([run.orders[why][term] for run in runs])) for term in terms}
        if fits(sum(other.values())):
            largest = max(terms, key=lambda term: abs(other[term] - terms[term]))
            return str(largest), f"took the term {largest} of {why}"
    largest = max(terms, key=lambda term: abs(terms[term]))
    shown = " + ".join(f"({term} = {value:.6g})" for term, value in terms.items() if value) or "0"
    named = str(largest) if terms[largest] else ""
    return named, f"changed it by {after - before:.6g}, where the rule says {shown}"


def _shown(group: Mapping[str, Array], node: str, steps: int, sample: int, element: int) -> Array:
    if node not in group:  # a population that does not spike has no post, and no rule that reads it
        return np.zeros(steps)
    return np.asarray(group[node][:steps, sample], dtype=np.float64).reshape(steps, -1)[:, element]
