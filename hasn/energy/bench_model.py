"""A hasn executable as a model of the package neurobench. Imports torch and neurobench."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from neurobench.hooks.layer import LayerHook
from neurobench.hooks.neuron import NeuronHook
from neurobench.models import NeuroBenchModel
from torch import nn

from hasn.energy.bench import Array, sent_by
from hasn.energy.layers import arriving, layers
from hasn.errors import OptionError, UnsupportedError
from hasn.executable import Executable
from hasn.program.maps import Convolution, Dense
from hasn.program.model import Connection


class SpikingPopulation(nn.Module):
    """Stands for a population of the executable; it is never called."""


class ExecutableModel(NeuroBenchModel):  # type: ignore[misc]  # neurobench has no types
    """Runs on whatever backend the executable is of; ``neurobench.Benchmark`` sees its layers and populations.

    Args:
        executable: with one Input and one Output.

    Raises:
        OptionError: it has another number of them.
        UnsupportedError: a connection learns, or is none that NeuroBench knows (Linear, Conv1d, Conv2d).
    """

    def __init__(self, executable: Executable) -> None:
        super().__init__()
        program = executable.program
        if len(program.inputs) != 1:
            raise OptionError("NeuroBench gives one array", parameter="executable", got=f"{len(program.inputs)} Inputs")
        self.executable = executable
        self._layers = {layer.name: _module(layer) for layer in layers(program)}
        self._populations = {name: SpikingPopulation() for name in program.recorded_spikes}
        modules = [*self._layers.values(), *self._populations.values()]
        self._net = nn.ModuleList(modules)

    def __net__(self) -> nn.Module:
        """The layers and populations as torch modules."""
        return self._net

    def register_hooks(self) -> None:
        """What NeuroBench's metrics read; filled by each call."""
        self.activation_hooks += [NeuronHook(module, name) for name, module in self._populations.items()]
        self.connection_hooks += [LayerHook(module) for module in self._layers.values()]

    def __call__(self, batch: Any) -> Any:
        """(batch, T, *shape) -> what the Output gives, (batch, T, *shape)."""
        inputs = batch.detach().cpu().numpy().swapaxes(0, 1)
        program = self.executable.program
        recording = self.executable.run(inputs, record=("spikes", "voltages"))
        sent = sent_by(program, inputs, recording)
        reached = arriving(program, sent)
        for hook, name in zip(self.connection_hooks, self._layers, strict=False):
            if name in reached:
                hook.inputs += [(_tensor(x),) for x in reached[name]]
        for hook, name in zip(self.activation_hooks, self._populations, strict=False):
            hook.activation_outputs += [_tensor(z) for z in sent[name]]
            if name in recording.voltages:
                v = [_tensor(x) for x in np.asarray(recording.voltages[name], dtype=float)]
                hook.post_fire_mem_potential += v
                hook.pre_fire_mem_potential += [torch.zeros_like(v[0]), *v[:-1]]
        return torch.as_tensor(np.asarray(recording.output).swapaxes(0, 1).copy())


def _tensor(array: Array) -> Any:
    return torch.as_tensor(np.array(array, dtype=float))


def _module(layer: Connection) -> nn.Module:
    """The layer as torch has it, in float64."""
    of = layer.map
    made: Any
    if isinstance(of, Dense) and np.ndim(of.weight) == 2:
        outs, ins = np.shape(of.weight)
        made = nn.Linear(ins, outs, bias=of.bias is not None)
    elif isinstance(of, Convolution) and all(low == high for low, high in of.pads):
        outs, ins, *kernel = np.shape(of.weight)
        kind: Any = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
        made = kind(
            ins * of.groups, outs, tuple(kernel), stride=of.stride, padding=tuple(low for low, _ in of.pads),
            dilation=of.dilation, groups=of.groups, bias=of.bias is not None,
        )  # fmt: skip
    else:
        raise UnsupportedError("NeuroBench knows no such layer", node=layer.name, got=type(of).__name__)
    made.double()
    with torch.no_grad():
        made.weight.copy_(torch.as_tensor(np.array(of.weight, dtype=float)))
        if of.bias is not None:
            made.bias.copy_(torch.as_tensor(np.array(of.bias, dtype=float).reshape(-1)))
    module: nn.Module = made.requires_grad_(False)
    return module
