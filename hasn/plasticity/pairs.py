"""What a pair of spikes does to a weight: a rule's window of spike timing."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import OptionError
from hasn.plasticity.rule import Rule
from hasn.program.learning import Learning
from hasn.program.synapses import Synapses, total

Floats: TypeAlias = NDArray[np.float64]
#: Time constants after which a trace counts for nothing (e^-12), and the most steps that are waited for it.
_GONE, _MOST = 12.0, 5_000


def window(rule: Rule, dt: float, span: float = 0.1, *, weight: float | None = None) -> tuple[Floats, Floats]:
    """The change of a weight by one spike of its source and one of its target, for each time between them.

    The rule itself runs, step by step, at a synapse of its own for each time, until its traces are gone, or for 5,000
    steps behind the spikes. What the weight would have done without the two is taken off; modulators are 1 throughout;
    of a rule that acts at every K-th step the mean over the K steps at which the source may spike is taken.

    Args:
        rule: any rule that does not read a voltage, which spikes do not tell.
        dt: seconds a step.
        span: the longest time between the two, s.
        weight: at the start; default: halfway between the rule's bounds, or 0.5 from the one that there is, or 0.5.

    Returns:
        t_post - t_pre in s, from -span to span in steps of dt, and dw for each, in the weight's unit.

    Raises:
        OptionError: the rule reads v; no such time.
    """
    for name, value in (("dt", dt), ("span", span)):
        if not 0 < value < math.inf:
            raise OptionError("no such time", parameter=name, got=value, wanted="> 0 s")
    if "v" in rule.reads:
        raise OptionError("the rule reads v, which spikes do not tell", parameter="rule", got=rule.name)
    learning = rule.discrete(dt, "", {name: name for name in rule.modulators})
    reach = max(1, round(span / dt))
    apart = np.arange(-reach, reach + 1)
    pre = reach + np.arange(learning.every)[:, np.newaxis] + np.zeros_like(apart)
    start = _halfway(rule) if weight is None else float(weight)
    steps = 2 * reach + learning.every + _waited(rule, learning, dt)
    pair = _learned(learning, pre, pre + apart, start, steps)
    alone = _learned(learning, np.array([[-1]]), np.array([[-1]]), start, steps)
    return np.asarray(apart * dt), np.asarray((pair - alone).mean(axis=0))


def _learned(learning: Learning, pre: NDArray[np.int64], post: NDArray[np.int64], start: float, steps: int) -> Floats:
    """The weights after so many steps, of synapses whose source and target spike at these steps; -1: never."""
    weight: Floats = np.full(pre.shape, start)
    synapses, silence = Synapses(learning, weight), np.zeros(pre.shape)
    told = {name: silence + 1.0 for name, _ in learning.modulators}
    for t in range(steps):
        given = {"pre": silence + (pre == t), "post": silence + (post == t), "v": silence, "w": weight, **told}
        known = synapses.read(given, synapses.decayed())
        if (t + 1) % learning.every == 0:
            weight = np.clip(weight + total(learning.update, known), learning.low, learning.high)
        synapses.feed(known)
    return weight


def _waited(rule: Rule, learning: Learning, dt: float) -> int:
    """Steps after both spikes in which weights may still move: none where each product has a spike."""
    if all({"pre", "post"} & set(product.names) for product in learning.update) or not rule.traces:
        return 0
    return math.ceil(min(_MOST, _GONE * max(trace.tau for trace in rule.traces.values()) / dt))


def _halfway(rule: Rule) -> float:
    low, high = (math.isfinite(bound) for bound in (rule.w_min, rule.w_max))
    if low and high:
        return (rule.w_min + rule.w_max) / 2
    return rule.w_min + 0.5 if low else rule.w_max - 0.5 if high else 0.5
