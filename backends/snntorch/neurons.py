"""Populations: snnTorch's own neurons where their equation is ours, a module with the same call convention where not.

snnTorch 1.0 with ``reset_delay=False`` computes, for reset "zero":

    Leaky     mem <- beta*mem + x                                  spk = 1[mem > threshold], mem <- 0 where spk
    Synaptic  syn <- alpha*syn + x,  mem <- beta*mem + syn         the same

with beta and alpha clamped to 0..1. Its reset "subtract" subtracts again in the next step while the voltage is still
above the threshold, which SEMANTICS does not: such populations get :class:`LinearNeuron`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import snntorch
import torch
from torch import Tensor, nn

from hasn.program.model import Condition, Floats, Neurons, Row, moves

Surrogate: TypeAlias = Callable[[Tensor], Tensor]
States: TypeAlias = tuple[Tensor, ...]

#: What snnTorch's neurons keep of the last run.
KEPT = ("mem", "syn", "reset")


#: The state that counts how many steps a neuron is still held, after all others.
HELD = "held"


def states_of(spec: Neurons) -> tuple[str, ...]:
    """Names of a population's states, in the order in which they are passed."""
    return spec.states if spec.held is None else (*spec.states, HELD)


def tensor(value: Any) -> Tensor:
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
        self.states: tuple[str, ...] = states_of(spec)
        self.register_buffer("gain", None)
        self.register_buffer("current_scale", None)
        self.neuron = neuron or self._stock(spec, spike_grad) or LinearNeuron(spec, spike_grad)
        for state in self.states:
            start = np.zeros(spec.shape) if state == HELD else spec.initial[state]
            self.register_buffer(f"initial_{state}", tensor(start), persistent=False)

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
        if spec.update == "one row" and _decays(rows[0].terms[0][1]):
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

    def generalise(self) -> LinearNeuron:
        """Put a general neuron in the place of a stock one, and give it: its coefficients may be set."""
        if not isinstance(self.neuron, LinearNeuron):
            old: Any = self.neuron
            like = next(t for t in old.buffers() if t.is_floating_point())
            self.neuron = LinearNeuron(self.spec, old.spike_grad).to(dtype=like.dtype, device=like.device)
            for name in ("gain", "current_scale"):
                setattr(self, name, None)
        return self.neuron

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
        output = spikes if self.spec.spiking else self.voltage(after)
        return output.to(x.dtype), tuple(after)

    def voltage(self, states: Sequence[Tensor]) -> Tensor:
        """The membrane potential among the states."""
        return states[self.states.index("v")]

    def let_go(self) -> None:
        """Drop the states that snnTorch keeps inside the neuron, and with them the graph of the last run."""
        for name in KEPT:
            if isinstance(getattr(self.neuron, name, None), Tensor):
                setattr(self.neuron, name, torch.zeros(0))


def _stock_reset(spec: Neurons) -> str | None:
    """snnTorch's name for the reset, or None if its neurons cannot do what is meant."""
    if not spec.plain or any(row.bias is not None for row in spec.rows):
        return None
    firing = spec.firing
    if firing is None:
        return "none"
    jumps_to_zero = firing.reset == "zero" and not np.any(firing.jump)
    # snnTorch resets in the step after as well where mem > threshold: never, if 0 and v_init lie at or below it.
    quiet = bool(np.all(firing.threshold >= 0) and np.all(spec.initial["v"] <= firing.threshold))
    return "zero" if jumps_to_zero and quiet else None


def _decays(coefficient: Floats) -> bool:
    return bool(np.all((coefficient >= 0) & (coefficient <= 1)))


def _is_synaptic(spec: Neurons) -> bool:
    rows = spec.rows
    if spec.update != "current first" or not np.all(rows[1].terms[1][1]):
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


def coefficients(rows: tuple[Row, ...], condition: Condition | None, resets: tuple[Row, ...]) -> dict[str, Any]:
    """A neuron's coefficients by the names that :class:`LinearNeuron` has for them.

    ``a{i}_{state}``, ``gain{i}`` and ``bias{i}`` of row i of the update; ``s_{state}`` and ``threshold`` (minus the
    constant) of the condition; ``r{i}_{state}`` and ``r{i}`` (its bias) of reset i.
    """
    found: dict[str, Any] = {}
    for i, row in enumerate(rows):
        found |= {f"a{i}_{state}": value for state, value in row.terms}
        found |= {f"gain{i}": row.gain, f"bias{i}": row.bias}
    if condition is not None:
        found |= {f"s_{state}": value for state, value in condition.terms}
        found["threshold"] = -condition.constant
    for i, row in enumerate(resets):
        found |= {f"r{i}_{state}": value for state, value in row.terms}
        found[f"r{i}"] = row.bias
    return {name: value for name, value in found.items() if value is not None}


