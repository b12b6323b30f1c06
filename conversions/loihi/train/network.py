"""The chip's integers as a torch module that trains. Imports torch: not to be imported at start-up.

Whole numbers in float64: the largest, |v| * (4096 - dv), has 36 bits of the 53 there are, so every step is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hasn.backends.snntorch.devices import usable_device
from hasn.backends.snntorch.module import SpikingNetwork
from hasn.backends.snntorch.neurons import Population, Surrogate
from hasn.backends.snntorch.surrogates import spike_gradient
from hasn.conversions.loihi.quantising.rounding import LARGEST_BIAS, Rounding, biases, grid
from hasn.errors import OptionError, ParameterError
from hasn.program.integers.model import ALIGN_BITS, DECAY_BITS, STATE_LIMIT, IntegerNetwork, IntegerPopulation
from hasn.program.model import Neurons, Program

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.conversions.loihi.quantising.connect import Synapses, Weights
    from hasn.conversions.loihi.quantising.plan import Registers
    from hasn.conversions.loihi.train.training import Training

_ALIGN, _UNITY = float(1 << ALIGN_BITS), float(1 << DECAY_BITS)


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        return exact

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def straight(smooth: Tensor, exact: Tensor) -> Tensor:
    """``exact``, with the gradient of ``smooth`` (straight-through)."""
    passed: Tensor = _Straight.apply(smooth, exact)  # type: ignore[no-untyped-call]
    return passed


# --- neurons


class ChipNeuron(nn.Module):
    """A population's registers, called as snnTorch's neurons are: ``spk, *states = neuron(x, *states)``.

    The update of :mod:`hasn.program.integers.model`; states are u, if there is a current, and v.
    """

    keep_u: Tensor
    keep_v: Tensor
    folded: Tensor
    threshold: Tensor
    unit: Tensor

    def __init__(self, registers: IntegerPopulation, spec: Neurons, spike_grad: Surrogate) -> None:
        super().__init__()
        self.spec, self.spike_grad = spec, spike_grad

        def shaped(value: Any) -> Tensor:
            return torch.tensor(np.asarray(value, dtype=np.float64).reshape(spec.shape))

        threshold = registers.vth * _ALIGN
        leak = spec.rows[-1].bias
        own = np.zeros(registers.size) if leak is None else np.rint(leak).reshape(-1)
        self.register_buffer("keep_u", shaped((_UNITY - registers.du - 1) / _UNITY))
        self.register_buffer("keep_v", shaped((_UNITY - registers.dv) / _UNITY))
        self.register_buffer("folded", shaped(registers.bias - own))  # comes with x, but the bias register has it
        self.register_buffer("threshold", shaped(threshold))
        self.register_buffer("unit", shaped(np.where(threshold > 0, threshold, _ALIGN)))
        self.bias = nn.Parameter(shaped(registers.bias))

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One step; ``x`` (weight units) and each state are (batch, *shape)."""
        *currents, v = states
        u = self._current(x, *currents)
        v = self._voltage(u, v)
        if self.spec.spiking:
            spk = self.spike_grad((v - self.threshold) / self.unit).to(v.dtype)
            v = v * (1.0 - spk)
        else:
            spk = v
            v = v * (v.detach() <= self.threshold)  # the highest threshold, of which nobody hears
        return (spk, u, v) if currents else (spk, v)

    def _current(self, x: Tensor, *before: Tensor) -> Tensor:
        added = _ALIGN * x - self.folded
        smooth = added + self.keep_u * before[0] if before else added
        with torch.no_grad():
            raw = torch.round(added)  # a device may sum up a convolution in other ways than one by one
            if before:
                raw = raw + torch.trunc(self.keep_u * before[0])
            raw = raw - 2 * STATE_LIMIT * (raw > STATE_LIMIT) + 2 * STATE_LIMIT * (raw <= -STATE_LIMIT)
        return straight(smooth, raw)

    def _voltage(self, u: Tensor, v: Tensor) -> Tensor:
        smooth = self.keep_v * v + u + self.bias
        with torch.no_grad():
            exact = (torch.trunc(self.keep_v * v) + u + self.bias).clamp(1 - STATE_LIMIT, STATE_LIMIT - 1)
        return straight(smooth, exact)


