"""A connection that learns on Brian2: synapses whose weights and traces are variables, moved in a slot of their own.

The rule becomes Brian2's abstract code, which runs after every level has had its turn (``schedule.LEARN``): traces
decay, weights change, traces are fed. Where nothing can change at a synapse unless something arrives at it or its
target spikes, it runs at these events alone, and traces decay by all the steps since the last one; else at every step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.code import GroupCode
from hasn.program.fuse import Plastic
from hasn.program.learning import PLAIN, Learning, Listed, Product, Products, Trace
from hasn.program.maps import Convolution

Array = NDArray[Any]
#: The variable that is 1 in the step of a spike, where somebody learns from it.
FIRED = "fired"
#: Names in a rule -> what Brian2's code reads for them.
_OWN = {"pre": "(sent_pre/amp)", "post": f"{FIRED}_post", "v": "(v_post/volt)", "w": "w"}


def with_fired(code: GroupCode) -> GroupCode:
    """The code of a population that somebody learns from."""
    if code.condition is None or code.value:
        return code
    return GroupCode(
        {**code.variables, FIRED: "1"},
        code.constants,
        code.initial,
        f"{FIRED} = 0\n{code.update}",
        code.condition,
        "\n".join(filter(None, [code.reset, f"{FIRED} = 1"])),
        code.value,
    )


def is_shared(link: Plastic) -> bool:
    """Whether a weight is that of several synapses (of samples, of positions): Brian2's code does not move it."""
    return link.learning.shared or isinstance(link.map, Convolution)


def by_events(link: Plastic) -> bool:
    """Whether only what arrives and target spikes move weights and feed traces, each a synapse's own."""
    learning = link.learning
    formulas = (learning.update, *(trace.feed for trace in learning.traces))
    happens = all({"pre", "post"} & {*product.names} for formula in formulas for product in formula)
    return happens and not is_shared(link)


def reads_spikes(learning: Learning) -> bool:
    """Whether the target's spikes are anything to it."""
    formulas = (learning.update, *(each.feed for each in learning.traces), *(each.sum for each in learning.rectified))
    return any("post" in product.names for formula in formulas for product in formula)


def variables(link: Plastic) -> str:
    """Of the synapses; ``last``: the step of which traces are."""
    learning = link.learning
    lines = ["w : 1", *(f"trace_{i} : 1" for i, _ in enumerate(learning.traces))]
    lines += ["last : integer"] if by_events(link) else []
    lines += ["change : 1"] if is_shared(link) else []
    lines += ["sample : integer (constant)"] if learning.modulators else []
    lines += [f"mod_{i} : amp (linked)" for i, _ in enumerate(learning.modulators)]
    return "\n".join(lines)


def code(link: Plastic) -> str:
    """The rule as abstract code. Where it runs by events, a synapse of which both ends had one has its turn twice, and
    the second changes nothing."""
    names, learning, events = {**_OWN}, link.learning, by_events(link)
    names |= {trace.name: f"trace_{i}" for i, trace in enumerate(learning.traces)}
    names |= {name: f"(mod_{i}/amp)" for i, (name, _) in enumerate(learning.modulators)}
    lines = ["todo = int(last < t_in_timesteps)"] if events else []
    lines += [f"trace_{i} = {_decayed(i, trace, events)}" for i, trace in enumerate(learning.traces)]
    once = "todo*" if events else ""
    for i, part in enumerate(learning.rectified):
        names[part.name] = f"above_{i}"
        lines.append(f"above_{i} = clip({_sum(part.sum, names)}, 0.0, {_number(math.inf)})")
    lines += [f"fed_{i} = {once}({_sum(trace.feed, names)})" for i, trace in enumerate(learning.traces)]
    due = "" if learning.every == 1 else f"*int((t_in_timesteps + 1) % {learning.every} == 0)"
    change = f"{once}({_sum(learning.update, names)}){due}"
    lines.append(f"change = {change}" if is_shared(link) else f"w = {_clipped(f'w + {change}', learning)}")
    for i, trace in enumerate(learning.traces):
        kept = f"trace_{i}*int(fed_{i} == 0)" if trace.sets else f"trace_{i}"
        lines.append(f"trace_{i} = {kept} + fed_{i}")
    lines += ["last = t_in_timesteps"] if events else []
    return "\n".join(lines)


def _decayed(i: int, trace: Trace, events: bool) -> str:
    return f"{trace.decay!r}{'**(t_in_timesteps - last)' if events else ''}*trace_{i}"


def sent(link: Plastic) -> str:
    """What a synapse adds to its target when something arrives; its traces have not yet decayed in this step."""
    learning, events = link.learning, by_events(link)
    names = {**_OWN, **{t.name: f"({_decayed(i, t, events)})" for i, t in enumerate(learning.traces)}}
    return "w*sent_pre" if learning.transmits == PLAIN else f"({_sum(learning.transmits, names)})*amp"


def _clipped(value: str, learning: Learning) -> str:
    if math.isinf(learning.low) and math.isinf(learning.high):
        return value
    return f"clip({value}, {_number(learning.low)}, {_number(learning.high)})"


def _sum(terms: Products, names: Mapping[str, str]) -> str:
    return " + ".join(_product(term, names) for term in terms) or "0.0"


def _product(term: Product, names: Mapping[str, str]) -> str:
    return "*".join([_number(term.factor), *(names[name] for name in term.names)])


def _number(value: float) -> str:
    """A literal; the largest numbers that there are stand for no bound."""
    return f"({np.clip(value, -1.7e308, 1.7e308)!r})".replace("np.float64", "")


def share(weight: Array, change: Array, learning: Learning, synapses: Listed) -> None:
    """Move weights (copies, weights) by what their synapses (copies, synapses) say: the sum over those of one sample,
    the mean over samples that have one weight."""
    moved = synapses.summed(change)
    if learning.shared:
        moved = moved.mean(axis=0, keepdims=True)
    weight[:] = np.clip(weight + moved, learning.low, learning.high)