class LinearNeuron(nn.Module):
    """Any :class:`hasn.program.model.Neurons`, called as snnTorch's neurons are: ``spk, *states = neuron(x, *states)``.

    The rows act one after the other: ``state <- sum(coefficient * state') + gain * x + bias``. Then, if there is a
    condition, ``spk = spike_grad(sum(coefficient * state) - threshold)``, and where it spikes the rows of the reset
    act; the gradient flows through the reset as in snnTorch with ``reset_delay=False``. Where neurons are held after a
    spike, the last state counts the steps that are left; what a held neuron does has no gradient.

    Attributes:
        detach_reset: whether the spikes of a reset pass no gradient.
        moves: of each reset, whether it does no more than add to its state.
        plain_terms: states that the condition reads with coefficient 1.
    """

    threshold: Tensor
    held: Tensor | None

    def __init__(self, spec: Neurons, spike_grad: Surrogate) -> None:
        super().__init__()
        self.spec = spec
        self.spike_grad = spike_grad
        self.detach_reset = False
        for name, value in coefficients(spec.rows, spec.condition, spec.resets).items():
            self.register_buffer(name, tensor(value))
        self.register_buffer("held", None if spec.held is None else tensor(spec.held), persistent=False)
        self.moves = [moves(row.terms, row.state) for row in spec.resets]
        seen = () if spec.condition is None else spec.condition.terms
        self.plain_terms = {state for state, value in seen if np.all(value == 1.0)}

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step; ``x`` and each state are (batch, *shape)."""
        before, now, free = self.updated(x, *states)
        if self.spec.condition is None:
            return now["v"], *now.values()
        spk = self.spike_grad(self._seen(now)).to(now["v"].dtype)
        if free is not None and self.held is not None:
            spk = spk * free
            now[HELD] = torch.where(spk > 0, self.held, (before[HELD] - 1).clamp(min=0))
        resets = spk.detach() if self.detach_reset else spk
        for i, row in enumerate(self.spec.resets):
            now[row.state] = self._reset(i, row, resets, now)
        return spk, *now.values()

    def updated(self, x: Tensor, *states: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor | None]:
        """The states before the step, and after the update but before the reset; who is not held, if any may be."""
        before = dict(zip(states_of(self.spec), states, strict=True))
        now = dict(before)
        free = None if self.held is None else before[HELD] <= 0
        for i, row in enumerate(self.spec.rows):
            total: Any = self._sum(f"a{i}_", row, before if row.before else now)
            if row.gain is not None:
                total = total + getattr(self, f"gain{i}") * x
            if row.bias is not None:
                total = total + getattr(self, f"bias{i}")
            now[row.state] = total if free is None or row.state != "v" else torch.where(free, total, before["v"])
        return before, now, free

    def _sum(self, prefix: str, row: Row | Condition, now: Mapping[str, Tensor]) -> Any:
        return sum(getattr(self, f"{prefix}{state}") * now[state] for state, _ in row.terms)

    def _seen(self, now: Mapping[str, Tensor]) -> Tensor:
        """What the condition compares with 0."""
        assert self.spec.condition is not None
        total: Any = 0.0
        for state, _ in self.spec.condition.terms:
            term = now[state] if state in self.plain_terms else getattr(self, f"s_{state}") * now[state]
            total = total + term if isinstance(total, Tensor) else term
        made: Tensor = total - self.threshold
        return made

    def _reset(self, i: int, row: Row, spk: Tensor, now: Mapping[str, Tensor]) -> Tensor:
        old = now[row.state]
        if self.moves[i]:
            return old if row.bias is None else old + spk * getattr(self, f"r{i}")
        to = self._sum(f"r{i}_", row, now)
        if row.bias is not None:
            to = to + getattr(self, f"r{i}")
        # old*(1-spk) + to*spk is exactly old or to for spk in {0, 1}; old - spk*(old - to) would round.
        made: Tensor = old * (1 - spk) + to * spk
        return made


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
