"""Populations: snnTorch's own neurons where their equation is ours, a module with the same call convention where not.

snnTorch 1.0 with ``reset_delay=False`` computes, for reset "zero":

    Leaky     mem <- beta*mem + x                                  spk = 1[mem > threshold], mem <- 0 where spk
    Synaptic  syn <- alpha*syn + x,  mem <- beta*mem + syn         the same

with beta and alpha clamped to 0..1. Its reset "subtract" subtracts again in the next step while the voltage is still
above the threshold, which SEMANTICS does not: such populations get :class:`LinearNeuron`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from hasn.program.model import Floats, Neurons

Surrogate: TypeAlias = Callable[[Tensor], Tensor]
States: TypeAlias = tuple[Tensor, ...]

#: What snnTorch's neurons keep of the last run.
KEPT = ("mem", "syn", "reset")


def tensor(value: Floats) -> Tensor:
    """A float64 copy; the whole module is cast to its precision once it is built."""
    return torch.tensor(np.asarray(value, dtype=np.float64))


class Population(nn.Module):
    """A population of the Program: input (batch, *shape) and states in, output and new states out.

    Attributes:
        neuron: ``snntorch.Leaky``, ``snntorch.Synaptic``, :class:`LinearNeuron`, or one given, called alike.
        states: names of the states, in the neuron's own order.
    """

    def __init__(self, spec: Neurons, spike_grad: Surrogate, neuron: nn.Module | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.states: tuple[str, ...] = spec.states
        self.register_buffer("gain", None)
        self.register_buffer("current_scale", None)
        self.neuron = neuron or self._stock(spec, spike_grad) or LinearNeuron(spec, spike_grad)
        for state in self.states:
            self.register_buffer(f"initial_{state}", tensor(spec.initial[state]), persistent=False)

    def _stock(self, spec: Neurons, spike_grad: Surrogate) -> nn.Module | None:
        """snnTorch's own neuron, if its equation is this population's."""
        reset = _stock_reset(spec)
        if reset is None:
            return None
        common = {
            "threshold": tensor(spec.threshold) if spec.threshold is not None else torch.tensor(1.0),
            "spike_grad": spike_grad,
            "reset_mechanism": reset,
            "reset_delay": False,
        }
        rows = spec.rows
        if len(rows) == 1 and _decays(rows[0].terms[0][1]):
            self._set_gain(rows[0].gain)
            return _unlisted(snntorch.Leaky(beta=tensor(rows[0].terms[0][1]), **common))
        if not _is_synaptic(spec):
            return None
        (current, voltage) = rows
        weight = voltage.terms[1][1]  # snnTorch adds the current with weight 1: its syn is ours times this weight
        self._set_gain(np.asarray(current.gain) * weight)
        self.current_scale = tensor(weight)
        neuron = snntorch.Synaptic(alpha=tensor(current.terms[0][1]), beta=tensor(voltage.terms[0][1]), **common)
        return _unlisted(neuron)

    def _set_gain(self, gain: Floats | None) -> None:
        if gain is not None and np.any(gain != 1.0):
            self.gain = tensor(gain)

    def initial(self, batch: int) -> States:
        """The states before the first step, each (batch, *shape): one memory for all samples, not to be written to."""
        initial = [getattr(self, f"initial_{state}") for state in self.states]
        return tuple(value.unsqueeze(0).expand(batch, *value.shape) for value in initial)

    def forward(self, x: Tensor, states: States) -> tuple[Tensor, States]:
        """One step: the output (spikes, or v where there is no threshold) and the new states."""
        drive = x if self.gain is None else self.gain * x
        spikes, *after = self.neuron(drive, *states)
        output = spikes if self.spec.spiking else after[-1]
        return output.to(x.dtype), tuple(after)

    def let_go(self) -> None:
        """Drop the states that snnTorch keeps inside the neuron, and with them the graph of the last run."""
        for name in KEPT:
            if isinstance(getattr(self.neuron, name, None), Tensor):
                setattr(self.neuron, name, torch.zeros(0))


def _stock_reset(spec: Neurons) -> str | None:
    """snnTorch's name for the reset, or None if its neurons cannot do what is meant."""
    if any(row.bias is not None for row in spec.rows):
        return None
    if spec.threshold is None:
        return "none"
    jumps_to_zero = spec.reset == "zero" and not np.any(spec.jump)
    # snnTorch resets in the step after as well where mem > threshold: never, if 0 and v_init lie at or below it.
    quiet = bool(np.all(spec.threshold >= 0) and np.all(spec.initial["v"] <= spec.threshold))
    return "zero" if jumps_to_zero and quiet else None


