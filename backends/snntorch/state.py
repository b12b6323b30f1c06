"""The network's state as every backend has it, and back to what the torch module remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hasn.backends.snntorch.learned import Learned
from hasn.backends.snntorch.neurons import HELD, Population, States
from hasn.program.model import Source, Threshold
from hasn.program.past import lag, needed
from hasn.state import Snapshot

if TYPE_CHECKING:
    from hasn.backends.snntorch.module import SpikingNetwork, StreamState

Array = NDArray[Any]


def snapshot(network: SpikingNetwork, state: StreamState, step: int, past: Mapping[str, Array]) -> Snapshot:
    """What the module remembers before ``step``; copies.

    Args:
        network: whose state it is.
        state: of the module.
        step: number of the step to come.
        past: the last values of its sources, which the module itself does not keep.
    """
    states: dict[str, dict[str, Array]] = {}
    held: dict[str, Array] = {}
    for name, values in state.states.items():
        population = network.population(name)
        for key, value in zip(population.states, values, strict=True):
            if key == HELD:
                held[name] = value.cpu().numpy().astype(np.int64)
            else:
                kept = value / population.current_scale if _is_scaled(population, key) else value
                states.setdefault(name, {})[key] = kept.cpu().numpy().copy()
    learned = {name: _of_learned(kept, state.states[_target(network, name)]) for name, kept in state.learned.items()}
    return Snapshot(step, states, held, dict(past), learned=learned)


def _target(network: SpikingNetwork, name: str) -> str:
    return network.program.learning[name].target


def _of_learned(kept: Learned, target: States) -> dict[str, Array]:
    """Weights and traces, of every sample that the target has: shared ones stand there once."""
    found, batch = {"w": kept.weight, **kept.plain()}, len(target[0])
    return {name: value.detach().expand(batch, *value.shape[1:]).cpu().numpy().copy() for name, value in found.items()}


def _is_scaled(population: Population, state: str) -> bool:
    """Whether snnTorch's neuron keeps the current times its weight."""
    return state == "c" and population.current_scale is not None


@torch.no_grad()
def resumed(network: SpikingNetwork, at: Snapshot, batch: int) -> StreamState:
    """What the module remembers where it stands at ``at``: its lines are filled by going once more through the maps
    for the last steps, with what the sources sent."""
    state = network.start(batch)
    like = network.like

    def tensor(value: Any) -> Tensor:
        return torch.tensor(np.asarray(value), dtype=like.dtype, device=like.device)

    for name in state.states:
        state.states[name] = _states(network.population(name), at, name, tensor)
    for name, kept in at.learned.items():
        traces = {key: tensor(value) for key, value in kept.items() if key != "w"}
        weight = tensor(kept["w"])
        shared = network.program.learning[name].shared
        state.learned[name] = Learned(weight[:1] if shared else weight, traces, at.step)
    steps = needed(network.program, at.past)
    window = max((steps[name] + lag(network.program, name) for name in steps), default=0)
    for now in range(max(0, at.step - window), at.step):
        age = at.step - now
        known = {name: tensor(past[-age]) for name, past in at.past.items() if age <= len(past)}
        _again(network, state, known, batch)
    return state


def _states(population: Population, at: Snapshot, name: str, tensor: Any) -> States:
    found = []
    for key in population.states:
        value = tensor(at.held[name] if key == HELD else at.states[name][key])
        found.append(value * population.current_scale if _is_scaled(population, key) else value)
    return tuple(found)


def _again(network: SpikingNetwork, state: StreamState, known: Mapping[str, Tensor], batch: int) -> None:
    """One step of the past: maps and lines as they were, populations as they are known to have been, else silent."""
    values: dict[str, Tensor] = {}
    like = network.like
    for step, sources, module in network.layers.nodes.values():
        name = step.name
        if isinstance(step, Source | Threshold) or isinstance(module, Population):
            silence = torch.zeros(batch, *step.shape, dtype=like.dtype, device=like.device)
            values[name] = known.get(name, silence)
            continue
        total = network.arriving(step, sources, values, state, batch)
        values[name] = network.mapped(step, module, total, state)
        values[name] = known.get(name, values[name])
    for name in state.previous:
        state.previous[name] = values[name]
