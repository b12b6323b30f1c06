"""Truncated backpropagation through time: gradients end at pieces of a sequence, and states go on.

    dL/ds(t) is taken as 0 where t is the end of a piece of K steps (``tbptt``) or of a batch (``carry``)

so a gradient passes at most K steps (Williams & Peng, An efficient gradient-based algorithm for on-line training of
recurrent network trajectories, Neural Computation 2, 1990, with k1 = k2 = K). Values are those of the whole run, and
one update is made of all pieces of a batch. With ``carry`` a batch begins with the states in which the one before it
ended, and an epoch at rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hasn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def by_pieces(
    module: Any, inputs: Mapping[str, Tensor], state: Any, piece: int, kept: Sequence[str], counted: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], Any]:
    """Run whole sequences from a state, which no gradient leaves.

    Args:
        module: the :class:`hasn.backends.snntorch.module.SpikingNetwork`.
        inputs: {Input: (T, batch, *shape)}.
        state: to begin with.
        piece: K.
        kept: nodes whose values are wanted.
        counted: nodes whose values are wanted summed over time.

    Returns:
        {node: (T, batch, *shape)}, {node: (batch, *shape)}, and the state at the end, without its history.
    """
    import torch

    from hasn.backends.snntorch.chunks import run_chunk

    steps = len(next(iter(inputs.values())))
    values: dict[str, list[Tensor]] = {name: [] for name in kept}
    sums: dict[str, Any] = dict.fromkeys(counted, 0)
    for start in range(0, steps, piece):
        part = {name: value[start : start + piece] for name, value in inputs.items()}
        found, counts, state = run_chunk(module, part, state, kept, counted)
        state = detached(state)
        for name in kept:
            values[name].append(found[name])
        sums = {name: sums[name] + counts[name] for name in sums}
    module.let_go()
    return {name: torch.cat(parts) for name, parts in values.items()}, sums, state


def detached(state: Any) -> Any:
    """The same state without the history of its numbers."""
    new = state.copied()
    new.states = {name: tuple(part.detach() for part in parts) for name, parts in new.states.items()}
    new.previous = {name: value.detach() for name, value in new.previous.items()}
    new.lines = {name: line.with_past([value.detach() for value in line.past]) for name, line in new.lines.items()}
    return new


def same_size(carried: Any, batch: int) -> None:
    """Refuse a batch of other samples than the one whose states go on.

    Raises:
        InputError: it has another number of samples.
    """
    before = next((parts[0].shape[0] for parts in carried.states.values()), batch)
    if before != batch:
        raise InputError(
            "the states of a batch go on in the next, which has another number of samples",
            parameter="carry",
            got=f"{batch} after {before}",
            wanted=f"{before} samples in every batch of an epoch",
            way_out="Leave the last batch out (drop_last=True).",
        )
