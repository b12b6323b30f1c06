"""Where a number stopped being one: looked for once a run is over, by the step loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hasn.nonfinite import not_finite
from hasn.program.model import Sink, Threshold

if TYPE_CHECKING:
    from hasn.backends.snntorch.module import SpikingNetwork, StreamState


def sound(state: StreamState) -> bool:
    """Whether every state is finite, and all that Thresholds were given; such numbers do not become finite again."""
    return bool(torch.isfinite(mark(state)))


def mark(state: StreamState) -> Tensor:
    """0 if everything is finite, else NaN: to be added to a loss, without waiting for a GPU."""
    tensors = [x.detach() for states in state.states.values() for x in states] + list(state.largest.values())
    marks = [(x * 0).sum() for x in tensors if x.numel()]
    return torch.stack(marks).sum() if marks else torch.zeros(())


def first_not_finite(
    network: SpikingNetwork, state: StreamState, inputs: Mapping[str, Tensor], every: bool = False
) -> tuple[str, int] | None:
    """(node, step) of the first value or state that is not finite, in the order of evaluation; None if all are.

    Args:
        network: the module.
        state: before the first step; it moves on.
        inputs: {Input or drawn input: (T, batch, *shape)}.
        every: whether connections are named too, not only those that all backends know: populations, Thresholds and
            Outputs.
    """
    steps = len(next(iter(inputs.values()))) if inputs else 0
    with torch.no_grad():
        for t in range(steps):
            state.largest = {}
            values = network.advance({name: value[t] for name, value in inputs.items()}, state)
            for step in network.program.nodes:
                seen = [*state.states.get(step.name, ())]
                if isinstance(step, Threshold):
                    seen.append(state.largest[step.name])
                if every or isinstance(step, Sink):
                    seen.append(values[step.name])
                if not all(bool(torch.isfinite(tensor).all()) for tensor in seen):
                    network.let_go()
                    return step.name, t
    network.let_go()
    return None


def require_finite(
    network: SpikingNetwork, state: StreamState, end: StreamState, inputs: Mapping[str, Tensor], first: int = 0
) -> None:
    """Refuse a run whose end is not finite.

    Args:
        network: the module.
        state: before the run; it moves on.
        end: after it.
        inputs: of the run.
        first: number of its first step.

    Raises:
        NotFiniteError: names the node and the step.
    """
    if sound(end):
        return
    precision = str(network.like.dtype).removeprefix("torch.")
    found = first_not_finite(network, state, inputs)
    if found is not None:
        raise not_finite(found[0], first + found[1], precision)
    wrong = [name for name, states in end.states.items() if not all(bool(torch.isfinite(x).all()) for x in states)]
    if wrong:  # a product of another size took its sums in another order
        steps = len(next(iter(inputs.values()))) if inputs else 0
        raise not_finite(min(wrong, key=list(end.states).index), f"{first} .. {first + steps - 1}", precision)
