"""A NIR graph as the torch module that a snnTorch user would have written."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import nir
import torch
from torch import nn

from hasn.compiler import compile as compile_graph
from hasn.conversions.refuse import refusal
from hasn.conversions.snntorch.chain import Link, chain_of
from hasn.conversions.snntorch.made import connection_layers, membrane, neuron_layers
from hasn.errors import OptionError, UnsupportedError
from hasn.ir.lower import lower
from hasn.ir.structure import flatten
from hasn.program.model import Connection, Neurons


def to_snntorch(
    graph: nir.NIRGraph,
    *,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    dtype: torch.dtype = torch.float32,
    spike_grad: Any = None,
    output: bool = False,
    sequential: bool | None = None,
) -> nn.Module:
    """A NIR graph as a module with snnTorch's neurons.

    A chain (Input, layers and neurons, Output; neurons may feed back to themselves) becomes an ``nn.Sequential`` of
    torch's layers and snnTorch's neurons with hidden states: ``module(x)`` is **one step**, x (batch, *shape), and
    ``snntorch.utils.reset(module)`` brings it back to rest. Neurons that came from snnTorch get their settings back.

    Any other graph becomes hasn's ``SpikingNetwork`` (:mod:`hasn.backends.snntorch.module`): ``module(x)`` runs
    **whole sequences**, x (T, batch, *shape), from the initial state. It is what ``hasn.compile(graph).module`` gives.

    Args:
        graph: the network; not changed.
        dt: seconds a step; default: ``graph.metadata["dt"]``.
        method, reset: as in :func:`hasn.compile`.
        dtype: torch.float32, or torch.float64 for a SpikingNetwork (snnTorch's own spikes are float32).
        spike_grad: a function of ``snntorch.surrogate`` for every neuron; default: snnTorch's (atan).
        output: whether the last neuron of a Sequential gives ``(spk, ..., mem)`` and not only its spikes.
        sequential: True: fail, with the reason, where no Sequential can be made; False: make a SpikingNetwork.

    Raises:
        GraphError, ParameterError, ShapeError, TimeStepError: the graph has no meaning (see :func:`hasn.compile`).
        UnsupportedError: ``sequential=True`` and the graph is no chain, or has a node that snnTorch has not.
        OptionError: a float64 Sequential, or another dtype.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in ("float32", "float64") or (name == "float64" and sequential):
        raise OptionError(
            "no such dtype here", parameter="dtype", got=name, wanted="float32 (float64: with sequential=False)"
        )
    if sequential is not False and name == "float32":
        try:
            program = lower(graph, dt=dt, method=method, reset=reset)
            nodes = flatten(graph).nodes
            return _sequential([(link, nodes[link.step.name]) for link in chain_of(program)], spike_grad, output)
        except UnsupportedError:
            if sequential:
                raise
    options = {} if spike_grad is None else {"surrogate": spike_grad}
    made = compile_graph(graph, "snntorch", dt=dt, method=method, reset=reset, precision=name, **options)
    module: nn.Module = made.module  # type: ignore[attr-defined]
    return module


def _sequential(links: list[tuple[Link, nir.NIRNode]], spike_grad: Any, output: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for i, (link, node) in enumerate(links):
        options = {"spike_grad": spike_grad, "init_hidden": True, "output": output and i == len(links) - 1}
        for suffix, layer in _layers(link, node, options):
            layers[_key(link.step.name + suffix, layers)] = layer.to(torch.float32)
    return nn.Sequential(layers)


def _layers(link: Link, node: nir.NIRNode, options: dict[str, Any]) -> list[tuple[str, nn.Module]]:
    step = link.step
    if isinstance(step, Connection):
        return connection_layers(step, node)
    if isinstance(step, Neurons) and (step.spiking or link.compare is not None):
        metadata = node.metadata if isinstance(node.metadata, dict) else {}
        return neuron_layers(link, metadata, options)
    if isinstance(step, Neurons):
        return membrane(link, options)
    raise refusal(step.name, None, "a Threshold that no integrator feeds has no snnTorch neuron")


def _key(name: str, taken: OrderedDict[str, nn.Module]) -> str:
    """A name that ModuleDict takes: no dot, not yet there, and no attribute of a Sequential."""
    key = name.replace(".", "_") or "_"
    while key in taken or hasattr(nn.Sequential, key):
        key += "_"
    return key
