"""Why two recordings part: the first explanation that the data bear out.

The first population whose voltages part is run again on its own, with the inputs that the recording shows, under one
changed rule after the other: another reset, the other discretisation, no bias, an input that arrives late, rounded
weights. The rule under which the recorded voltages come out is the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hasn.agreement.replay import Replay, voltages
from hasn.program.fuse import Network
from hasn.program.model import Floats, Neurons, Program
from hasn.recording import Array, Recording

#: Voltages that differ by more than this, relative to the largest of the node, have not merely been rounded otherwise:
#: 1e-9 is what backends are held to in float64; float32 has 6e-8 and adds up some thousand roundings.
_APART = {"float64": 1e-9, "float32": 1e-4, "loihi": 0.0}
#: Steps looked at behind the first difference: enough for a reset to show, few enough for a large network.
_BEHIND = 25
_SHIFTS = (1, 2, 3, -1, -2, -3)


@dataclass(frozen=True)
class Cause:
    """A kind ("tie", "float32 rounding", "shift", "late input", "reset", "discretisation", "missing bias",
    "quantisation", "integer arithmetic", "unknown") and one sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Scene:
    """Where two recordings part.

    Attributes:
        program, network, inputs: what ran.
        one, other: the reference's recording and the other.
        other_method: the Program under the other discretisation, made when asked for; None if it has no meaning.
        node, step, sample: the first differing spike.
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

    @property
    def tolerance(self) -> float:
        """Relative difference of voltages that rounding can explain."""
        return max(_APART.get(r.precision, 1e-9) for r in (self.one, self.other))

    @property
    def steps(self) -> int:
        """Steps to look at."""
        return min(self.step + _BEHIND, self.one.steps)


def cause_of(scene: Scene, tie: bool) -> Cause:
    """Why ``scene.other`` parts from ``scene.one`` at this spike."""
    precisions = (scene.one.precision, scene.other.precision)
    if "loihi" in precisions:
        return _integer_cause(scene, precisions[0] == precisions[1])
    float32 = "float32" in precisions
    if tie:
        kind = "float32 rounding" if float32 else "rounding"
        return Cause(
            "tie", f"a tie: the voltage lies within {kind} of the threshold, so the order of summation decides"
        )
    origin = _first_apart(scene)
    if float32 and (origin is None or origin[1] >= scene.step):
        text = "float32 rounding has added up: until here the voltages agree to float32, and one crosses the threshold"
        return Cause("float32 rounding", text)
    if origin is None:
        text = "the voltages agree up to this step, so only the threshold or the recording of this spike differs"
        return _shift_cause(scene) or Cause("unknown", text)
    where, when = origin
    shift = _shift_cause(scene)
    rule = _changed_rule(scene, where)
    if rule is not None and not (shift and rule.kind == "late input"):
        return rule
    if shift is not None:
        return shift
    place = "at this very step" if (where, when) == (scene.node, scene.step) else f"first at node '{where}' step {when}"
    return Cause("unknown", f"the voltages part {place}; no other reset, method, bias, delay or rounding explains it")


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
    for step in scene.program.of(Neurons):
        if step.name not in scene.one.voltages or step.name not in scene.other.voltages:
            continue
        a, b = (r.voltages[step.name][: scene.steps, scene.sample] for r in (scene.one, scene.other))
        scale = max(float(np.abs(a).max(initial=0.0)), float(np.abs(b).max(initial=0.0)))
        apart = (np.abs(a - b) > scene.tolerance * scale).reshape(a.shape[0], -1).any(axis=1)
        if apart.any() and (found is None or int(apart.argmax()) < found[1]):
            found = (step.name, int(apart.argmax()))
    return found


def _changed_rule(scene: Scene, node: str) -> Cause | None:
    """The changed rule under which the recorded voltages of ``node`` come out, in either recording."""
    spec = scene.program.by_name[node]
    if not isinstance(spec, Neurons):
        return None
    for recording, who in ((scene.other, "it"), (scene.one, "the reference")):
        recorded = np.asarray(recording.voltages[node][: scene.steps, scene.sample], dtype=np.float64)
        recorded = recorded.reshape(recorded.shape[0], -1)
        replay = Replay(scene.network, scene.inputs, recording, scene.sample, scene.steps)
        if _matches(voltages(spec, replay.arriving(node)), recorded, scene.tolerance):
            continue  # this one did what the Program says
        for kind, text, changed, current in _rules(scene, spec, replay):
            if _matches(voltages(changed, current), recorded, scene.tolerance):
                return Cause(kind, f"{text.format(who=who)} (node '{node}')")
    return None


def _matches(trace: Floats, recorded: Floats, tolerance: float) -> bool:
    scale = float(np.abs(recorded).max(initial=0.0))
    return bool(np.abs(trace - recorded).max(initial=0.0) <= tolerance * scale)


def _rules(scene: Scene, spec: Neurons, replay: Replay) -> Iterator[tuple[str, str, Neurons, Floats]]:
    """(kind, sentence, population, input) under one changed rule each."""
    plain = replay.arriving(spec.name)
    if spec.threshold is not None and spec.jump is not None:
        other: Literal["zero", "subtract"] = "subtract" if spec.reset == "zero" else "zero"
        changed = replace(spec, reset=other, jump=spec.threshold - spec.jump)
        yield "reset", f"a different reset: {{who}} resets by '{other}', the Program by '{spec.reset}'", changed, plain
        yield "reset", "a different reset: {who} does not reset at all", replace(spec, threshold=None), plain
    alternative = scene.other_method()
    if alternative is not None:
        method = alternative.method
        text = f"a different discretisation: {{who}} steps by '{method}', the Program by '{scene.program.method}'"
        neurons = alternative.by_name[spec.name]
        if isinstance(neurons, Neurons):
            yield "discretisation", text, neurons, plain
    if scene.network.drives.get(spec.name):
        yield "missing bias", "a missing bias: {who} ran without it", spec, replay.arriving(spec.name, with_drive=False)
    if any(row.bias is not None for row in spec.rows):
        silent = replace(spec, rows=tuple(replace(row, bias=None) for row in spec.rows))
        yield "missing bias", "a missing leak potential: {who} ran without v_leak", silent, plain
    for late in (1, 2, 3):
        text = f"an input that arrives {late} step(s) late: {{who}} saw it {late} step(s) after the Program"
        yield "late input", text, spec, replay.arriving(spec.name, inputs_late=late)
    for name, rounding in _ROUNDINGS.items():
        text = f"quantisation: {{who}} ran with weights rounded to {name}"
        yield "quantisation", text, spec, replay.arriving(spec.name, rounding=rounding)


def _shift_cause(scene: Scene) -> Cause | None:
    """The spikes of some node are the reference's, some steps late or early."""
    shifts = {node: _shift(scene, node) for node in scene.one.spikes}
    shifted = {node: k for node, k in shifts.items() if k}
    if scene.node not in shifted:
        return None
    k = shifted[scene.node]
    words = f"the same spikes come {abs(k)} step(s) {'late' if k > 0 else 'early'} at node '{scene.node}'"
    if len(shifts) > 1 and set(shifts.values()) == {k}:
        return Cause("late input", f"a shift of all nodes alike, as from an input that arrives late: {words}")
    others = ", ".join(f"'{node}' {late:+d}" for node, late in shifted.items())
    return Cause("shift", f"a shift: {words} ({others}): an input that arrives late, or a latency not taken out")


def _shift(scene: Scene, node: str) -> int:
    """k if ``other`` is ``one`` k steps later (earlier if negative), 0 if it is no shift; both must spike."""
    one, other = (r.spikes[node][:, scene.sample] for r in (scene.one, scene.other))
    for k in _SHIFTS:
        a, b = (one[:-k], other[k:]) if k > 0 else (one[-k:], other[:k])
        if a.size and a.any() and np.array_equal(a, b):
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
