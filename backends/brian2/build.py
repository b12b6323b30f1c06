"""Plan -> Brian2 objects: groups, delay lines and synapses of ``copies`` samples side by side.

Objects are named by their place in the network (``hasn_p3``), never by the user's node names: those may hold any
character, and Brian2 writes the names into the code that it compiles and keeps, which should serve every network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.code import GroupCode, quotient
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.plan import Link, Plan, size
from hasn.backends.brian2.plastic import by_events, code, reads_spikes, sent, variables
from hasn.backends.brian2.schedule import LEARN, LINE, RESET, SYNAPSES, THRESHOLD, UPDATE, slot, slots
from hasn.program.fuse import Plastic, Population
from hasn.program.learning import arriving, listed


@dataclass(frozen=True)
class Parts:
    """Brian2's objects.

    Attributes:
        clock: of all of them.
        groups: population -> NeuronGroup, sample after sample.
        lines: graded population -> NeuronGroup of its delay line.
        synapses: one for each pair of populations.
        plastic: connection that learns -> its synapses.
    """

    clock: Any
    groups: dict[str, Any]
    lines: dict[str, Any]
    synapses: list[Any]
    plastic: dict[str, Any]

    def network(self, depth: int, *more: Any) -> Any:
        """A Brian2 network of everything, with a schedule of ``depth`` levels."""
        network = brian2.Network(
            *self.groups.values(),
            *self.lines.values(),
            *self.synapses,
            *self.plastic.values(),
            *more,
            name="hasn_network",
        )
        network.schedule = slots(depth)
        return network


def build(plan: Plan, copies: int) -> Parts:
    """Make the groups and synapses of ``copies`` samples; to be called with Brian2's preferences set."""
    network, codes = plan.network, plan.codes
    clock = brian2.Clock(dt=network.program.dt * brian2.second, name="hasn_clock")
    dtype = np.dtype(plan.dtype).type
    groups: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    for index, population in enumerate(network.populations):
        name = population.name
        here = _Place(f"hasn_p{index}", plan.levels[name], copies, clock, dtype)
        if name not in plan.lines:
            groups[name] = _group(population, codes[name], plan.sends(name), here)
            continue
        groups[name] = _group(population, codes[name], False, here)
        lines[name] = _line(groups[name], codes[name], size(population), plan.lines[name], here)
    places = {p.name: f"p{index}" for index, p in enumerate(network.populations)}
    synapses = []
    for link in plan.links:
        source = lines[link.source] if link.from_line else groups[link.source]
        name = f"hasn_{places[link.target]}_from_{places[link.source]}"
        here = _Place(name, plan.levels[link.source], copies, clock, dtype)
        unit = quotient(codes[link.target].variables["summed"], codes[link.source].value_unit)
        value = "sent" if link.from_line else codes[link.source].value
        synapses.append(_synapses(link, source, groups[link.target], (value, unit), here))
    plastic = {}
    for learner in plan.plastic:
        name = f"hasn_{places[learner.target]}_learns_{places[learner.name]}"
        here = _Place(name, plan.levels[learner.name], copies, clock, dtype)
        plastic[learner.name] = _plastic(learner, lines.get(learner.name, groups[learner.name]), groups, here)
    return Parts(clock, groups, lines, synapses, plastic)


@dataclass(frozen=True)
class _Place:
    name: str
    level: int
    copies: int
    clock: Any
    dtype: Any

    def slot(self, phase: str) -> str:
        return slot(self.level, phase)


def _group(population: Population, code: GroupCode, sends: bool, here: _Place) -> Any:
    """A population. Spiking ones always have their threshold; graded ones only where somebody listens."""
    condition = code.condition if sends or not code.value else None
    group = brian2.NeuronGroup(
        size(population) * here.copies,
        code.model,
        threshold=condition,
        reset=code.reset if code.reset else None,
        clock=here.clock,
        dtype=here.dtype,
        name=here.name,
    )
    if code.update:
        group.run_regularly(code.update, when=here.slot(UPDATE), name=f"{here.name}_update")
    _place_events(group, here)
    for name, values in {**{n: v for n, (_, v) in code.constants.items()}, **code.initial}.items():
        setattr(group, f"{name}_", np.tile(values, here.copies))
    return group


def _place_events(group: Any, here: _Place) -> None:
    for thresholder in group.thresholder.values():
        thresholder.when = here.slot(THRESHOLD)
    for resetter in group.resetter.values():
        resetter.when = here.slot(RESET)


