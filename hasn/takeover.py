"""A network's state for another network with the same populations: with other parameters, weights or synapses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.errors import GraphError, OptionError
from hasn.program.learning import Extent, gathered, listed, of_synapses, same_pattern, sizes, spread, weights_of
from hasn.program.model import Connection, Neurons, Program
from hasn.state import Array, NetworkState

if TYPE_CHECKING:
    from hasn.executable import Executable


def taken_over(state: NetworkState, before: Executable, after: Executable) -> NetworkState:
    """The state with which ``after`` goes on where ``before`` stopped.

    What neurons and traces hold stays. Weights that are learned are those of ``after``'s own graph. A synapse is the
    one that has the same source, target and delay; what a new one has of its own begins as in a new network. Where
    something now comes later than anything before, what was sent longer ago than the state remembers does not arrive.

    Raises:
        GraphError: the two have other populations, Inputs or Outputs, or another dt or timing.
        OptionError: synapses have changed of which some have the same source, target and delay.
    """
    _check_same(before.program, after.program)
    own = (after.structure, state.precision, state.batch, state.batched)
    if state.batch is None:
        return NetworkState(state.step, {}, {}, {}, *own)
    like = np.zeros(0, dtype=_floats(state))
    past = {name: _past(state, name, steps, after, like) for name, steps in after.memory.items()}
    learned = {name: _learned(state, name, before.program, after, like) for name in after.program.learning}
    return NetworkState(state.step, state.states, state.held, past, *own, learned=learned)


def _check_same(before: Program, after: Program) -> None:
    old, new = _kept(before), _kept(after)
    for name in (*old, *(name for name in new if name not in old)):
        if old.get(name) != new.get(name):
            raise GraphError(
                "a state goes on only in the same populations, Inputs and Outputs",
                node=name,
                got=new.get(name, "nothing of that name"),
                wanted=old.get(name, "nothing of that name"),
                way_out="Change parameters, weights and connections alone.",
            )
    for what in ("dt", "timing"):
        if getattr(before, what) != getattr(after, what):
            got, wanted = repr(getattr(after, what)), repr(getattr(before, what))
            raise GraphError("a state goes on only in the same time", parameter=what, got=got, wanted=wanted)


def _kept(program: Program) -> dict[str, str]:
    """What each node is that is no connection, as far as a state knows."""
    found = {}
    for node in program.nodes:
        if not isinstance(node, Connection):
            held = (
                f", states {', '.join(node.states)}, held: {node.held is not None}" if isinstance(node, Neurons) else ""
            )
            found[node.name] = f"{type(node).__name__} {node.shape}{held}"
    return found


def _floats(state: NetworkState) -> Any:
    """The type of its numbers."""
    arrays = [array for kept in state.states.values() for array in kept.values()]
    return arrays[0].dtype if arrays else np.dtype(np.float64)


def _past(state: NetworkState, name: str, steps: int, after: Executable, like: Array) -> Array:
    kept = state.past.get(name)
    shape = (steps, state.batch or 0, *after.program.node(name).shape)
    found = np.zeros(shape, dtype=like.dtype if kept is None else kept.dtype)
    if kept is not None:
        known = min(steps, len(kept))
        found[steps - known :] = kept[len(kept) - known :]
    return found


def _learned(state: NetworkState, name: str, before: Program, after: Executable, like: Array) -> dict[str, Array]:
    """Weights, and traces by their names."""
    batch = state.batch or 0
    connection: Any = after.program.node(name)
    size = sizes(connection.map)
    weight = np.asarray(weights_of(connection)).astype(like.dtype)
    found = {"w": np.broadcast_to(weight, (batch, *weight.shape)).copy()}
    rule = before.learning.get(name)
    known = {} if rule is None else {trace.name: trace.extent for trace in rule.traces}
    for trace in after.program.learning[name].traces:
        start = np.zeros((batch, *size[trace.extent]), dtype=like.dtype)
        if trace.from_weight:
            start[:] = listed(connection.map).spread(weight.reshape(-1)).reshape(size["synapse"])
        if known.get(trace.name) == trace.extent:
            kept = state.learned[name][trace.name]
            found[trace.name] = _trace(before.node(name), connection, trace.extent, kept, start)
        else:
            found[trace.name] = start
    return found


def _trace(old: Any, new: Any, extent: Extent, values: Array, start: Array) -> Array:
    """What a trace holds, as the owners in the new pattern have it; what is new has ``start``."""
    if same_pattern(old, new) or not (of_synapses(old.map, extent) or of_synapses(new.map, extent)):
        return values.copy()
    of_old = spread(old.map, extent, values)
    place, there = _places(old, new)
    moved = spread(new.map, extent, start.astype(values.dtype))
    moved[:, there] = of_old[:, place[there]]
    return gathered(new.map, extent, moved)


def _places(old: Any, new: Any) -> tuple[Array, Array]:
    """For each new synapse the old one with its source, target and delay, and whether there is one."""
    one, two = listed(old.map), listed(new.map)
    most = [1 + max(int(getattr(of, what).max(initial=0)) for of in (one, two)) for what in ("pre", "late")]
    keys = [(of.post * most[0] + of.pre) * most[1] + of.late for of in (one, two)]
    for key in keys:
        if len(np.unique(key)) != len(key):
            raise OptionError(
                "its synapses have changed, and of some with one source, target and delay nobody knows which is which",
                node=new.name,
                way_out="Join such synapses to one whose weight is their sum.",
            )
    order = np.argsort(keys[0])
    place = np.searchsorted(keys[0][order], keys[1])
    there = np.isin(keys[1], keys[0])
    return order[np.minimum(place, max(len(order) - 1, 0))] if len(order) else place, there
