"""Batch normalisation and dropout that are there while a network trains, and not in the graph that comes back.

    y = gamma (x - mean) / sqrt(var + eps) + beta        BatchNorm, of a connection's output x, channel by channel
    y = x m / (1 - p), m = 1 with probability 1 - p      Dropout

In training ``mean`` and ``var`` are those of the batch, over all steps together (Zheng et al., Going deeper with
directly-trained larger spiking neural networks, AAAI 2021: tdBN, whose factor alpha V_th is where gamma begins) or of
every step alone (Kim & Panda, Revisiting batch normalization for training low-latency deep spiking neural networks from
scratch, Frontiers in Neuroscience 15, 2021). Validation and the graph take running means of them, which fold into the
weights: ``W <- W g``, ``b <- (b - mean) g + beta``, ``g = gamma / sqrt(var + eps)``. A gamma of its own for every step,
as the second paper has, is no graph, whose weights are those of all steps, and is not offered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import nir
import numpy as np

from hasn.errors import InputError, OptionError
from hasn.program.describe import counted

if TYPE_CHECKING:
    from torch import Tensor

_FOLDS = (nir.Affine, nir.Linear, nir.Conv1d, nir.Conv2d)


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation of a connection's output.

    Attributes:
        over: "time": statistics over the samples and steps of a batch; "step": over the samples of each step.
        scale: where gamma begins: tdBN's alpha V_th.
        momentum: by which the running statistics follow, once a batch (or a step).
        eps: added to the variance.
    """

    over: Literal["time", "step"] = "time"
    scale: float = 1.0
    momentum: float = 0.1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.over not in ("time", "step"):
            raise OptionError("no such BatchNorm", parameter="over", got=repr(self.over), wanted="time, step")
        for name in ("scale", "eps"):
            if not (_number(getattr(self, name)) and 0 < getattr(self, name) < float("inf")):
                raise OptionError("no such BatchNorm", parameter=name, got=repr(getattr(self, name)), wanted="> 0")
        if not (_number(self.momentum) and 0 < self.momentum <= 1):
            raise OptionError("no such BatchNorm", parameter="momentum", got=repr(self.momentum), wanted="0..1")


@dataclass(frozen=True)
class Dropout:
    """Dropout of what a connection gives, or is given.

    Attributes:
        p: the share that is dropped.
        before: of the connection's input, so of the spikes that it is given.
        per: "step": drawn anew at every step, as torch.nn.Dropout in a loop; "sequence": one draw for all steps of a
            sample (Lee et al., Enabling spike-based backpropagation, Frontiers in Neuroscience 14, 2020).
    """

    p: float
    before: bool = False
    per: Literal["step", "sequence"] = "step"

    def __post_init__(self) -> None:
        if not (_number(self.p) and 0 <= self.p < 1):
            raise OptionError("no such Dropout", parameter="p", got=repr(self.p), wanted="0 <= p < 1")
        if self.per not in ("step", "sequence"):
            raise OptionError("no such Dropout", parameter="per", got=repr(self.per), wanted="step, sequence")


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def written(during: Any) -> dict[str, tuple[BatchNorm | Dropout, ...]]:
    """{node: what stands there} of what a user wrote.

    Raises:
        OptionError: something else.
    """
    found: dict[str, tuple[BatchNorm | Dropout, ...]] = {}
    if not isinstance(during or {}, Mapping):
        wanted = "{connection: [hasn.training.BatchNorm(...), hasn.training.Dropout(...)]}"
        raise OptionError("no connection named", parameter="during", got=type(during).__name__, wanted=wanted)
    for node, parts in (during or {}).items():
        found[node] = tuple(parts) if isinstance(parts, Sequence) else (parts,)
        for part in found[node]:
            if not isinstance(part, BatchNorm | Dropout):
                wanted = "hasn.training.BatchNorm(...), hasn.training.Dropout(...)"
                raise OptionError("nothing that trains", parameter="during", got=repr(part), wanted=wanted)
        norms = [place for place, part in enumerate(found[node]) if isinstance(part, BatchNorm)]
        if len(norms) > 1:
            raise OptionError("one BatchNorm a connection", parameter="during", got=f"{len(norms)} of {node!r}")
        first = [part for part in found[node][: norms[0]] if not part.before] if norms else []  # type: ignore[union-attr]
        if first:
            way_out = "BatchNorm first, then Dropout; or Dropout(p, before=True)."
            raise OptionError("a BatchNorm of what was dropped", parameter="during", got=repr(node), way_out=way_out)
    return found