def _line(group: Any, code: GroupCode, width: int, oldest: int, here: _Place) -> Any:
    """What a graded population sent 0 .. ``oldest`` steps ago: elements (sample, age, neuron)."""
    unit = code.value_unit
    model = f"""sent : {unit}
                copied : {unit}
                younger : {unit} (linked)
                fresh : {unit} (linked)
                first : 1 (constant)"""
    count = here.copies * (oldest + 1) * width
    line = brian2.NeuronGroup(
        count, model, threshold=f"sent != 0*{unit}", clock=here.clock, dtype=here.dtype, name=f"{here.name}_line"
    )
    sample, age, neuron = np.indices((here.copies, oldest + 1, width)).reshape(3, -1)
    line.first_ = (age == 0).astype(np.float64)
    line.fresh = brian2.linked_var(group, code.value, index=sample * width + neuron)
    line.younger = brian2.linked_var(
        line, "copied", index=(sample * (oldest + 1) + np.maximum(age - 1, 0)) * width + neuron
    )
    # Two passes, so that no element reads one that has been shifted already.
    line.run_regularly("copied = sent", when=here.slot(LINE), order=0, name=f"{here.name}_line_copy")
    shift = "sent = first*fresh + (1 - first)*younger"
    line.run_regularly(shift, when=here.slot(LINE), order=1, name=f"{here.name}_line_shift")
    _place_events(line, here)
    return line


def _synapses(link: Link, source: Any, target: Any, sends: tuple[str, str], here: _Place) -> Any:
    """The synapses of a link; ``sends``: the variable that a graded source sends (or ""), and the unit of a weight."""
    value, unit = sends
    on_pre = f"summed_post += w*{value}_pre" if value else "summed_post += w"
    alike, dt = link.one_delay, float(here.clock.dt_)
    synapses = brian2.Synapses(
        source,
        target,
        f"w : {unit} (constant)",
        on_pre=on_pre,
        delay=None if alike is None else alike * dt * brian2.second,
        clock=here.clock,
        dtype=here.dtype,
        name=here.name,
    )
    synapses.pre.when = here.slot(SYNAPSES)
    synapses.connect(
        i=_side_by_side(link.pre, len(source), here.copies), j=_side_by_side(link.post, len(target), here.copies)
    )
    synapses.w_ = np.tile(link.weights, here.copies)
    if alike is None:
        synapses.delay_ = np.tile(link.steps, here.copies) * dt
    return synapses


def _plastic(link: Plastic, source: Any, groups: dict[str, Any], here: _Place) -> Any:
    """The synapses of a connection that learns; with delays they start at the source's delay line."""
    found = listed(link.map)
    width = arriving(link.map)[0]
    events = by_events(link)
    synapses = brian2.Synapses(
        source,
        groups[link.target],
        variables(link),
        on_pre={"pre": f"summed_post += {sent(link)}", **({"learn_pre": code(link)} if events else {})},
        on_post={"learn_post": code(link)} if events and reads_spikes(link.learning) else None,
        clock=here.clock,
        dtype=here.dtype,
        name=here.name,
    )
    synapses.pre.when = here.slot(SYNAPSES)
    elements = found.pre + found.late * width
    target = groups[link.target]
    if len(elements):
        ends = (
            _side_by_side(elements, len(source), here.copies),
            _side_by_side(found.post, len(target), here.copies),
        )
        synapses.connect(i=ends[0], j=ends[1])
    else:  # lists of none are an error there
        synapses.connect("False")
    weights = np.tile(found.spread(found.weight), here.copies)
    synapses.w_ = weights
    for i, trace in enumerate(link.learning.traces):
        if trace.from_weight:
            setattr(synapses, f"trace_{i}_", weights)
    if link.learning.modulators:
        synapses.sample = np.repeat(np.arange(here.copies), len(found.pre))
    for i, (_, node) in enumerate(link.learning.modulators):
        setattr(synapses, f"mod_{i}", brian2.linked_var(groups[node], "sent", index="sample"))
    if not events:
        synapses.run_regularly(code(link), when=LEARN, name=f"{here.name}_rule")
        return synapses
    synapses.last = -1
    for pathway in synapses._pathways[1:]:
        pathway.when = LEARN
    return synapses


def _side_by_side(index: NDArray[Any], total: int, copies: int) -> NDArray[np.int32]:
    """Indices within one sample -> within all, sample after sample."""
    first = np.arange(copies, dtype=np.int32)[:, np.newaxis] * np.int32(total // copies)
    return (first + index.astype(np.int32)).reshape(-1)
