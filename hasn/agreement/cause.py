"""Why two recordings part: the first explanation that the data bear out.

The first population whose voltages part (of a Threshold: whose spikes) is run again on its own, with the inputs that
the recording shows, under one changed rule after the other: another reset, the other discretisation, no bias, an input
that arrives late, rounded weights. The rule under which the recorded voltages come out is the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from hasn.agreement.consequences import Bools
from hasn.agreement.margin import apart
from hasn.agreement.replay import Replay, course, voltages
from hasn.program.fuse import Network
from hasn.program.model import Floats, Neurons, Program, Threshold
from hasn.recording import Array, Recording

#: Steps looked at behind the first difference: enough for a reset to show, few enough for a large network.
_BEHIND = 25
_SHIFTS = (1, 2, 3, -1, -2, -3)


@dataclass(frozen=True)
class Cause:
    """A kind ("tie", "float32 rounding", "shift", "late input", "reset", "discretisation", "missing bias",
    "quantisation", "integer arithmetic", "weights", "unknown"), one sentence, and how many steps late the other
    recording is."""

    kind: str
    text: str
    steps: int = 0


#: A cause, and the population and its input under the changed rule.
Rule: TypeAlias = tuple[Cause, Neurons | Threshold, Floats]


@dataclass(frozen=True)
class Scene:
    """Where two recordings part.

    Attributes:
        program, network, inputs: what ran.
        one, other: the reference's recording and the other.
        other_method: the Program under the other discretisation, made when asked for; None if it has no meaning.
        node, step, sample: the first differing spike.
        gap: how far from the threshold the voltages are there, as a part of the node's largest; NaN: not recorded.
        explained: population -> (T, elements): where ties of this sample explain what differs; none of it is looked at.
    """

    program: Program
    network: Network
    inputs: Mapping[str, Array]
    one: Recording
    other: Recording
    other_method: Callable[[], Program | None]
    node: str
    step: int
    sample: int
    gap: float
    explained: Mapping[str, Bools]

    @property
    def tolerance(self) -> float:
        """Relative difference of voltages that rounding can explain."""
        return apart(self.one, self.other)

    @property
    def steps(self) -> int:
        """Steps to look at."""
        return min(self.step + _BEHIND, self.one.steps)


def cause_of(scene: Scene, tie: bool) -> Cause:
    """Why ``scene.other`` parts from ``scene.one`` at this spike."""
    precisions = (scene.one.precision, scene.other.precision)
    float32 = "float32" in precisions
    if tie:
        kind = "float32 rounding" if float32 else "rounding"
        return Cause(
            "tie", f"a tie: the voltage lies within {kind} of the threshold, so the order of summation decides"
        )
    if "loihi" in precisions:
        return _integer_cause(scene, precisions[0] == precisions[1])
    origin = _first_apart(scene)
    near = scene.gap <= scene.tolerance
    if float32 and near and (origin is None or origin[1] >= scene.step):
        text = "float32 rounding has added up: until here the voltages agree to float32, and one crosses the threshold"
        return Cause("float32 rounding", text)
    shift = _shift_cause(scene)
    rule = _changed_rule(scene, origin[0]) if origin is not None else None
    if rule is not None and not (shift is not None and _is_latency(rule, shift)):
        return rule
    weights = _weights_cause(scene, origin)
    if weights is not None:
        return weights
    if shift is not None:
        return shift
    if origin is None or isinstance(scene.program.by_name[origin[0]], Threshold):
        text = "the voltages agree up to this step, so only the threshold or the recording of this spike differs"
        return Cause("unknown", text)
    place = "at this very step" if origin == (scene.node, scene.step) else "first at node '{}' step {}".format(*origin)
    return Cause("unknown", f"the voltages part {place}; no other reset, method, bias, delay or rounding explains it")


def _weights_cause(scene: Scene, origin: tuple[str, int] | None) -> Cause | None:
    """Weights that have been learned otherwise before the voltages part."""
    node, end = (scene.node, scene.step) if origin is None else origin
    for plastic in (plastic for plastic in scene.network.plastic if plastic.target == node):
        a, b = (course(recording, plastic)[:end, scene.sample] for recording in (scene.one, scene.other))
        scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
        apart = (np.abs(a - b) > scene.tolerance * scale).any(axis=1)
        if apart.any():
            own = scene.other.own_rule or scene.one.own_rule
            text = f"the weights of '{plastic.name}' part before, at step {int(apart.argmax())}"
            return Cause("weights", f"{text}: {own}" if own else text)
    return None


def _is_latency(rule: Cause, shift: Cause) -> bool:
    """Whether it is no late input, but a latency that was not taken out: those behind the first are no less late."""
    return rule.kind == "late input" and shift.steps / rule.steps >= 1


def _integer_cause(scene: Scene, both: bool) -> Cause:
    """Integers have no ties: where they first part is all there is to say."""
    if not both:
        return Cause("quantisation", "the chip's decays round towards 0 at every step; the float network does not")
    origin = _first_apart(scene)
    place = "at this spike" if origin is None else f"first at node '{origin[0]}' step {origin[1]}"
    return Cause("integer arithmetic", f"the integers part {place}: one of the two does not follow the chip's rules")


def _first_apart(scene: Scene) -> tuple[str, int] | None:
    """The first (node, step) at which voltages differ by more than rounding."""
    found: tuple[str, int] | None = None
    for step in scene.program.of(Neurons, Threshold):
        if isinstance(step, Neurons) and not (step.name in scene.one.voltages and step.name in scene.other.voltages):
            continue
        a, b = (_shown(scene, step, recording) for recording in (scene.one, scene.other))
        scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
        apart = ((np.abs(a - b) > scene.tolerance * scale) & ~_explained(scene, step.name)).any(axis=1)
        if apart.any() and (found is None or int(apart.argmax()) < found[1]):
            found = (step.name, int(apart.argmax()))
    return found


def _shown(scene: Scene, spec: Neurons | Threshold, recording: Recording) -> Floats:
    """The recorded voltages of a population, or the spikes of a Threshold: (steps, elements)."""
    array = (recording.voltages if isinstance(spec, Neurons) else recording.spikes)[spec.name]
    return np.asarray(array[: scene.steps, scene.sample], dtype=np.float64).reshape(scene.steps, -1)


def _explained(scene: Scene, node: str) -> Bools:
    """Where ties explain what differs: (steps, elements), or False for nowhere."""
    return scene.explained[node][: scene.steps] if node in scene.explained else np.zeros((1, 1), dtype=bool)


def _changed_rule(scene: Scene, node: str) -> Cause | None:
    """The changed rule under which the recorded voltages of ``node`` come out, in either recording."""
    spec = scene.program.by_name[node]
    if not isinstance(spec, Neurons | Threshold):
        return None
    for recording, who in ((scene.other, "it"), (scene.one, "the reference")):
        recorded = _shown(scene, spec, recording)
        replay = Replay(scene.network, scene.inputs, recording, scene.sample, scene.steps)
        if _matches(scene, spec, replay.arriving(node), recorded):
            continue  # this one did what the Program says
        for cause, changed, current in _rules(scene, spec, replay):
            if _matches(scene, changed, current, recorded):
                steps = cause.steps if recording is scene.other else -cause.steps
                return Cause(cause.kind, f"{cause.text.format(who=who)} (node '{node}')", steps)
    return None


def _matches(scene: Scene, spec: Neurons | Threshold, current: Floats, recorded: Floats) -> bool:
    """Whether a population under ``current`` does what was recorded, to rounding."""
    made = voltages(spec, current) if isinstance(spec, Neurons) else current > spec.threshold.reshape(-1)
    error = np.where(_explained(scene, spec.name), 0.0, np.abs(made - recorded))
    return bool(error.max(initial=0.0) <= scene.tolerance * float(np.abs(recorded).max(initial=0.0)))


def _rules(scene: Scene, spec: Neurons | Threshold, replay: Replay) -> Iterator[Rule]:
    """One changed rule after the other."""
    if isinstance(spec, Neurons):
        yield from _neuron_rules(scene, spec, replay.arriving(spec.name))
    if scene.network.drives.get(spec.name):
        cause = Cause("missing bias", "a missing bias: {who} ran without it")
        yield cause, spec, replay.arriving(spec.name, with_drive=False)
    if isinstance(spec, Neurons) and any(row.bias is not None for row in spec.rows):
        silent = replace(spec, rows=tuple(replace(row, bias=None) for row in spec.rows))
        cause = Cause("missing bias", "a missing leak potential: {who} ran without v_leak")
        yield cause, silent, replay.arriving(spec.name)
    for late in (1, 2, 3):
        text = f"an input that arrives {late} step(s) late: {{who}} saw it {late} step(s) after the Program"
        yield Cause("late input", text, late), spec, replay.arriving(spec.name, inputs_late=late)
    for name, rounding in _ROUNDINGS.items():
        cause = Cause("quantisation", f"quantisation: {{who}} ran with weights rounded to {name}")
        yield cause, spec, replay.arriving(spec.name, rounding=rounding)


def _neuron_rules(scene: Scene, spec: Neurons, current: Floats) -> Iterator[Rule]:
    """Another reset, no refractory period, the other discretisation."""
    firing = spec.firing
    if firing is not None:
        other: Literal["zero", "subtract"] = "subtract" if firing.reset == "zero" else "zero"
        text = f"a different reset: {{who}} resets by '{other}', the Program by '{firing.reset}'"
        resets = replace(firing, reset=other, jump=firing.threshold - firing.jump).resets
        yield Cause("reset", text), replace(spec, resets=resets), current
    if spec.spiking:
        cause = Cause("reset", "a different reset: {who} does not reset at all")
        yield cause, replace(spec, resets=()), current
    if spec.held is not None:
        cause = Cause("refractory", "a missing refractory period: {who} is not held after a spike")
        yield cause, replace(spec, held=None), current
    alternative = scene.other_method()
    neurons = alternative.by_name[spec.name] if alternative is not None else None
    if alternative is not None and isinstance(neurons, Neurons):
        right, wrong = scene.program.method, alternative.method
        text = f"a different discretisation: {{who}} steps by '{wrong}', the Program by '{right}'"
        yield Cause("discretisation", text), neurons, current


def _shift_cause(scene: Scene) -> Cause | None:
    """The spikes of some node are the reference's, some steps late or early."""
    shifts = {node: _shift(scene, node) for node in scene.one.spikes}
    shifted = {node: k for node, k in shifts.items() if k}
    if scene.node not in shifted:
        return None
    k = shifted[scene.node]
    words = f"the same spikes come {abs(k)} step(s) {'late' if k > 0 else 'early'} at node '{scene.node}'"
    if k > 0 and len(shifts) > 1 and set(shifts.values()) == {k}:
        return Cause("late input", f"a shift of all nodes alike, as from an input that arrives late: {words}", k)
    others = ", ".join(f"'{node}' {late:+d}" for node, late in shifted.items())
    text = f"a shift: {words} ({others}): an input that arrives late, or a latency not taken out"
    return Cause("shift", text, k)