def chip_module(program: Program, integers: IntegerNetwork, spike_grad: Surrogate) -> SpikingNetwork:
    """The module of a graph in the chip's units that computes what precision "loihi" computes; nothing in it trains."""

    def population(spec: Neurons, surrogate: Surrogate) -> Population:
        return Population(spec, surrogate, ChipNeuron(integers.populations[spec.name], spec, surrogate))

    module = SpikingNetwork(program, spike_grad, population).double()
    return module.requires_grad_(False)


# --- grids


class WeightGrid(nn.Module):
    """From a parameter in units of the weights' size to weights on the chip's grid.

    ``W = clip(quantum * round(unit * p / quantum), low, high)``, the gradient straight through.

    Args:
        unit: weight units that 1 is; a power of two, so that nothing is rounded before the grid.
        quantum: step of the grid.
        low, high: the grid's ends, for each weight.
        truncate: round towards 0, not to the nearest.
    """

    low: Tensor
    high: Tensor

    def __init__(self, unit: float, quantum: float, low: Any, high: Any, truncate: bool = False) -> None:
        super().__init__()
        self.unit, self.quantum, self.whole = unit, quantum, torch.trunc if truncate else torch.round
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.float64))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.float64))

    def forward(self, p: Tensor) -> Tensor:
        """Weights of the parameter's shape, in weight units."""
        smooth = p * self.unit
        exact = torch.clamp(self.whole(smooth.detach() / self.quantum) * self.quantum, self.low, self.high)
        return straight(smooth, exact)

    @torch.no_grad()
    def keep_within(self, p: Tensor) -> None:
        """Bring the parameter back into the grid's range: beyond it, it could wander off without effect."""
        p.clamp_(self.low / self.unit, self.high / self.unit)


class BiasGrid(WeightGrid):
    """The same to bias registers: 13 bits and an exponent for each neuron."""

    def __init__(self, unit: float) -> None:
        super().__init__(unit, 1.0, -LARGEST_BIAS, LARGEST_BIAS)

    def forward(self, p: Tensor) -> Tensor:
        """Biases of the parameter's shape, in voltage units."""
        smooth = p * self.unit
        exact = torch.as_tensor(biases(smooth.detach().cpu().numpy()), dtype=p.dtype, device=p.device)
        return straight(smooth, exact)


def weight_grid(weights: Weights, rounding: Rounding) -> WeightGrid:
    """The grid that a node's weights were rounded to. Weights that are 0 stay 0; those of one sign keep it."""
    exact = weights.exact
    _, quantum, most = grid(exact, rounding.weight_bits)
    low = np.where((exact != 0) & np.any(exact < 0), -float(most), 0.0)
    high = np.where((exact != 0) & np.any(exact > 0), float(most), 0.0)
    return WeightGrid(_size(exact), float(quantum), low, high, rounding.how == "truncate")


def _size(values: Any) -> float:
    """The power of two nearest to the root mean square of the values that are not 0."""
    there = values[values != 0]
    return float(2.0 ** np.rint(np.log2(np.sqrt(np.square(there, dtype=np.float64).mean()))))


def _train(module: nn.Module, name: str, grid_of: WeightGrid, start: Any) -> None:
    """Let a parameter be trained on its grid, from ``start`` (units of the grid)."""
    parametrize.register_parametrization(module, name, grid_of)
    original = getattr(module.parametrizations, name).original
    with torch.no_grad():
        original.copy_(torch.as_tensor(np.asarray(start, dtype=np.float64)) / grid_of.unit)
        grid_of.keep_within(original)
    original.requires_grad_(True)


