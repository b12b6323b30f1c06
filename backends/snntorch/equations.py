"""A population's equations as the kernel takes them, read from its module as it is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from hasn.backends.snntorch.neurons import LinearNeuron, Population, Surrogate
from hasn.backends.snntorch.plain import is_plain
from hasn.backends.snntorch.surrogates import named
from hasn.kernels import Line, Reset, RowProgram, Rows, Slope
from hasn.kernels.rows import NONE
from hasn.kernels.scan import COEFFICIENTS
from hasn.program.model import Neurons, Row

#: Surrogates by their code: snntorch.surrogate.NAME(parameter) makes a closure over the parameter.
_SLOPES = {
    "atan": Slope.ATAN,
    "fast_sigmoid": Slope.FAST_SIGMOID,
    "sigmoid": Slope.SIGMOID,
    "triangular": Slope.TRIANGULAR,
    "straight_through_estimator": Slope.STRAIGHT_THROUGH,
}
#: What the kernel computes in.
_DTYPES = (torch.float32, torch.float64)


class _Repeated:
    """What has a row of values for each coefficient."""

    values: Tensor
    _repeats: dict[int, Tensor]

    def repeated(self, batch: int) -> Tensor:
        """The values for a batch laid out as one row, (coefficients, batch * neurons)."""
        if batch not in self._repeats:
            self._repeats[batch] = self.values.repeat(1, batch)
        return self._repeats[batch]


@dataclass(frozen=True)
class Equations(_Repeated):
    """What the kernel computes for a population.

    Attributes:
        rows, reset: which equations.
        values: (8, neurons), see :data:`hasn.kernels.scan.COEFFICIENTS`.
        slope: the surrogate and its parameter; None where nothing spikes.
        trained: names of the coefficients that want a gradient.
        detached: whether no gradient flows through the reset.
    """

    rows: Rows
    reset: Reset
    values: Tensor
    slope: tuple[Slope, float] | None
    trained: frozenset[str] = frozenset()
    detached: bool = False
    _repeats: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class RowEquations(_Repeated):
    """What the kernel computes for a population that is none of :class:`hasn.kernels.Rows`.

    Attributes:
        program: its rows.
        values: the coefficients that the program numbers, (coefficients, neurons).
        slope: the surrogate and its parameter; None where nothing spikes.
    """

    program: RowProgram
    values: Tensor
    slope: tuple[Slope, float] | None
    _repeats: dict[int, Tensor] = field(default_factory=dict)


def equations(population: Population) -> Equations | RowEquations | None:
    """The population's equations, or None if only its module knows them."""
    neuron: Any = population.neuron
    if type(population) is not Population or not is_plain(population, neuron):
        return None
    # hasn.train learns the coefficients of LinearNeurons; what snnTorch's own do with theirs is snnTorch's.
    if type(neuron) is not LinearNeuron and _trains(population):
        return None
    detached = type(neuron) is LinearNeuron and neuron.detach_reset and neuron.spec.spiking
    if detached and (_trains(population) or not neuron.spec.plain):  # the loop has these gradients
        return None
    if type(neuron) is LinearNeuron and not neuron.spec.plain:
        return _general(population, neuron)
    read = _READERS.get(type(neuron))
    found = None if read is None else read(population, neuron)
    if found is None:
        return None
    rows, reset, parts = found
    slope = None if reset is Reset.NONE else slope_of(neuron.spike_grad)
    if reset is not Reset.NONE and slope is None:
        return None
    values = _stacked(population.spec.shape, parts)
    trained = frozenset(name for name, part in parts.items() if part.requires_grad)
    return Equations(rows, reset, values, slope, trained, detached) if values.dtype in _DTYPES else None


def _general(population: Population, neuron: LinearNeuron) -> RowEquations | None:
    """Any other neuron."""
    slope = slope_of(neuron.spike_grad) if neuron.spec.spiking else None
    if slope is None and (neuron.spec.spiking or neuron.held is not None):
        return None
    program, parts = row_program(neuron)
    if not parts:  # nothing moves
        return None
    values = torch.stack([part.expand(population.spec.shape).reshape(-1) for part in parts])
    return RowEquations(program, values, slope) if program.fits and values.dtype in _DTYPES else None


