"""Runs by chunks of time, whose insides are computed again on the way back instead of being kept (torch's checkpoint).

Kept are the states and the values under way at every K-th step, the outputs that are wanted, and the insides of one
chunk at a time: about T/K states and K steps' values, so the least memory is at K near the root of T (Chen et al.,
Training deep nets with sublinear memory cost, 2016, section 4). Values and gradients are those of the whole run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hasn.backends.snntorch.engine import Pass

if TYPE_CHECKING:
    from hasn.backends.snntorch.module import SpikingNetwork, StreamState


def by_chunks(
    network: SpikingNetwork, inputs: Mapping[str, Tensor], chunk: int, kept: Sequence[str], counted: Sequence[str] = ()
) -> tuple[dict[str, Tensor], dict[str, Tensor], StreamState]:
    """Run whole sequences from the initial state.

    Args:
        network: the module, in either engine.
        inputs: {Input: (T, batch, *shape)}.
        chunk: K, steps of a chunk; the last one may be shorter.
        kept: nodes whose values are wanted.
        counted: nodes whose values are wanted summed over time.

    Returns:
        {node: (T, batch, *shape)}, {node: (batch, *shape)}, and the state at the end.
    """
    steps, batch = next(iter(inputs.values())).shape[:2]
    state = network.start(batch)
    pieces: dict[str, list[Tensor]] = {name: [] for name in kept}
    sums: dict[str, Any] = dict.fromkeys(counted, 0)
    for start in range(0, steps, chunk):
        part = {name: value[start : start + chunk] for name, value in inputs.items()}
        given = (network, part, state, kept, counted)
        # The way back begins with the last chunk: to forget its insides would save nothing.
        last = start + chunk >= steps
        values, counts, state = run_chunk(*given) if last else checkpoint(run_chunk, *given, use_reentrant=False)
        for name in kept:
            pieces[name].append(values[name])
        sums = {name: sums[name] + counts[name] for name in sums}
    network.let_go()
    return {name: torch.cat(values) for name, values in pieces.items()}, sums, state


def run_chunk(
    network: SpikingNetwork,
    inputs: Mapping[str, Tensor],
    state: StreamState,
    kept: Sequence[str],
    counted: Sequence[str],
) -> tuple[dict[str, Tensor], dict[str, Tensor], StreamState]:
    """Values and sums of some steps, and the state after them."""
    state = state.copied()  # the second time must start where the first one did
    steps, batch = next(iter(inputs.values())).shape[:2]
    wanted = {*kept, *counted}
    if network.engine == "fused":
        values = Pass(network, state, steps, batch, wanted).run(inputs).values
    else:
        every: dict[str, list[Tensor]] = {name: [] for name in wanted}
        for t in range(steps):
            now = network.advance({name: value[t] for name, value in inputs.items()}, state)
            for name in wanted:
                every[name].append(now[name])
        values = {name: torch.stack(tensors) for name, tensors in every.items()}
    counts = {name: _sum(values[name]) for name in counted}
    return {name: values[name] for name in kept}, counts, state


def _sum(values: Tensor) -> Tensor:
    """Over time, in float32 at least: bfloat16 counts only to 256."""
    return values.sum(0, dtype=torch.float32 if values.element_size() < 4 else None)
