"""hasn: the network as a NIR graph, compiled to the snnTorch backend's module."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

import hasn
from benchmarks.network import DT, AveragePool, Convolution, Dense, Map, Network
from benchmarks.peers import SURROGATES, Peer, parameters_of

SURROGATE = "atan"


def graph(spec: Network) -> nir.NIRGraph:
    """The same network; tau and R such that v <- beta v + x. Nodes: map0_0, lif0, loop0, map1_0, ..."""
    tau = DT / (1 - spec.beta)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(spec.shape)})}
    shape, edges = spec.shape, []
    for i, stage in enumerate(spec.stages):
        for j, one in enumerate(stage.maps):
            nodes[f"map{i}_{j}"], shape = _node(one, shape)
        ones = np.ones(stage.shape)
        nodes[f"lif{i}"] = nir.LIF(ones * tau, ones * tau / DT, ones * 0, ones * spec.threshold, ones * 0)
        shape = stage.shape
    nodes["output"] = nir.Output({"output": np.array(shape)})
    edges = list(pairwise(nodes))
    for i, stage in enumerate(spec.stages):
        if stage.loop is not None:
            nodes[f"loop{i}"] = nir.Linear(stage.loop.numpy())
            edges += [(f"lif{i}", f"loop{i}"), (f"loop{i}", f"lif{i}")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT})


def _node(one: Map, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """The NIR node of a map, and the shape that it gives."""
    if isinstance(one, Dense):
        return nir.Affine(one.weight.numpy(), one.bias.numpy()), (len(one.bias),)
    if isinstance(one, Convolution):
        args = (shape[1:], one.weight.numpy(), 1, one.padding, 1, 1, one.bias.numpy())
        return nir.Conv2d(*args), (len(one.bias), *shape[1:])  # same padding: a kernel of 3, 1 on each side
    if isinstance(one, AveragePool):
        size = np.array([one.size, one.size])
        return nir.AvgPool2d(size, size, np.array([0, 0])), (shape[0], *(n // one.size for n in shape[1:]))
    return nir.Flatten({"input": np.array(shape)}, start_dim=0, end_dim=-1), (int(np.prod(shape)),)


class Compiled(Peer):
    """hasn's module."""

    def __init__(self, spec: Network, dtype: torch.dtype, surrogate: str, **options: Any) -> None:
        super().__init__()
        given = {"surrogate": SURROGATES[surrogate](), **options}
        self.executable = compiled(spec, dtype, **given)
        self.module: nn.Module = self.executable.module
        self.spec = spec

    def weights(self) -> list[nn.Parameter]:
        """In the network's order."""
        named = dict(self.executable.program.by_name)
        names = (f"{kind}{i}{j}" for i, stage in enumerate(self.spec.stages) for kind, j in _parts(len(stage.maps)))
        return parameters_of(*(self._node(name) for name in names if name in named))

    def _node(self, name: str) -> nn.Module | None:
        try:
            return self.module.node(name)  # type: ignore[operator,no-any-return]
        except KeyError:  # a step without a module
            return None

    def forward(self, x: Tensor) -> Tensor:
        """(T, batch, *shape) to the Output's spikes."""
        spikes: Tensor = self.module(x)
        return spikes


def _parts(maps: int) -> list[tuple[str, str]]:
    return [*(("map", f"_{j}") for j in range(maps)), ("loop", "")]


def compiled(spec: Network, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """The executable.

    Raises:
        OptionError: this hasn, or this machine, has no such option.
    """
    return hasn.compile(graph(spec), "snntorch", precision=str(dtype).removeprefix("torch."), **options)


def network(spec: Network, dtype: torch.dtype = torch.float32, surrogate: str = SURROGATE, **options: Any) -> Compiled:
    """The fused engine, unless ``options`` say otherwise."""
    return Compiled(spec, dtype, surrogate, **options)