def row_program(neuron: LinearNeuron) -> tuple[RowProgram, list[Tensor]]:
    """The rows of a neuron by numbers, and the coefficients that they number."""
    spec, parts, numbers = neuron.spec, [], count()

    def number(part: Tensor) -> int:
        parts.append(part)
        return next(numbers)

    def line(row: Row, terms: str, gain: str, bias: str, moves: bool = False) -> Line:
        found = () if moves else tuple((at[state], number(getattr(neuron, terms + state))) for state, _ in row.terms)
        by_gain = NONE if row.gain is None or not gain else number(getattr(neuron, gain))
        by_bias = NONE if row.bias is None else number(getattr(neuron, bias))
        return Line(at[row.state], found, by_gain, by_bias, bool(gain) and row.before, moves)

    at = {state: i for i, state in enumerate(spec.states)}
    rows = tuple(line(row, f"a{i}_", f"gain{i}", f"bias{i}") for i, row in enumerate(spec.rows))
    if spec.condition is None:
        return RowProgram(len(at), at["v"], rows), parts
    seen = []
    for state, _ in spec.condition.terms:
        seen.append((at[state], NONE if state in neuron.plain_terms else number(getattr(neuron, f"s_{state}"))))
    condition = Line(at["v"], tuple(seen), bias=number(-neuron.threshold))
    resets = tuple(
        line(row, f"r{i}_", "", f"r{i}", neuron.moves[i])
        for i, row in enumerate(spec.resets)
        if not (neuron.moves[i] and row.bias is None)  # nothing moves
    )
    held = NONE if neuron.held is None else number(neuron.held)
    return RowProgram(len(at), at["v"], rows, condition, resets, held), parts


def slope_of(spike_grad: Surrogate) -> tuple[Slope, float] | None:
    """The surrogate and its parameter, if it is one of snnTorch's five that the kernel has."""
    known = named(spike_grad)
    if known is None or known.name not in _SLOPES:
        return None
    values = list(known.parameters.values())
    if not all(isinstance(value, int | float) for value in values):
        return None
    return _SLOPES[known.name], float(values[0]) if values else 0.0


def _trains(population: Population) -> bool:
    """Whether some coefficient wants a gradient."""
    tensors = [*population.parameters(), *population.buffers()]
    return any(value.requires_grad for value in tensors)


_Parts = dict[str, Tensor]
_Read = tuple[Rows, Reset, _Parts]


def _stacked(shape: tuple[int, ...], parts: _Parts) -> Tensor:
    """(8, neurons); what is not given is 0. Gradients go through it to what is given."""
    like = parts["keep_v"]
    nothing = like.new_zeros(())
    return torch.stack([parts.get(name, nothing).expand(shape).reshape(-1) for name in COEFFICIENTS])


def _leaky(population: Population, neuron: Any) -> _Read | None:
    reset = _stock_reset(neuron)
    if reset is None:
        return None
    one = torch.ones_like(neuron.beta)
    gain = one if population.gain is None else population.gain
    parts = {"keep_v": neuron.beta.clamp(0, 1), "gain_v": gain, "threshold": neuron.threshold}
    return Rows.ONE, reset, parts


def _synaptic(population: Population, neuron: Any) -> _Read | None:
    reset = _stock_reset(neuron)
    if reset is None:
        return None
    one = torch.ones_like(neuron.beta)
    parts = {
        "keep_v": neuron.beta.clamp(0, 1),
        "keep_c": neuron.alpha.clamp(0, 1),
        "gain_c": one if population.gain is None else population.gain,
        "weight": one,
        "threshold": neuron.threshold,
    }
    return Rows.CURRENT_FIRST, reset, parts


def _stock_reset(neuron: Any) -> Reset | None:
    """The reset of snnTorch's own neuron, as Population makes it; None if someone has changed it since."""
    changed = neuron.state_quant or neuron.inhibition or neuron.init_hidden or neuron.output or neuron.reset_delay
    if changed or neuron.surrogate_disable or neuron.graded_spikes_factor != 1:
        return None
    reset = {1: Reset.ZERO, 2: Reset.NONE}.get(int(neuron.reset_mechanism_val))
    # Below 0 it would reset in the step after as well.
    return None if reset is Reset.ZERO and bool((neuron.threshold < 0).any()) else reset


def _linear(population: Population, neuron: Any) -> _Read | None:
    spec: Neurons = neuron.spec
    parts: _Parts = {}
    for i, row in enumerate(spec.rows):
        parts[f"keep_{row.state}"] = getattr(neuron, f"a{i}_{row.state}")
        if len(row.terms) == 2:
            parts["weight"] = getattr(neuron, f"a{i}_c")
        if row.gain is not None:
            parts[f"gain_{row.state}"] = getattr(neuron, f"gain{i}")
        if row.bias is not None:
            parts["bias"] = getattr(neuron, f"bias{i}")
    if not spec.spiking:
        return _ROWS[spec.update], Reset.NONE, parts
    zero = spec.reset == "zero"
    parts |= {"threshold": neuron.threshold, "jump": neuron.r0 if zero else -neuron.r0}
    return _ROWS[spec.update], Reset.ZERO if zero else Reset.SUBTRACT, parts


_ROWS = {"one row": Rows.ONE, "current first": Rows.CURRENT_FIRST, "voltage first": Rows.VOLTAGE_FIRST}


_READERS: dict[type[nn.Module], Callable[[Population, Any], _Read | None]] = {
    snntorch.Leaky: _leaky,
    snntorch.Synaptic: _synaptic,
    LinearNeuron: _linear,
}
