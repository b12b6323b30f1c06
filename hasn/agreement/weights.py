"""Whether connections that learn have learned the same, and the first weight that parts: its synapse, step and term."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hasn.agreement.comparison import WeightDivergence
from hasn.agreement.margin import apart
from hasn.agreement.replay import Replay, course
from hasn.program.fuse import Network, Plastic
from hasn.program.learning import Array, Product, listed, normalised, pattern, spread
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
        first: tuple[int, int, int, int] | None = None  # step, connection, sample, weight
        for order, plastic in enumerate(self.network.plastic):
            pair = [course(r, plastic) for r in (self.one, self.other)]
            scale = max(float(np.abs(w).max(initial=0.0)) for w in (listed(plastic.map).weight, *pair)) or 1.0
            for step, error in self._errors(plastic, pair):
                largest = float(np.max(error, initial=0.0)) / scale  # NaN, where there is one
                worst = max(worst, largest) if largest == largest else largest
                beyond = not largest <= apart(self.one, self.other)
                if beyond and (first is None or (step, order) < first[:2]):
                    place = int(np.where(np.isnan(error), np.inf, error).argmax())
                    sample, weight = map(int, np.unravel_index(place, error.shape))
                    first = (step, order, sample, weight)
        return worst, None if first is None else self._divergence(*first)

    def _errors(self, plastic: Plastic, pair: list[Array]) -> Iterator[tuple[int, Array]]:
        """(step, what differs: (batch, weights)), 0 where a tie explains it."""
        synapses = listed(plastic.map)
        for step, (a, b) in enumerate(zip(*pair, strict=True)):
            error = np.abs(np.asarray(a, dtype=np.float64) - b)
            for sample, felt in self.explained.items():
                if plastic.target in felt:
                    feels = spread(plastic.map, "post", felt[plastic.target][step][np.newaxis])
                    error[sample][synapses.summed(feels)[0]] = 0.0
            yield step, error

    def _divergence(self, step: int, order: int, sample: int, weight: int) -> WeightDivergence:
        plastic = self.network.plastic[order]
        found = listed(plastic.map)
        synapse = next(iter(found.of_weight(weight)), None)  # a weight that meets padding alone has none
        place = () if synapse is None else (int(found.post[synapse]), int(found.pre[synapse]))
        index = () if found.tie is None else tuple(map(int, np.unravel_index(weight, pattern(plastic.map))))
        pair = dict(zip(self.labels, (self.one, self.other), strict=True))
        weights = {label: float(course(r, plastic)[step, sample, weight]) for label, r in pair.items()}
        term, cause = self._cause(plastic, step, sample, weight)
        return WeightDivergence(plastic.name, place, sample, step, *self.labels, weights, term, cause, index)

    def _cause(self, plastic: Plastic, step: int, sample: int, weight: int) -> tuple[str, str]:
        """(the term, a sentence): the first of the two that does not follow the rule, or what the rule reads."""
        shared = plastic.learning.shared
        chosen = range(course(self.one, plastic).shape[1]) if shared else (sample,)  # all samples have a say
        seen = []
        for label, recording in zip(self.labels[::-1], (self.other, self.one), strict=True):
            runs = [Learner(self.network, self.inputs, recording, plastic, n, weight, step) for n in chosen]
            missed = _missed(runs, plastic, apart(self.one, self.other), recording.own_rule)
            if missed is not None:
                return missed[0], f"{label} {missed[1]}"
            seen.append(runs)
        for name in ("post", "pre", "v"):
            for mine, theirs in zip(*seen, strict=True):
                if np.any(mine.given[name] != theirs.given[name]):
                    return name, f"both follow the rule, and what it reads as {name} differs"
        return "", "both follow the rule to rounding, which has added up"


class Learner:
    """Weights learn again, of what a recording shows: one, or all of its target where they are normalised.

    Attributes:
        at: place of the weight that is looked at.
        given: ``pre``, ``post``, ``v`` and modulators at every step up to the one that is looked at, (steps, synapses):
            a weight of a convolution has many.
        terms: product -> what it brings at that step to each weight, of all its synapses.
        orders: what the terms bring if traces had been fed before the update, or had not decayed in this step.
        late: what they bring if those with ``post`` come a step late, to the weight of then.
        before, after: the weights.
    """

    def __init__(
        self,
        network: Network,
        inputs: Mapping[str, Array],
        recording: Recording,
        plastic: Plastic,
        sample: int,
        weight: int,
        step: int,
    ) -> None:
        steps, found = step + 1, listed(plastic.map)
        row = np.flatnonzero(found.rows == found.rows[weight])
        chosen = np.array([weight]) if plastic.learning.normal is None else row
        self.at = int(np.flatnonzero(chosen == weight)[0])
        self._place = np.searchsorted(chosen, found.numbers)
        there = np.flatnonzero(np.isin(found.numbers, chosen))
        self._place = self._place[there]
        late, pre, post = (of[there] for of in (found.late, found.pre, found.post))
        replay = Replay(network, inputs, recording, sample, steps)
        sent = replay.arriving(plastic.name)
        when = np.arange(steps)[:, np.newaxis] - late
        weights = course(recording, plastic)[:steps, sample][:, chosen].astype(np.float64)
        self.weights = np.concatenate([found.weight[np.newaxis, chosen], weights])
        self.given: dict[str, Array] = {
            "pre": np.where(when >= 0, sent[np.maximum(when, 0), pre], 0.0),
            "post": _shown(recording.spikes, plastic.target, steps, sample, post),
            "v": _shown(recording.voltages, plastic.target, steps, sample, post),
            "w": self.weights[:-1][:, self._place],
        }
        for name, node in plastic.learning.modulators:
            self.given[name] = np.broadcast_to(replay.modulator(node), when.shape)
        self.before, self.after = self.weights[-2:]
        self._learn(plastic, steps)

    def _learn(self, plastic: Plastic, steps: int) -> None:
        learning = plastic.learning
        synapses = Synapses(learning, self.given["w"][0])
        known: Mapping[str, Array] = {}
        for t in range(steps):
            last, now = known, {name: values[t] for name, values in self.given.items()}
            stale = dict(synapses.traces)
            known = synapses.read(now, synapses.decayed())
            synapses.feed(known)
        self.terms = self._terms(plastic, known)
        late: dict[str, Array] = (
            dict(last) | {"w": now["w"]} if last else dict(known) | {"post": np.zeros_like(now["w"])}
        )
        behind = self._terms(plastic, late)
        self.late = {term: behind[term] if "post" in term.names else self.terms[term] for term in self.terms}
        other = {
            "traces fed before the update": synapses.read(now, synapses.traces),
            "traces that had not decayed": synapses.read(now, stale),
        }
        self.orders = {why: self._terms(plastic, seen) for why, seen in other.items()}

    def _terms(self, plastic: Plastic, known: Mapping[str, Array]) -> dict[Product, Array]:
        """What each term brings to each weight, of all its synapses together."""
        many, alone = self.weights.shape[1], np.zeros(self.given["pre"].shape[1])
        return {
            term: np.bincount(self._place, alone + value_of(term, known), minlength=many)
            for term in plastic.learning.update
        }


def _missed(runs: list[Learner], plastic: Plastic, tolerance: float, own_rule: str) -> tuple[str, str] | None:
    """(term, what was done with it), if the step that a recording took is not the rule's."""
    learning, step = plastic.learning, len(runs[0].given["pre"]) - 1
    due = (step + 1) % learning.every == 0
    changes = {term: np.mean([run.terms[term] for run in runs], axis=0) * due for term in learning.update}
    run, at = runs[0], runs[0].at
    terms = {term: float(change[at]) for term, change in changes.items()}
    before, after = float(run.before[at]), float(run.after[at])
    room = tolerance * max(abs(before), abs(after), max(map(abs, terms.values()), default=0.0))

    def fits(change: Array, normal: bool = learning.normalises(step)) -> bool:
        moved = np.clip(run.before + change, learning.low, learning.high)[np.newaxis]
        moved = normalised(moved, np.zeros(len(change), dtype=np.int64), learning) if normal else moved
        return bool(abs(moved[0, at] - after) <= room)

    right = sum(changes.values(), np.zeros(len(run.before)))
    if fits(right):
        return None
    if learning.normal is not None and fits(right, normal=not learning.normalises(step)):
        said = f"the normalisation to {learning.normal:g}"
        return "normalise", f"left out {said}" if learning.normalises(step) else f"took {said} at step {step}, not due"
    if own_rule:
        late = {term: np.mean([one.late[term] for one in runs], axis=0) for term in terms}
        if fits(sum(late.values(), np.zeros(len(run.before)))):
            largest = max(terms, key=lambda term: abs(late[term][at] - terms[term]))
            return str(largest), f"has an order of its own: {own_rule}"
    if not due:
        every = f"of which only every {learning.every}th changes weights"
        return "", f"changed it at step {step}, {every}"
    for term, value in terms.items():
        for what, change in (
            ("left out", right - changes[term]),
            ("took twice", right + changes[term]),
            ("took away", right - 2 * changes[term]),
        ):
            if value and fits(change):
                return str(term), f"{what} the term {term} = {value:.6g}"
    for why in run.orders:
        other = {term: np.mean([one.orders[why][term] for one in runs], axis=0) for term in terms}
        if fits(sum(other.values(), np.zeros(len(run.before)))):
            largest = max(terms, key=lambda term: abs(other[term][at] - terms[term]))
            return str(largest), f"took the term {largest} of {why}"
    largest = max(terms, key=lambda term: abs(terms[term]))
    shown = " + ".join(f"({term} = {value:.6g})" for term, value in terms.items() if value) or "0"
    return str(largest) if terms[largest] else "", f"changed it by {after - before:.6g}, where the rule says {shown}"


def _shown(group: Mapping[str, Array], node: str, steps: int, sample: int, elements: Array) -> Array:
    if node not in group:  # a population that does not spike has no post, and no rule that reads it
        return np.zeros((steps, len(elements)))
    return np.asarray(group[node][:steps, sample], dtype=np.float64).reshape(steps, -1)[:, elements]