def _shift(scene: Scene, node: str) -> int:
    """k if ``other`` is ``one`` k steps later (earlier if negative), 0 if it is no shift; both must spike."""
    one, other = (r.spikes[node][:, scene.sample] for r in (scene.one, scene.other))
    if np.array_equal(one, other):
        return 0  # also if its spikes come so evenly that a shift would not show
    for k in _SHIFTS:
        a, b = (one[:-k], other[k:]) if k > 0 else (one[-k:], other[:k])
        from_nowhere = other[: max(k, 0)].any()  # spikes before any that could have been late
        if a.any() and np.array_equal(a, b) and not from_nowhere:
            return k
    return 0


def _to_grid(bits: int, even: bool) -> Callable[[Floats], Floats]:
    """Round to a signed grid of ``bits``, its step a power of two (``even``) or the largest weight's share."""

    def rounded(weights: Floats) -> Floats:
        largest = float(np.abs(weights).max(initial=0.0))
        if largest == 0.0:
            return weights
        step = largest / (2 ** (bits - 1) - 1)
        step = 2.0 ** np.ceil(np.log2(step)) if even else step
        return np.asarray(np.rint(weights / step) * step)

    return rounded


_ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "float16": lambda weights: np.asarray(weights.astype(np.float16), dtype=np.float64),
    "8 bits": _to_grid(8, False),
    "8 bits and an exponent": _to_grid(8, True),
    "4 bits": _to_grid(4, False),
}