def _decays(coefficient: Floats) -> bool:
    return bool(np.all((coefficient >= 0) & (coefficient <= 1)))


def _is_synaptic(spec: Neurons) -> bool:
    rows = spec.rows
    if len(rows) != 2 or [row.state for row in rows] != ["c", "v"] or rows[1].gain is not None:
        return False
    if [name for name, _ in rows[1].terms] != ["v", "c"] or not np.all(rows[1].terms[1][1]):
        return False
    return _decays(rows[0].terms[0][1]) and _decays(rows[1].terms[0][1])


def _unlisted(neuron: Any) -> nn.Module:
    """``neuron`` without its place in snnTorch's process-wide list, which would keep it alive for ever."""
    listed = snntorch.SpikingNeuron.instances
    for i in range(len(listed) - 1, -1, -1):
        if listed[i] is neuron:
            del listed[i]
    module: nn.Module = neuron
    return module


class LinearNeuron(nn.Module):
    """Any :class:`hasn.program.model.Neurons`, called as snnTorch's neurons are: ``spk, *states = neuron(x, *states)``.

    The rows act one after the other: ``state <- sum(coefficient * state') + gain * x + bias``. Then, if there is a
    threshold, ``spk = spike_grad(v - threshold)`` and ``v <- jump`` ("zero") or ``v <- v - jump`` ("subtract") where it
    spikes; the gradient flows through the reset as in snnTorch with ``reset_delay=False``.
    """

    threshold: Tensor
    jump: Tensor

    def __init__(self, spec: Neurons, spike_grad: Surrogate) -> None:
        super().__init__()
        self.spec = spec
        self.spike_grad = spike_grad
        for i, row in enumerate(spec.rows):
            for state, coefficient in row.terms:
                self.register_buffer(f"a{i}_{state}", tensor(coefficient))
            for part in ("gain", "bias"):
                value = getattr(row, part)
                self.register_buffer(f"{part}{i}", None if value is None else tensor(value))
        for part in ("threshold", "jump"):
            value = getattr(spec, part)
            self.register_buffer(part, None if value is None else tensor(value))

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step; ``x`` and each state are (batch, *shape)."""
        now = dict(zip(self.spec.states, states, strict=True))
        for i, row in enumerate(self.spec.rows):
            total = sum(getattr(self, f"a{i}_{state}") * now[state] for state, _ in row.terms)
            if row.gain is not None:
                total = total + getattr(self, f"gain{i}") * x
            if row.bias is not None:
                total = total + getattr(self, f"bias{i}")
            now[row.state] = total
        v = now["v"]
        if not self.spec.spiking:
            return v, *(now[state] for state in self.spec.states)
        spk = self.spike_grad(v - self.threshold).to(v.dtype)
        # v*(1-spk) + jump*spk is exactly v or jump for spk in {0, 1}; v - spk*(v - jump) would round.
        now["v"] = v * (1 - spk) + self.jump * spk if self.spec.reset == "zero" else v - spk * self.jump
        return spk, *(now[state] for state in self.spec.states)


class Comparator(nn.Module):
    """NIR's Threshold: ``y = 1[x > threshold]``, with the surrogate's gradient."""

    threshold: Tensor

    def __init__(self, threshold: Floats, spike_grad: Surrogate) -> None:
        super().__init__()
        self.spike_grad = spike_grad
        self.register_buffer("threshold", tensor(threshold))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *shape) to zeros and ones of the same shape."""
        return self.spike_grad(x - self.threshold).to(x.dtype)