class During:
    """What stands at some connections while a network trains.

    Attributes:
        parameters: "node.norm.weight" and "node.norm.bias": what the optimizer moves.
        buffers: "node.norm.mean" and "node.norm.var": the running statistics; and those of the parameters that are
            frozen.
        seed: of Dropout's draws in a training; may be set.

    Args:
        module: the network.
        nodes: flat name -> NIR node.
        during: see :func:`written`.
        trains: whether a "node.parameter" may change.
    """

    def __init__(
        self,
        module: Any,
        nodes: Mapping[str, nir.NIRNode],
        during: Mapping[str, Sequence[BatchNorm | Dropout]],
        trains: Callable[[str], bool] = lambda name: True,
    ) -> None:
        import torch

        self.module, self.during = module, during
        self.seed = 0
        self.generator = torch.Generator(module.like.device)
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        alone = {group[0] for group in module.layers.order if len(group) == 1} - module.layers.looping
        like: Tensor = module.like
        for name, parts in during.items():
            node = nodes.get(name)
            dense = isinstance(node, nir.Linear | nir.Affine)
            if not isinstance(node, _FOLDS) or (dense and node.weight.ndim != 2):
                wanted = ", ".join(n for n, node in nodes.items() if isinstance(node, _FOLDS)) or "Affine, Linear, Conv"
                raise OptionError("no connection to stand at", parameter="during", got=repr(name), wanted=wanted)
            for part in parts:
                if isinstance(part, Dropout):
                    continue
                _check_free(name, node, trains)
                if part.over == "time" and (module.engine != "fused" or name not in alone):
                    raise OptionError(
                        "all steps at once are not known where nodes run step by step",
                        node=name,
                        parameter="during",
                        got="over='time' and " + ("a cycle" if module.engine == "fused" else "engine='steps'"),
                        way_out="Pass BatchNorm(over='step').",
                    )
                size = len(node.weight)
                made = torch.full((size,), part.scale, dtype=like.dtype, device=like.device)
                for key, value in ((f"{name}.norm.weight", made), (f"{name}.norm.bias", torch.zeros_like(made))):
                    if trains(key):
                        self.parameters[key] = value.requires_grad_()
                    else:
                        self.buffers[key] = value
                self.buffers[f"{name}.norm.mean"] = torch.zeros_like(made).detach()
                self.buffers[f"{name}.norm.var"] = torch.ones_like(made).detach()

    @property
    def has_norms(self) -> bool:
        """Whether a batch's samples act on each other."""
        return bool(self.buffers)

    @property
    def over_time(self) -> bool:
        """Whether statistics are taken over all steps together."""
        return any(getattr(part, "over", "") == "time" for parts in self.during.values() for part in parts)

    @property
    def drops(self) -> bool:
        """Whether anything is drawn."""
        return any(isinstance(part, Dropout) for parts in self.during.values() for part in parts)

    def draw_anew(self, update: int, worker: int) -> None:
        """Have the draws of an update depend on seed, update and worker alone, so that resuming gives them again."""
        digest = hashlib.sha256(f"{self.seed} {update} {worker}".encode()).digest()
        self.generator.manual_seed(int.from_bytes(digest[:8], "little", signed=True))

    @contextmanager
    def standing(self, batch: int) -> Iterator[None]:
        """What runs inside goes through it; with gradients as in training, without as in evaluation."""
        handles = []
        for name, parts in self.during.items():
            node = self.module.node(name)
            for part in parts:
                if isinstance(part, BatchNorm):
                    handles.append(node.register_forward_hook(self._norm(name, part, batch)))
                elif part.before:
                    handles.append(node.register_forward_pre_hook(_dropping(part, batch, self.generator)))
                else:
                    handles.append(node.register_forward_hook(_dropping(part, batch, self.generator)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _norm(self, name: str, part: BatchNorm, batch: int) -> Callable[..., Tensor]:
        import torch
        from torch.nn.functional import batch_norm

        weight, bias = (self._value(f"{name}.norm.{which}") for which in ("weight", "bias"))
        mean, var = (self.buffers[f"{name}.norm.{which}"] for which in ("mean", "var"))

        def hook(module: Any, given: Any, x: Tensor) -> Tensor:
            training = torch.is_grad_enabled()
            if training and x.numel() == x.shape[1] * (1 if part.over == "time" else len(x) // batch):
                raise InputError(
                    "a BatchNorm has no variance of one value a channel",
                    node=name,
                    parameter="during",
                    got=f"{counted(batch, 'sample')} in a batch, over={part.over!r}",
                    way_out="Choose a batch_size that leaves no batch of one sample, or drop the last one.",
                )
            if part.over == "time" or not training:
                return batch_norm(x, mean, var, weight, bias, training, part.momentum, part.eps)
            steps = x.reshape(-1, batch, *x.shape[1:])
            made = [batch_norm(now, mean, var, weight, bias, True, part.momentum, part.eps) for now in steps]
            return torch.cat(made)

        return hook

    def _value(self, name: str) -> Tensor:
        return self.parameters[name] if name in self.parameters else self.buffers[name]

    def fold(self, graph: nir.NIRGraph) -> None:
        """Put the running statistics, gamma and beta into the weights of a graph."""
        for name, parts in self.during.items():
            for part in parts:
                if isinstance(part, BatchNorm):
                    self._fold(graph, name, part)

    def _fold(self, graph: nir.NIRGraph, name: str, part: BatchNorm) -> None:
        gamma, beta = (_array(self._value(f"{name}.norm.{which}")) for which in ("weight", "bias"))
        mean, var = (_array(self.buffers[f"{name}.norm.{which}"]) for which in ("mean", "var"))
        holder, key = _place(graph, name)
        node: Any = holder.nodes[key]
        kind = np.asarray(node.weight).dtype
        g = gamma / np.sqrt(var + part.eps)
        weight = np.asarray(node.weight, np.float64) * g.reshape(-1, *[1] * (node.weight.ndim - 1))
        bias = ((np.asarray(getattr(node, "bias", 0.0), np.float64) - mean) * g + beta).astype(kind)
        if isinstance(node, nir.Linear):
            made = nir.Affine(weight.astype(kind), bias)
            made.metadata = node.metadata
            holder.nodes[key] = made
        else:
            node.weight, node.bias = weight.astype(kind), bias


def _check_free(name: str, node: nir.NIRNode, trains: Callable[[str], bool]) -> None:
    """Refuse a BatchNorm where a parameter that stays would take it in."""
    held = [f"{name}.{key}" for key in ("weight", "bias") if hasattr(node, key) and not trains(f"{name}.{key}")]
    if held:
        raise OptionError(
            "what does not train stays as it is, and a BatchNorm would become part of it",
            node=name,
            parameter="during",
            got=f"a BatchNorm, and {' and '.join(held)} not trained",
            way_out="Train them (freeze, learn), or leave the BatchNorm out.",
        )


def _dropping(part: Dropout, batch: int, generator: Any) -> Callable[..., Any]:
    """A hook of the output, or of the input."""
    masks: list[Tensor] = []

    def drop(x: Tensor) -> Tensor:
        import torch

        if not torch.is_grad_enabled() or not part.p:
            return x
        steps = x.reshape(-1, batch, *x.shape[1:])
        if part.per == "step" or not masks:
            drawn = torch.empty(steps.shape if part.per == "step" else steps.shape[1:], dtype=x.dtype, device=x.device)
            masks[:] = [drawn.bernoulli_(1 - part.p, generator=generator).div_(1 - part.p)]
        return (steps * masks[0]).reshape(x.shape)

    if part.before:
        return lambda module, given: (drop(given[0]), *given[1:])
    return lambda module, given, x: drop(x)


def _array(value: Tensor) -> Any:
    return value.detach().cpu().double().numpy()


def _place(graph: nir.NIRGraph, name: str) -> tuple[nir.NIRGraph, str]:
    """The graph that holds a node of a flat name, and its name there."""
    if name in graph.nodes:
        return graph, name
    for key, inner in graph.nodes.items():
        if isinstance(inner, nir.NIRGraph) and name.startswith(f"{key}."):
            return _place(inner, name.removeprefix(f"{key}."))
    raise KeyError(name)