# --- the network


class TrainedNetwork:
    """A quantised network's module and what is trained in it.

    Attributes:
        made: the network after post-training quantisation.
        training: how it is trained.
        module: {Input: integers (T, batch, *shape)} -> the Outputs' spikes or voltages, in the chip's units.
    """

    def __init__(
        self, made: QuantisedNetwork, training: Training, weights: Mapping[str, Weights], rounding: Rounding
    ) -> None:
        self.made, self.training = made, training
        program = made.integers.network.program
        self.module = chip_module(program, made.integers, spike_gradient(training.surrogate))
        self._weights: dict[str, Weights] = {}
        self._biased: list[str] = []
        for node, found in weights.items():
            self._train_node(node, found, rounding)
        for name, population in made.integers.populations.items():
            neuron = self._neuron(name)
            if np.any(population.bias) and not torch.any(neuron.folded):
                _train(neuron, "bias", BiasGrid(_size(population.bias)), population.bias.reshape(population.shape))
                self._biased.append(name)
        if not self._weights:
            raise OptionError("the network has no weights to train", parameter="train", wanted="a node with weights")
        self.module.to(usable_device(training.device))

    def _neuron(self, population: str) -> Any:
        return self.module.node(population).neuron

    def _train_node(self, node: str, weights: Weights, rounding: Rounding) -> None:
        module: Any = self.module.node(node)
        stochastic = rounding.how == "stochastic"
        _train(
            module,
            self._parameter(node),
            weight_grid(weights, rounding),
            weights.integers if stochastic else weights.exact,
        )
        self._weights[node] = weights
        bias = weights.bias_integers
        if bias is not None and np.any(bias):
            _train(module, "bias", WeightGrid(_size(bias), 1.0, -np.inf, np.inf), bias)

    def _parameter(self, node: str) -> str:
        return "weight" if hasattr(self.module.node(node), "weight") else "scale"

    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return [p for p in self.module.parameters() if p.requires_grad]

    def keep_within(self) -> None:
        """Bring all parameters back onto their grids' ranges."""
        for module in self.module.modules():
            if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], WeightGrid):
                module[0].keep_within(module.original)

    # --- back

    def result(
        self, synapses: Mapping[str, Synapses], registers: Mapping[str, Registers]
    ) -> tuple[dict[str, Synapses], dict[str, Registers]]:
        """The synapses and registers with trained weights and biases.

        Raises:
            ParameterError: all weights of a node have become 0.
        """
        new = {id(weights): self._trained(node, weights) for node, weights in self._weights.items()}
        changed = {name: s.replaced(new) for name, s in synapses.items()}
        return changed, {name: self._register(name, r) if name in self._biased else r for name, r in registers.items()}

    def _trained(self, node: str, weights: Weights) -> Weights:
        module = self.module.node(node)
        integers, exact = _values(module, self._parameter(node))
        if not np.any(integers):
            raise ParameterError(
                "training has taken away all its weights", node=node, parameter="weight",
                way_out="Train with a smaller learning rate, or quantise with more weight_bits.",
            )  # fmt: skip
        bias = weights.bias_integers
        if bias is not None and parametrize.is_parametrized(module, "bias"):
            bias = _values(module, "bias")[0]
        return replace(weights, integers=integers, exact=exact, bias_integers=bias)

    def _register(self, name: str, r: Registers) -> Registers:
        integers, exact = _values(self._neuron(name), "bias")
        return replace(r, bias=integers.reshape(-1), equation=replace(r.equation, bias=exact.reshape(-1) / r.scale))


def _values(module: Any, name: str) -> tuple[Any, Any]:
    """(integers, values before rounding) of a trained parameter."""
    found = getattr(module.parametrizations, name)
    with torch.no_grad():
        exact = found.original * found[0].unit
        return found().cpu().numpy().astype(np.int64), exact.cpu().numpy().copy()
