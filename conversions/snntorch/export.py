"""A snnTorch module as a NIR graph: what the walk over its forward must know of snnTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import torch
from torch import nn

from hasn.backends.snntorch.connections import Scale
from hasn.conversions.layers import LAYERS, array
from hasn.conversions.snntorch.neurons import is_neuron, neuron_piece
from hasn.conversions.snntorch.settings import FORMS, unknown_neuron
from hasn.conversions.snntorch.source import rest, run
from hasn.conversions.tool import Tool
from hasn.conversions.traced import from_traced
from hasn.conversions.unroll import form
from hasn.errors import InputError
from hasn.program.model import Shape


def _states(module: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    known = FORMS[type(module)]
    return known.takes, () if module.init_hidden and not module.output else known.gives


def _scale(module: Any, path: str, shape: Shape, ahead: int) -> nir.NIRNode:
    """The layer that ``to_snntorch`` makes of a Scale."""
    return nir.Scale(scale=np.broadcast_to(array(module.scale), shape).copy())


SNNTORCH = Tool(
    "snnTorch",
    neurons=dict.fromkeys(FORMS, neuron_piece),
    is_neuron=is_neuron,
    unknown=unknown_neuron,
    layers={**LAYERS, Scale: _scale},
    rest=rest,
    run=run,
    states=_states,
    form=form("mem"),
)


def from_snntorch(
    module: nn.Module, *, input_shape: Shape | Mapping[str, Shape] | None = None, dt: float, verify: bool = True
) -> nir.NIRGraph:
    """A snnTorch network as a NIR graph that fires the same spikes, step by step.

    ``module.forward`` is one time step: ``nn.Sequential`` (nested or not), or anything that torch.fx can follow, with
    hidden states (``spk = lif(x)``) or passed ones (``spk, mem = lif(x, mem)``). The states start at rest, as after
    ``reset_mem()``. Or forward loops over all steps, of an input (T, batch, ...), (batch, T, ...) or one that is the
    same at every step, and returns lists or stacks of what each step gives.

    Equations and resets: :mod:`hasn.conversions.snntorch.neurons`; the table of what is taken over, and what is
    refused, is in docs/conversions.md.

    Args:
        module: the network, in evaluation if it has dropout or batch normalisation. It is not changed.
        input_shape: shape of one input without time and batch, or {argument of forward: shape}; may be left out where
            a Linear is the first layer.
        dt: seconds a step. snnTorch counts steps, not seconds: any dt gives the same spikes.
        verify: run some random steps in snnTorch and on hasn, and compare them node by node
            (:mod:`hasn.conversions.verify`). False: a module with hooks or a forward of its own is refused.

    Returns:
        A graph with ``metadata["dt"]`` and ``metadata["verified"]`` (what was compared), one node or a few for every
        layer, named by its path (``fc1``, ``block.0``).
        Each neuron's metadata says its ``reset`` and from which snnTorch settings it came. Spikes that ``forward``
        returns are Outputs (states beside them are not: a Recording has the voltages); the membrane of a neuron with
        ``reset_mechanism="none"`` may be an Output too, where it is returned without its spikes.

    Raises:
        UnsupportedError: a module, a setting or an operation that NIR cannot say, by its path, with the way out; a node
            that differs from its module.
        OptionError: not a torch module, or the input's shape is not known.
        TimeStepError: dt is not a finite number > 0.
    """
    given = _shapes(input_shape)
    rank = max((len(shape) for shape in given.values()), default=1) + 1
    return from_traced(module, SNNTORCH, dt, lambda frame, why: given, (rank, rank + 1), verify)


def _shapes(given: Any) -> dict[str | None, Shape]:
    """The shape of each argument by name; None stands for the only one."""
    if given is None:
        return {}
    items = given.items() if isinstance(given, Mapping) else [(None, given)]
    shapes: dict[str | None, Shape] = {}
    for name, shape in items:
        sizes = np.atleast_1d(np.asarray(tuple(shape) if isinstance(shape, torch.Size) else shape))
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or sizes.size == 0 or np.any(sizes < 1):
            raise InputError("is not a shape", parameter="input_shape", got=repr(shape), wanted="integers >= 1")
        shapes[name] = tuple(int(n) for n in sizes)
    return shapes
